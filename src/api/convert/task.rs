//! Tasks.

use std::sync::Arc;

use crate::api::convert::{network, service, task_spec};
use crate::api::types::ObjectVersion;
use crate::api::types::task as json;
use crate::api::types::timestamp::rfc3339;
use crate::model::object::{ContainerStatus, Network, Slot, Task, TaskState};

/// A task.
pub fn show(task: &Task, networks: &[Arc<Network>]) -> json::Task {
    let slot = match task.slot {
        Slot::Number(number) => number,
        Slot::Node(_) => 0,
    };
    json::Task {
        id: task.id.to_string(),
        version: ObjectVersion {
            index: task.meta.version,
        },
        created_at: rfc3339(task.meta.created_at),
        updated_at: rfc3339(task.meta.updated_at),
        spec: task_spec::show(&task.spec),
        service_id: task.service.to_string(),
        slot,
        node_id: task
            .place()
            .map(|node| node.to_string())
            .unwrap_or_default(),
        status: show_status(task),
        networks_attachments: show_attachments(task, networks),
        desired_state: desired(task).name().into(),
        generic_resources: task_spec::show_generic(&task.generic),
        job_iteration: task.job_iteration.map(|index| ObjectVersion { index }),
        ..json::Task::default()
    }
}

/// What Docker calls it that a job's task shall run: that it shall complete.
fn desired(task: &Task) -> TaskState {
    match task.desired_state {
        TaskState::Running if task.job_iteration.is_some() => TaskState::Complete,
        state => state,
    }
}

fn show_attachments(task: &Task, networks: &[Arc<Network>]) -> Vec<json::NetworkAttachment> {
    let own = task.addresses.iter().map(|(id, address)| {
        let network = networks.iter().find(|network| network.id == *id);
        let bits = network.and_then(|network| network.block);
        let bits = bits.map_or(32, |block| block.subnet.bits());
        json::NetworkAttachment {
            network: network.map_or_else(Default::default, |network| show_network(network)),
            addresses: vec![format!("{address}/{bits}")],
        }
    });
    own.collect()
}

/// The object as the managers have it, not as `/networks` shows it.
fn show_network(network: &Network) -> json::SwarmNetwork {
    let shown = network::show(network);
    let ipam = shown.ipam.clone();
    let configs = shown.ipam.config.clone();
    json::SwarmNetwork {
        id: shown.id,
        version: ObjectVersion {
            index: network.meta.version,
        },
        created_at: rfc3339(network.meta.created_at),
        updated_at: rfc3339(network.meta.updated_at),
        spec: json::NetworkSpec {
            name: shown.name,
            labels: network.spec.labels.clone(),
            driver_configuration: Some(json::Driver {
                name: shown.driver.clone(),
                options: network.spec.driver.options.clone(),
            }),
            ipv6_enabled: shown.enable_ipv6,
            internal: shown.internal,
            attachable: shown.attachable,
            ingress: shown.ingress,
            ipam_options: Some(json::IpamOptions {
                driver: json::Driver {
                    name: ipam.driver.clone(),
                    options: ipam.options.clone().unwrap_or_default(),
                },
                configs: network
                    .spec
                    .ipam
                    .as_ref()
                    .and_then(|_| configs.clone())
                    .unwrap_or_default(),
            }),
            scope: shown.scope,
        },
        driver_state: json::Driver {
            name: shown.driver,
            options: network.spec.driver.options.clone(),
        },
        ipam_options: Some(json::IpamOptions {
            driver: json::Driver {
                name: ipam.driver,
                options: ipam.options.unwrap_or_default(),
            },
            configs: configs.unwrap_or_default(),
        }),
    }
}

fn show_status(task: &Task) -> json::TaskStatus {
    let status = &task.status;
    json::TaskStatus {
        timestamp: rfc3339(status.at),
        state: status.state.name().into(),
        message: status.message.clone(),
        err: status.error.clone(),
        container_status: status.container.as_ref().map(show_container),
        port_status: json::PortStatus {
            ports: task.ports.iter().map(service::show_port).collect(),
        },
    }
}

fn show_container(status: &ContainerStatus) -> json::ContainerStatus {
    json::ContainerStatus {
        container_id: status.container_id.clone(),
        pid: status.pid,
        exit_code: status.exit_code,
    }
}
