//! Runs containers on this host, through one shim process each.
//!
//! `Runtime` is the daemon's side: it writes an attempt's folder, starts its shim, and reads what
//! the shim leaves there. It keeps nothing in memory that a restart would lose.

pub mod local_mount;
pub mod volume;
pub mod signal;
pub mod health;
pub mod plan;
pub mod request;
pub mod attempt;
pub mod cgroup;
mod seccomp;
pub mod log;
mod init;
mod hello;
pub mod shim;
mod zygote;
pub mod entry;
mod making;
pub mod content;
pub mod containers;
pub mod adopt;
pub mod traffic;
pub mod listing;
pub mod exec;
pub mod probe;
pub mod processes;
