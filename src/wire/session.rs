//! The session between a node's agent and its managers: heartbeats and status up, assignments down.
//!
//! The first message of an agent is [`ToManager::Hello`], the first answer [`ToAgent::Welcome`] and
//! then a full [`Assignments`]. An agent that gets a difference which does not start at the version
//! it has asks for a full one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::id::{NodeId, ServiceId, TaskId};
use crate::model::object::{RestartRecord, Slot, TaskState, TaskStatus};
use crate::model::spec::Labels;
use crate::model::spec::node::{NodeDescription, Role};
use crate::model::spec::service::RegistryAuth;
use crate::model::spec::task::{GenericResource, TaskSpec};
use crate::wire::dependency::{Dependency, DependencyId};
use crate::wire::reach::{Attachment, Reach};
use crate::wire::stream::Summons;

/// How long an agent that finds no manager waits at most before it looks again.
pub const REDIAL_MS_MAX: u64 = 4_000;

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToManager {
    Hello {
        node: NodeId,
        description: NodeDescription,
    },
    Heartbeat,
    /// The agent lacks the version that a difference started from.
    AskFull,
    Status(Vec<StatusUpdate>),
    /// The daemon stops and comes back within `ms`; its containers go on.
    BackSoon {
        ms: u64,
    },
    /// The node leaves or shuts down; its containers end.
    Goodbye,
    /// The node is another than its hello said.
    Describe(NodeDescription),
}

/// What was last seen of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    pub task: TaskId,
    pub status: TaskStatus,
}

/// What a manager says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToAgent {
    /// The session stands; a heartbeat is due every `heartbeat_ms`, give or take a tenth.
    Welcome {
        heartbeat_ms: u64,
    },
    Assignments(Assignments),
    /// The manager does not take the session, and why.
    Refused {
        reason: String,
    },
    /// Secrets and configs: those that tasks name which are told of next, and those that no task of
    /// the node needs any more.
    Dependencies {
        set: Vec<Dependency>,
        released: Vec<DependencyId>,
    },
    /// How services are reached. Comes before the assignments that it goes with: whoever is about
    /// to end gets no new connections first.
    Reach(Reach),
    /// Who the managers are, after the welcome and when it changes.
    Managers(Roster),
    /// Asks for a stream.
    Summon(Summons),
}

/// Where a node finds managers, and whether it is one itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    pub managers: Vec<String>,
    pub role: Role,
    /// The place that it has among the managers.
    pub raft_id: Option<u64>,
    /// The digest of the roots that it shall trust.
    pub roots: [u8; 32],
}

/// What a node shall do, whole or as the difference between two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Assignments {
    Full {
        version: u64,
        tasks: Vec<Assignment>,
    },
    Difference {
        from: u64,
        to: u64,
        set: Vec<Assignment>,
        desired: Vec<(TaskId, TaskState)>,
        removed: Vec<TaskId>,
    },
    /// Tasks of the `Full` that follows, for a node that has too many for one message.
    Part { tasks: Vec<Assignment> },
}

/// One task of a node, complete: with the dependencies sent before, the agent needs nothing else
/// to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub task: TaskId,
    pub service: ServiceId,
    pub service_name: String,
    pub service_labels: Labels,
    pub slot: Slot,
    pub desired_state: TaskState,
    pub spec: Arc<TaskSpec>,
    /// What the manager knows of the task; the agent goes on from here, never back.
    pub state: TaskState,
    /// Until the task has its image.
    pub registry_auth: RegistryAuth,
    /// The task's networks, with its address on each.
    pub networks: Vec<Attachment>,
    /// The generic resources of the node that are the task's.
    pub generic: Vec<GenericResource>,
    /// Whether it is a task of a job.
    pub of_job: bool,
    /// The restarts that led to it.
    pub restarts: RestartRecord,
}

impl Assignment {
    /// Docker's name of the task: `web.3`, or `web.<node id>` for a global service.
    pub fn task_name(&self) -> String {
        match self.slot {
            Slot::Number(number) => format!("{}.{number}", self.service_name),
            Slot::Node(node) => format!("{}.{node}", self.service_name),
        }
    }

    /// Docker's name of the task's container: the task's name and id.
    pub fn container_name(&self) -> String {
        format!("{}.{}", self.task_name(), self.task)
    }
}
