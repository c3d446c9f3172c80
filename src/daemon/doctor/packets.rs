//! Rules of others that may drop what this host needs.

use crate::api::context::Finding;
use crate::daemon::doctor::{ok, warn};
use crate::network::foreign::{self, Needs};

/// The ports that a host must let in.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub manager: Option<u16>,
    pub tunnel: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            manager: None,
            tunnel: 4789,
        }
    }
}

pub fn examine(ports: Ports) -> Vec<Finding> {
    const CHECK: &str = "firewall";
    let needs = Needs {
        manager_port: ports.manager,
        tunnel_port: ports.tunnel,
    };
    // A kernel without packet rules is said to have none.
    let Ok(obstacles) = foreign::obstacles(needs) else {
        return Vec::new();
    };
    if obstacles.is_empty() {
        return vec![ok(CHECK, "no chain of others drops packets")];
    }
    let obstacles = obstacles.into_iter();
    let obstacles = obstacles.map(|found| warn(CHECK, found.what, found.mend));
    obstacles.collect()
}
