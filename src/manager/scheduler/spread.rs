//! Nodes in the order in which they take the tasks of a service: spread evenly over the values of
//! each preference, one after the other, and within those the best node first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::model::id::NodeId;

/// A node in the order of preference: the least is the best. Whether the service keeps failing on
/// it, its tasks of the service, all its tasks.
pub type Rank = (bool, u32, u32, NodeId);

/// The nodes that take tasks, as a tree of the values that the preferences have on them.
#[derive(Debug, Default)]
pub struct Spread {
    root: Branch,
}

#[derive(Debug, Default)]
struct Branch {
    /// Nodes that no further preference divides.
    nodes: BinaryHeap<Reverse<Rank>>,
    branches: BTreeMap<String, (u32, Self)>,
    /// The branches that have nodes, those with the fewest tasks of the service first.
    order: BTreeSet<(u32, String)>,
}

impl Spread {
    /// Adds a node, with the tasks of the service that it has.
    pub fn add(&mut self, values: &[String], rank: Rank) {
        self.root.add(values, rank, rank.1);
    }

    /// Takes the node that is to have the next task out, and counts the task for its values.
    pub fn take(&mut self) -> Option<Rank> {
        self.root.take()
    }

    /// Puts a node that was taken out back in.
    pub fn put_back(&mut self, values: &[String], rank: Rank) {
        self.root.add(values, rank, 0);
    }
}

impl Branch {
    fn add(&mut self, values: &[String], rank: Rank, tasks: u32) {
        let Some((value, deeper)) = values.split_first() else {
            return self.nodes.push(Reverse(rank));
        };
        let (count, branch) = self.branches.entry(value.clone()).or_default();
        self.order.remove(&(*count, value.clone()));
        *count = count.saturating_add(tasks);
        branch.add(deeper, rank, tasks);
        self.order.insert((*count, value.clone()));
    }

    fn take(&mut self) -> Option<Rank> {
        if let Some(Reverse(rank)) = self.nodes.pop() {
            return Some(rank);
        }
        while let Some((_, value)) = self.order.pop_first() {
            let Some((count, branch)) = self.branches.get_mut(&value) else {
                continue;
            };
            if let Some(rank) = branch.take() {
                *count = count.saturating_add(1);
                self.order.insert((*count, value));
                return Some(rank);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places tasks on nodes that take any number of them; which get one after the other.
    #[track_caller]
    fn check(nodes: &[(&[&str], u32)], tasks: usize, expect: &[u128]) {
        let owned = |values: &[&str]| -> Vec<String> {
            values.iter().map(|value| (*value).to_owned()).collect()
        };
        let mut spread = Spread::default();
        for ((values, own), number) in nodes.iter().zip(1..) {
            spread.add(&owned(values), (false, *own, 0, NodeId(number)));
        }
        let mut took = Vec::new();
        for _ in 0..tasks {
            let (_, own, all, node) = spread.take().unwrap();
            took.push(node.0);
            let at = usize::try_from(node.0).unwrap() - 1;
            spread.put_back(&owned(nodes[at].0), (false, own + 1, all + 1, node));
        }
        assert_eq!(took, expect);
    }

    #[test]
    fn without_preferences_the_emptiest_node_is_next() {
        check(&[(&[], 1), (&[], 0)], 3, &[2, 1, 2]);
    }

    #[test]
    fn values_have_equally_many_whatever_number_of_nodes_they_have() {
        let nodes: [(&[&str], u32); 3] = [(&["a"], 0), (&["a"], 0), (&["b"], 0)];
        check(&nodes, 4, &[1, 3, 2, 3]);
        let nodes: [(&[&str], u32); 3] = [(&["a"], 2), (&["a"], 0), (&["b"], 0)];
        check(&nodes, 3, &[3, 3, 2]);
    }

    #[test]
    fn a_second_preference_divides_what_the_first_has() {
        let nodes: [(&[&str], u32); 4] = [
            (&["a", "x"], 0),
            (&["a", "x"], 0),
            (&["a", "y"], 0),
            (&["b", "x"], 0),
        ];
        check(&nodes, 6, &[1, 4, 3, 4, 2, 4]);
    }

    #[test]
    fn a_value_whose_nodes_are_full_is_left_out() {
        let mut spread = Spread::default();
        let (a, b) = ([String::from("a")], [String::from("b")]);
        spread.add(&a, (false, 0, 0, NodeId(1)));
        spread.add(&b, (false, 0, 0, NodeId(2)));
        assert_eq!(spread.take().map(|rank| rank.3), Some(NodeId(1)));
        assert_eq!(spread.take().map(|rank| rank.3), Some(NodeId(2)));
        assert_eq!(spread.take(), None);
        spread.put_back(&a, (false, 1, 1, NodeId(1)));
        assert_eq!(spread.take().map(|rank| rank.3), Some(NodeId(1)));
    }
}
