//! What containers and their networks need of the kernel.

use std::fs;
use std::path::Path;

use crate::api::context::Finding;
use crate::daemon::doctor::{fail, ok, warn};
use crate::network::probe::{self, ProbeError};
use crate::runtime::cgroup::offered;

const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

pub fn examine() -> Vec<Finding> {
    let mut found = control_groups();
    found.push(namespaces(Path::new("/proc/self/ns")));
    found.push(overlay());
    found.push(seccomp(Path::new("/proc/sys/kernel/seccomp/actions_avail")));
    let probes = [
        ("links", probe::pairs(), "veth", "tasks can have no network"),
        (
            "packet rules",
            probe::rules(),
            "nf_tables nft_nat nft_ct nft_numgen",
            "no task can be on a network, and no port be published",
        ),
        (
            "tunnels",
            probe::tunnels(),
            "tun",
            "tasks of other nodes cannot be reached",
        ),
    ];
    let probes = probes.into_iter();
    found.extend(probes.map(|(check, made, modules, lost)| probed(check, made, modules, lost)));
    found
}

fn control_groups() -> Vec<Finding> {
    const CHECK: &str = "control groups";
    let (version, missing) = match offered::missing() {
        Ok(found) => found,
        Err(error) => {
            let mend = "mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup";
            return vec![fail(CHECK, error.to_string(), mend)];
        }
    };
    if missing.is_empty() {
        let found = format!("version {version}, with memory, cpu and pids");
        return vec![ok(CHECK, found)];
    }
    let missing = missing.into_iter().map(|missing| {
        let found = format!(
            "no {} controller: services that limit {} are refused",
            missing.name, missing.limits
        );
        let mend = match missing.mend {
            "" => "use a kernel that has it",
            mend => mend,
        };
        warn(CHECK, found, mend)
    });
    missing.collect()
}

fn namespaces(dir: &Path) -> Finding {
    const CHECK: &str = "namespaces";
    let missing = NAMESPACES.iter().filter(|kind| !dir.join(kind).exists());
    let missing: Vec<_> = missing.copied().collect();
    match &missing[..] {
        [] => ok(CHECK, NAMESPACES.join(", ")),
        missing => fail(
            CHECK,
            format!("no namespaces of kind {}", missing.join(", ")),
            "use a kernel that is built with them",
        ),
    }
}

/// The kernel brings its module by itself when something is mounted, if it has one.
fn overlay() -> Finding {
    const CHECK: &str = "overlayfs";
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.ends_with("\toverlay")) {
        return ok(CHECK, "there");
    }
    let release = rustix::system::uname();
    let modules = Path::new("/lib/modules").join(release.release().to_str().unwrap_or_default());
    let lists = ["modules.dep", "modules.builtin"].map(|list| modules.join(list));
    let has = |list: &std::path::PathBuf| {
        fs::read_to_string(list).is_ok_and(|text| text.contains("/overlay.ko"))
    };
    match lists.iter().any(has) {
        true => ok(CHECK, "there as a module"),
        false => fail(
            CHECK,
            "missing: no image can be run",
            format!("install the kernel's modules below {}", modules.display()),
        ),
    }
}

fn seccomp(actions: &Path) -> Finding {
    const CHECK: &str = "seccomp";
    match fs::read_to_string(actions) {
        Ok(actions) if actions.contains("errno") => ok(CHECK, "there"),
        _ => fail(
            CHECK,
            "missing: containers are not started unconfined",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn probed(check: &str, made: Result<(), ProbeError>, modules: &str, lost: &str) -> Finding {
    match made {
        Ok(()) => ok(check, "there"),
        Err(error) => fail(
            check,
            format!("{lost}: {error}"),
            format!("modprobe -a {modules}, or use a kernel that has them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::context::Outcome;
    use crate::daemon::doctor::scratch;

    #[test]
    fn what_a_kernel_lacks_is_named_with_what_mends_it() {
        let dir = scratch(line!());
        for kind in ["ipc", "mnt", "net", "pid", "uts"] {
            fs::write(dir.join(kind), "").unwrap();
        }
        let found = namespaces(&dir);
        assert_eq!(found.outcome, Outcome::Failure);
        assert_eq!(found.found, "no namespaces of kind cgroup");
        assert_eq!(seccomp(&dir.join("none")).outcome, Outcome::Failure);
        let error = ProbeError::Namespace(rustix::io::Errno::NODEV.into());
        let found = probed("tunnels", Err(error), "tun", "others cannot be reached");
        assert!(found.mend.starts_with("modprobe -a tun"), "{found:?}");
        assert!(found.found.starts_with("others cannot be reached: "));
    }
}
