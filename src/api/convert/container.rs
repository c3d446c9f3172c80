//! Containers of the host.

use std::collections::BTreeMap;

use crate::api::containers::{exit_code, state_word, status_text};
use crate::api::types::container as json;
use crate::api::types::container_spec::Ulimit;
use crate::api::types::image::ImageConfig;
use crate::api::types::timestamp::{NEVER, nanoseconds, rfc3339};
use crate::model::time::Time;
use crate::runtime::adopt::Found;
use crate::runtime::listing::Listed;
use crate::runtime::plan::{MountKind, MountPlan, Network, Plan, UlimitPlan};

const DRIVER: &str = "overlayfs";
const NS_PER_S: i64 = 1_000_000_000;

/// A container in a list.
pub fn show_summary(container: &Listed, now: Time) -> json::ContainerSummary {
    let Plan { origin, .. } = &container.plan;
    json::ContainerSummary {
        id: container.plan.id.clone(),
        names: vec![format!("/{}", origin.name)],
        image: origin.image.clone(),
        image_id: origin.image_id.clone(),
        command: container.plan.process.args.join(" "),
        created: nanoseconds(origin.created) / NS_PER_S,
        ports: Vec::new(),
        labels: container.plan.labels.clone(),
        state: state_word(&container.state).into(),
        status: status_text(&container.state, now),
        host_config: json::SummaryHostConfig {
            network_mode: network_name(container.plan.network).into(),
        },
        network_settings: json::SummaryNetworks {
            networks: networks(container.plan.network),
        },
        mounts: container.plan.mounts.iter().map(show_mount).collect(),
        ..json::ContainerSummary::default()
    }
}

/// A container in full.
pub fn show(container: &Listed) -> json::ContainerInspect {
    let plan = &container.plan;
    let mut words = plan.process.args.iter().cloned();
    json::ContainerInspect {
        id: plan.id.clone(),
        created: rfc3339(plan.origin.created),
        path: words.next().unwrap_or_default(),
        args: words.collect(),
        state: show_state(&container.state),
        image: plan.origin.image_id.clone(),
        name: format!("/{}", plan.origin.name),
        driver: DRIVER.into(),
        platform: "linux".into(),
        host_config: show_host_config(plan),
        graph_driver: json::GraphDriver {
            data: None,
            name: DRIVER.into(),
        },
        mounts: plan.mounts.iter().map(show_mount).collect(),
        config: show_config(plan),
        network_settings: json::NetworkSettings {
            networks: networks(plan.network),
            ..json::NetworkSettings::default()
        },
        ..json::ContainerInspect::default()
    }
}

fn show_state(state: &Found) -> json::ContainerState {
    let never = json::ContainerState {
        status: state_word(state).into(),
        started_at: NEVER.into(),
        finished_at: NEVER.into(),
        ..json::ContainerState::default()
    };
    match state {
        Found::Prepared => never,
        Found::Running(running) => json::ContainerState {
            running: true,
            pid: running.init.map_or(0, |init| init.pid),
            started_at: rfc3339(running.started),
            ..never
        },
        Found::Ended(running, exit) => json::ContainerState {
            oom_killed: exit.oom_killed,
            exit_code: exit_code(exit.code),
            started_at: rfc3339(running.started),
            finished_at: rfc3339(exit.finished),
            ..never
        },
    }
}

fn show_config(plan: &Plan) -> ImageConfig {
    ImageConfig {
        hostname: plan.hostname.clone(),
        domainname: plan.domain.clone(),
        user: plan.process.user.clone(),
        tty: plan.process.tty,
        env: plan.process.env.clone(),
        cmd: Some(plan.process.args.clone()),
        image: plan.origin.image.clone(),
        working_dir: plan.process.dir.clone(),
        labels: Some(plan.labels.clone()),
        stop_signal: plan.process.stop_signal.to_string(),
        ..ImageConfig::default()
    }
}

fn show_host_config(plan: &Plan) -> json::HostConfig {
    let limits = &plan.limits;
    let number = |figure: Option<u64>| figure.map_or(0, |f| i64::try_from(f).unwrap_or(i64::MAX));
    json::HostConfig {
        log_config: json::LogConfig {
            kind: "ring".into(),
            config: BTreeMap::new(),
        },
        network_mode: network_name(plan.network).into(),
        restart_policy: json::HostRestartPolicy {
            name: "no".into(),
            maximum_retry_count: 0,
        },
        cap_add: Some(plan.security.capabilities.clone()),
        cap_drop: Some(vec!["ALL".into()]),
        cgroupns_mode: "private".into(),
        dns: plan.resolver.nameservers.clone(),
        dns_options: plan.resolver.options.clone(),
        dns_search: plan.resolver.search.clone(),
        extra_hosts: Some(extra_hosts(plan)),
        group_add: Some(plan.process.groups.clone()),
        ipc_mode: "private".into(),
        oom_score_adj: plan.process.oom_score_adj.into(),
        readonly_rootfs: plan.read_only,
        security_opt: Some(security(plan)),
        sysctls: plan.sysctls.clone(),
        runtime: "skep".into(),
        memory: number(limits.memory_bytes),
        nano_cpus: number(limits.nano_cpus),
        memory_reservation: number(limits.memory_reserved_bytes),
        memory_swap: number(limits.swap_bytes),
        memory_swappiness: limits.swappiness.map(i64::from),
        pids_limit: limits
            .pids
            .map(|pids| i64::try_from(pids).unwrap_or(i64::MAX)),
        ulimits: Some(plan.process.ulimits.iter().map(show_ulimit).collect()),
        init: Some(plan.process.init),
        ..json::HostConfig::default()
    }
}

fn extra_hosts(plan: &Plan) -> Vec<String> {
    let hosts = plan.resolver.hosts.iter();
    hosts
        .map(|(address, names)| format!("{names}:{address}"))
        .collect()
}

fn security(plan: &Plan) -> Vec<String> {
    let mut options = Vec::new();
    if plan.security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    if !plan.security.seccomp {
        options.push("seccomp=unconfined".to_owned());
    }
    options
}

fn show_ulimit(limit: &UlimitPlan) -> Ulimit {
    // No limit is -1.
    let number = |figure: u64| i64::try_from(figure).unwrap_or(-1);
    Ulimit {
        name: limit.name.clone(),
        hard: number(limit.hard),
        soft: number(limit.soft),
    }
}

/// A mount as it is.
pub fn show_mount(mount: &MountPlan) -> json::MountPoint {
    let (kind, source) = match &mount.kind {
        MountKind::Bind { source, .. } | MountKind::File { source } => ("bind", Some(source)),
        MountKind::Volume { source, .. } => ("volume", Some(source)),
        MountKind::Tmpfs { .. } => ("tmpfs", None),
    };
    // A volume's folder is VOLUMES/NAME/_data.
    let name = source
        .filter(|_| kind == "volume")
        .and_then(|data| data.parent()?.file_name());
    json::MountPoint {
        kind: kind.into(),
        name: name
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        source: source
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        destination: mount.target.clone(),
        driver: name.map(|_| "local".to_owned()).unwrap_or_default(),
        mode: String::new(),
        rw: !mount.read_only,
        propagation: String::new(),
    }
}

/// Docker's name of the network.
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Own => "none",
        Network::Host => "host",
    }
}

fn networks(network: Network) -> BTreeMap<String, json::EndpointSettings> {
    BTreeMap::from([(
        network_name(network).to_owned(),
        json::EndpointSettings::default(),
    )])
}
