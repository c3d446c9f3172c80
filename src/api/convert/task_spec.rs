//! What the tasks of a service are made from.

use crate::api::convert::container_spec;
use crate::api::convert::problems::Problems;
use crate::api::convert::words::{RESTART_CONDITIONS, word};
use crate::api::types::task_spec as json;
use crate::api::types::{self, node};
use crate::model::spec::task as model;
use crate::model::spec::{self, node as model_node};

const PATH: &str = "TaskTemplate";

/// The spec that a client gave.
pub fn read(spec: json::TaskSpec, problems: &mut Problems) -> model::TaskSpec {
    if spec.container_spec.is_none() {
        problems.add(format!("{PATH}.ContainerSpec is missing"));
    }
    if !matches!(spec.runtime.as_str(), "" | "container") {
        problems.add(format!(
            "{PATH}.Runtime: {:?} is not container",
            spec.runtime
        ));
    }
    model::TaskSpec {
        container: container_spec::read(spec.container_spec.unwrap_or_default(), problems),
        resources: spec.resources.map(|r| read_resources(r, problems)),
        restart: spec.restart_policy.map(|r| read_restart(r, problems)),
        placement: spec.placement.map(|p| read_placement(p, problems)),
        networks: spec.networks.into_iter().map(read_attachment).collect(),
        log_driver: spec.log_driver.map(read_driver),
        force_update: spec.force_update,
        runtime: spec.runtime,
    }
}

/// The spec as it was given.
pub fn show(spec: &model::TaskSpec) -> json::TaskSpec {
    json::TaskSpec {
        container_spec: Some(container_spec::show(&spec.container)),
        resources: spec.resources.as_ref().map(show_resources),
        restart_policy: spec.restart.as_ref().map(show_restart),
        placement: spec.placement.as_ref().map(show_placement),
        networks: spec.networks.iter().map(show_attachment).collect(),
        log_driver: spec.log_driver.as_ref().map(show_driver),
        force_update: spec.force_update,
        runtime: spec.runtime.clone(),
    }
}

fn read_resources(given: json::ResourceRequirements, problems: &mut Problems) -> model::Resources {
    model::Resources {
        limits: given.limits.map(|l| model::Limits {
            nano_cpus: l.nano_cpus,
            memory_bytes: l.memory_bytes,
            pids: l.pids,
        }),
        reservations: given.reservations.map(|r| model::Reservations {
            nano_cpus: r.nano_cpus,
            memory_bytes: r.memory_bytes,
            generic: read_generic(r.generic_resources, problems),
        }),
        swap_bytes: given.swap_bytes,
        memory_swappiness: given.memory_swappiness,
    }
}

fn show_resources(spec: &model::Resources) -> json::ResourceRequirements {
    json::ResourceRequirements {
        limits: spec.limits.as_ref().map(|l| json::Limit {
            nano_cpus: l.nano_cpus,
            memory_bytes: l.memory_bytes,
            pids: l.pids,
        }),
        reservations: spec.reservations.as_ref().map(|r| json::Resources {
            nano_cpus: r.nano_cpus,
            memory_bytes: r.memory_bytes,
            generic_resources: show_generic(&r.generic),
        }),
        swap_bytes: spec.swap_bytes,
        memory_swappiness: spec.memory_swappiness,
    }
}

fn read_generic(
    given: Vec<json::GenericResource>,
    problems: &mut Problems,
) -> Vec<model::GenericResource> {
    let mut read = Vec::with_capacity(given.len());
    for (index, resource) in given.into_iter().enumerate() {
        match (resource.named, resource.discrete) {
            (Some(named), None) => read.push(model::GenericResource::Named {
                kind: named.kind,
                value: named.value,
            }),
            (None, Some(discrete)) => read.push(model::GenericResource::Discrete {
                kind: discrete.kind,
                value: discrete.value,
            }),
            _ => problems.add(format!(
                "{PATH}.Resources.Reservations.GenericResources[{index}]: \
                 expected NamedResourceSpec or DiscreteResourceSpec"
            )),
        }
    }
    read
}

/// Generic resources, named or counted.
pub fn show_generic(spec: &[model::GenericResource]) -> Vec<json::GenericResource> {
    let show = |resource: &model::GenericResource| match resource.clone() {
        model::GenericResource::Named { kind, value } => json::GenericResource {
            named: Some(json::NamedGenericResource { kind, value }),
            discrete: None,
        },
        model::GenericResource::Discrete { kind, value } => json::GenericResource {
            named: None,
            discrete: Some(json::DiscreteGenericResource { kind, value }),
        },
    };
    spec.iter().map(show).collect()
}

fn read_restart(given: json::RestartPolicy, problems: &mut Problems) -> model::RestartPolicy {
    let path = format!("{PATH}.RestartPolicy.Condition");
    model::RestartPolicy {
        condition: problems.choice(&path, &given.condition, &RESTART_CONDITIONS),
        delay_ns: given.delay,
        max_attempts: given.max_attempts,
        window_ns: given.window,
    }
}

fn show_restart(spec: &model::RestartPolicy) -> json::RestartPolicy {
    let condition = spec.condition.map(|c| word(c, &RESTART_CONDITIONS));
    json::RestartPolicy {
        condition: condition.unwrap_or_default(),
        delay: spec.delay_ns,
        max_attempts: spec.max_attempts,
        window: spec.window_ns,
    }
}

fn read_placement(given: json::Placement, problems: &mut Problems) -> model::Placement {
    let mut preferences = Vec::with_capacity(given.preferences.len());
    for (index, preference) in given.preferences.into_iter().enumerate() {
        match preference.spread {
            Some(spread) => preferences.push(model::Preference::Spread(spread.spread_descriptor)),
            None => problems.add(format!(
                "{PATH}.Placement.Preferences[{index}].Spread is missing"
            )),
        }
    }
    let platform = |p: node::Platform| model_node::Platform {
        architecture: p.architecture,
        os: p.os,
    };
    model::Placement {
        constraints: given.constraints,
        preferences,
        max_replicas: given.max_replicas,
        platforms: given.platforms.into_iter().map(platform).collect(),
    }
}

fn show_placement(spec: &model::Placement) -> json::Placement {
    let preference = |preference: &model::Preference| {
        let model::Preference::Spread(descriptor) = preference;
        json::PlacementPreference {
            spread: Some(json::SpreadOver {
                spread_descriptor: descriptor.clone(),
            }),
        }
    };
    json::Placement {
        constraints: spec.constraints.clone(),
        preferences: spec.preferences.iter().map(preference).collect(),
        max_replicas: spec.max_replicas,
        platforms: spec.platforms.iter().map(show_platform).collect(),
    }
}

/// An architecture and an operating system.
pub fn show_platform(platform: &model_node::Platform) -> node::Platform {
    node::Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
    }
}

/// A network to join, as a client gave it.
pub fn read_attachment(given: json::NetworkAttachmentConfig) -> model::NetworkAttachment {
    model::NetworkAttachment {
        target: given.target,
        aliases: given.aliases,
        driver_options: given.driver_opts,
    }
}

/// A network to join, as it was given.
pub fn show_attachment(spec: &model::NetworkAttachment) -> json::NetworkAttachmentConfig {
    json::NetworkAttachmentConfig {
        target: spec.target.clone(),
        aliases: spec.aliases.clone(),
        driver_opts: spec.driver_options.clone(),
    }
}

/// A driver and its options, as a client gave them.
pub fn read_driver(given: types::Driver) -> spec::Driver {
    spec::Driver {
        name: given.name,
        options: given.options,
    }
}

/// A driver and its options, as they were given.
pub fn show_driver(spec: &spec::Driver) -> types::Driver {
    types::Driver {
        name: spec.name.clone(),
        options: spec.options.clone(),
    }
}
