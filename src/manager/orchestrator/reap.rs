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
use crate::model::object::{Slot, Task, TaskState, TaskStatus};
use crate::model::spec::cluster::TASK_HISTORY_LIMIT;
use crate::model::state::State;
use crate::model::time::Time;

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
            } else if is_orphan(view.state, task) {
                changes.push(orphan(task, view.now));
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

/// Whether a task shall stop on a node that was removed, which nobody will ever hear of.
fn is_orphan(state: &State, task: &Task) -> bool {
    let node_gone = |id| state.nodes().find(id).is_none();
    task.desired_state > TaskState::Running
        && !task.status.state.is_terminal()
        && task.node.is_some_and(node_gone)
}

fn orphan(task: &Task, now: Time) -> Change {
    let status = TaskStatus {
        state: TaskState::Orphaned,
        at: now,
        message: "Task belonged to a node that has been deleted".to_owned(),
        ..task.status.clone()
    };
    Change::SetTaskStatus {
        id: task.id,
        status,
    }
}

/// The dead of a slot beyond the limit, oldest first, and those that were replaced before they had
/// a node. The newest task stays in any case: it is what keeps the slot.
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

#[cfg(test)]
mod tests {
    use crate::manager::words;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        words::check(super::pass, given, expected);
    }

    #[test]
    fn tasks_of_a_service_that_is_gone_are_removed_once_they_have_stopped() {
        check(
            "service web x3; node a up; task 1 web/1 on a running; task 2 web/2 on a failed; \
             task 3 web/3 pending; gone web",
            "remove 1; forget 2; forget 3",
        );
        check(
            "service web x1; node a up; task 1 web/1 on a running desired remove; gone web",
            "",
        );
        check(
            "service web x1; node a up; task 1 web/1 on a shutdown desired remove; gone web",
            "forget 1",
        );
    }

    #[test]
    fn tasks_to_be_removed_go_with_their_node() {
        let given = "service web x1; node a down; task 1 web/1 on a running desired remove";
        check(given, "");
        check(&format!("{given}; gone a"), "forget 1");
    }

    #[test]
    fn tasks_that_shall_stop_on_a_node_that_is_gone_are_orphans() {
        let given = "service web x1; node a down; task 1 web/1 on a running desired shutdown; \
                     task 2 web/1 pending";
        check(given, "");
        check(&format!("{given}; gone a"), "1 is orphaned");
        let ended = given.replace("running", "failed");
        check(&format!("{ended}; gone a"), "");
    }

    #[test]
    fn five_dead_tasks_of_a_slot_are_kept() {
        let dead = |n: u32| format!("task {n} web/1 on a failed desired shutdown");
        let given =
            |dead: &str| format!("service web x1; node a up; {dead}; task 9 web/1 on a running");
        let six: Vec<_> = (1..=6).map(dead).collect();
        check(&given(&six[..5].join(";")), "");
        check(&given(&six.join(";")), "forget 1");
        check(
            &format!("history 2; {}", given(&six[..4].join(";"))),
            "forget 1; forget 2",
        );
        check(&format!("history -1; {}", given(&six.join(";"))), "");
        check(
            &format!("history 0; {}", given(&six[..1].join(";"))),
            "forget 1",
        );
    }

    #[test]
    fn the_last_task_of_a_slot_is_kept_without_any_history() {
        check(
            "history 0; service web x1; node a up; task 1 web/1 on a failed desired shutdown",
            "",
        );
    }

    #[test]
    fn a_task_that_was_replaced_before_it_had_a_node_goes() {
        check(
            "service web x1; task 1 web/1 pending desired shutdown; task 2 web/1 pending",
            "forget 1",
        );
    }
}
