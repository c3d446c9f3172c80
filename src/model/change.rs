//! Every way in which cluster state can change, and the batch of changes that is one log entry.
//!
//! Variants and fields are only appended, under a new cluster format; `tests/compat` keeps the
//! bytes of each format.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::model::id::{ClusterId, ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::object::{
    AddressBlock, Endpoint, ManagerMember, NodeStatus, RestartRecord, Slot, TaskState, TaskStatus,
    UpdateStatus,
};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::{NodeDescription, NodeSpec, Role};
use crate::model::spec::service::{PortConfig, ServiceSpec};
use crate::model::spec::task::GenericResource;
use crate::model::spec::{ConfigSpec, Labels, SecretSpec};
use crate::model::time::Time;
use crate::model::trust::{NewTokens, Rotation, Trust};

/// One log entry: changes that take effect together, stamped by the leader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub at: Time,
    pub changes: Vec<Change>,
}

/// One change of cluster state. A change of an object that is gone has no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    CreateCluster(NewCluster),
    UpdateCluster {
        spec: ClusterSpec,
    },

    CreateNode(NewNode),
    UpdateNode {
        id: NodeId,
        spec: NodeSpec,
    },
    DescribeNode {
        id: NodeId,
        description: NodeDescription,
    },
    SetNodeStatus {
        id: NodeId,
        status: NodeStatus,
    },
    RemoveNode {
        id: NodeId,
    },

    CreateService {
        id: ServiceId,
        spec: ServiceSpec,
    },
    UpdateService {
        id: ServiceId,
        spec: ServiceSpec,
    },
    /// The service goes; its tasks stay until they were shut down.
    RemoveService {
        id: ServiceId,
    },

    CreateTask(NewTask),
    AssignTask {
        id: TaskId,
        node: NodeId,
        /// The generic resources of the node that are the task's from now on.
        generic: Vec<GenericResource>,
    },
    SetDesiredState {
        id: TaskId,
        state: TaskState,
    },
    /// States only grow: a status whose state is lower than the task's has no effect.
    SetTaskStatus {
        id: TaskId,
        status: TaskStatus,
    },
    RemoveTask {
        id: TaskId,
    },

    CreateNetwork {
        id: NetworkId,
        spec: NetworkSpec,
        predefined: bool,
        block: Option<AddressBlock>,
    },
    RemoveNetwork {
        id: NetworkId,
    },

    CreateSecret {
        id: SecretId,
        spec: SecretSpec,
    },
    LabelSecret {
        id: SecretId,
        labels: Labels,
    },
    RemoveSecret {
        id: SecretId,
    },

    CreateConfig {
        id: ConfigId,
        spec: ConfigSpec,
    },
    LabelConfig {
        id: ConfigId,
        labels: Labels,
    },
    RemoveConfig {
        id: ConfigId,
    },

    /// The service gets its previous spec again.
    RollBackService(RollBack),
    SetUpdateStatus {
        id: ServiceId,
        status: UpdateStatus,
    },
    /// A task that an update made ended early; it counts once.
    CountUpdateFailure {
        task: TaskId,
    },

    /// The old tokens let nobody join any more; nodes that have joined stay.
    RotateTokens(NewTokens),
    /// A node has joined with the token of this role, whose uses are counted.
    UseToken(Role),
    /// The node has another key from now on.
    SetNodeKey {
        id: NodeId,
        key: [u8; 32],
    },

    /// What a service is reached by.
    AllocateService {
        id: ServiceId,
        endpoint: Endpoint,
    },
    /// A task's addresses, and the ports of its node that it takes.
    AllocateTask {
        id: TaskId,
        addresses: Vec<(NetworkId, Ipv4Addr)>,
        ports: Vec<PortConfig>,
    },
    /// The node has this place among the managers from now on, or none.
    SetManager {
        id: NodeId,
        manager: Option<ManagerMember>,
    },
    /// Another root issues certificates from now on.
    BeginRotation(Rotation),
    /// Every node has a certificate of the new root.
    FinishRotation,
    /// A node's address in the ingress network.
    AllocateNode {
        id: NodeId,
        address: (NetworkId, Ipv4Addr),
    },
}

/// A service that goes back to its previous spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollBack {
    pub id: ServiceId,
    pub message: String,
    /// The [`UpdateStatus::since`] of the rollback.
    pub since: u64,
    /// Whether the spec that is left can be gone back to in turn; not if its update failed.
    pub keeps_spec: bool,
}

/// A swarm that begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewCluster {
    pub id: ClusterId,
    pub spec: ClusterSpec,
    pub address_pools: Vec<String>,
    pub subnet_size: u32,
    pub data_path_port: u16,
    pub trust: Trust,
}

/// A node that joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewNode {
    pub id: NodeId,
    pub spec: NodeSpec,
    pub description: NodeDescription,
    pub status: NodeStatus,
    pub manager: Option<ManagerMember>,
    pub key: Option<[u8; 32]>,
}

/// A task made from its service's current spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTask {
    pub id: TaskId,
    pub service: ServiceId,
    pub slot: Slot,
    pub desired_state: TaskState,
    pub restart: RestartRecord,
    /// The update that makes it; 0 if it is by none.
    pub update: u64,
}
