//! The nodes that tunnels lead to, as the managers told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::id::NodeId;
use crate::wire::reach::{Peer, Peers as News, TunnelView};

/// The nodes that tunnels lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    own: Option<TunnelView>,
    all: BTreeMap<NodeId, Peer>,
}

impl Peers {
    /// None at all.
    pub const fn none() -> Self {
        Self {
            own: None,
            all: BTreeMap::new(),
        }
    }

    /// Takes in what the managers say.
    pub fn hear(&mut self, news: News) {
        if news.is_all {
            self.all.clear();
        }
        self.own = news.own.or(self.own);
        for node in news.removed {
            self.all.remove(&node);
        }
        let set = news.set.into_iter().map(|peer| (peer.node, peer));
        self.all.extend(set);
    }

    /// This node's own end; `None` before the managers have decided it.
    pub fn own(&self) -> Option<TunnelView> {
        self.own
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.all.values()
    }

    pub fn leads_to(&self, node: NodeId) -> bool {
        self.all.contains_key(&node)
    }

    /// Whether what comes from outside can be passed on to other nodes.
    pub fn passes_on(&self) -> bool {
        self.own.is_some_and(|own| own.address.is_some())
    }

    /// The addresses of the nodes themselves.
    pub fn nodes(&self) -> BTreeSet<Ipv4Addr> {
        self.iter().filter_map(|peer| peer.address).collect()
    }

    /// Every address that tunnels lead to.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.iter().flat_map(addresses).collect()
    }
}

/// The addresses that a peer may send from, and is sent for.
pub fn addresses(peer: &Peer) -> impl Iterator<Item = Ipv4Addr> {
    peer.tasks.iter().copied().chain(peer.address)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A peer with one task.
    pub fn peer(node: u8, task: &str) -> Peer {
        Peer {
            node: NodeId(node.into()),
            public_key: [node; 32],
            endpoint: ([192, 0, 2, node], 4789).into(),
            address: Some([10, 0, 9, node].into()),
            tasks: [task.parse().unwrap()].into(),
        }
    }

    #[test]
    fn what_is_told_adds_up_until_everything_is_told_anew() {
        let own = |last: u8| TunnelView {
            port: 4789,
            address: Some([10, 0, 9, last].into()),
        };
        let mut peers = Peers::default();
        peers.hear(News {
            own: Some(own(1)),
            set: vec![peer(2, "10.0.1.2"), peer(3, "10.0.1.3")],
            ..News::default()
        });
        peers.hear(News {
            set: vec![peer(3, "10.0.1.2")],
            removed: vec![NodeId(2)],
            ..News::default()
        });
        assert_eq!(peers.own(), Some(own(1)));
        let told = ["10.0.1.2", "10.0.9.3"].map(|text| text.parse().unwrap());
        assert_eq!(peers.addresses(), told.into());
        assert!(peers.leads_to(NodeId(3)) && !peers.leads_to(NodeId(2)));
        peers.hear(News {
            set: vec![peer(4, "10.0.1.4")],
            is_all: true,
            ..News::default()
        });
        let nodes: Vec<_> = peers.iter().map(|peer| peer.node.0).collect();
        assert_eq!(nodes, [4]);
    }
}
