//! Services.

use crate::api::convert::problems::Problems;
use crate::api::convert::task_spec;
use crate::api::convert::words::{
    ENDPOINT_MODES, FAILURE_ACTIONS, PROTOCOLS, PUBLISH_MODES, UPDATE_ORDERS, word,
};
use crate::api::types::service as json;
use crate::api::types::timestamp::rfc3339;
use crate::api::types::{Empty, ObjectVersion};
use crate::model::address::Subnet;
use crate::model::id::NetworkId;
use crate::model::object::{Endpoint, Service, UpdateStatus};
use crate::model::spec::service as model;
use crate::wire::control::ServiceView;

/// The spec that a client gave.
pub fn read(spec: json::ServiceSpec) -> Result<model::ServiceSpec, Problems> {
    let mut problems = Problems::default();
    let read = model::ServiceSpec {
        name: spec.name,
        labels: spec.labels,
        task: task_spec::read(spec.task_template, &mut problems),
        mode: read_mode(spec.mode, &mut problems),
        update: spec
            .update_config
            .map(|u| read_update("UpdateConfig", u, &mut problems)),
        rollback: spec
            .rollback_config
            .map(|u| read_update("RollbackConfig", u, &mut problems)),
        networks: spec
            .networks
            .into_iter()
            .map(task_spec::read_attachment)
            .collect(),
        endpoint: spec.endpoint_spec.map(|e| read_endpoint(e, &mut problems)),
        // It stands in a header.
        registry_auth: model::RegistryAuth::default(),
    };
    problems.or(read)
}

/// A service, with its counts of tasks if they were asked for.
pub fn show(view: &ServiceView, with_status: bool) -> json::Service {
    let Service { id, meta, spec, .. } = &*view.service;
    let endpoint = spec
        .endpoint
        .as_ref()
        .map(show_endpoint)
        .unwrap_or_default();
    json::Service {
        id: id.to_string(),
        version: ObjectVersion {
            index: meta.version,
        },
        created_at: rfc3339(meta.created_at),
        updated_at: rfc3339(meta.updated_at),
        spec: show_spec(spec),
        previous_spec: view.service.previous_spec.as_deref().map(show_spec),
        endpoint: show_reached(endpoint, &view.service.endpoint, &view.subnets),
        update_status: view.service.update.as_ref().map(show_update_status),
        service_status: with_status.then_some(json::ServiceStatus {
            running_tasks: view.running,
            desired_tasks: view.desired,
            completed_tasks: view.completed,
        }),
        job_status: view.service.job.map(|job| json::JobStatus {
            job_iteration: ObjectVersion {
                index: job.iteration,
            },
            last_execution: rfc3339(job.last_execution),
        }),
    }
}

/// What the service is reached by, beside what its spec asks for.
fn show_reached(
    spec: json::EndpointSpec,
    has: &Endpoint,
    subnets: &[(NetworkId, Subnet)],
) -> json::Endpoint {
    let addresses = has.addresses.iter().map(|(network, address)| {
        let mut subnets = subnets.iter();
        let bits = subnets.find(|(id, _)| id == network);
        json::EndpointVirtualIp {
            network_id: network.to_string(),
            addr: format!("{address}/{}", bits.map_or(32, |(_, own)| own.bits())),
        }
    });
    json::Endpoint {
        ports: has.ports.iter().map(show_port).collect(),
        virtual_ips: addresses.collect(),
        spec,
    }
}

fn show_update_status(status: &UpdateStatus) -> json::UpdateStatus {
    json::UpdateStatus {
        state: status.state.name().into(),
        started_at: Some(rfc3339(status.started_at)),
        completed_at: status.completed_at.map(rfc3339),
        message: status.message.clone(),
    }
}

/// The spec as it was given. What Docker always fills in, such as the number of replicas, is
/// filled in.
pub fn show_spec(spec: &model::ServiceSpec) -> json::ServiceSpec {
    json::ServiceSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        task_template: task_spec::show(&spec.task),
        mode: show_mode(&spec.mode),
        update_config: spec.update.as_ref().map(show_update),
        rollback_config: spec.rollback.as_ref().map(show_update),
        networks: spec
            .networks
            .iter()
            .map(task_spec::show_attachment)
            .collect(),
        endpoint_spec: spec.endpoint.as_ref().map(show_endpoint),
    }
}

fn read_mode(mode: json::ServiceMode, problems: &mut Problems) -> model::ServiceMode {
    match (
        mode.replicated,
        mode.global,
        mode.replicated_job,
        mode.global_job,
    ) {
        (None, None, None, None) => model::ServiceMode::default(),
        (Some(mode), None, None, None) => model::ServiceMode::Replicated {
            replicas: mode.replicas,
        },
        (None, Some(Empty {}), None, None) => model::ServiceMode::Global,
        (None, None, Some(job), None) => model::ServiceMode::ReplicatedJob {
            max_concurrent: job.max_concurrent,
            total_completions: job.total_completions,
        },
        (None, None, None, Some(Empty {})) => model::ServiceMode::GlobalJob,
        _ => {
            problems.add("Mode: must specify only one service mode".into());
            model::ServiceMode::default()
        }
    }
}

fn show_mode(mode: &model::ServiceMode) -> json::ServiceMode {
    let mut shown = json::ServiceMode::default();
    match *mode {
        model::ServiceMode::Replicated { replicas } => {
            let replicas = Some(replicas.unwrap_or(1));
            shown.replicated = Some(json::ReplicatedService { replicas });
        }
        model::ServiceMode::Global => shown.global = Some(Empty {}),
        model::ServiceMode::ReplicatedJob {
            max_concurrent,
            total_completions,
        } => {
            let max_concurrent = max_concurrent.unwrap_or(1);
            shown.replicated_job = Some(json::ReplicatedJob {
                max_concurrent: Some(max_concurrent),
                total_completions: Some(total_completions.unwrap_or(max_concurrent)),
            });
        }
        model::ServiceMode::GlobalJob => shown.global_job = Some(Empty {}),
    }
    shown
}

fn read_update(
    path: &str,
    given: json::UpdateConfig,
    problems: &mut Problems,
) -> model::UpdateConfig {
    let action = format!("{path}.FailureAction");
    let order = format!("{path}.Order");
    model::UpdateConfig {
        parallelism: given.parallelism,
        delay_ns: given.delay,
        failure_action: problems.choice(&action, &given.failure_action, &FAILURE_ACTIONS),
        monitor_ns: Some(given.monitor).filter(|monitor| *monitor != 0),
        max_failure_ratio: given.max_failure_ratio,
        order: problems.choice(&order, &given.order, &UPDATE_ORDERS),
    }
}

fn show_update(spec: &model::UpdateConfig) -> json::UpdateConfig {
    let action = spec.failure_action.unwrap_or(model::FailureAction::Pause);
    let order = spec.order.unwrap_or(model::UpdateOrder::StopFirst);
    json::UpdateConfig {
        parallelism: spec.parallelism,
        delay: spec.delay_ns,
        failure_action: word(action, &FAILURE_ACTIONS),
        monitor: spec.monitor_ns.unwrap_or(0),
        max_failure_ratio: spec.max_failure_ratio,
        order: word(order, &UPDATE_ORDERS),
    }
}

fn read_endpoint(given: json::EndpointSpec, problems: &mut Problems) -> model::EndpointSpec {
    let ports = given.ports.into_iter().enumerate();
    model::EndpointSpec {
        mode: problems.choice("EndpointSpec.Mode", &given.mode, &ENDPOINT_MODES),
        ports: ports
            .map(|(index, port)| read_port(index, port, problems))
            .collect(),
    }
}

fn show_endpoint(spec: &model::EndpointSpec) -> json::EndpointSpec {
    json::EndpointSpec {
        mode: word(
            spec.mode.unwrap_or(model::EndpointMode::Vip),
            &ENDPOINT_MODES,
        ),
        ports: spec.ports.iter().map(show_port).collect(),
    }
}

fn read_port(index: usize, given: json::PortConfig, problems: &mut Problems) -> model::PortConfig {
    let path = |field: &str| format!("EndpointSpec.Ports[{index}].{field}");
    let protocol = problems.choice(&path("Protocol"), &given.protocol, &PROTOCOLS);
    let mode = problems.choice(&path("PublishMode"), &given.publish_mode, &PUBLISH_MODES);
    model::PortConfig {
        name: given.name,
        protocol: protocol.unwrap_or_default(),
        target_port: problems.port(&path("TargetPort"), given.target_port),
        published_port: problems.port(&path("PublishedPort"), given.published_port),
        publish_mode: mode.unwrap_or_default(),
    }
}

pub fn show_port(spec: &model::PortConfig) -> json::PortConfig {
    json::PortConfig {
        name: spec.name.clone(),
        protocol: word(spec.protocol, &PROTOCOLS),
        target_port: spec.target_port.into(),
        published_port: spec.published_port.into(),
        publish_mode: word(spec.publish_mode, &PUBLISH_MODES),
    }
}
