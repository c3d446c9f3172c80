//! One task of a global service on each node that is eligible: it is there, is not drained, and
//! satisfies the constraints.
//!
//! A node that stops being eligible loses its task, and one that becomes eligible again gets a new
//! one. Whether a task that ended by itself is replaced is for the restart pass to say. A paused
//! node keeps what it has and gets nothing new.
//!
//! So it is with a global job, whose tasks stay completed. Each execution has tasks of its own, and
//! what was left of the one before it goes.

use std::collections::BTreeSet;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::jobs::end_of;
use crate::manager::orchestrator::{create, has_stopped, is_lost, restart, satisfies, set_desired};
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::{NodeId, ServiceId};
use crate::model::object::{NodeState, RestartRecord, Service, Slot, Task, TaskState};
use crate::model::spec::node::Availability;
use crate::model::state::State;

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, node) in places(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        if let Some(service) = view.state.services().find(id) {
            fill(view, service, node, rng, &mut changes);
        }
    }
    changes
}

/// Where to look: at every node for a service that changed, at every global service for a node
/// that changed, and at the slots that did.
fn places(state: &State, dirty: &Dirty) -> BTreeSet<(ServiceId, NodeId)> {
    let is_global = |id: &ServiceId| state.services().find(*id).is_some_and(|s| s.is_global());
    let mut places = BTreeSet::new();
    for id in dirty.services.iter().filter(|id| is_global(id)) {
        places.extend(state.nodes().iter().map(|node| (*id, node.id)));
        let tasks = state.tasks_of_service(*id);
        places.extend(tasks.filter_map(|task| Some((*id, task.place()?))));
    }
    for service in state.global_services().filter(|_| !dirty.nodes.is_empty()) {
        places.extend(dirty.nodes.iter().map(|node| (service.id, *node)));
    }
    for (id, slot) in &dirty.slots {
        if let Slot::Node(node) = slot
            && is_global(id)
        {
            places.insert((*id, *node));
        }
    }
    places
}

fn fill(view: &View<'_>, service: &Service, id: NodeId, rng: &mut Rng, changes: &mut Vec<Change>) {
    let slot = Slot::Node(id);
    let mut tasks = view.state.tasks_of_slot(service.id, slot);
    tasks.retain(|task| task.desired_state < TaskState::Remove);
    let Some(node) = view.state.nodes().find(id) else {
        let removed = tasks
            .iter()
            .map(|task| set_desired(task, TaskState::Remove));
        return changes.extend(removed);
    };
    let (tasks, before): (Vec<_>, Vec<_>) =
        tasks.into_iter().partition(|task| service.executes(task));
    let ended = before.iter().map(|task| (task, end_of(task, true)));
    let ended = ended.filter(|(task, wanted)| task.desired_state < *wanted);
    changes.extend(ended.map(|(task, wanted)| set_desired(task, wanted)));
    if is_lost(node) || !satisfies(&service.spec.task, node) {
        let wanted = tasks
            .iter()
            .filter(|t| t.desired_state <= TaskState::Running && !t.has_completed());
        // What never had the node leaves no history.
        return changes.extend(wanted.map(|task| match task.node {
            Some(_) => set_desired(task, TaskState::Shutdown),
            None => set_desired(task, TaskState::Remove),
        }));
    }
    // Newer ones may have been given up, by an update that was rolled back.
    let is_wanted = |task: &Task| task.desired_state <= TaskState::Running;
    let is_done = || tasks.last().is_some_and(|task| is_done(service, task));
    let is_held = tasks.iter().any(|task| is_wanted(task)) || is_done();
    let takes_new =
        node.status.state == NodeState::Ready && node.spec.availability == Availability::Active;
    if takes_new && !is_held {
        let mut all = tasks.iter().chain(&before);
        let alone = all.all(|task| has_stopped(view.state, task));
        let state = match alone {
            true => TaskState::Running,
            false => TaskState::Ready,
        };
        let new = RestartRecord::default();
        changes.push(create(service.id, slot, state, new, rng));
    }
}

/// Whether the newest task of a node needs no other: it has done what it was for.
fn is_done(service: &Service, newest: &Task) -> bool {
    let by_itself = [TaskState::Complete, TaskState::Failed, TaskState::Rejected];
    by_itself.contains(&newest.status.state)
        && newest.task_version == service.task_version
        && restart::is_done(service, newest)
}

#[cfg(test)]
mod tests {
    use crate::manager::{scheduler, words};

    #[track_caller]
    fn check(given: &str, expected: &str) {
        words::check(super::pass, given, expected);
    }

    #[test]
    fn each_node_that_is_there_has_one_task() {
        check(
            "node a up; node b up; service web global",
            "create web/a; create web/b",
        );
        check(
            "node a up; node b up; service web global; task 1 web/a on a running",
            "create web/b",
        );
        for absent in ["down", "lost", "drained", "paused"] {
            check(&format!("node a {absent}; service web global"), "");
        }
    }

    /// Seed 1237 of the simulator: an update that was rolled back had given up its task before a
    /// paused node could have it, and the node got a second beside the one that it had kept.
    #[test]
    fn a_newer_task_that_was_given_up_makes_no_room_for_another() {
        let given = "node a up; service web global; task 1 web/a on a running";
        check(
            &format!("{given}; task 2 web/a pending desired shutdown"),
            "",
        );
    }

    #[test]
    fn constraints_say_which_nodes_are_meant() {
        let on = "service web global constraint node.labels.disk==ssd";
        check(
            &format!("node a up label disk=ssd; node b up; {on}"),
            "create web/a",
        );
        check(
            &format!("node a up; {on}; task 1 web/a on a running"),
            "shut down 1",
        );
    }

    #[test]
    fn a_node_that_is_drained_or_down_loses_its_task_and_gets_another_when_it_is_back() {
        let given = "node a up; service web global; task 1 web/a on a running";
        check(given, "");
        check(&format!("{given}; node a drained"), "shut down 1");
        check(&format!("{given}; node a down"), "shut down 1");
        for kept in ["lost", "paused"] {
            check(&format!("{given}; node a {kept}"), "");
        }
        let back = |state: &str| {
            format!("node a up; service web global; task 1 web/a on a {state} desired shutdown")
        };
        check(&back("shutdown"), "create web/a");
        check(&back("running"), "create web/a ready");
    }

    #[test]
    fn a_task_that_waits_for_its_node_goes_without_history() {
        check(
            "node a drained; service web global; task 1 web/a pending",
            "remove 1",
        );
    }

    #[test]
    fn a_node_that_is_gone_takes_its_tasks_along() {
        check(
            "node a up; service web global; task 1 web/a on a failed desired shutdown; \
             task 2 web/a on a running; gone a",
            "remove 1; remove 2",
        );
    }

    #[test]
    fn a_task_that_did_what_it_was_for_is_not_made_again() {
        let given = |restart: &str, end: &str| {
            format!(
                "node a up; service web global {restart}; \
                 task 1 web/a on a {end} desired shutdown attempts 2"
            )
        };
        check(&given("restart none", "failed"), "");
        check(&given("restart on-failure", "complete"), "");
        check(&given("attempts 2", "failed"), "");
        check(&given("restart on-failure", "failed"), "create web/a");
        let other = "service web global restart none image other";
        check(
            &format!("{}; {other}", given("restart none", "failed")),
            "create web/a",
        );
    }

    #[test]
    fn whoever_ends_is_for_the_restart_pass() {
        let given = "node a up; service web global; task 1 web/a on a failed";
        check(given, "");
        words::check(super::restart::pass, given, "create web/a; shut down 1");
        words::check(super::restart::pass, &format!("{given}; node a down"), "");
    }

    #[test]
    fn a_global_job_completes_once_on_each_node() {
        let done = "node a up; service sum global-job; task 1 sum/a on a complete";
        check(done, "");
        check(&format!("{done}; node b up"), "create sum/b");
        for gone in ["node a drained", "node a down", "node a paused"] {
            check(&format!("{done}; {gone}"), "");
            check(&format!("{done}; {gone}; node a up"), "");
        }
        let on = |state: &str| done.replace("complete", state);
        check(&format!("{}; node a drained", on("running")), "shut down 1");
        words::check(
            super::restart::pass,
            &on("failed"),
            "create sum/a; shut down 1",
        );
        words::check(super::restart::pass, done, "");
    }

    #[test]
    fn a_global_job_that_is_updated_is_executed_anew() {
        let again = |state: &str| {
            format!(
                "node a up; service sum global-job; task 1 sum/a on a {state}; \
                 service sum global-job force 1"
            )
        };
        check(&again("complete"), "shut down 1; create sum/a");
        check(&again("running"), "remove 1; create sum/a ready");
    }

    #[test]
    fn a_nodes_task_goes_nowhere_else() {
        let given = "node a up cpu 1; node b up cpu 9; service web global cpu 2; \
                     task 1 web/a pending; task 2 web/b pending";
        words::check(
            scheduler::pass,
            given,
            "1 waits: no suitable node (insufficient resources on 1 node); assign 2 to b",
        );
    }
}
