//! What changes do to tasks.

use std::sync::Arc;

use super::Stamp;
use crate::model::change::NewTask;
use crate::model::id::TaskId;
use crate::model::object::{Task, TaskState, TaskStatus};
use crate::model::state::{Object, ObjectId, State};

impl State {
    pub(super) fn create_task(&mut self, stamp: Stamp, new: &NewTask) {
        let Some(service) = self.services().find(new.service).cloned() else {
            return;
        };
        let Some(spec) = self.task_spec(service.id, service.task_version).cloned() else {
            return;
        };
        let task = Task {
            id: new.id,
            meta: stamp.created(),
            service: service.id,
            service_name: service.spec.name.as_str().into(),
            task_version: service.task_version,
            spec,
            slot: new.slot,
            node: None,
            desired_state: new.desired_state,
            status: TaskStatus {
                state: TaskState::New,
                at: stamp.at,
                message: "created".into(),
                ..TaskStatus::default()
            },
            restart: new.restart,
            running_since: None,
            update: new.update,
            update_failed: false,
            addresses: Vec::new(),
            job_iteration: service.job.map(|job| job.iteration),
            ports: Vec::new(),
            generic: Vec::new(),
        };
        self.put(ObjectId::Task(new.id), Some(Object::Task(Arc::new(task))));
    }

    pub(super) fn set_task_status(&mut self, stamp: Stamp, id: TaskId, status: &TaskStatus) {
        self.change_task(id, |task| {
            if !task.status.state.may_become(status.state) {
                return;
            }
            task.meta = stamp.moved(task.meta);
            task.status = status.clone();
            if let Some(restarts) = status.restarts {
                task.restart = restarts;
            }
            if status.state == TaskState::Running {
                task.running_since.get_or_insert(stamp.at);
            }
        });
    }

    pub(super) fn change_task(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        if let Some(mut task) = self.tasks().find(id).map(|task| (**task).clone()) {
            change(&mut task);
            self.put(ObjectId::Task(id), Some(Object::Task(Arc::new(task))));
        }
    }

    pub(super) fn remove_task(&mut self, id: TaskId) {
        if let Some(task) = self.tasks().find(id).cloned() {
            self.put(ObjectId::Task(id), None);
            self.drop_unused_spec(task.service, task.task_version);
        }
    }
}
