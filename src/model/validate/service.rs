//! The service part: how many tasks, where, with what, and how they are replaced.

use crate::model::constraint::{Attribute, Constraint};
use crate::model::id::NetworkId;
use crate::model::spec::network::{BRIDGE, HOST, NONE};
use crate::model::spec::service::{FailureAction, ServiceMode, ServiceSpec, UpdateConfig};
use crate::model::spec::task::{
    GenericResource, NetworkAttachment, Preference, Resources, TaskSpec,
};
use crate::model::validate::{Problems, check_label, check_name, container};

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
    let ports = spec.endpoint.as_ref().map_or(&[][..], |e| &e.ports);
    problems.unsupported(
        ports.is_empty(),
        "EndpointSpec.Ports",
        "use the network \"host\" to reach the tasks",
    );
    check_task(&spec.task, problems);
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
    for network in &task.networks {
        check_network(network, problems);
    }
    let driver = task.log_driver.as_ref().map_or("", |d| &d.name);
    problems.unsupported(
        driver.is_empty(),
        "TaskTemplate.LogDriver",
        "logs are kept in a ring in memory",
    );
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
    for Preference::Spread(by) in &placement.preferences {
        problems.check(Attribute::parse(by).is_some(), || {
            format!(
                "TaskTemplate.Placement.Preferences: {by:?}: spread over node.labels.*, \
                 engine.labels.*, node.hostname or another key of constraints"
            )
        });
    }
}

fn check_network(network: &NetworkAttachment, problems: &mut Problems) {
    let target = network.target.as_str();
    let is = |(id, name): (NetworkId, &str)| network.is_to(id, name);
    problems.check(is(HOST) || is(NONE), || {
        let shown = if is(BRIDGE) { "bridge" } else { target };
        format!(
            "TaskTemplate.Networks: {shown:?}: not supported yet; use \"host\", \"none\" or no \
             network for one of the task's own with loopback only"
        )
    });
    problems.unsupported(
        network.aliases.is_empty() && network.driver_options.is_empty(),
        "TaskTemplate.Networks.Aliases or DriverOpts",
        "leave them out",
    );
}
