//! A new root for the swarm. It issues certificates from its first moment on, and takes the old
//! one's place once every node has one of them; a node that never comes back has to be removed
//! first. Nodes learn of it on their sessions.

use std::sync::Arc;

use crate::host::rng::Rng;
use crate::identity::roots::digest;
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::object::Node;

/// Ends a rotation that has reached every node.
pub fn pass(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let cluster = view.state.cluster();
    let rotation = cluster.and_then(|cluster| cluster.trust.rotation.as_ref());
    let Some(rotation) = rotation.filter(|_| !dirty.nodes.is_empty()) else {
        return Vec::new();
    };
    let issuer = Some(digest(&rotation.root));
    let is_there = |node: &Arc<Node>| node.description.issuer == issuer;
    match view.state.nodes().iter().all(is_there) {
        true => vec![Change::FinishRotation],
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::genesis::genesis;
    use crate::manager::tests::swarm::{NODE, a_genesis};
    use crate::model::change::{Batch, NewNode};
    use crate::model::id::NodeId;
    use crate::model::object::NodeStatus;
    use crate::model::spec::node::{NodeDescription, NodeSpec};
    use crate::model::state::State;
    use crate::model::time::Time;
    use crate::model::trust::Rotation;

    const OTHER: NodeId = NodeId(8);

    fn apply(state: &mut State, change: Change) {
        let changes = vec![change];
        state.apply(
            state.index() + 1,
            &Batch {
                at: Time(0),
                changes,
            },
        );
    }

    /// A swarm of two nodes whose root is being rotated.
    fn rotating() -> State {
        let mut state = State::default();
        let changes = genesis(a_genesis(), Time(0));
        state.apply(
            1,
            &Batch {
                at: Time(0),
                changes,
            },
        );
        let other = NewNode {
            id: OTHER,
            spec: NodeSpec::default(),
            description: NodeDescription::default(),
            status: NodeStatus::default(),
            manager: None,
            key: None,
        };
        apply(&mut state, Change::CreateNode(other));
        let rotation = Rotation {
            root: b"new".to_vec(),
            key: None,
            cross: b"cross".to_vec(),
        };
        apply(&mut state, Change::BeginRotation(rotation));
        state
    }

    fn use_root(state: &mut State, id: NodeId) {
        let description = NodeDescription {
            issuer: Some(digest(b"new")),
            ..NodeDescription::default()
        };
        apply(state, Change::DescribeNode { id, description });
    }

    fn decide(state: &State) -> Vec<Change> {
        let view = View {
            state,
            now: Time(0),
            room: usize::MAX,
        };
        pass(&view, &Dirty::everything(state), &mut Rng::from_seed(1))
    }

    #[test]
    fn a_rotation_ends_when_every_node_uses_the_new_root_or_is_removed() {
        let mut state = rotating();
        assert_eq!(decide(&state), []);
        use_root(&mut state, NODE);
        assert_eq!(decide(&state), []);
        let mut removed = rotating();
        use_root(&mut removed, NODE);
        apply(&mut removed, Change::RemoveNode { id: OTHER });
        use_root(&mut state, OTHER);
        for mut state in [state, removed] {
            assert_eq!(decide(&state), [Change::FinishRotation]);
            apply(&mut state, Change::FinishRotation);
            assert_eq!(state.cluster().unwrap().trust.root, b"new");
            assert_eq!(decide(&state), []);
        }
    }
}
