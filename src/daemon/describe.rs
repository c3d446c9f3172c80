//! What this host is: the description that a node reports of itself.

use std::fs;
use std::path::Path;

use crate::model::spec::Labels;
use crate::model::spec::node::{EngineDescription, NodeDescription, NodeResources, Platform};
use crate::model::spec::task::GenericResource;

/// This host, as its swarm shall see it; `generic` is what its daemon was told.
pub fn describe(generic: Vec<GenericResource>) -> NodeDescription {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    NodeDescription {
        hostname: text(name.nodename()),
        platform: Platform {
            architecture: text(name.machine()),
            os: "linux".into(),
        },
        resources: NodeResources {
            nano_cpus: cpus().saturating_mul(1_000_000_000),
            memory_bytes: memory_bytes(),
            generic,
        },
        engine: EngineDescription {
            version: env!("CARGO_PKG_VERSION").into(),
            labels: Labels::new(),
        },
        kernel: text(name.release()),
        cgroup_version: cgroup_version(Path::new("/sys/fs/cgroup")),
        issuer: None,
        tunnel: None,
    }
}

fn cpus() -> i64 {
    std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1))
}

fn memory_bytes() -> i64 {
    let about = rustix::system::sysinfo();
    let total = u128::from(about.totalram) * u128::from(about.mem_unit);
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// 2 on a machine with the unified hierarchy only, else 1: the hybrid layout limits through v1.
fn cgroup_version(mount: &Path) -> u8 {
    if fs::exists(mount.join("cgroup.controllers")).unwrap_or(false) {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_an_architecture_and_something_to_give() {
        let host = describe(Vec::new());
        assert!(!host.hostname.is_empty() && !host.kernel.is_empty());
        assert_eq!(host.platform.architecture, std::env::consts::ARCH);
        assert!(host.resources.nano_cpus >= 1_000_000_000);
        assert!(host.resources.memory_bytes > 1 << 20);
    }
}
