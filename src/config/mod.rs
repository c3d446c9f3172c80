//! What a daemon is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where a daemon keeps its things and where it listens. Two daemons on one machine differ in all
/// of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What outlives a reboot: identity, state, images, volumes.
    pub state_dir: PathBuf,
    /// What does not: running containers and the socket.
    pub run_dir: PathBuf,
    /// The Unix socket of the API.
    pub socket: PathBuf,
    /// Where other nodes reach this one.
    pub listen: SocketAddr,
}

/// The port of a swarm's nodes among themselves.
pub const SWARM_PORT: u16 = 2377;

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/skep".into(),
            run_dir: "/run/skep".into(),
            socket: "/run/skep/skep.sock".into(),
            listen: (Ipv4Addr::UNSPECIFIED, SWARM_PORT).into(),
        }
    }
}
