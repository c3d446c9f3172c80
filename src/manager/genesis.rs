//! The first log entry of a new swarm: the swarm itself, its first node, and the networks that are
//! always there.

use crate::manager::allocator::subnets::{self, Pools};
use crate::model::change::{Change, NewCluster, NewNode};
use crate::model::id::{ClusterId, NodeId};
use crate::model::object::{ManagerMember, NodeState, NodeStatus};
use crate::model::spec::Driver;
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::{BRIDGE, HOST, INGRESS, NONE, NetworkSpec, OVERLAY};
use crate::model::spec::node::{Availability, NodeDescription, NodeSpec, Role};
use crate::model::time::Time;
use crate::model::trust::Trust;

/// What `swarm init` decides.
#[derive(Clone, Debug)]
pub struct Genesis {
    pub cluster: ClusterId,
    pub spec: ClusterSpec,
    pub address_pools: Vec<String>,
    pub subnet_size: u32,
    pub data_path_port: u16,
    pub node: NodeId,
    pub description: NodeDescription,
    pub availability: Availability,
    /// The address that other nodes reach this one at, and the one of its manager with the port.
    pub address: String,
    pub manager_address: String,
    pub raft_id: u64,
    /// The digest of the first node's public key.
    pub key: Option<[u8; 32]>,
    /// Root and tokens, drawn where there is randomness.
    pub trust: Trust,
}

/// The changes that make a swarm of one manager, whose node is ready once its agent says hello.
pub fn genesis(start: Genesis, now: Time) -> Vec<Change> {
    let pools = Pools {
        pools: &start.address_pools,
        subnet_size: start.subnet_size,
    };
    // Pools that are none leave the ingress network without addresses; whoever begins a swarm
    // checks them.
    let block = subnets::choose(pools, [].iter(), &NetworkSpec::default()).ok();
    let cluster = Change::CreateCluster(NewCluster {
        id: start.cluster,
        spec: start.spec,
        address_pools: start.address_pools,
        subnet_size: start.subnet_size,
        data_path_port: start.data_path_port,
        trust: start.trust,
    });
    let node = Change::CreateNode(NewNode {
        id: start.node,
        spec: NodeSpec {
            role: Role::Manager,
            availability: start.availability,
            ..NodeSpec::default()
        },
        description: start.description,
        status: NodeStatus {
            state: NodeState::Unknown,
            address: start.address,
            since: now,
            ..NodeStatus::default()
        },
        manager: Some(ManagerMember {
            raft_id: start.raft_id,
            address: start.manager_address,
        }),
        key: start.key,
    });
    let local = [(BRIDGE, "bridge"), (HOST, "host"), (NONE, "null")];
    let local = local.map(|((id, name), driver)| Change::CreateNetwork {
        id,
        spec: network(name, driver),
        predefined: true,
        block: None,
    });
    let ingress = Change::CreateNetwork {
        id: INGRESS.0,
        spec: NetworkSpec {
            ingress: true,
            ..network(INGRESS.1, OVERLAY)
        },
        predefined: false,
        block,
    };
    let networks = local.into_iter().chain([ingress]);
    [cluster, node].into_iter().chain(networks).collect()
}

fn network(name: &str, driver: &str) -> NetworkSpec {
    NetworkSpec {
        name: name.into(),
        driver: Driver {
            name: driver.into(),
            ..Driver::default()
        },
        ..NetworkSpec::default()
    }
}
