//! A task's state never goes back.

use std::collections::BTreeMap;

use skep::model::id::TaskId;
use skep::model::object::TaskState;
use skep::model::state::State;

#[derive(Debug, Default)]
pub struct Checker {
    /// The last states that the daemon of each manager had: another one may be behind.
    states: BTreeMap<u64, (u64, BTreeMap<TaskId, TaskState>)>,
}

impl Checker {
    pub fn look(&mut self, (id, life): (u64, u64), state: &State) {
        let known = self.states.entry(id).or_default();
        if known.0 != life {
            *known = (life, BTreeMap::new());
        }
        for task in state.tasks().iter() {
            let (is, name) = (task.status.state, task.name());
            let was = known.1.insert(task.id, is).unwrap_or_default();
            assert!(was <= is, "{name} went from {was:?} to {is:?}");
        }
    }
}
