//! No task is let run before its time, whoever leads.

use std::collections::BTreeSet;

use skep::model::id::TaskId;
use skep::model::object::TaskState;
use skep::model::state::State;

#[derive(Debug, Default)]
pub struct Checker {
    /// Tasks that were let run.
    let_run: BTreeSet<TaskId>,
}

impl Checker {
    pub fn look(&mut self, state: &State) {
        for task in state.tasks().iter() {
            if task.desired_state == TaskState::Running && self.let_run.insert(task.id) {
                let (at, earliest) = (task.meta.updated_at, task.restart.not_before);
                let name = task.name();
                assert!(
                    at >= earliest,
                    "{name} was let run {} ms too early",
                    earliest.since_ms(at)
                );
            }
        }
    }
}
