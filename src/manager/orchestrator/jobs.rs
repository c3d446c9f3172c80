//! Replicated jobs: as many tasks as are asked for that complete, and so many of them at a time.
//!
//! Each completion has a slot, from 0 on, and slots are begun in order. Whether a task that failed
//! is replaced in its slot is for the restart pass to say; a slot that it gives up never completes.
//! A job whose spec changes is executed anew: what was left of the execution before it goes.

use std::collections::BTreeSet;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::{create, has_stopped, set_desired};
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::ServiceId;
use crate::model::object::{JobSize, RestartRecord, Service, Slot, Task, TaskState};
use crate::model::state::State;

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    let of_slots = dirty.slots.iter().map(|(service, _)| *service);
    let ids: BTreeSet<ServiceId> = dirty.services.iter().copied().chain(of_slots).collect();
    for id in ids {
        let Some(service) = view.state.services().find(id) else {
            continue;
        };
        let Some(size) = service.job_size() else {
            continue;
        };
        if dirty.services.contains(&id) {
            let room = view.room.saturating_sub(changes.len());
            changes.extend(end_executions_before(view.state, service, size).take(room));
        }
        let room = view.room.saturating_sub(changes.len());
        go_on(view.state, service, size, room, rng, &mut changes);
    }
    changes
}

/// Begins as many slots as there are left to begin and may be under way.
fn go_on(
    state: &State,
    service: &Service,
    size: JobSize,
    room: usize,
    rng: &mut Rng,
    changes: &mut Vec<Change>,
) {
    let iteration = service.job.unwrap_or_default().iteration;
    let begun = state.jobs().begun(service.id, iteration);
    let free = size
        .concurrent
        .saturating_sub(state.jobs().live(service.id, iteration));
    let left = size.total.saturating_sub(begun);
    let slots = (begun..size.total).take(usize::try_from(free.min(left)).unwrap_or(usize::MAX));
    for slot in slots.take(room).map(Slot::Number) {
        let mut before = state.tasks_of_slot(service.id, slot).into_iter();
        let alone = before.all(|task| has_stopped(state, task));
        let desired = match alone {
            true => TaskState::Running,
            false => TaskState::Ready,
        };
        changes.push(create(
            service.id,
            slot,
            desired,
            RestartRecord::default(),
            rng,
        ));
    }
}

/// What has ended of earlier executions is history; what has not, or has no slot any more, goes.
fn end_executions_before(
    state: &State,
    service: &Service,
    size: JobSize,
) -> impl Iterator<Item = Change> {
    let iteration = service.job.unwrap_or_default().iteration;
    let tasks = state.jobs().before(service.id, iteration);
    let tasks = tasks.filter_map(|id| state.tasks().find(id));
    tasks.filter_map(move |task| {
        let keeps_slot = matches!(task.slot, Slot::Number(slot) if slot < size.total);
        let wanted = end_of(task, keeps_slot);
        (task.desired_state < wanted).then(|| set_desired(task, wanted))
    })
}

/// What is wanted of a task once its job is executed anew.
pub fn end_of(task: &Task, keeps_slot: bool) -> TaskState {
    match keeps_slot && task.status.state.is_terminal() {
        true => TaskState::Shutdown,
        false => TaskState::Remove,
    }
}

#[cfg(test)]
mod tests {
    use crate::manager::orchestrator::{restart, update};
    use crate::manager::words;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        words::check(super::pass, given, expected);
    }

    #[track_caller]
    fn check_restart(given: &str, expected: &str) {
        words::check(restart::pass, given, expected);
    }

    #[test]
    fn slots_are_begun_in_order_and_so_many_at_a_time() {
        check("service sum job3/2", "create sum/0; create sum/1");
        check("service sum job2/9", "create sum/0; create sum/1");
        check("service sum job0/1", "");
        let two = "node a up; service sum job5/2; task 1 sum/0 on a running; \
                   task 2 sum/1 on a starting";
        check(two, "");
        check(&format!("{two}; task 3 sum/2 pending"), "");
    }

    #[test]
    fn a_completion_lets_the_next_slot_begin() {
        let one = "node a up; service sum job3/2; task 1 sum/0 on a complete; \
                   task 2 sum/1 on a running";
        check(one, "create sum/2");
        check(&format!("{one}; task 3 sum/2 on a complete"), "");
        check_restart(one, "");
    }

    #[test]
    fn a_completed_task_stays_completed_wherever_its_node_goes() {
        for gone in ["node a drained", "node a down", "gone a"] {
            let given = format!(
                "node a up; service sum job1/1 restart any; task 1 sum/0 on a complete; {gone}"
            );
            check(&given, "");
            check_restart(&given, "");
        }
    }

    #[test]
    fn a_failed_task_is_replaced_in_its_slot_as_the_policy_says() {
        let given = |policy: &str| {
            format!("node a up; service sum job2/1 {policy}; task 1 sum/0 on a failed attempts 2")
        };
        check_restart(&given(""), "create sum/0; shut down 1");
        check_restart(&given("restart on-failure"), "create sum/0; shut down 1");
        check_restart(&given("restart none"), "shut down 1");
        check_restart(&given("attempts 2"), "shut down 1");
        // Its place is another slot's then.
        check(
            "node a up; service sum job2/1 restart none; \
             task 1 sum/0 on a failed desired shutdown",
            "create sum/1",
        );
    }

    #[test]
    fn a_task_that_waits_to_be_restarted_holds_its_place() {
        check(
            "node a up; service sum job2/1; task 1 sum/0 on a failed desired shutdown; \
             task 2 sum/0 pending desired ready in 5s",
            "",
        );
    }

    #[test]
    fn a_task_that_lost_its_node_is_made_again_elsewhere() {
        check_restart(
            "node a drained; service sum job1/1; task 1 sum/0 on a running",
            "create sum/0 ready; shut down 1",
        );
    }

    #[test]
    fn a_job_that_is_updated_is_executed_anew() {
        let done = "node a up; service sum job3/3; task 1 sum/0 on a complete; \
                    task 2 sum/1 on a running; task 3 sum/2 on a complete";
        check(
            &format!("{done}; service sum job2/2 force 1"),
            "shut down 1; remove 2; remove 3; create sum/0; create sum/1 ready",
        );
        check_restart(
            "node a up; service sum job2/2; task 1 sum/1 on a failed; service sum job2/2 force 1",
            "",
        );
        // Also if its tasks would be made of the same.
        check(
            &format!("{done}; service sum job2/1 label a=b"),
            "shut down 1; remove 2; remove 3; create sum/0",
        );
    }

    #[test]
    fn a_job_is_executed_and_not_updated() {
        words::check(
            update::pass,
            "node a up; service sum job1/1; task 1 sum/0 on a complete; \
             service sum job1/1 image new",
            "",
        );
    }
}
