//! Each restart of a service that gives no delay waits for longer than the last, whoever leads.

use std::collections::BTreeSet;

use skep::model::id::TaskId;
use skep::model::object::RestartRecord;
use skep::model::state::State;

const FIRST_MS: u64 = 500;
const MOST_MS: u64 = 300_000;
/// Who was up for so long begins anew.
const RECOVERED_MS: u64 = 600_000;

#[derive(Debug, Default)]
pub struct Checker {
    seen: BTreeSet<TaskId>,
}

impl Checker {
    pub fn look(&mut self, state: &State) {
        for task in state.tasks().iter() {
            if !self.seen.insert(task.id) || task.restart == RestartRecord::default() {
                continue;
            }
            let slot = state.tasks_of_slot(task.service, task.slot);
            let last = slot.into_iter().filter(|old| old.id != task.id);
            let last = last.max_by_key(|old| old.meta.created_at);
            let Some(last) = last.filter(|last| last.task_version == task.task_version) else {
                continue;
            };
            let (old, new) = (last.restart, task.restart);
            let up_ms = last.status.at.since_ms(last.meta.created_at);
            if new.attempts != old.attempts + 1 || up_ms >= RECOVERED_MS {
                continue;
            }
            let waits_ms = new.not_before.since_ms(task.meta.created_at);
            let least_ms = match old.backoff_step {
                0 => 0,
                step => (FIRST_MS << (step - 1)).min(MOST_MS),
            };
            let (name, step) = (task.name(), new.backoff_step);
            assert!(
                waits_ms >= least_ms && step > old.backoff_step.min(10),
                "{name} waits for {waits_ms} ms after {old:?}, with {new:?}"
            );
        }
    }
}
