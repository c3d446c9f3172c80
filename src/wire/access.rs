//! Certificates for the API over TLS: who may rule the swarm from elsewhere, and what a manager
//! shows to them. The manager that is asked signs them itself.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::id::ClusterId;
use crate::model::time::Time;

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessOrder {
    /// The public key, and the proof that its private half is with whoever asks.
    pub request: Vec<u8>,
    pub bearer: Bearer,
    pub life_ms: u64,
}

/// Whom the certificate is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bearer {
    /// Someone of this name, who may do everything.
    Client(String),
    /// This manager, as it is reached by its clients.
    Manager(Reached),
}

/// How a client has named the manager that it reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reached {
    Name(String),
    Address(IpAddr),
}

/// A certificate, and by what others of the swarm are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// The certificate, and what leads from it to every root that counts.
    pub chain: Vec<Vec<u8>>,
    pub roots: Vec<Vec<u8>>,
    pub cluster: ClusterId,
    pub not_after: Time,
}
