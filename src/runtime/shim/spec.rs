//! The plan in libcontainer's words: the `config.json` of the Open Container Initiative.

use std::path::Path;

use serde_json::{Value, json};

use crate::runtime::cgroup::Cgroup;
use crate::runtime::plan::{
    MASKED_PATHS, MountKind, MountPlan, Network, Plan, ProcessPlan, READ_ONLY_PATHS, SHM_BYTES,
    SHM_TARGET, Security,
};
use crate::runtime::shim::devices::Device;
use crate::runtime::shim::files;
use crate::runtime::shim::users::User;

/// What the kernel needs in addition for the one step in which a filter is installed without
/// `no_new_privs`; the executor gives it back.
pub const FILTER_CAPABILITIES: [&str; 2] = ["CAP_SYS_ADMIN", "CAP_SETPCAP"];

/// Where the small pid 1 appears in a container.
pub const INIT_TARGET: &str = "/sbin/docker-init";

/// Files of this host that the specification refers to.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    pub root: &'a Path,
    pub etc: &'a Path,
    pub files: &'a Path,
    pub init: Option<&'a Path>,
    pub group: &'a Cgroup,
    pub devices: &'a [Device],
}

/// The whole `config.json`.
pub fn config(plan: &Plan, user: &User, places: Places<'_>) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(&plan.process, &plan.security, user),
        "root": {"path": places.root, "readonly": plan.read_only},
        "hostname": plan.hostname,
        "domainname": plan.domain,
        "mounts": mounts(plan, places),
        "linux": linux(plan, places),
    })
}

/// The process of a container or of an exec in it.
pub fn process(process: &ProcessPlan, security: &Security, user: &User) -> Value {
    let mut capabilities = security.capabilities.clone();
    if security.seccomp && !security.no_new_privileges {
        capabilities.extend(FILTER_CAPABILITIES.map(str::to_owned));
    }
    let rlimits: Vec<_> = process
        .ulimits
        .iter()
        .map(|limit| {
            let name = format!("RLIMIT_{}", limit.name.to_uppercase());
            json!({"type": name, "soft": limit.soft, "hard": limit.hard})
        })
        .collect();
    json!({
        "terminal": process.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.groups, "umask": 0o022},
        "args": process.args,
        "env": process.env,
        "cwd": process.dir,
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits,
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": process.oom_score_adj,
    })
}

fn linux(plan: &Plan, places: Places<'_>) -> Value {
    let mut namespaces = vec!["pid", "ipc", "uts", "mount", "cgroup"];
    let mut sysctls = plan.sysctls.clone();
    if plan.network == Network::Own {
        namespaces.push("network");
        let default = [
            ("net.ipv4.ip_unprivileged_port_start", "0"),
            ("net.ipv4.ping_group_range", "0 2147483647"),
        ];
        for (name, value) in default {
            sysctls
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    let namespaces: Vec<_> = namespaces
        .into_iter()
        .map(|name| match (name, &plan.namespace) {
            ("network", Some(path)) => json!({"type": name, "path": path}),
            _ => json!({"type": name}),
        })
        .collect();
    let (masked, read_only): (&[_], &[_]) = if plan.security.mask_paths {
        (&MASKED_PATHS, &READ_ONLY_PATHS)
    } else {
        (&[], &[])
    };
    let slave = |mount: &MountPlan| matches!(mount.kind, MountKind::Bind { slave: true, .. });
    let propagation = if plan.mounts.iter().any(slave) {
        "slave"
    } else {
        "private"
    };
    let nodes: Vec<_> = places.devices.iter().map(Device::node).collect();
    let mut list = vec![json!({"allow": false, "access": "rwm"})];
    list.extend(places.devices.iter().map(Device::list_entry));
    json!({
        "cgroupsPath": places.group.absolute(),
        // Limits are written by `cgroup`; libcontainer writes version 1's device list only.
        "resources": {"devices": list},
        "devices": nodes,
        "namespaces": namespaces,
        "sysctl": sysctls,
        "maskedPaths": masked,
        "readonlyPaths": read_only,
        "rootfsPropagation": propagation,
    })
}

fn mounts(plan: &Plan, places: Places<'_>) -> Vec<Value> {
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
    ];
    all.extend(control_groups(places.group));
    if !plan.mounts.iter().any(|mount| mount.target == SHM_TARGET) {
        let size = format!("size={SHM_BYTES}");
        let options = ["nosuid", "noexec", "nodev", "mode=1777", &size];
        all.push(mount(SHM_TARGET, "tmpfs", "shm", &options));
    }
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = format!("/etc/{name}");
        if !plan.mounts.iter().any(|mount| mount.target == target) {
            all.push(mount(&target, "bind", places.etc.join(name), &["rbind"]));
        }
    }
    if let Some(init) = places.init {
        all.push(mount(INIT_TARGET, "bind", init, &["bind", "ro"]));
    }
    // A mount inside another's target comes after it.
    let own = plan.mounts.iter();
    let mut own: Vec<_> = own
        .map(|mount| (mount.target.clone(), own_mount(mount)))
        .collect();
    let files = files::mounts(plan, places.files).into_iter();
    own.extend(files.map(|(target, source)| {
        let options = ["bind", "ro", "nosuid", "nodev"];
        let value = mount(&target, "bind", source, &options);
        (target, value)
    }));
    own.sort_by_key(|(target, _)| Path::new(target).components().count());
    all.extend(own.into_iter().map(|(_, value)| value));
    all
}

/// A container sees its own group and cannot change it. On version 1 the folders are bound one by
/// one: libcontainer's own way leaves them writable, and fails on controllers that share a
/// hierarchy (`cpu,cpuacct`, as systemd has them).
fn control_groups(group: &Cgroup) -> Vec<Value> {
    const OPTIONS: [&str; 4] = ["nosuid", "noexec", "nodev", "ro"];
    let legacy = group.legacy_dirs();
    if legacy.is_empty() {
        return vec![mount("/sys/fs/cgroup", "cgroup", "cgroup", &OPTIONS)];
    }
    let options = ["nosuid", "noexec", "nodev", "mode=755", "size=64k"];
    let mut all = vec![mount("/sys/fs/cgroup", "tmpfs", "tmpfs", &options)];
    for (name, dir) in legacy {
        let target = format!("/sys/fs/cgroup/{name}");
        let options = [&["bind"], &OPTIONS[..]].concat();
        all.push(mount(&target, "bind", dir, &options));
    }
    all
}

fn own_mount(plan: &MountPlan) -> Value {
    let target = plan.target.as_str();
    let access = if plan.read_only { "ro" } else { "rw" };
    match &plan.kind {
        MountKind::Bind {
            source,
            recursive,
            read_only_below,
            ..
        } => {
            let bind = if *recursive { "rbind" } else { "bind" };
            let recursive = plan.read_only && *read_only_below;
            mount(
                target,
                "bind",
                source,
                &[bind, if recursive { "rro" } else { access }],
            )
        }
        MountKind::Volume { source, .. } => mount(target, "bind", source, &["rbind", access]),
        MountKind::Tmpfs { size_bytes, mode } => {
            let mode = format!("mode={mode:o}");
            let mut options = vec!["nosuid", "noexec", "nodev", access, mode.as_str()];
            let size = format!("size={size_bytes}");
            if *size_bytes > 0 {
                options.push(&size);
            }
            mount(target, "tmpfs", "tmpfs", &options)
        }
    }
}

fn mount(target: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Value {
    json!({"destination": target, "type": kind, "source": source.as_ref(), "options": options})
}
