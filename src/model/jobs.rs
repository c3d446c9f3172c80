//! What the executions of jobs have come to, kept up to date as tasks come and go, so that the next
//! task of a job is found without counting those before it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::{ServiceId, TaskId};
use crate::model::object::{Slot, Task};

/// The tasks of jobs, by execution.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    tasks: BTreeSet<(ServiceId, u64, Slot, TaskId)>,
    live: BTreeMap<(ServiceId, u64), u64>,
}

impl Jobs {
    /// How many tasks of an execution are wanted and have not ended.
    pub fn live(&self, service: ServiceId, iteration: u64) -> u64 {
        self.live.get(&(service, iteration)).copied().unwrap_or(0)
    }

    /// How many slots of an execution have been begun; they are begun in order.
    pub fn begun(&self, service: ServiceId, iteration: u64) -> u64 {
        let least = (service, iteration, Slot::Number(0), TaskId(0));
        let most = (
            service,
            iteration,
            Slot::Number(u64::MAX),
            TaskId(u128::MAX),
        );
        match self.tasks.range(least..=most).next_back() {
            Some((_, _, Slot::Number(last), _)) => last.saturating_add(1),
            _ => 0,
        }
    }

    /// The tasks of the executions before this one.
    pub fn before(&self, service: ServiceId, iteration: u64) -> impl Iterator<Item = TaskId> {
        let first = |iteration| (service, iteration, Slot::Number(0), TaskId(0));
        let tasks = self.tasks.range(first(0)..first(iteration));
        tasks.map(|(_, _, _, task)| *task)
    }

    pub(super) fn add(&mut self, task: &Task) {
        if let Some(iteration) = task.job_iteration {
            self.tasks
                .insert((task.service, iteration, task.slot, task.id));
            if task.is_live() {
                *self.live.entry((task.service, iteration)).or_default() += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, task: &Task) {
        let Some(iteration) = task.job_iteration else {
            return;
        };
        self.tasks
            .remove(&(task.service, iteration, task.slot, task.id));
        let key = (task.service, iteration);
        if let Some(live) = self.live.get_mut(&key).filter(|_| task.is_live()) {
            *live -= 1;
            if *live == 0 {
                self.live.remove(&key);
            }
        }
    }
}
