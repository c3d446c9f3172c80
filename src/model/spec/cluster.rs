//! The settings of a swarm.

use serde::{Deserialize, Serialize};

use crate::model::spec::{Driver, Labels};

/// What `swarm init` and `swarm update` set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    pub name: String,
    pub labels: Labels,
    pub orchestration: Orchestration,
    pub raft: RaftSettings,
    pub heartbeat_period_ns: i64,
    pub ca: CaSettings,
    pub log_driver: Option<Driver>,
    pub autolock_managers: bool,
}

/// How many dead tasks of a slot are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orchestration {
    pub task_history_limit: Option<i64>,
}

/// Consensus settings; ticks are Docker's unit, relative to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaftSettings {
    pub snapshot_interval: u64,
    pub keep_old_snapshots: Option<u64>,
    pub log_entries_for_slow_followers: u64,
    /// Tenths of a second in which a leader must be heard.
    pub election_tick: u32,
    /// Tenths of a second between two heartbeats of a leader.
    pub heartbeat_tick: u32,
}

/// Certificate settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaSettings {
    pub node_cert_expiry_ns: i64,
    pub signing_ca_cert: String,
    pub force_rotate: u64,
}

/// How many dead tasks of a slot are kept when the spec says nothing.
pub const TASK_HISTORY_LIMIT: i64 = 5;

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            name: "default".into(),
            labels: Labels::new(),
            orchestration: Orchestration {
                task_history_limit: Some(TASK_HISTORY_LIMIT),
            },
            raft: RaftSettings {
                snapshot_interval: 10_000,
                keep_old_snapshots: Some(0),
                log_entries_for_slow_followers: 500,
                election_tick: 10,
                heartbeat_tick: 2,
            },
            heartbeat_period_ns: 2_000_000_000,
            ca: CaSettings {
                node_cert_expiry_ns: 7_776_000_000_000_000,
                signing_ca_cert: String::new(),
                force_rotate: 0,
            },
            log_driver: None,
            autolock_managers: false,
        }
    }
}
