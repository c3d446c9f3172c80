//! The service part: how many tasks, where, with what, and how they are replaced.

use std::collections::BTreeSet;

use crate::model::constraint::{Attribute, Constraint};
use crate::model::logging::Logging;
use crate::model::spec::network::BRIDGE;
use crate::model::spec::service::{
    FailureAction, PublishMode, ServiceMode, ServiceSpec, UpdateConfig,
};
use crate::model::spec::task::{
    GenericResource, NetworkAttachment, Preference, Resources, TaskSpec,
};
use crate::model::validate::{Problems, check_label, check_name, container};

/// The most published ports of a service, and networks of a task.
const PORTS_MAX: usize = 1024;
const NETWORKS_MAX: usize = 15;

/// The scheduler goes one step down for each.
const PREFERENCES_MAX: usize = 8;

const ALIASES_MAX: usize = 64;
const HOST_NAME_MAX: usize = 253;

/// The most tasks of one service.
const REPLICAS_MAX: u64 = 1_000_000;
/// The least share of a processor that can be given: a thousandth.
const NANO_CPUS_MIN: i64 = 1_000_000;
const MEMORY_BYTES_MIN: i64 = 4 << 20;

pub(super) fn check(spec: &ServiceSpec, problems: &mut Problems) {
    check_name(&spec.name, problems);
    for (key, value) in &spec.labels {
        check_label("Labels", key, value, problems);
    }
    check_mode(&spec.mode, problems);
    let has_update = spec.update.is_some() || spec.rollback.is_some();
    problems.check(!(spec.mode.is_job() && has_update), || {
        "UpdateConfig, RollbackConfig: jobs may not have an update config".to_owned()
    });
    check_update("UpdateConfig", spec.update.as_ref(), problems);
    check_update("RollbackConfig", spec.rollback.as_ref(), problems);
    let action = spec
        .rollback
        .as_ref()
        .and_then(|config| config.failure_action);
    problems.check(action != Some(FailureAction::Rollback), || {
        "RollbackConfig.FailureAction: \"rollback\": use \"pause\" or \"continue\"".to_owned()
    });
    problems.check(spec.networks.is_empty(), || {
        "Networks: deprecated by Docker; use TaskTemplate.Networks".to_owned()
    });
    check_ports(spec, problems);
    check_task(&spec.task, problems);
}

fn check_ports(spec: &ServiceSpec, problems: &mut Problems) {
    let ports = spec.ports();
    problems.check(ports.len() <= PORTS_MAX, || {
        format!(
            "EndpointSpec.Ports: {} ports: at most {PORTS_MAX}",
            ports.len()
        )
    });
    problems.check(ports.iter().all(|port| port.target_port != 0), || {
        "EndpointSpec.Ports: TargetPort: a port from 1 to 65535 is needed".to_owned()
    });
    let ingress = ports.iter().any(|p| p.publish_mode == PublishMode::Ingress);
    problems.check(!(ingress && spec.is_round_robin()), || {
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode".to_owned()
    });
    let given = ports.iter().filter(|port| port.published_port != 0);
    let given: Vec<_> = given.map(|p| (p.protocol, p.published_port)).collect();
    let distinct: BTreeSet<_> = given.iter().collect();
    problems.check(distinct.len() == given.len(), || {
        "EndpointSpec: duplicate published ports provided".to_owned()
    });
    let mut networks = spec.task.networks.iter();
    let apart = networks.any(|own| own.is_host() || own.is_none());
    problems.check(ports.is_empty() || !apart, || {
        "EndpointSpec.Ports: the network \"host\" publishes every port of the task as it is, and \
         \"none\" none; leave the ports out"
            .to_owned()
    });
}

fn check_mode(mode: &ServiceMode, problems: &mut Problems) {
    match mode {
        ServiceMode::Replicated { replicas } => {
            let count = replicas.unwrap_or(1);
            problems.check(count <= REPLICAS_MAX, || {
                format!("Mode.Replicated.Replicas: {count}: at most {REPLICAS_MAX}")
            });
        }
        ServiceMode::ReplicatedJob {
            max_concurrent,
            total_completions,
        } => {
            let concurrent = max_concurrent.unwrap_or(1);
            let total = total_completions.unwrap_or(concurrent);
            problems.check(total <= REPLICAS_MAX, || {
                format!("Mode.ReplicatedJob.TotalCompletions: {total}: at most {REPLICAS_MAX}")
            });
            problems.check(concurrent > 0, || {
                "Mode.ReplicatedJob.MaxConcurrent: 0: must be at least 1".to_owned()
            });
        }
        ServiceMode::Global | ServiceMode::GlobalJob => {}
    }
}

fn check_update(field: &str, config: Option<&UpdateConfig>, problems: &mut Problems) {
    let Some(config) = config else { return };
    let ratio = config.max_failure_ratio;
    problems.check(config.delay_ns >= 0, || {
        format!("{field}.Delay: {}: cannot be negative", config.delay_ns)
    });
    problems.check(config.monitor_ns.unwrap_or(0) >= 0, || {
        format!("{field}.Monitor: cannot be negative")
    });
    problems.check((0.0..=1.0).contains(&ratio), || {
        format!("{field}.MaxFailureRatio: {ratio}: must be between 0 and 1")
    });
}

fn check_task(task: &TaskSpec, problems: &mut Problems) {
    let runtime = task.runtime.as_str();
    problems.check(["", "container"].contains(&runtime), || {
        format!("TaskTemplate.Runtime: {runtime:?}: only \"container\" is possible")
    });
    if let Some(resources) = &task.resources {
        check_resources(resources, problems);
    }
    check_restart(task, problems);
    check_placement(task, problems);
    check_networks(&task.networks, problems);
    if let Err(error) = Logging::read(task.log_driver.as_ref()) {
        problems.add(format!("TaskTemplate.LogDriver.{error}"));
    }
    container::check(&task.container, problems);
}

fn check_resources(resources: &Resources, problems: &mut Problems) {
    let mut amounts = |part: &str, nano_cpus: i64, memory_bytes: i64| {
        problems.check(nano_cpus == 0 || nano_cpus >= NANO_CPUS_MIN, || {
            format!(
                "TaskTemplate.Resources.{part}.NanoCPUs: {nano_cpus}: invalid cpu value: \
                 must be at least {NANO_CPUS_MIN}, a thousandth of a processor"
            )
        });
        problems.check(
            memory_bytes == 0 || memory_bytes >= MEMORY_BYTES_MIN,
            || {
                format!(
                    "TaskTemplate.Resources.{part}.MemoryBytes: {memory_bytes}: \
                     invalid memory value: must be at least 4MiB"
                )
            },
        );
    };
    if let Some(limits) = &resources.limits {
        amounts("Limits", limits.nano_cpus, limits.memory_bytes);
    }
    if let Some(wanted) = &resources.reservations {
        amounts("Reservations", wanted.nano_cpus, wanted.memory_bytes);
        for resource in &wanted.generic {
            check_generic(resource, problems);
        }
    }
    let pids = resources.limits.as_ref().map_or(0, |l| l.pids);
    problems.check(pids >= 0, || {
        format!("TaskTemplate.Resources.Limits.Pids: {pids}: cannot be negative")
    });
    problems.unsupported(
        resources.swap_bytes.is_none(),
        "TaskTemplate.Resources.SwapBytes",
        "leave it out",
    );
    problems.unsupported(
        resources.memory_swappiness.is_none(),
        "TaskTemplate.Resources.MemorySwappiness",
        "leave it out",
    );
}

fn check_generic(resource: &GenericResource, problems: &mut Problems) {
    let field = "TaskTemplate.Resources.Reservations.GenericResources";
    match resource {
        GenericResource::Discrete { kind, value } => {
            problems.check(!kind.is_empty() && *value > 0, || {
                format!("{field}: \"{kind}={value}\": needs a kind and a number above 0")
            });
        }
        GenericResource::Named { kind, value } => problems.add(format!(
            "{field}: \"{kind}={value}\": ask for a number of them, not for one by name"
        )),
    }
}

fn check_restart(task: &TaskSpec, problems: &mut Problems) {
    let Some(policy) = &task.restart else { return };
    let (delay, window) = (policy.delay_ns.unwrap_or(0), policy.window_ns.unwrap_or(0));
    problems.check(delay >= 0, || {
        format!("TaskTemplate.RestartPolicy.Delay: {delay}: restart-delay cannot be negative")
    });
    problems.check(window >= 0, || {
        format!("TaskTemplate.RestartPolicy.Window: {window}: restart-window cannot be negative")
    });
}

fn check_placement(task: &TaskSpec, problems: &mut Problems) {
    let Some(placement) = &task.placement else {
        return;
    };
    for text in &placement.constraints {
        if let Err(error) = Constraint::parse(text) {
            problems.add(format!("TaskTemplate.Placement.Constraints: {error}"));
        }
    }
    problems.check(placement.preferences.len() <= PREFERENCES_MAX, || {
        format!(
            "TaskTemplate.Placement.Preferences: {} preferences: at most {PREFERENCES_MAX}",
            placement.preferences.len()
        )
    });
    for Preference::Spread(by) in &placement.preferences {
        problems.check(Attribute::parse(by).is_some(), || {
            format!(
                "TaskTemplate.Placement.Preferences: {by:?}: spread over node.labels.*, \
                 engine.labels.*, node.hostname or another key of constraints"
            )
        });
    }
}

/// Whether the swarm has the networks is seen when the service is given its addresses.
fn check_networks(networks: &[NetworkAttachment], problems: &mut Problems) {
    let field = "TaskTemplate.Networks";
    problems.check(networks.len() <= NETWORKS_MAX, || {
        format!(
            "{field}: {} networks: at most {NETWORKS_MAX}",
            networks.len()
        )
    });
    let alone = networks.iter().any(|own| own.is_host() || own.is_none());
    problems.check(networks.len() < 2 || !alone, || {
        format!("{field}: \"host\" and \"none\" go with no other network")
    });
    for network in networks {
        problems.check(!network.is_to(BRIDGE.0, BRIDGE.1), || {
            format!(
                "{field}: \"bridge\": not supported yet; make a network with driver overlay, which \
                 leads out of the host as well"
            )
        });
        problems.check(network.aliases.len() <= ALIASES_MAX, || {
            format!(
                "{field}.Aliases: {} aliases: at most {ALIASES_MAX}",
                network.aliases.len()
            )
        });
        for alias in &network.aliases {
            problems.check(is_host_name(alias), || {
                format!("{field}.Aliases: {alias:?}: not a name that DNS can have")
            });
        }
        problems.unsupported(
            network.driver_options.is_empty(),
            "TaskTemplate.Networks.DriverOpts",
            "leave them out",
        );
    }
}

/// Labels of letters, digits, `-` and `_`, as Docker's users have them.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= HOST_NAME_MAX && name.split('.').all(is_label)
}
