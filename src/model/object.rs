//! The objects of a swarm: a spec, and what the swarm has added to it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::address::Subnet;
use crate::model::id::{ClusterId, ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::{NodeDescription, NodeSpec, Role};
use crate::model::spec::service::{PortConfig, ServiceMode, ServiceSpec};
use crate::model::spec::task::{GenericResource, TaskSpec};
use crate::model::spec::{ConfigSpec, SecretSpec};
use crate::model::time::Time;
use crate::model::trust::Trust;

/// When an object came and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The log index of the last change of the object's spec: Docker's `Version.Index`. Status and
    /// allocation do not move it, so a user's read-modify-write does not fail because the system
    /// moved.
    pub version: u64,
    /// The log index of the last change of anything.
    pub changed: u64,
    pub created_at: Time,
    pub updated_at: Time,
}

/// The swarm itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: ClusterId,
    pub meta: Meta,
    pub spec: ClusterSpec,
    /// The address pools of overlay networks, in CIDR notation.
    pub address_pools: Vec<String>,
    pub subnet_size: u32,
    pub data_path_port: u16,
    /// The format that log entries are written in; raised only when every manager supports it.
    pub format: u16,
    pub trust: Trust,
}

/// A machine of the swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub meta: Meta,
    pub spec: NodeSpec,
    pub description: NodeDescription,
    pub status: NodeStatus,
    pub manager: Option<ManagerMember>,
    /// The digest of the public key that its certificate is for.
    pub key: Option<[u8; 32]>,
    /// Its own address in the ingress network: what it passes on from outside comes from there.
    pub ingress: Option<(NetworkId, Ipv4Addr)>,
}

impl Node {
    /// What the node is. A manager that was demoted is one until it has left the quorum.
    pub fn role(&self) -> Role {
        match self.manager {
            Some(_) => Role::Manager,
            None => self.spec.role,
        }
    }
}

/// What the managers know of a node's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub state: NodeState,
    pub message: String,
    pub address: String,
    pub since: Time,
}

/// Whether a node answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    #[default]
    Unknown,
    Down,
    Ready,
    Disconnected,
}

/// A manager's place in the quorum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagerMember {
    pub raft_id: u64,
    pub address: String,
}

/// A service and its history of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub id: ServiceId,
    pub meta: Meta,
    pub spec: Arc<ServiceSpec>,
    pub previous_spec: Option<Arc<ServiceSpec>>,
    /// The version of `spec.task`: moves only when what tasks are made from changes, and back when
    /// that is what some tasks still are made from.
    pub task_version: u64,
    /// How the update or rollback to this spec stands; `None` if no task had to be replaced.
    pub update: Option<UpdateStatus>,
    pub endpoint: Endpoint,
    /// How often it was executed; `None` if it is no job.
    pub job: Option<JobStatus>,
}

/// The execution of a job that is under way, or was the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Each change of the spec executes the job anew.
    pub iteration: u64,
    pub last_execution: Time,
}

impl JobStatus {
    /// The first execution.
    pub fn begun(at: Time) -> Self {
        Self {
            iteration: 0,
            last_execution: at,
        }
    }

    /// The execution after this one.
    pub fn again(self, at: Time) -> Self {
        Self {
            iteration: self.iteration + 1,
            last_execution: at,
        }
    }
}

/// How many tasks of a replicated job shall complete, and how many of them may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSize {
    pub total: u64,
    pub concurrent: u64,
}

/// How an update or a rollback stands. All that it needs is here and in its tasks, so a new leader,
/// or a rebooted one, goes on exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateStatus {
    pub state: UpdateState,
    pub started_at: Time,
    pub completed_at: Option<Time>,
    pub message: String,
    /// The log index at which it began, by which its tasks are known.
    pub since: u64,
    /// How many slots had to be replaced; 0 until they were counted.
    pub slots: u64,
    /// How many of its tasks ended early.
    pub failures: u64,
}

/// Docker's states of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateState {
    Updating,
    Paused,
    Completed,
    RollbackStarted,
    RollbackPaused,
    RollbackCompleted,
}

impl UpdateState {
    /// Docker's word for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        }
    }

    /// Whether tasks are being replaced, or watched after that.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Updating | Self::RollbackStarted)
    }
}

/// What a service is reached by, as the swarm has decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// On each network the address that stands for all tasks.
    pub addresses: Vec<(NetworkId, Ipv4Addr)>,
    /// The ports of the spec, each with a number.
    pub ports: Vec<PortConfig>,
    /// Why this is not yet what the spec asks for; empty if it is.
    pub problem: String,
}

impl Service {
    /// How many tasks a replicated service shall have; `None` in other modes.
    pub fn replicas(&self) -> Option<u64> {
        match self.spec.mode {
            ServiceMode::Replicated { replicas } => Some(replicas.unwrap_or(1)),
            _ => None,
        }
    }

    /// Whether each eligible node has one task of the service.
    pub fn is_global(&self) -> bool {
        matches!(self.spec.mode, ServiceMode::Global | ServiceMode::GlobalJob)
    }

    /// The size of a replicated job; `None` in other modes.
    pub fn job_size(&self) -> Option<JobSize> {
        let ServiceMode::ReplicatedJob {
            max_concurrent,
            total_completions,
        } = self.spec.mode
        else {
            return None;
        };
        let concurrent = max_concurrent.unwrap_or(1);
        Some(JobSize {
            total: total_completions.unwrap_or(concurrent),
            concurrent,
        })
    }

    /// Whether a task belongs to the execution of the job that is the last; every task does if it
    /// is no job.
    pub fn executes(&self, task: &Task) -> bool {
        task.job_iteration == self.job.map(|job| job.iteration)
    }
}

/// One go at running one instance of a service. A task is assigned once and never moves, and its
/// states only grow; a replacement is a new task in the same slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub meta: Meta,
    pub service: ServiceId,
    /// The service's name when the task was made, so that a task outlives its service readably.
    pub service_name: Arc<str>,
    pub task_version: u64,
    pub spec: Arc<TaskSpec>,
    pub slot: Slot,
    pub node: Option<NodeId>,
    pub desired_state: TaskState,
    pub status: TaskStatus,
    pub restart: RestartRecord,
    /// When the managers first heard that it runs, by their clock.
    pub running_since: Option<Time>,
    /// The update that it was made by, as its [`UpdateStatus::since`]; 0 if it was by none.
    pub update: u64,
    /// Whether its early end was counted against that update.
    pub update_failed: bool,
    /// Its address on each of its networks.
    pub addresses: Vec<(NetworkId, Ipv4Addr)>,
    /// The execution of its job that it belongs to; `None` if it is of no job.
    pub job_iteration: Option<u64>,
    /// The ports of its node that it takes.
    pub ports: Vec<PortConfig>,
    /// The generic resources of its node that it was given.
    pub generic: Vec<GenericResource>,
}

impl Task {
    /// Docker's name of the task: `web.3`, or `web.<node id>` for a global service.
    pub fn name(&self) -> String {
        match self.slot {
            Slot::Number(number) => format!("{}.{number}", self.service_name),
            Slot::Node(node) => format!("{}.{node}", self.service_name),
        }
    }

    /// The node that the task is on, or waits for because it is that node's.
    pub fn place(&self) -> Option<NodeId> {
        match self.slot {
            Slot::Number(_) => self.node,
            Slot::Node(node) => Some(node),
        }
    }

    /// Whether the task is one of a job and has done what it was for.
    pub fn has_completed(&self) -> bool {
        self.job_iteration.is_some() && self.status.state == TaskState::Complete
    }

    /// Whether the task still counts as an instance: it is wanted and has not ended.
    pub fn is_live(&self) -> bool {
        self.desired_state <= TaskState::Running && self.status.state <= TaskState::Running
    }
}

/// Which instance of a service a task is: a numbered one, or that of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    Number(u64),
    Node(NodeId),
}

/// Where a task is in its life; Swarm's states, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskState {
    #[default]
    New,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// Every state, in order.
    pub const ALL: [Self; 14] = [
        Self::New,
        Self::Pending,
        Self::Assigned,
        Self::Accepted,
        Self::Preparing,
        Self::Ready,
        Self::Starting,
        Self::Running,
        Self::Complete,
        Self::Shutdown,
        Self::Failed,
        Self::Rejected,
        Self::Remove,
        Self::Orphaned,
    ];

    /// Docker's word for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether a task of this state may be said to be in that one: states only grow, and an end is
    /// final.
    pub fn may_become(self, next: Self) -> bool {
        next == self || next > self && !self.is_terminal()
    }

    /// Whether nothing of the task runs any more.
    pub fn is_terminal(self) -> bool {
        self > Self::Running
    }
}

/// What was last seen of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    pub state: TaskState,
    pub at: Time,
    pub message: String,
    /// Why the task failed, or why it waits; empty when all is well.
    pub error: String,
    pub container: Option<ContainerStatus>,
    /// The restarts that led to this attempt, if its node has begun it without a manager.
    pub restarts: Option<RestartRecord>,
}

/// What was last seen of a task's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub container_id: String,
    pub pid: u32,
    pub exit_code: i32,
    /// The last lines of the log of a failed attempt.
    pub log_tail: Vec<u8>,
}

/// The restarts that led to a task, carried from task to task of a slot, so that a new leader
/// continues exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    /// The task may start running only from this moment on.
    pub not_before: Time,
    /// Restarts since `window_start`.
    pub attempts: u32,
    pub window_start: Time,
    /// How far the back-off has grown.
    pub backoff_step: u8,
}

/// A network of the swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub id: NetworkId,
    pub meta: Meta,
    pub spec: NetworkSpec,
    /// Made with the swarm and not removable: `host`, `none`, `bridge`.
    pub predefined: bool,
    /// Its addresses; `None` for what each host has for itself.
    pub block: Option<AddressBlock>,
}

/// The addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBlock {
    pub subnet: Subnet,
    pub gateway: Ipv4Addr,
}

/// A secret of the swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    pub id: SecretId,
    pub meta: Meta,
    pub spec: SecretSpec,
}

/// A config of the swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub id: ConfigId,
    pub meta: Meta,
    pub spec: ConfigSpec,
}

#[cfg(test)]
mod tests {
    use super::TaskState;

    /// Seed 2175 of the simulator: a host that restarted said of a job's task that had completed
    /// that it was lost, and the job did that part again.
    #[test]
    fn states_only_grow_and_an_end_is_final() {
        for from in TaskState::ALL {
            for to in TaskState::ALL {
                let may = from.may_become(to);
                assert_eq!(may, to == from || (to > from && from <= TaskState::Running));
            }
        }
        assert!(!TaskState::Complete.may_become(TaskState::Failed));
        assert!(TaskState::Starting.may_become(TaskState::Rejected));
    }
}
