//! A replacement is let run only when what it replaces has stopped, or has had time to.

use std::collections::BTreeSet;

use skep::model::id::TaskId;
use skep::model::object::{NodeState, RestartRecord, Task, TaskState};
use skep::model::state::State;

use crate::checkers::one_per_slot::overlaps;

/// How long a replacement waits at most.
const WAIT_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub struct Checker {
    /// Replacements that have yet to be let run, and tasks that were.
    waiting: BTreeSet<TaskId>,
    let_run: BTreeSet<TaskId>,
}

impl Checker {
    pub fn look(&mut self, state: &State) {
        for task in state.tasks().iter() {
            if task.desired_state == TaskState::Ready {
                self.waiting.insert(task.id);
            }
            let replaces =
                self.waiting.contains(&task.id) || task.restart != RestartRecord::default();
            let runs = task.desired_state == TaskState::Running;
            if !replaces || !runs || !self.let_run.insert(task.id) {
                continue;
            }
            let since = task.meta.created_at.max(task.restart.not_before);
            let service = state.services().find(task.service);
            let may_overlap = service.is_none_or(|service| overlaps(service));
            if may_overlap || task.meta.updated_at.since_ms(since) >= WAIT_MS {
                continue;
            }
            let slot = state.tasks_of_slot(task.service, task.slot);
            let old = slot.into_iter().filter(|old| old.id != task.id);
            // Those that are wanted still are let run on by an update that starts first.
            let mut ends = old.filter(|old| old.desired_state > TaskState::Running);
            if let Some(old) = ends.find(|old| !has_stopped(state, old)) {
                let (name, id) = (task.name(), old.id);
                panic!("{name} was let run while {id} is {:?}", old.status.state);
            }
        }
    }
}

fn has_stopped(state: &State, task: &Task) -> bool {
    let node = task.node.and_then(|node| state.nodes().find(node));
    let is_gone = node.is_none_or(|node| node.status.state == NodeState::Down);
    task.status.state.is_terminal() || is_gone
}
