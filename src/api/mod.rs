//! The Docker Engine HTTP API: parses and checks what comes in, asks the managers or the host, and
//! answers in Docker's JSON.
//!
//! Architecture invariant: JSON lives here and nowhere below; nothing here decides what the swarm
//! does.

pub mod types;
pub mod body;
pub mod convert;
