//! Which nodes each node has tunnels to, and for which addresses: those with tasks in a network in
//! which it has tasks too, those with tasks behind published ports, which are entered everywhere,
//! and those that may be entered at for tasks of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::model::id::{NetworkId, NodeId};
use crate::model::state::State;
use crate::wire::reach::{Peer, Peers, TunnelView};

/// The most bytes of a message, but for its last peer's.
const MESSAGE_BYTES: usize = 4 << 20;

/// What of the state tunnels follow from.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// `None` until the state has been looked at.
    ends: Option<Ends>,
    stale: BTreeSet<NodeId>,
}

/// All nodes with keys, and who has tasks where: a session that begins must not look at them all.
#[derive(Debug, Default)]
struct Ends {
    by_node: BTreeMap<NodeId, End>,
    by_network: BTreeMap<NetworkId, BTreeSet<NodeId>>,
    published: BTreeSet<NodeId>,
}

/// A node with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    public_key: [u8; 32],
    endpoint: SocketAddr,
    own: TunnelView,
    /// The addresses of its tasks, but for those behind published ports.
    tasks: BTreeMap<NetworkId, BTreeSet<Ipv4Addr>>,
    published: BTreeSet<Ipv4Addr>,
}

/// What a node was told.
#[derive(Debug, Default)]
pub struct Told {
    own: Option<TunnelView>,
    peers: BTreeMap<NodeId, Peer>,
}

impl Tunnels {
    /// Notes that a node or one of its tasks changed.
    pub fn note(&mut self, node: NodeId) {
        if self.ends.is_some() {
            self.stale.insert(node);
        }
    }

    /// Looks at what was noted; the nodes whose ends have changed.
    pub fn look(&mut self, state: &State) -> BTreeSet<NodeId> {
        let Some(ends) = &mut self.ends else {
            return BTreeSet::new();
        };
        let mut stale = std::mem::take(&mut self.stale);
        stale.retain(|id| {
            let end = end(state, *id);
            let has_changed = ends.by_node.get(id) != end.as_ref();
            if has_changed {
                ends.set(*id, end);
            }
            has_changed
        });
        stale
    }

    /// Everything, for a node that knows of nothing. What has changed must have been told before.
    pub fn all(&mut self, state: &State, node: NodeId) -> (Told, Vec<Peers>) {
        let ends = self.ends.get_or_insert_with(|| {
            let mut ends = Ends::default();
            let ids = state.nodes().iter().map(|node| node.id);
            ids.for_each(|id| ends.set(id, end(state, id)));
            ends
        });
        let mut told = Told::default();
        let mut parts = told.catch_up(&ends.by_node, node, ends.near(node).into_iter());
        if let Some(first) = parts.first_mut() {
            first.is_all = true;
        }
        (told, parts)
    }

    /// What a node has to be told after these have changed.
    pub fn differences(
        &self,
        told: &mut Told,
        node: NodeId,
        changed: &BTreeSet<NodeId>,
    ) -> Vec<Peers> {
        let Some(ends) = &self.ends else {
            return Vec::new();
        };
        if !changed.contains(&node) {
            return told.catch_up(&ends.by_node, node, changed.iter().copied());
        }
        let mut nodes = ends.near(node);
        nodes.extend(told.peers.keys());
        told.catch_up(&ends.by_node, node, nodes.into_iter())
    }
}

impl Ends {
    fn set(&mut self, id: NodeId, end: Option<End>) {
        if let Some(old) = self.by_node.remove(&id) {
            self.published.remove(&id);
            for network in old.tasks.keys() {
                if let Some(nodes) = self.by_network.get_mut(network) {
                    nodes.remove(&id);
                }
            }
            self.by_network.retain(|_, nodes| !nodes.is_empty());
        }
        let Some(end) = end else {
            return;
        };
        for network in end.tasks.keys() {
            self.by_network.entry(*network).or_default().insert(id);
        }
        if !end.published.is_empty() {
            self.published.insert(id);
        }
        self.by_node.insert(id, end);
    }

    /// All that a node may have tunnels to, and perhaps itself.
    fn near(&self, node: NodeId) -> BTreeSet<NodeId> {
        match self.by_node.get(&node) {
            None => BTreeSet::new(),
            Some(own) if !own.published.is_empty() => self.by_node.keys().copied().collect(),
            Some(own) => {
                let networks = own.tasks.keys();
                let sharing = networks.filter_map(|network| self.by_network.get(network));
                let sharing = sharing.flatten().chain(&self.published);
                sharing.copied().collect()
            }
        }
    }
}

impl Told {
    /// What the node has to be told of its own end and of other nodes.
    fn catch_up(
        &mut self,
        ends: &BTreeMap<NodeId, End>,
        node: NodeId,
        others: impl Iterator<Item = NodeId>,
    ) -> Vec<Peers> {
        let own = ends.get(&node);
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for id in others.filter(|id| *id != node) {
            let other = own.zip(ends.get(&id));
            match other.and_then(|(own, other)| peer(own, id, other)) {
                Some(peer) if self.peers.get(&id) == Some(&peer) => {}
                Some(peer) => {
                    self.peers.insert(id, peer.clone());
                    set.push(peer);
                }
                None => removed.extend(self.peers.remove(&id).map(|_| id)),
            }
        }
        let own = own.map(|end| end.own);
        let has_moved = own.is_some() && own != self.own;
        let own = own.filter(|_| has_moved);
        self.own = own.or(self.own);
        let mut parts = parts(set);
        if parts.is_empty() && (has_moved || !removed.is_empty()) {
            parts.push(Peers::default());
        }
        if let Some(first) = parts.first_mut() {
            // An address that went from one node to another leaves before it comes.
            first.removed = removed;
            first.own = own;
        }
        parts
    }
}

/// Splits what is told so that each part fits into a frame.
fn parts(peers: Vec<Peer>) -> Vec<Peers> {
    let mut parts = Vec::<Peers>::new();
    let mut bytes = MESSAGE_BYTES;
    for peer in peers {
        if bytes >= MESSAGE_BYTES {
            parts.push(Peers::default());
            bytes = 0;
        }
        let size = postcard::experimental::serialized_size(&peer);
        bytes = bytes.saturating_add(size.unwrap_or(MESSAGE_BYTES));
        if let Some(part) = parts.last_mut() {
            part.set.push(peer);
        }
    }
    parts
}

/// What one node has to know of another to reach it, or to be reached by it; `None` if neither may.
fn peer(own: &End, id: NodeId, other: &End) -> Option<Peer> {
    let shared = other.tasks.iter();
    let shared = shared.filter(|(network, _)| own.tasks.contains_key(network));
    let mut tasks: BTreeSet<_> = shared.flat_map(|(_, tasks)| tasks).copied().collect();
    tasks.extend(&other.published);
    let is_peer = !tasks.is_empty() || !own.published.is_empty();
    is_peer.then_some(Peer {
        node: id,
        public_key: other.public_key,
        endpoint: other.endpoint,
        address: other.own.address,
        tasks,
    })
}

fn end(state: &State, id: NodeId) -> Option<End> {
    let node = state.nodes().find(id)?;
    let tunnel = node.description.tunnel?;
    let port = state.cluster()?.data_path_port;
    let address: IpAddr = node.status.address.parse().ok()?;
    let mut end = End {
        public_key: tunnel.public_key,
        endpoint: (address, tunnel.port.unwrap_or(port)).into(),
        own: TunnelView {
            port,
            address: node.ingress.map(|(_, address)| address),
        },
        tasks: BTreeMap::new(),
        published: BTreeSet::new(),
    };
    let tasks = state.tasks_of_node(id);
    let alive = tasks.filter(|task| !task.status.state.is_terminal());
    for (network, address) in alive.flat_map(|task| &task.addresses) {
        let network = state.networks().find(*network)?;
        match network.spec.ingress {
            true => end.published.insert(*address),
            false => end.tasks.entry(network.id).or_default().insert(*address),
        };
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::allocator::nodes;
    use crate::manager::words::World;
    use crate::model::change::Change;
    use crate::model::id::TaskId;
    use crate::model::object::{TaskState, TaskStatus};
    use crate::model::spec::node::{NodeDescription, TunnelEnd};

    const NETS: &str = "history 5; network ingress 10.0.0.0/24; network front 10.0.1.0/24; \
                        network back 10.0.2.0/24; service web x9; ";

    /// A world in which each node has an address in the ingress network.
    fn world(given: &str) -> World {
        let mut world = World::of(&format!("{NETS}{given}"));
        let changes = world.decide(nodes::pass);
        world.apply(changes);
        world
    }

    /// `all; own 10.0.0.2; 3 at 192.0.2.3:4789 10.0.0.3: 10.0.1.9; not 4`
    fn words(parts: &[Peers]) -> String {
        let mut words = Vec::new();
        for part in parts {
            words.extend(part.is_all.then(|| "all".to_owned()));
            let own = part.own.and_then(|own| own.address);
            words.extend(own.map(|address| format!("own {address}")));
            let set = part.set.iter().map(|peer| {
                let address = peer.address.unwrap();
                let tasks = peer.tasks.iter().map(|task| format!(" {task}"));
                let tasks: String = tasks.collect();
                format!("{} at {} {address}:{tasks}", peer.node.0, peer.endpoint)
            });
            words.extend(set);
            words.extend(part.removed.iter().map(|id| format!("not {}", id.0)));
        }
        words.join("; ")
    }

    #[track_caller]
    fn check(given: &str, node: u128, expected: &str) {
        let world = world(given);
        let (_, parts) = Tunnels::default().all(&world.state, NodeId(node));
        assert_eq!(words(&parts), expected);
    }

    #[test]
    fn a_node_has_tunnels_to_those_that_it_shares_a_network_with_and_to_no_others() {
        let given = "node a up key 1; node b up key 2; node c up key 3; node d up; \
                     task 1 web/1 on a running has 10.0.1.8 has 10.0.2.8; \
                     task 2 web/2 on b starting has 10.0.1.9; task 3 web/3 on b running; \
                     task 4 web/4 on b failed has 10.0.1.7; \
                     task 5 web/5 on c running has 10.0.2.9; \
                     task 6 web/6 on d running has 10.0.1.6";
        let (b, c) = (
            "2 at 192.0.2.2:4789 10.0.0.3: 10.0.1.9",
            "3 at 192.0.2.3:4789 10.0.0.4:",
        );
        check(given, 1, &format!("all; own 10.0.0.2; {b}; {c} 10.0.2.9"));
        let a = "1 at 192.0.2.1:4789 10.0.0.2:";
        check(given, 2, &format!("all; own 10.0.0.3; {a} 10.0.1.8"));
        check(given, 4, "");
    }

    #[test]
    fn tasks_behind_published_ports_are_reached_from_every_node() {
        let given = "node a up key 1; node b up key 2; node c up key 3; \
                     task 1 web/1 on a running has 10.0.0.9 has 10.0.1.9; \
                     task 2 web/2 on c running has 10.0.2.9";
        let a = "1 at 192.0.2.1:4789 10.0.0.2: 10.0.0.9";
        check(given, 2, &format!("all; own 10.0.0.3; {a}"));
        check(given, 3, &format!("all; own 10.0.0.4; {a}"));
        let others = "2 at 192.0.2.2:4789 10.0.0.3:; 3 at 192.0.2.3:4789 10.0.0.4:";
        check(given, 1, &format!("all; own 10.0.0.2; {others}"));
    }

    #[test]
    fn nodes_are_told_what_has_changed_and_nothing_else() {
        let mut world = world(
            "node a up key 1; node b up key 2; node c up key 3; \
             task 1 web/1 on a running has 10.0.1.8; task 2 web/2 on b running has 10.0.1.9; \
             task 3 web/3 on c running has 10.0.1.7; task 4 web/4 on c running has 10.0.2.7",
        );
        let (a, b, c) = (NodeId(1), NodeId(2), NodeId(3));
        let mut tunnels = Tunnels::default();
        let (mut of_a, _) = tunnels.all(&world.state, a);
        let (mut of_b, _) = tunnels.all(&world.state, b);
        let mut tell = |world: &World, touched: NodeId| {
            tunnels.note(touched);
            let changed = tunnels.look(&world.state);
            let to_a = tunnels.differences(&mut of_a, a, &changed);
            let to_b = tunnels.differences(&mut of_b, b, &changed);
            (words(&to_a), words(&to_b))
        };
        assert_eq!(tell(&world, c), (String::new(), String::new()));
        let end = |id: u128, state| Change::SetTaskStatus {
            id: TaskId(id),
            status: TaskStatus {
                state,
                ..TaskStatus::default()
            },
        };
        // Tasks that end go from all, and with the last the node.
        world.apply(vec![end(4, TaskState::Complete)]);
        assert_eq!(tell(&world, c), (String::new(), String::new()));
        world.apply(vec![end(2, TaskState::Complete)]);
        let (to_a, to_b) = tell(&world, b);
        assert_eq!((to_a.as_str(), to_b.as_str()), ("not 2", "not 1; not 3"));
        let description = NodeDescription {
            tunnel: Some(TunnelEnd {
                public_key: [9; 32],
                port: Some(5000),
            }),
            ..NodeDescription::default()
        };
        world.apply(vec![Change::DescribeNode { id: c, description }]);
        let (to_a, to_b) = tell(&world, c);
        let moved = "3 at 192.0.2.3:5000 10.0.0.4: 10.0.1.7";
        assert_eq!((to_a.as_str(), to_b.as_str()), (moved, ""));
        world.apply(vec![Change::RemoveNode { id: c }]);
        assert_eq!(tell(&world, c).0, "not 3");
    }
}
