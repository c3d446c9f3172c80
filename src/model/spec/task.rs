//! What each task of a service is made from.

use serde::{Deserialize, Serialize};

use crate::model::spec::container::ContainerSpec;
use crate::model::spec::{Driver, Labels};

/// Docker's `TaskSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub container: ContainerSpec,
    pub resources: Option<Resources>,
    pub restart: Option<RestartPolicy>,
    pub placement: Option<Placement>,
    pub networks: Vec<NetworkAttachment>,
    pub log_driver: Option<Driver>,
    pub force_update: u64,
    pub runtime: String,
}

/// Limits and reservations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    pub limits: Option<Limits>,
    pub reservations: Option<Reservations>,
    pub swap_bytes: Option<i64>,
    pub memory_swappiness: Option<i64>,
}

/// The most that a task may use; 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    pub pids: i64,
}

/// What a node must have free to be given the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reservations {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    pub generic: Vec<GenericResource>,
}

/// A resource that only its name describes: one of a set, or a number of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum GenericResource {
    Named { kind: String, value: String },
    Discrete { kind: String, value: i64 },
}

/// When a task that ended is replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub condition: Option<RestartCondition>,
    pub delay_ns: Option<i64>,
    pub max_attempts: Option<u64>,
    pub window_ns: Option<i64>,
}

/// After which ends a task is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartCondition {
    None,
    OnFailure,
    #[default]
    Any,
}

/// Where tasks may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    pub constraints: Vec<String>,
    pub preferences: Vec<Preference>,
    pub max_replicas: u64,
    pub platforms: Vec<crate::model::spec::node::Platform>,
}

/// How tasks are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Preference {
    /// Evenly over the values of a label.
    Spread(String),
}

/// A network that the tasks join, by id or name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    pub target: String,
    pub aliases: Vec<String>,
    pub driver_options: Labels,
}
