//! Which node of which swarm this host is: one small file, written before anything else of the
//! swarm may count and removed first of all when the host leaves.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::daemon::record::{Kind, RecordError};
use crate::model::id::NodeId;

const FILE: Kind = Kind {
    name: "member",
    hint: "remove it to start this host outside any swarm",
};

/// This host's place in its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub node: NodeId,
    /// The address that other nodes reach this one at.
    pub address: String,
    /// Where this host's manager listens, or would.
    pub listen: SocketAddr,
    /// The port that others reach this host's manager at.
    pub port: u16,
    /// The raft id of this host's manager, if it has one.
    pub raft_id: Option<u64>,
    /// Where other managers were when this host last heard.
    pub managers: Vec<SocketAddr>,
    /// Whether this host found its address by itself, and follows it when it changes; one that its
    /// user gave stays.
    pub follows: bool,
}

impl Member {
    /// Where others reach this host's manager, or would.
    pub fn manager_address(&self) -> String {
        match self.address.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, self.port).to_string(),
            Err(_) => format!("{}:{}", self.address, self.port),
        }
    }
}

/// Reads the file of `state_dir`; `None` if the host is in no swarm.
pub fn load(state_dir: &Path) -> Result<Option<Member>, RecordError> {
    FILE.load(state_dir)
}

pub fn store(state_dir: &Path, member: &Member) -> Result<(), RecordError> {
    FILE.store(state_dir, member)
}

/// Removes the file: from here on the host is in no swarm.
pub fn forget(state_dir: &Path) -> Result<(), RecordError> {
    FILE.forget(state_dir)
}
