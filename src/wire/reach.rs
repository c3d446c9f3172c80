//! How tasks and services are reached: what the managers tell every node of it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::address::Subnet;
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::spec::service::PortConfig;

/// A network, as far as nodes must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    pub id: NetworkId,
    pub name: String,
    pub subnet: Subnet,
    /// Nothing leads out of it.
    pub internal: bool,
    /// Published ports lead into it.
    pub ingress: bool,
}

/// A task's place in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: NetworkView,
    pub address: Ipv4Addr,
}

/// A service that is on networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub id: ServiceId,
    pub name: String,
    pub networks: Vec<ServiceNetwork>,
    /// Its published ports, each with a number.
    pub ports: Vec<PortConfig>,
    /// Its tasks that take connections.
    pub tasks: Vec<TaskView>,
}

/// A service's place in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceNetwork {
    pub network: NetworkView,
    /// The address that stands for all of its tasks, if there is one.
    pub address: Option<Ipv4Addr>,
    /// Further names for it.
    pub aliases: Vec<String>,
}

/// A task that takes connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    pub id: TaskId,
    /// `web.3`, as names go.
    pub name: String,
    pub node: NodeId,
    pub addresses: Vec<(NetworkId, Ipv4Addr)>,
}

/// What has changed of the services, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    pub services: Vec<Arc<ServiceView>>,
    pub removed: Vec<ServiceId>,
    /// If given, all services that there are: others are gone.
    pub all: Option<Vec<ServiceId>>,
    pub peers: Peers,
}

/// Another node that tunnels lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub node: NodeId,
    /// X25519.
    pub public_key: [u8; 32],
    /// Where it is, as far as the managers know.
    pub endpoint: SocketAddr,
    /// Its own address in the ingress network.
    pub address: Option<Ipv4Addr>,
    /// Those of its tasks that this node, or a task of it, may reach.
    pub tasks: BTreeSet<Ipv4Addr>,
}

/// What has changed of the nodes that tunnels lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// This node's own end; as it was if it is not given.
    pub own: Option<TunnelView>,
    pub set: Vec<Peer>,
    pub removed: Vec<NodeId>,
    /// What was told before counts no more.
    pub is_all: bool,
}

/// A node's own end of its tunnels, as the managers have decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelView {
    /// The UDP port that the swarm's nodes use if they are not told otherwise.
    pub port: u16,
    /// Its address in the ingress network.
    pub address: Option<Ipv4Addr>,
}
