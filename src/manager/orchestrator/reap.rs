//! Removes tasks that nobody needs any more: those of services and slots that went, once they have
//! stopped, and the dead beyond the history that is kept of a slot.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::set_desired;
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::ServiceId;
use crate::model::object::{Slot, Task, TaskState};
use crate::model::spec::cluster::TASK_HISTORY_LIMIT;
use crate::model::state::State;

pub fn pass(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (service, slot) in slots(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        let tasks = view.state.tasks_of_slot(service, slot);
        let gone = view.state.services().find(service).is_none();
        for task in &tasks {
            if is_removable(view.state, task, gone) {
                changes.push(Change::RemoveTask { id: task.id });
            } else if gone && task.desired_state < TaskState::Remove {
                changes.push(set_desired(task, TaskState::Remove));
            }
        }
        if !gone {
            changes.extend(history(view.state, &tasks));
        }
    }
    changes
}

/// The dirty slots, and all slots of services that are gone.
fn slots(state: &State, dirty: &Dirty) -> BTreeSet<(ServiceId, Slot)> {
    let gone = dirty.services.iter();
    let gone = gone.filter(|id| state.services().find(**id).is_none());
    let theirs = gone.flat_map(|id| state.tasks_of_service(*id));
    let theirs = theirs.map(|task| (task.service, task.slot));
    // Tasks to be removed go with their node.
    let nodes = dirty.nodes.iter();
    let nodes = nodes.filter(|id| state.nodes().find(**id).is_none());
    let on_them = nodes.flat_map(|id| state.tasks_of_node(*id));
    let on_them = on_them.map(|task| (task.service, task.slot));
    dirty
        .slots
        .iter()
        .copied()
        .chain(theirs)
        .chain(on_them)
        .collect()
}

fn is_removable(state: &State, task: &Task, service_gone: bool) -> bool {
    let unwanted = service_gone || task.desired_state == TaskState::Remove;
    let node_gone = |id| state.nodes().find(id).is_none();
    unwanted && (task.status.state.is_terminal() || task.node.is_none_or(node_gone))
}

/// The dead of a slot beyond the limit, oldest first, and those that were replaced before they had a
/// node. The newest task stays in any case: it is what keeps the slot.
fn history(state: &State, tasks: &[&Arc<Task>]) -> Vec<Change> {
    let Some((_, older)) = tasks.split_last() else {
        return Vec::new();
    };
    let replaced = TaskState::Complete..TaskState::Remove;
    let older = older
        .iter()
        .filter(|task| replaced.contains(&task.desired_state));
    let (mut removed, mut dead) = (Vec::new(), Vec::new());
    for task in older {
        if task.status.state.is_terminal() {
            dead.push(task.id);
        } else if task.node.is_none() {
            removed.push(task.id);
        }
    }
    let limit = state
        .cluster()
        .and_then(|c| c.spec.orchestration.task_history_limit);
    let kept = usize::try_from(limit.unwrap_or(TASK_HISTORY_LIMIT)).unwrap_or(usize::MAX);
    let surplus = dead.len().saturating_sub(kept);
    removed.extend(&dead[..surplus]);
    removed
        .into_iter()
        .map(|id| Change::RemoveTask { id })
        .collect()
}
