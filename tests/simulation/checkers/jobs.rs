//! A job completes as often as asked, as far as managers can know: what counts as completed has
//! really ended well, and no more than asked for is under way at a time.

use std::collections::BTreeSet;

use skep::model::id::TaskId;
use skep::model::object::TaskState;
use skep::model::state::State;

#[derive(Debug, Default)]
pub struct Checker {
    /// Tasks of which a container has ended well by itself.
    ended_well: BTreeSet<TaskId>,
}

impl Checker {
    pub fn ended(&mut self, task: TaskId, code: u8) {
        if code == 0 {
            self.ended_well.insert(task);
        }
    }

    pub fn look(&self, state: &State) {
        for service in state.services().iter() {
            let Some(size) = service.job_size() else {
                continue;
            };
            let (mut live, mut slots) = (0, BTreeSet::new());
            let tasks = state.tasks_of_service(service.id);
            for task in tasks.filter(|task| service.executes(task)) {
                live += u64::from(task.is_live());
                slots.insert(task.slot);
                let name = task.name();
                let is_true =
                    task.status.state != TaskState::Complete || self.ended_well.contains(&task.id);
                assert!(is_true, "{name} is said to have completed");
            }
            let (name, slots) = (&service.spec.name, slots.len() as u64);
            assert!(live <= size.concurrent, "{name} has {live} at a time");
            assert!(slots <= size.total, "{name} has begun {slots}: {size:?}");
        }
    }
}
