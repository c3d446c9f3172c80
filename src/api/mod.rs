//! The Docker Engine HTTP API: parses and checks what comes in, asks the managers or the host, and
//! answers in Docker's JSON.
//!
//! Architecture invariant: JSON lives here and nowhere below; nothing here decides what the swarm
//! does.

pub mod types;
pub mod body;
pub mod convert;
pub mod events;
pub mod execs;
pub mod context;
pub mod failure;
mod containers;
mod log_lines;
mod log_stream;
mod merge;
mod upgraded;
mod upload;
mod download;
pub mod query;
pub mod version;
pub mod call;
pub mod answer;
mod facts;
pub mod prometheus;
mod remote;
mod log_swarm;
mod endpoints;
mod routes;
pub mod listen;
pub mod serve;
pub mod tls;

#[cfg(test)]
mod tests;
