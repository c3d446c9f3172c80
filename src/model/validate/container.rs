//! The container part: what runs, and with which rights.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::device::Device;
use crate::model::spec::Labels;
use crate::model::spec::container::{ContainerSpec, Healthcheck, Privileges};
use crate::model::spec::mount::{BindOptions, Mount, MountKind, VolumeOptions};
use crate::model::validate::resource::check_references;
use crate::model::validate::{Problems, check_label, volume_options};

const ENTRIES_MAX: usize = 1024;
const NS_PER_MS: i64 = 1_000_000;

pub(super) fn check(spec: &ContainerSpec, problems: &mut Problems) {
    problems.check(!spec.image.trim().is_empty(), || {
        "TaskTemplate.ContainerSpec.Image: image reference must be provided".to_owned()
    });
    for (key, value) in &spec.labels {
        check_label("TaskTemplate.ContainerSpec.Labels", key, value, problems);
    }
    if let Err(error) = Device::of_labels(&spec.labels) {
        problems.add(format!("TaskTemplate.ContainerSpec.Labels: {error}"));
    }
    check_counts(spec, problems);
    for entry in &spec.env {
        let named = entry.split('=').next().is_some_and(|name| !name.is_empty());
        problems.check(named && !entry.contains('\0'), || {
            format!("TaskTemplate.ContainerSpec.Env: {entry:?}: must be NAME=VALUE")
        });
    }
    problems.check(spec.dir.is_empty() || spec.dir.starts_with('/'), || {
        format!(
            "TaskTemplate.ContainerSpec.Dir: {:?}: must be absolute",
            spec.dir
        )
    });
    let mut targets = BTreeSet::new();
    for mount in &spec.mounts {
        check_mount(mount, problems);
        problems.check(targets.insert(mount.target.as_str()), || {
            format!(
                "TaskTemplate.ContainerSpec.Mounts: duplicate mount point: {}",
                mount.target
            )
        });
    }
    check_rights(spec, problems);
    check_names(spec, problems);
    check_references(spec, problems);
    if let Some(health) = &spec.healthcheck {
        check_health(health, problems);
    }
    check_not_yet(spec, problems);
}

fn check_counts(spec: &ContainerSpec, problems: &mut Problems) {
    let lists = [
        ("Command", spec.command.len()),
        ("Args", spec.args.len()),
        ("Env", spec.env.len()),
        ("Mounts", spec.mounts.len()),
        ("Hosts", spec.hosts.len()),
        ("Groups", spec.groups.len()),
    ];
    for (name, count) in lists {
        problems.check(count <= ENTRIES_MAX, || {
            format!("TaskTemplate.ContainerSpec.{name}: {count} entries: at most {ENTRIES_MAX}")
        });
    }
}

fn check_mount(mount: &Mount, problems: &mut Problems) {
    let (source, target) = (&mount.source, &mount.target);
    problems.check(target.starts_with('/') && target != "/", || {
        format!(
            "TaskTemplate.ContainerSpec.Mounts.Target: {target:?}: invalid mount target, must be \
             an absolute path below /"
        )
    });
    match &mount.kind {
        MountKind::Bind => {
            problems.check(source.starts_with('/'), || {
                format!(
                    "TaskTemplate.ContainerSpec.Mounts.Source: {source:?}: invalid bind mount \
                     source, must be an absolute path"
                )
            });
            check_bind(mount.bind.as_ref(), problems);
        }
        MountKind::Volume => {
            problems.check(source.is_empty() || is_volume_name(source), || {
                format!(
                    "TaskTemplate.ContainerSpec.Mounts.Source: {source:?}: a volume's name has \
                     letters, digits, '_', '.' and '-' only"
                )
            });
            check_volume(mount.volume.as_ref(), problems);
        }
        MountKind::Tmpfs => {
            problems.check(source.is_empty(), || {
                format!(
                    "TaskTemplate.ContainerSpec.Mounts.Source: {source:?}: a tmpfs has no source"
                )
            });
            let options = mount.tmpfs.as_ref().map_or(&[][..], |t| &t.options);
            problems.unsupported(
                options.is_empty(),
                "TaskTemplate.ContainerSpec.Mounts.TmpfsOptions.Options",
                "leave it out",
            );
        }
        MountKind::Other(kind) => problems.add(format!(
            "TaskTemplate.ContainerSpec.Mounts.Type: {kind:?}: use bind, volume or tmpfs"
        )),
    }
}

fn check_bind(options: Option<&BindOptions>, problems: &mut Problems) {
    let Some(options) = options else { return };
    let field = "TaskTemplate.ContainerSpec.Mounts.BindOptions";
    let propagation = options.propagation.as_str();
    let known = ["", "rprivate", "private", "rslave", "slave"];
    problems.check(known.contains(&propagation), || {
        format!("{field}.Propagation: {propagation:?}: use rprivate, private, rslave or slave")
    });
    problems.unsupported(
        !options.create_mountpoint,
        &format!("{field}.CreateMountpoint"),
        "make the folder on the host",
    );
    problems.unsupported(
        !options.read_only_non_recursive && !options.read_only_force_recursive,
        &format!("{field}.ReadOnlyNonRecursive and ReadOnlyForceRecursive"),
        "leave them out",
    );
}

fn check_volume(options: Option<&VolumeOptions>, problems: &mut Problems) {
    let Some(options) = options else { return };
    let field = "TaskTemplate.ContainerSpec.Mounts.VolumeOptions";
    let driver = options.driver.as_ref();
    let name = driver.map_or("", |d| &d.name);
    problems.check(["", "local"].contains(&name), || {
        format!("{field}.DriverConfig.Name: {name:?}: only \"local\" is possible")
    });
    for problem in driver.map_or(Vec::new(), |d| volume_options(&d.options)) {
        problems.add(format!("{field}.DriverConfig.Options: {problem}"));
    }
    problems.unsupported(
        options.subpath.is_empty(),
        &format!("{field}.Subpath"),
        "mount the whole volume",
    );
}

fn is_volume_name(name: &str) -> bool {
    name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn check_rights(spec: &ContainerSpec, problems: &mut Problems) {
    if let Some(privileges) = &spec.privileges {
        check_privileges(privileges, problems);
    }
    for (field, names) in [
        ("CapabilityAdd", &spec.capability_add),
        ("CapabilityDrop", &spec.capability_drop),
    ] {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        for name in names {
            problems.check(!name.is_empty() && name.bytes().all(fine), || {
                format!("TaskTemplate.ContainerSpec.{field}: {name:?}: is no capability")
            });
        }
    }
    for limit in &spec.ulimits {
        let order = |value: i64| if value < 0 { i64::MAX } else { value };
        problems.check(order(limit.soft) <= order(limit.hard), || {
            format!(
                "TaskTemplate.ContainerSpec.Ulimits: {}: ulimit soft limit must be less than or \
                 equal to hard limit: {} > {}",
                limit.name, limit.soft, limit.hard
            )
        });
    }
    let adjustment = spec.oom_score_adj;
    problems.check((-1000..=1000).contains(&adjustment), || {
        format!(
            "TaskTemplate.ContainerSpec.OomScoreAdj: {adjustment}: must be between -1000 and 1000"
        )
    });
    check_sysctls(&spec.sysctls, problems);
}

fn check_privileges(privileges: &Privileges, problems: &mut Problems) {
    let field = "TaskTemplate.ContainerSpec.Privileges";
    let selinux = privileges.selinux.as_ref();
    problems.check(privileges.credential_spec.is_none(), || {
        format!("{field}.CredentialSpec: only on Windows; leave it out")
    });
    problems.check(selinux.is_none_or(|s| s.disable), || {
        format!("{field}.SELinuxContext: not supported; leave it out")
    });
    let mode = privileges.seccomp.as_ref().map_or("", |s| &s.mode);
    problems.check(["", "default", "unconfined"].contains(&mode), || {
        format!("{field}.Seccomp.Mode: {mode:?}: not supported yet; use default or unconfined")
    });
    let apparmor = privileges.apparmor_mode.as_deref().unwrap_or("");
    problems.check(["", "disabled"].contains(&apparmor), || {
        format!("{field}.AppArmor.Mode: {apparmor:?}: not supported yet; use disabled")
    });
}

/// Only what belongs to the container's own namespaces may be set.
fn check_sysctls(sysctls: &Labels, problems: &mut Problems) {
    let ipc = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for key in sysctls.keys() {
        let own = key.starts_with("net.") || key.starts_with("fs.mqueue.");
        problems.check(own || ipc.contains(&key.as_str()), || {
            format!(
                "TaskTemplate.ContainerSpec.Sysctls: {key:?}: belongs to the host, not the task"
            )
        });
    }
}

fn check_names(spec: &ContainerSpec, problems: &mut Problems) {
    for entry in &spec.hosts {
        let address = entry.split_whitespace().next().unwrap_or("");
        let fine = address.parse::<IpAddr>().is_ok() && entry.split_whitespace().count() > 1;
        problems.check(fine, || {
            format!("TaskTemplate.ContainerSpec.Hosts: {entry:?}: must be ADDRESS NAME…")
        });
    }
    let servers = spec.dns.as_ref().map_or(&[][..], |dns| &dns.nameservers);
    for server in servers {
        problems.check(server.parse::<IpAddr>().is_ok(), || {
            format!(
                "TaskTemplate.ContainerSpec.DNSConfig.Nameservers: {server:?}: is not an address"
            )
        });
    }
    let hostname = &spec.hostname;
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let fits = hostname.len() <= 253 && hostname.bytes().all(fine);
    problems.check(fits, || {
        format!("TaskTemplate.ContainerSpec.Hostname: {hostname:?}: is no host name")
    });
}

fn check_health(health: &Healthcheck, problems: &mut Problems) {
    let field = "TaskTemplate.ContainerSpec.Healthcheck";
    let kind = health.test.first().map(String::as_str);
    let words = match kind {
        None | Some("NONE") => true,
        Some("CMD" | "CMD-SHELL") => health.test.len() > 1,
        _ => false,
    };
    problems.check(words, || {
        format!(
            "{field}.Test: {:?}: must be NONE, CMD with a command, or CMD-SHELL with a line",
            health.test
        )
    });
    let times = [
        ("Interval", health.interval_ns),
        ("Timeout", health.timeout_ns),
        ("StartPeriod", health.start_period_ns),
        ("StartInterval", health.start_interval_ns),
    ];
    for (name, ns) in times {
        problems.check(ns == 0 || ns >= NS_PER_MS, || {
            format!("{field}.{name}: {ns}: cannot be less than 1ms")
        });
    }
    let retries = health.retries;
    problems.check((0..=i64::from(u32::MAX)).contains(&retries), || {
        format!(
            "{field}.Retries: {retries}: cannot be negative or over {}",
            u32::MAX
        )
    });
}

fn check_not_yet(spec: &ContainerSpec, problems: &mut Problems) {
    let grace = spec.stop_grace_period_ns.unwrap_or(0);
    problems.check(grace >= 0, || {
        format!("TaskTemplate.ContainerSpec.StopGracePeriod: {grace}: cannot be negative")
    });
    let leave = "leave it out";
    let fields = [
        (!spec.tty, "TTY"),
        (
            ["", "default"].contains(&spec.isolation.as_str()),
            "Isolation",
        ),
    ];
    for (absent, name) in fields {
        problems.unsupported(absent, &format!("TaskTemplate.ContainerSpec.{name}"), leave);
    }
}
