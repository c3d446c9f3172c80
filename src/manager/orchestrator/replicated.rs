//! As many slots as a replicated service has replicas.
//!
//! A slot counts as long as it has a task that is not to be removed, dead ones included: whether a
//! dead task is replaced is for the restart pass to say.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::{create, set_desired};
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::NodeId;
use crate::model::object::{RestartRecord, Service, Slot, Task, TaskState};

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for id in &dirty.services {
        let Some(service) = view.state.services().find(*id) else {
            continue;
        };
        let Some(replicas) = service.replicas() else {
            continue;
        };
        let filled = view.state.filled_slots(*id);
        if filled == replicas {
            continue;
        }
        let room = view.room.saturating_sub(changes.len());
        let count = |of: u64| usize::try_from(of).unwrap_or(usize::MAX).min(room);
        if filled > replicas {
            let slots = slots(view, service);
            changes.extend(scale_down(slots, count(filled - replicas)));
            continue;
        }
        let free = free_slots(view, service, filled);
        let new = RestartRecord::default();
        let tasks = free
            .take(count(replicas - filled))
            .map(|slot| create(*id, slot, TaskState::Running, new, rng));
        changes.extend(tasks);
    }
    changes
}

/// The slots that have no task that counts, from the lowest. A service that grows has no gaps, and
/// then its tasks need not be looked at.
fn free_slots<'a>(
    view: &View<'a>,
    service: &Service,
    filled: u64,
) -> impl Iterator<Item = Slot> + use<'a> {
    let has_no_gaps = match view.state.last_slot(service.id) {
        None => true,
        Some(Slot::Number(last)) => last == filled,
        Some(Slot::Node(_)) => false,
    };
    let (first, taken) = match has_no_gaps {
        true => (filled + 1, BTreeMap::new()),
        false => (1, slots(view, service)),
    };
    (first..)
        .map(Slot::Number)
        .filter(move |slot| !taken.contains_key(slot))
}

/// The tasks of each slot that counts.
fn slots<'a>(view: &View<'a>, service: &Service) -> BTreeMap<Slot, Vec<&'a Arc<Task>>> {
    let mut slots = BTreeMap::<_, Vec<_>>::new();
    for task in view.state.tasks_of_service(service.id) {
        if task.desired_state < TaskState::Remove {
            slots.entry(task.slot).or_default().push(task);
        }
    }
    slots
}

/// Gives up slots: those that do not run first, then those on the nodes with most of the service.
fn scale_down(slots: BTreeMap<Slot, Vec<&Arc<Task>>>, surplus: usize) -> Vec<Change> {
    if surplus == 0 {
        return Vec::new();
    }
    let mut on_node = BTreeMap::<NodeId, u32>::new();
    let mut ranked = Vec::new();
    for (slot, tasks) in slots {
        let runs = |task: &&Arc<Task>| task.is_live() && task.status.state == TaskState::Running;
        let node = tasks.iter().find(|t| runs(t)).and_then(|task| task.node);
        // The n-th task of a node ranks n-th, so that the fullest nodes give first and evenly.
        let place = node.map(|node| {
            let count = on_node.entry(node).or_default();
            *count += 1;
            *count
        });
        ranked.push((place, slot, tasks));
    }
    ranked.sort_by_key(|(place, slot, _)| (place.is_some(), Reverse(*place), Reverse(*slot)));
    let given_up = ranked.into_iter().take(surplus);
    let tasks = given_up.flat_map(|(_, _, tasks)| tasks);
    tasks
        .map(|task| set_desired(task, TaskState::Remove))
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
    fn missing_slots_are_filled_from_the_lowest_number() {
        check("service web x3", "create web/1; create web/2; create web/3");
        check(
            "service web x3; node a up; task 1 web/2 on a running",
            "create web/1; create web/3",
        );
        check("service web x1; node a up; task 1 web/1 on a running", "");
        check("service web x0", "");
    }

    #[test]
    fn a_dead_task_keeps_its_slot() {
        check("service web x1; node a up; task 1 web/1 on a failed", "");
        let finished = "task 1 web/1 on a complete desired shutdown";
        check(&format!("service web x1; node a up; {finished}"), "");
    }

    #[test]
    fn a_slot_that_is_being_given_up_is_free_again() {
        check(
            "service web x1; node a up; task 1 web/1 on a running desired remove",
            "create web/1",
        );
    }

    #[test]
    fn scaling_down_takes_what_does_not_run_first() {
        check(
            "service web x1; node a up; node b up; task 1 web/1 on a running; \
             task 2 web/2 on b preparing; task 3 web/3 assigned",
            "remove 3; remove 2",
        );
    }

    #[test]
    fn scaling_down_takes_from_the_nodes_with_most() {
        check(
            "service web x2; node a up; node b up; task 1 web/1 on a running; \
             task 2 web/2 on a running; task 3 web/3 on a running; task 4 web/4 on b running",
            "remove 3; remove 2",
        );
        check(
            "service web x3; node a up; node b up; task 1 web/1 on b running; \
             task 2 web/2 on a running; task 3 web/3 on b running; task 4 web/4 on b running",
            "remove 4",
        );
    }

    #[test]
    fn a_slot_is_given_up_with_its_history() {
        check(
            "service web x0; node a up; task 1 web/1 on a failed desired shutdown; \
             task 2 web/1 on a running",
            "remove 1; remove 2",
        );
    }

    #[test]
    fn other_services_are_left_alone() {
        check(
            "service web x1; service db x1; task 1 web/1 pending; task 2 db/1 pending",
            "",
        );
    }
}
