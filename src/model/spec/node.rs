//! What users set on a node, and what a node says of itself.

use serde::{Deserialize, Serialize};

use crate::model::spec::Labels;
use crate::model::spec::task::GenericResource;

/// What `node update` sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSpec {
    pub name: String,
    pub labels: Labels,
    pub role: Role,
    pub availability: Availability,
}

/// Whether a node takes part in managing the swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    #[default]
    Worker,
    Manager,
}

/// Whether a node is given tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    #[default]
    Active,
    Pause,
    Drain,
}

/// What a node reports of itself; not trusted for placement except through constraints that name
/// it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDescription {
    pub hostname: String,
    pub platform: Platform,
    pub resources: NodeResources,
    pub engine: EngineDescription,
    pub kernel: String,
    pub cgroup_version: u8,
    /// The digest of the root that issued the node's certificate.
    pub issuer: Option<[u8; 32]>,
    /// Its end of the tunnels between nodes, if it has one.
    pub tunnel: Option<TunnelEnd>,
}

/// Where a node's tunnels end. Its private key never leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelEnd {
    /// X25519.
    pub public_key: [u8; 32],
    /// The UDP port, if it is not the swarm's.
    pub port: Option<u16>,
}

/// A machine's architecture and operating system, in Docker's words (`x86_64`, `linux`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

/// What a node has to give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeResources {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    pub generic: Vec<GenericResource>,
}

/// The daemon of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineDescription {
    pub version: String,
    pub labels: Labels,
}
