//! How a host becomes a node, and how a node gets its next certificate.
//!
//! The host sends one frame with its [`Joining`] over a connection for joining, or the node one
//! with its request for a certificate over a connection for renewing, and gets one back with an
//! [`Outcome`]. The manager there passes it on as a request like any other: the leader admits the
//! node, and the manager where it asked signs its certificate.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::{Availability, NodeDescription, Role};
use crate::model::time::Time;
use crate::model::trust::TokenSecret;
use crate::wire::control::Refusal;

/// The longest frame of a connection for joining or renewing, either way.
pub const JOINING_BYTES_MAX: usize = 256 << 10;

/// What a host says that wants to be a node, once it knows that it speaks to a manager of the swarm
/// that its token is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joining {
    pub secret: TokenSecret,
    /// Asks for a certificate: the host's public key, and the proof that it has the private one.
    /// With the same key as before, the host is the same node as before.
    pub request: Vec<u8>,
    pub description: NodeDescription,
    pub availability: Availability,
    /// The address that other nodes reach the host at; empty if it is the one that it calls from.
    pub address: String,
    /// The port that its manager will be at, should its token be a manager's.
    pub port: u16,
}

/// What a node says that wants a new certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renewal {
    /// As in [`Joining`].
    pub request: Vec<u8>,
}

/// What a node says that shall be a manager, and wants its place among the others, or wants to
/// know whether it still has the one that it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seating {
    pub held: Option<u64>,
    /// Where its manager will be.
    pub address: String,
}

/// The raft id of its place.
pub type Seated = Result<u64, Refusal>;

/// What is known of a node that wants a new certificate, by the old one, which it showed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub node: NodeId,
    /// The digest of its public key.
    pub key: [u8; 32],
    /// It ran out; then the key has to be the one on record.
    pub ran_out: bool,
}

/// A certificate that may be signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    pub node: NodeId,
    pub role: Role,
    /// The place of the node's manager in the quorum.
    pub raft_id: Option<u64>,
    pub request: Vec<u8>,
}

/// A certificate, and what a node has to know to use it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Certified {
    pub node: NodeId,
    pub role: Role,
    pub raft_id: Option<u64>,
    pub cluster: ClusterId,
    /// The node's certificate first, then what leads to the root, and the root, in DER.
    pub chain: Vec<Vec<u8>>,
    /// What the node has to trust.
    pub roots: Vec<Vec<u8>>,
    /// Where managers are.
    pub managers: Vec<String>,
    /// The manager's time, which a host without a clock takes as its floor.
    pub at: Time,
}

/// What becomes of a host that wants to join, or of a node that wants a new certificate.
pub type Outcome = Result<Certified, Refusal>;

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified")
            .field("node", &self.node)
            .field("role", &self.role)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
