//! Containers of the host.

use std::collections::BTreeMap;

use crate::api::containers::{exit_code, state_word, status_text};
use crate::api::types::container as json;
use crate::api::types::container_spec::{HealthConfig, Ulimit};
use crate::api::types::image::ImageConfig;
use crate::api::types::timestamp::{NEVER, nanoseconds, rfc3339};
use crate::model::time::Time;
use crate::runtime::adopt::Found;
use crate::runtime::health::{Check, Health, Probe};
use crate::runtime::listing::Listed;
use crate::runtime::plan::{
    DEFAULT_CAPABILITIES, MASKED_PATHS, MountKind, MountPlan, Network, Plan, READ_ONLY_PATHS,
    SHM_BYTES, SHM_TARGET, UlimitPlan,
};
use crate::runtime::signal;

const DRIVER: &str = "overlayfs";
const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// A container in a list.
pub fn show_summary(container: &Listed, now: Time) -> json::ContainerSummary {
    let Plan { origin, .. } = &container.plan;
    json::ContainerSummary {
        id: container.plan.id.clone(),
        names: vec![format!("/{}", origin.name)],
        image: origin.image.clone(),
        image_id: origin.image_id.clone(),
        command: command_line(&container.plan.process.args),
        created: nanoseconds(origin.created) / NS_PER_S,
        ports: Vec::new(),
        labels: container.plan.labels.clone(),
        state: state_word(&container.state).into(),
        status: status_text(
            &container.state,
            container.health.as_ref().map(|health| health.status),
            now,
        ),
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

/// A command in a line, with the quotes that Docker puts around words with spaces: the first word
/// has none.
fn command_line(words: &[String]) -> String {
    let quoted = words.iter().enumerate().map(|(place, word)| {
        if place > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
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
        state: json::ContainerState {
            health: container.health.as_ref().map(show_health),
            ..show_state(&container.state)
        },
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

fn show_health(health: &Health) -> json::Health {
    let result = |probe: &Probe| json::HealthcheckResult {
        start: rfc3339(probe.began),
        end: rfc3339(probe.ended),
        exit_code: probe.code,
        output: probe.output.clone(),
    };
    json::Health {
        status: health.status.name().into(),
        failing_streak: health.failing_streak,
        log: health.log.iter().map(result).collect(),
    }
}

fn show_check(check: &Check) -> HealthConfig {
    let ns = |ms: u64| i64::try_from(ms.saturating_mul(NS_PER_MS)).unwrap_or(i64::MAX);
    HealthConfig {
        test: check.test.clone(),
        interval: ns(check.interval_ms),
        timeout: ns(check.timeout_ms),
        start_period: ns(check.start_period_ms),
        start_interval: ns(check.start_interval_ms),
        retries: check.retries.into(),
    }
}

fn show_config(plan: &Plan) -> ImageConfig {
    ImageConfig {
        hostname: plan.hostname.clone(),
        domainname: plan.domain.clone(),
        user: plan.process.user.clone(),
        tty: plan.process.tty,
        env: given_env(plan),
        cmd: Some(plan.process.args.clone()),
        healthcheck: plan.check.as_ref().map(show_check),
        image: plan.origin.image.clone(),
        working_dir: plan.process.dir.clone(),
        labels: Some(plan.labels.clone()),
        stop_signal: match plan.process.stop_signal {
            signal::DEFAULT => String::new(),
            other => signal::name(other),
        },
        ..ImageConfig::default()
    }
}

/// The environment without what every container is given.
fn given_env(plan: &Plan) -> Vec<String> {
    let own = format!("HOSTNAME={}", plan.hostname);
    let entries = plan.process.env.iter();
    entries.filter(|entry| **entry != own).cloned().collect()
}

fn show_host_config(plan: &Plan) -> json::HostConfig {
    let limits = &plan.limits;
    let number = |figure: Option<u64>| figure.map_or(0, |f| i64::try_from(f).unwrap_or(i64::MAX));
    json::HostConfig {
        log_config: json::LogConfig {
            kind: plan.log.name().into(),
            config: BTreeMap::new(),
        },
        network_mode: network_name(plan.network).into(),
        restart_policy: json::HostRestartPolicy {
            name: "no".into(),
            maximum_retry_count: 0,
        },
        cap_add: Some(added(plan)).filter(|names| !names.is_empty()),
        cap_drop: Some(dropped(plan)).filter(|names| !names.is_empty()),
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
        shm_size: shm_size(plan),
        masked_paths: Some(hidden(plan, &MASKED_PATHS)),
        readonly_paths: Some(hidden(plan, &READ_ONLY_PATHS)),
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

/// Capabilities beyond those of every container.
fn added(plan: &Plan) -> Vec<String> {
    let held = plan.security.capabilities.iter();
    held.filter(|name| !DEFAULT_CAPABILITIES.contains(&name.as_str()))
        .cloned()
        .collect()
}

/// Capabilities of every other container that this one lacks.
fn dropped(plan: &Plan) -> Vec<String> {
    let held = &plan.security.capabilities;
    let lacking = |name: &&str| !held.iter().any(|own| own == name);
    let default = DEFAULT_CAPABILITIES.into_iter();
    default.filter(lacking).map(str::to_owned).collect()
}

fn shm_size(plan: &Plan) -> i64 {
    let own = plan.mounts.iter().find(|mount| mount.target == SHM_TARGET);
    match own.map(|mount| &mount.kind) {
        None => SHM_BYTES.into(),
        Some(MountKind::Tmpfs { size_bytes, .. }) => i64::try_from(*size_bytes).unwrap_or(i64::MAX),
        Some(_) => 0,
    }
}

fn hidden(plan: &Plan, paths: &[&str]) -> Vec<String> {
    let paths = paths.iter().filter(|_| plan.security.mask_paths);
    paths.copied().map(str::to_owned).collect()
}

fn extra_hosts(plan: &Plan) -> Vec<String> {
    let hosts = plan.resolver.hosts.iter();
    hosts
        .filter(|(_, names)| *names != plan.hostname)
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
        MountKind::Bind { source, .. } => ("bind", Some(source)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_with_quotes_around_words_with_spaces_but_the_first() {
        let words = ["a b", "-c", "echo hello", ""].map(str::to_owned);
        assert_eq!(command_line(&words), "a b -c 'echo hello' ");
    }

    #[test]
    fn a_container_shows_what_was_asked_for_and_not_what_all_have() {
        let mut plan = Plan {
            hostname: "h".into(),
            ..Plan::default()
        };
        plan.process.env = ["HOSTNAME=h", "A=1"].map(str::to_owned).to_vec();
        plan.process.stop_signal = signal::DEFAULT;
        let shown = show_config(&plan);
        assert_eq!(
            (shown.env, shown.stop_signal),
            (vec!["A=1".to_owned()], String::new())
        );
        let host = show_host_config(&plan);
        assert_eq!((host.cap_add, host.cap_drop), (None, None));
        assert_eq!(host.shm_size, 64 << 20);

        plan.process.stop_signal = libc::SIGINT;
        plan.security.capabilities = vec!["CAP_CHOWN".into(), "CAP_NET_ADMIN".into()];
        plan.security.mask_paths = false;
        let host = show_host_config(&plan);
        assert_eq!(show_config(&plan).stop_signal, "SIGINT");
        assert_eq!(host.cap_add, Some(vec!["CAP_NET_ADMIN".to_owned()]));
        assert_eq!(host.cap_drop.map(|names| names.len()), Some(13));
        assert_eq!(host.masked_paths, Some(Vec::new()));
    }
}
