//! Capabilities, privileges and kernel settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::spec::Labels;
use crate::model::spec::container::{ContainerSpec, Privileges};
use crate::runtime::plan::{DEFAULT_CAPABILITIES, Network, Security};
use crate::runtime::request::{NO_NEW_PRIVILEGES_LABEL, Refused};

/// Every capability there is.
const CAPABILITIES: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

const ALL: &str = "CAP_ALL";

/// Settings that each container has for itself; `net.` ones only with its own network.
const SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// What can be judged without a node.
pub fn check(spec: &ContainerSpec) -> Result<(), Refused> {
    let Privileges {
        credential_spec,
        selinux,
        seccomp,
        apparmor_mode,
        ..
    } = spec.privileges.clone().unwrap_or_default();
    if credential_spec.is_some() {
        return Err(unsupported("a credential spec"));
    }
    if selinux.is_some_and(|selinux| !selinux.disable) {
        return Err(unsupported("an SELinux label"));
    }
    if let Some(seccomp) = seccomp
        && !matches!(seccomp.mode.as_str(), "" | "default" | "unconfined")
    {
        return Err(unsupported(format!("seccomp mode {}", seccomp.mode)));
    }
    if let Some(mode) = apparmor_mode
        && !matches!(mode.as_str(), "" | "default" | "disabled")
    {
        return Err(unsupported(format!("AppArmor mode {mode}")));
    }
    if !matches!(spec.isolation.as_str(), "" | "default") {
        return Err(unsupported(format!("isolation {}", spec.isolation)));
    }
    capabilities(spec)?;
    sysctls(spec, Network::Own).map(|_| ())
}

/// Docker's defaults, but for `no_new_privs`, which is on.
pub fn plan(spec: &ContainerSpec, labels: &Labels) -> Result<Security, Refused> {
    let privileges = spec.privileges.clone().unwrap_or_default();
    let label = spec
        .labels
        .get(NO_NEW_PRIVILEGES_LABEL)
        .or_else(|| labels.get(NO_NEW_PRIVILEGES_LABEL));
    let lifted = label.is_some_and(|value| value == "false");
    let unconfined = privileges
        .seccomp
        .is_some_and(|seccomp| seccomp.mode == "unconfined");
    Ok(Security {
        capabilities: capabilities(spec)?,
        no_new_privileges: privileges.no_new_privileges || !lifted,
        seccomp: !unconfined,
        mask_paths: true,
    })
}

/// Dropping `ALL` leaves what is added; adding `ALL` leaves what is not dropped.
fn capabilities(spec: &ContainerSpec) -> Result<Vec<String>, Refused> {
    let add = names(&spec.capability_add)?;
    let drop = names(&spec.capability_drop)?;
    let mut held: BTreeSet<&str> = match (add.contains(ALL), drop.contains(ALL)) {
        (true, _) => CAPABILITIES.into_iter().collect(),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT_CAPABILITIES.into_iter().collect(),
    };
    held.retain(|name| !drop.contains(*name));
    let mut held: BTreeSet<String> = held.into_iter().map(str::to_owned).collect();
    held.extend(add.into_iter().filter(|name| name != ALL));
    Ok(held.into_iter().collect())
}

fn names(given: &[String]) -> Result<BTreeSet<String>, Refused> {
    let full = |name: &String| {
        let upper = name.to_ascii_uppercase();
        let upper = if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        let known = upper == ALL || CAPABILITIES.contains(&upper.as_str());
        let refused = || Refused::Invalid {
            what: "capability",
            value: name.clone(),
        };
        if known { Ok(upper) } else { Err(refused()) }
    };
    given.iter().map(full).collect()
}

/// Only settings that the container does not share with the host.
pub fn sysctls(
    spec: &ContainerSpec,
    network: Network,
) -> Result<BTreeMap<String, String>, Refused> {
    for name in spec.sysctls.keys() {
        // A name becomes a path.
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let own = SYSCTLS.contains(&name.as_str())
            || name.starts_with("fs.mqueue.")
            || (name.starts_with("net.") && network == Network::Own);
        if !own || !name.chars().all(plain) || name.contains("..") {
            return Err(unsupported(format!("sysctl {name}")));
        }
    }
    Ok(spec.sysctls.clone())
}

fn unsupported(what: impl Into<String>) -> Refused {
    Refused::Unsupported(what.into())
}
