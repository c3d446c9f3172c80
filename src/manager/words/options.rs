//! What follows the name of a service or a node in a statement.

use crate::model::spec::node::{NodeDescription, NodeSpec, Platform, TunnelEnd};
use crate::model::spec::service::{
    EndpointMode, FailureAction, PortConfig, Protocol, PublishMode, ServiceMode, ServiceSpec,
    UpdateConfig, UpdateOrder,
};
use crate::model::spec::task::{
    GenericResource, NetworkAttachment, Placement, Preference, Reservations, Resources,
    RestartCondition,
};

pub fn service_mode(word: &str) -> ServiceMode {
    match word.strip_prefix('x') {
        Some(replicas) => ServiceMode::Replicated {
            replicas: Some(replicas.parse().unwrap()),
        },
        None if word == "global" => ServiceMode::Global,
        None if word == "global-job" => ServiceMode::GlobalJob,
        None if word.starts_with("job") => {
            let (total, concurrent) = word[3..].split_once('/').unwrap();
            ServiceMode::ReplicatedJob {
                total_completions: Some(total.parse().unwrap()),
                max_concurrent: Some(concurrent.parse().unwrap()),
            }
        }
        None => panic!("{word:?} is no mode of a service"),
    }
}

pub fn service_option(spec: &mut ServiceSpec, option: &str, value: &str) {
    let task = &mut spec.task;
    let default_update = UpdateConfig {
        parallelism: 1,
        delay_ns: 0,
        failure_action: None,
        monitor_ns: None,
        max_failure_ratio: 0.0,
        order: None,
    };
    let ns = || Some(i64::try_from(ms(value)).unwrap() * 1_000_000);
    match option {
        "image" => task.container.image = value.into(),
        "label" => spec.labels.extend([pair(value)]),
        "restart" => {
            task.restart.get_or_insert_default().condition = Some(match value {
                "none" => RestartCondition::None,
                "on-failure" => RestartCondition::OnFailure,
                "any" => RestartCondition::Any,
                other => panic!("{other:?} is no condition"),
            });
        }
        "delay" => task.restart.get_or_insert_default().delay_ns = ns(),
        "window" => task.restart.get_or_insert_default().window_ns = ns(),
        "attempts" => {
            task.restart.get_or_insert_default().max_attempts = Some(value.parse().unwrap());
        }
        "constraint" | "spread" | "max" | "platform" => {
            placement_option(task.placement.get_or_insert_default(), option, value);
        }
        "network" => task.networks.push(NetworkAttachment {
            target: value.into(),
            ..NetworkAttachment::default()
        }),
        "publish" => {
            let endpoint = spec.endpoint.get_or_insert_default();
            endpoint.ports.push(published(value));
        }
        "mode" => spec.endpoint.get_or_insert_default().mode = Some(endpoint_mode(value)),
        "force" => task.force_update = value.parse().unwrap(),
        "rollback-parallelism" => {
            spec.rollback.get_or_insert(default_update).parallelism = value.parse().unwrap();
        }
        "parallelism" | "update-delay" | "monitor" | "ratio" | "action" | "order" => {
            update_option(spec.update.get_or_insert(default_update), option, value);
        }
        _ => {
            let resources: &mut Resources = task.resources.get_or_insert_default();
            reservation(
                resources.reservations.get_or_insert_default(),
                option,
                value,
            );
        }
    }
}

fn placement_option(placement: &mut Placement, option: &str, value: &str) {
    match option {
        "constraint" => placement.constraints.push(value.into()),
        "spread" => placement.preferences.push(Preference::Spread(value.into())),
        "max" => placement.max_replicas = value.parse().unwrap(),
        _ => placement.platforms.push(Platform {
            architecture: value.into(),
            os: String::new(),
        }),
    }
}

fn endpoint_mode(word: &str) -> EndpointMode {
    match word {
        "vip" => EndpointMode::Vip,
        "dnsrr" => EndpointMode::DnsRoundRobin,
        other => panic!("{other:?} is no mode of an endpoint"),
    }
}

/// `[NUMBER]:TARGET[/udp][/host]`
fn published(text: &str) -> PortConfig {
    let mut parts = text.split('/');
    let (published, target) = parts.next().unwrap().split_once(':').unwrap();
    let rest: Vec<_> = parts.collect();
    PortConfig {
        target_port: target.parse().unwrap(),
        published_port: published.parse().unwrap_or(0),
        protocol: match rest.contains(&"udp") {
            true => Protocol::Udp,
            false => Protocol::Tcp,
        },
        publish_mode: match rest.contains(&"host") {
            true => PublishMode::Host,
            false => PublishMode::Ingress,
        },
        ..PortConfig::default()
    }
}

fn update_option(config: &mut UpdateConfig, option: &str, value: &str) {
    let ns = || i64::try_from(ms(value)).unwrap() * 1_000_000;
    match (option, value) {
        ("parallelism", _) => config.parallelism = value.parse().unwrap(),
        ("update-delay", _) => config.delay_ns = ns(),
        ("monitor", _) => config.monitor_ns = Some(ns()),
        ("ratio", _) => config.max_failure_ratio = value.parse().unwrap(),
        ("action", "continue") => config.failure_action = Some(FailureAction::Continue),
        ("action", "rollback") => config.failure_action = Some(FailureAction::Rollback),
        ("order", "start-first") => config.order = Some(UpdateOrder::StartFirst),
        other => panic!("{other:?} is no option of an update"),
    }
}

fn reservation(wanted: &mut Reservations, option: &str, value: &str) {
    match option {
        "cpu" => wanted.nano_cpus = value.parse::<i64>().unwrap() * 1_000_000_000,
        "memory" => wanted.memory_bytes = value.parse::<i64>().unwrap() << 20,
        "generic" => wanted.generic.push(generic(value)),
        other => panic!("{other:?} is no option of a service"),
    }
}

pub fn node_option(spec: &mut NodeSpec, own: &mut NodeDescription, option: &str, value: &str) {
    match option {
        "cpu" => own.resources.nano_cpus = value.parse::<i64>().unwrap() * 1_000_000_000,
        "memory" => own.resources.memory_bytes = value.parse::<i64>().unwrap() << 20,
        "generic" => own.resources.generic.push(generic(value)),
        "arch" => own.platform.architecture = value.into(),
        "label" => spec.labels.extend([pair(value)]),
        "key" => {
            own.tunnel = Some(TunnelEnd {
                public_key: [value.parse().unwrap(); 32],
                port: None,
            });
        }
        other => panic!("{other:?} is no option of a node"),
    }
}

/// `KIND=NUMBER` or `KIND=NAME`.
fn generic(text: &str) -> GenericResource {
    let (kind, value) = pair(text);
    match value.parse() {
        Ok(value) => GenericResource::Discrete { kind, value },
        Err(_) => GenericResource::Named { kind, value },
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap();
    (key.to_owned(), value.to_owned())
}

pub fn ms(text: &str) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let number: u64 = text[..digits].parse().unwrap();
    match &text[digits..] {
        "ms" => number,
        "s" => number * 1_000,
        "m" => number * 60_000,
        other => panic!("{other:?} is no unit"),
    }
}
