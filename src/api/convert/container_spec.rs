//! The container of a task.

use crate::api::convert::problems::Problems;
use crate::api::convert::task_spec::{read_driver, show_driver};
use crate::api::types::Empty;
use crate::api::types::base64::Base64;
use crate::api::types::container_spec as json;
use crate::image::digest::Digest;
use crate::image::reference::Reference;
use crate::model::spec::container as model;
use crate::model::spec::mount;

const PATH: &str = "TaskTemplate.ContainerSpec";

/// The spec that a client gave.
pub fn read(spec: json::ContainerSpec, problems: &mut Problems) -> model::ContainerSpec {
    check_image(&spec.image, problems);
    let mounts = spec.mounts.into_iter().enumerate();
    let mounts = mounts
        .map(|(index, mount)| read_mount(index, mount, problems))
        .collect();
    model::ContainerSpec {
        image: spec.image,
        labels: spec.labels,
        command: spec.command,
        args: spec.args,
        hostname: spec.hostname,
        env: spec.env,
        dir: spec.dir,
        user: spec.user,
        groups: spec.groups,
        privileges: spec.privileges.map(read_privileges),
        init: spec.init,
        stop_signal: spec.stop_signal,
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        read_only: spec.read_only,
        mounts,
        stop_grace_period_ns: spec.stop_grace_period,
        healthcheck: spec.healthcheck.map(read_healthcheck),
        hosts: spec.hosts,
        dns: spec.dns_config.map(read_dns),
        secrets: spec.secrets.into_iter().map(read_secret).collect(),
        configs: spec.configs.into_iter().map(read_config).collect(),
        isolation: spec.isolation,
        sysctls: spec.sysctls,
        capability_add: spec.capability_add,
        capability_drop: spec.capability_drop,
        ulimits: spec.ulimits.into_iter().map(read_ulimit).collect(),
        oom_score_adj: spec.oom_score_adj,
    }
}

/// A name or a whole id; that there is one at all is checked with the rest of the spec.
fn check_image(image: &str, problems: &mut Problems) {
    let id = image.strip_prefix("sha256:").unwrap_or(image);
    if image.trim().is_empty() || Digest::from_hex(id).is_some() {
        return;
    }
    if let Err(error) = Reference::parse(image) {
        problems.add(format!("{PATH}.Image: {image:?}: {error}"));
    }
}

/// The spec as it was given.
pub fn show(spec: &model::ContainerSpec) -> json::ContainerSpec {
    json::ContainerSpec {
        image: spec.image.clone(),
        labels: spec.labels.clone(),
        command: spec.command.clone(),
        args: spec.args.clone(),
        hostname: spec.hostname.clone(),
        env: spec.env.clone(),
        dir: spec.dir.clone(),
        user: spec.user.clone(),
        groups: spec.groups.clone(),
        privileges: spec.privileges.as_ref().map(show_privileges),
        init: spec.init,
        stop_signal: spec.stop_signal.clone(),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        read_only: spec.read_only,
        mounts: spec.mounts.iter().map(show_mount).collect(),
        stop_grace_period: spec.stop_grace_period_ns,
        healthcheck: spec.healthcheck.as_ref().map(show_healthcheck),
        hosts: spec.hosts.clone(),
        dns_config: spec.dns.as_ref().map(show_dns),
        secrets: spec.secrets.iter().map(show_secret).collect(),
        configs: spec.configs.iter().map(show_config).collect(),
        isolation: spec.isolation.clone(),
        sysctls: spec.sysctls.clone(),
        capability_add: spec.capability_add.clone(),
        capability_drop: spec.capability_drop.clone(),
        ulimits: spec.ulimits.iter().map(show_ulimit).collect(),
        oom_score_adj: spec.oom_score_adj,
    }
}

fn read_privileges(spec: json::Privileges) -> model::Privileges {
    model::Privileges {
        credential_spec: spec.credential_spec.map(|c| model::CredentialSpec {
            config: c.config,
            file: c.file,
            registry: c.registry,
        }),
        selinux: spec.selinux_context.map(|s| model::SelinuxContext {
            disable: s.disable,
            user: s.user,
            role: s.role,
            kind: s.kind,
            level: s.level,
        }),
        seccomp: spec.seccomp.map(|s| model::SeccompOptions {
            mode: s.mode,
            profile: s.profile.0,
        }),
        apparmor_mode: spec.apparmor.map(|a| a.mode),
        no_new_privileges: spec.no_new_privileges,
    }
}

fn show_privileges(spec: &model::Privileges) -> json::Privileges {
    json::Privileges {
        credential_spec: spec.credential_spec.as_ref().map(|c| json::CredentialSpec {
            config: c.config.clone(),
            file: c.file.clone(),
            registry: c.registry.clone(),
        }),
        selinux_context: spec.selinux.as_ref().map(|s| json::SelinuxContext {
            disable: s.disable,
            user: s.user.clone(),
            role: s.role.clone(),
            kind: s.kind.clone(),
            level: s.level.clone(),
        }),
        seccomp: spec.seccomp.as_ref().map(|s| json::SeccompOpts {
            mode: s.mode.clone(),
            profile: Base64(s.profile.clone()),
        }),
        apparmor: spec
            .apparmor_mode
            .clone()
            .map(|mode| json::AppArmorOpts { mode }),
        no_new_privileges: spec.no_new_privileges,
    }
}

fn read_mount(index: usize, given: json::Mount, problems: &mut Problems) -> mount::Mount {
    let kind = match given.kind.as_str() {
        "bind" => mount::MountKind::Bind,
        "volume" => mount::MountKind::Volume,
        "tmpfs" => mount::MountKind::Tmpfs,
        other => mount::MountKind::Other(other.into()),
    };
    if given.kind.is_empty() {
        let path = format!("{PATH}.Mounts[{index}].Type");
        problems.add(format!("{path} is missing: expected bind, volume or tmpfs"));
    }
    mount::Mount {
        kind,
        source: given.source,
        target: given.target,
        read_only: given.read_only,
        consistency: given.consistency,
        bind: given.bind_options.map(|o| mount::BindOptions {
            propagation: o.propagation,
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
        }),
        volume: given.volume_options.map(|o| mount::VolumeOptions {
            no_copy: o.no_copy,
            labels: o.labels,
            subpath: o.subpath,
            driver: o.driver_config.map(read_driver),
        }),
        tmpfs: given.tmpfs_options.map(|o| mount::TmpfsOptions {
            size_bytes: o.size_bytes,
            mode: o.mode,
            options: o.options,
        }),
    }
}

/// A mount as it was given.
pub fn show_mount(spec: &mount::Mount) -> json::Mount {
    let kind = match &spec.kind {
        mount::MountKind::Bind => "bind",
        mount::MountKind::Volume => "volume",
        mount::MountKind::Tmpfs => "tmpfs",
        mount::MountKind::Other(other) => other,
    };
    json::Mount {
        kind: kind.into(),
        source: spec.source.clone(),
        target: spec.target.clone(),
        read_only: spec.read_only,
        consistency: spec.consistency.clone(),
        bind_options: spec.bind.as_ref().map(|o| json::BindOptions {
            propagation: o.propagation.clone(),
            non_recursive: o.non_recursive,
            create_mountpoint: o.create_mountpoint,
            read_only_non_recursive: o.read_only_non_recursive,
            read_only_force_recursive: o.read_only_force_recursive,
        }),
        volume_options: spec.volume.as_ref().map(|o| json::VolumeOptions {
            no_copy: o.no_copy,
            labels: o.labels.clone(),
            subpath: o.subpath.clone(),
            driver_config: o.driver.as_ref().map(show_driver),
        }),
        tmpfs_options: spec.tmpfs.as_ref().map(|o| json::TmpfsOptions {
            size_bytes: o.size_bytes,
            mode: o.mode,
            options: o.options.clone(),
        }),
    }
}

fn read_healthcheck(spec: json::HealthConfig) -> model::Healthcheck {
    model::Healthcheck {
        test: spec.test,
        interval_ns: spec.interval,
        timeout_ns: spec.timeout,
        start_period_ns: spec.start_period,
        start_interval_ns: spec.start_interval,
        retries: spec.retries,
    }
}

fn show_healthcheck(spec: &model::Healthcheck) -> json::HealthConfig {
    json::HealthConfig {
        test: spec.test.clone(),
        interval: spec.interval_ns,
        timeout: spec.timeout_ns,
        start_period: spec.start_period_ns,
        start_interval: spec.start_interval_ns,
        retries: spec.retries,
    }
}

fn read_dns(spec: json::DnsConfig) -> model::DnsConfig {
    model::DnsConfig {
        nameservers: spec.nameservers,
        search: spec.search,
        options: spec.options,
    }
}

fn show_dns(spec: &model::DnsConfig) -> json::DnsConfig {
    json::DnsConfig {
        nameservers: spec.nameservers.clone(),
        search: spec.search.clone(),
        options: spec.options.clone(),
    }
}

fn read_file(file: json::FileTarget) -> model::FileTarget {
    model::FileTarget {
        name: file.name,
        uid: file.uid,
        gid: file.gid,
        mode: file.mode,
    }
}

fn show_file(file: &model::FileTarget) -> json::FileTarget {
    json::FileTarget {
        name: file.name.clone(),
        uid: file.uid.clone(),
        gid: file.gid.clone(),
        mode: file.mode,
    }
}

fn read_secret(given: json::SecretReference) -> model::SecretReference {
    model::SecretReference {
        file: given.file.map(read_file),
        secret_id: given.secret_id,
        secret_name: given.secret_name,
    }
}

fn show_secret(spec: &model::SecretReference) -> json::SecretReference {
    json::SecretReference {
        file: spec.file.as_ref().map(show_file),
        secret_id: spec.secret_id.clone(),
        secret_name: spec.secret_name.clone(),
    }
}

fn read_config(given: json::ConfigReference) -> model::ConfigReference {
    model::ConfigReference {
        file: given.file.map(read_file),
        runtime: given.runtime.is_some(),
        config_id: given.config_id,
        config_name: given.config_name,
    }
}

fn show_config(spec: &model::ConfigReference) -> json::ConfigReference {
    json::ConfigReference {
        file: spec.file.as_ref().map(show_file),
        runtime: spec.runtime.then_some(Empty {}),
        config_id: spec.config_id.clone(),
        config_name: spec.config_name.clone(),
    }
}

fn read_ulimit(given: json::Ulimit) -> model::Ulimit {
    model::Ulimit {
        name: given.name,
        hard: given.hard,
        soft: given.soft,
    }
}

/// A resource limit as it was given.
pub fn show_ulimit(spec: &model::Ulimit) -> json::Ulimit {
    json::Ulimit {
        name: spec.name.clone(),
        hard: spec.hard,
        soft: spec.soft,
    }
}
