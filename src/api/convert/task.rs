//! Tasks.

use crate::api::convert::task_spec;
use crate::api::types::ObjectVersion;
use crate::api::types::task as json;
use crate::api::types::timestamp::rfc3339;
use crate::model::object::{ContainerStatus, Slot, Task, TaskState, TaskStatus};

/// A task.
pub fn show(task: &Task) -> json::Task {
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
        status: show_status(&task.status),
        desired_state: desired(task).name().into(),
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

fn show_status(status: &TaskStatus) -> json::TaskStatus {
    json::TaskStatus {
        timestamp: rfc3339(status.at),
        state: status.state.name().into(),
        message: status.message.clone(),
        err: status.error.clone(),
        container_status: status.container.as_ref().map(show_container),
        port_status: json::PortStatus::default(),
    }
}

fn show_container(status: &ContainerStatus) -> json::ContainerStatus {
    json::ContainerStatus {
        container_id: status.container_id.clone(),
        pid: status.pid,
        exit_code: status.exit_code,
    }
}
