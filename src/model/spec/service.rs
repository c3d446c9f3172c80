//! A service: tasks, how many, how they are replaced and how they are reached.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::spec::Labels;
use crate::model::spec::task::{NetworkAttachment, TaskSpec};

/// Docker's `ServiceSpec`, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub name: String,
    pub labels: Labels,
    pub task: TaskSpec,
    pub mode: ServiceMode,
    pub update: Option<UpdateConfig>,
    pub rollback: Option<UpdateConfig>,
    /// Docker's deprecated place for networks, beside the task's own.
    pub networks: Vec<NetworkAttachment>,
    pub endpoint: Option<EndpointSpec>,
    /// No part of the task: tasks stay as they are when it changes.
    pub registry_auth: RegistryAuth,
}

/// Who asks a registry for the image: Docker's header `X-Registry-Auth`, or nothing. No log shows
/// it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAuth(pub String);

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "RegistryAuth()"
        } else {
            "RegistryAuth(…)"
        })
    }
}

impl ServiceSpec {
    /// The published ports.
    pub fn ports(&self) -> &[PortConfig] {
        self.endpoint
            .as_ref()
            .map_or(&[], |endpoint| &endpoint.ports)
    }

    /// Whether no address stands for all of its tasks.
    pub fn is_round_robin(&self) -> bool {
        let mode = self.endpoint.as_ref().and_then(|endpoint| endpoint.mode);
        mode == Some(EndpointMode::DnsRoundRobin)
    }

    /// Whether tasks of another spec can be reached as those of this one: what ports change of a
    /// task itself is whether it is on the ingress network, and its ports on its node.
    pub fn is_reached_like(&self, other: &Self) -> bool {
        let host = |spec: &Self| {
            let ports = spec.ports().iter();
            let host = ports.filter(|port| port.publish_mode == PublishMode::Host);
            host.cloned().collect::<Vec<_>>()
        };
        self.ports().is_empty() == other.ports().is_empty() && host(self) == host(other)
    }
}

/// How many tasks, and whether they end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ServiceMode {
    Replicated {
        replicas: Option<u64>,
    },
    Global,
    ReplicatedJob {
        max_concurrent: Option<u64>,
        total_completions: Option<u64>,
    },
    GlobalJob,
}

impl ServiceMode {
    /// Whether the tasks are to complete rather than to go on.
    pub fn is_job(&self) -> bool {
        matches!(self, Self::ReplicatedJob { .. } | Self::GlobalJob)
    }
}

impl Default for ServiceMode {
    fn default() -> Self {
        Self::Replicated { replicas: None }
    }
}

/// How an update, or a rollback, goes about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateConfig {
    pub parallelism: u64,
    pub delay_ns: i64,
    pub failure_action: Option<FailureAction>,
    pub monitor_ns: Option<i64>,
    /// Between 0 and 1.
    pub max_failure_ratio: f32,
    pub order: Option<UpdateOrder>,
}

/// What happens when too many updated tasks fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureAction {
    Pause,
    Continue,
    Rollback,
}

/// Whether the old task ends before the new one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateOrder {
    StopFirst,
    StartFirst,
}

/// How the service is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    pub mode: Option<EndpointMode>,
    pub ports: Vec<PortConfig>,
}

/// One address for all tasks, or the addresses of all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointMode {
    Vip,
    DnsRoundRobin,
}

/// A published port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PortConfig {
    pub name: String,
    pub protocol: Protocol,
    pub target_port: u16,
    /// 0 lets the swarm choose.
    pub published_port: u16,
    pub publish_mode: PublishMode,
}

/// Transport protocols that can be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// On every node, or only on the task's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishMode {
    #[default]
    Ingress,
    Host,
}
