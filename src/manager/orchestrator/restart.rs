//! Replaces tasks that ended, or whose node will not run them further, under the service's restart
//! policy, and lets replacements start when their time has come.
//!
//! A replacement is created at once with desired state READY, so that it can pull and prepare, and
//! moves to RUNNING at its `not_before` and once the old task has stopped. All that this needs is
//! stored in the tasks, so a new leader, or a rebooted one, continues exactly.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::{
    create, has_lost_node, has_stopped, is_lost, satisfies, set_desired,
};
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::ServiceId;
use crate::model::object::{RestartRecord, Service, Slot, Task, TaskState};
use crate::model::restarts::Ending;
use crate::model::spec::task::RestartPolicy;
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};

/// How long a replacement waits for the task it replaces to stop.
const OLD_TASK_WAIT_MS: u64 = 60_000;

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, slot) in slots(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        let Some(service) = view.state.services().find(id) else {
            continue;
        };
        let tasks = view.state.tasks_of_slot(id, slot);
        let mut wanted = tasks
            .iter()
            .filter(|task| task.desired_state <= TaskState::Running);
        let Some(newest) = wanted.next_back() else {
            continue;
        };
        let replaced = wanted.filter(|old| !runs_on(view.state, old, newest));
        changes.extend(replaced.map(|task| set_desired(task, TaskState::Shutdown)));
        // What an earlier execution of a job has left is ended by the pass that begins the next.
        if newest.has_completed() || !service.executes(newest) {
            continue;
        }
        let lost = has_lost_node(view.state, newest);
        // A global service has nowhere else to go with the task of a node.
        if lost && matches!(slot, Slot::Node(_)) {
            continue;
        }
        if newest.status.state.is_terminal() || lost {
            if let Some((state, record)) = replacement(view, service, newest) {
                changes.push(create(id, slot, state, record, rng));
            }
            changes.push(set_desired(newest, TaskState::Shutdown));
        }
    }
    changes
}

/// Whether a task with a newer one in its slot goes on nevertheless: while it is being updated with
/// start-first, and the new one does not run yet. Otherwise it was replaced.
fn runs_on(state: &State, old: &Task, newest: &Task) -> bool {
    let is_update = old.task_version != newest.task_version;
    let runs = |task: &Task| task.status.state == TaskState::Running;
    is_update && runs(old) && !has_lost_node(state, old) && !runs(newest)
}

/// Lets replacements run whose time has come and whose predecessor has stopped.
pub fn promote(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, slot) in slots(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        let tasks = view.state.tasks_of_slot(id, slot);
        // A newer one may have been made and given up, by an update that was rolled back.
        let Some(task) = tasks.iter().copied().rfind(|task| is_wanted(task)) else {
            continue;
        };
        let waited = view.now >= waits_for_old_until(task);
        let alone = || tasks.iter().all(|old| is_out_of_the_way(view.state, old));
        let due = view.now >= task.restart.not_before && (waited || alone());
        if task.desired_state == TaskState::Ready && due {
            changes.push(set_desired(task, TaskState::Running));
        }
    }
    changes
}

fn is_wanted(task: &Task) -> bool {
    task.desired_state <= TaskState::Running
}

/// Whether a newer task of the slot need not wait for it: it has stopped, or start-first lets it
/// run on.
fn is_out_of_the_way(state: &State, old: &Task) -> bool {
    is_wanted(old) || has_stopped(state, old)
}

/// When the task has to be looked at again, if nothing happens before.
pub fn due(task: &Task, now: Time) -> Option<Time> {
    let not_before = task.restart.not_before;
    (task.desired_state == TaskState::Ready).then(|| match now < not_before {
        true => not_before,
        false => waits_for_old_until(task),
    })
}

fn waits_for_old_until(task: &Task) -> Time {
    let at_least = task.meta.created_at.plus_ms(OLD_TASK_WAIT_MS);
    at_least.max(task.restart.not_before)
}

/// The dirty slots, the slots of tasks on dirty nodes that are lost, and of those that their nodes
/// are not allowed to have any more.
fn slots(state: &State, dirty: &Dirty) -> BTreeSet<(ServiceId, Slot)> {
    let on_them = dirty.nodes.iter().flat_map(|id| {
        let node = state.nodes().find(*id).filter(|node| !is_lost(node));
        let stays = move |task: &Arc<Task>| node.is_some_and(|node| satisfies(&task.spec, node));
        state.tasks_of_node(*id).filter(move |task| !stays(task))
    });
    let on_them = on_them.map(|task| (task.service, task.slot));
    dirty.slots.iter().copied().chain(on_them).collect()
}

/// The desired state and the record of the task that replaces `old`; `None` if none does.
fn replacement(
    view: &View<'_>,
    service: &Service,
    old: &Arc<Task>,
) -> Option<(TaskState, RestartRecord)> {
    let default = RestartPolicy::default();
    let policy = service.spec.task.restart.as_ref().unwrap_or(&default);
    let record = next_record(view, service, policy, old)?;
    // One before it may not have stopped either: its node was lost and is back (seed 12).
    let slot = view.state.tasks_of_slot(old.service, old.slot);
    let mut others = slot.into_iter().filter(|other| other.id != old.id);
    let waits = record.not_before > view.now
        || !has_stopped(view.state, old)
        || !others.all(|other| is_out_of_the_way(view.state, other));
    let state = if waits {
        TaskState::Ready
    } else {
        TaskState::Running
    };
    Some((state, record))
}

/// Whether the policy is done with a task that ended, as far as that does not change with time.
pub fn is_done(service: &Service, task: &Task) -> bool {
    let default = RestartPolicy::default();
    let policy = service.spec.task.restart.as_ref().unwrap_or(&default);
    !ending(task).may_be_followed(policy) || task.restart.uses_up(policy)
}

fn ending(old: &Task) -> Ending {
    Ending {
        state: old.status.state,
        of_job: old.job_iteration.is_some(),
        up_since: old.meta.created_at.max(old.restart.not_before),
        at: old.status.at,
    }
}

/// What the restarts of the slot amount to with one more; `None` if the policy allows none.
fn next_record(
    view: &View<'_>,
    service: &Service,
    policy: &RestartPolicy,
    old: &Task,
) -> Option<RestartRecord> {
    let ending = ending(old);
    if !old.status.state.is_terminal() {
        let moves = ending.may_be_followed(policy);
        return moves.then(|| moved(view, policy, old));
    }
    // Another version of the service starts with a clean record.
    let same_version = old.task_version == service.task_version;
    let record = if same_version {
        old.restart
    } else {
        RestartRecord::default()
    };
    record.next(&service.spec.labels, policy, &ending, view.now)
}

/// A task that did not fail itself goes elsewhere without counting as an attempt: at once from a
/// drained node, after the policy's delay from one that is down.
fn moved(view: &View<'_>, policy: &RestartPolicy, old: &Task) -> RestartRecord {
    let delay_ms = match has_stopped(view.state, old) {
        true => ms_of_ns(policy.delay_ns.unwrap_or(0)),
        false => 0,
    };
    RestartRecord {
        not_before: view.now.plus_ms(delay_ms),
        ..old.restart
    }
}

#[cfg(test)]
mod tests;
