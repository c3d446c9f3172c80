//! Updates and rollbacks in words.

use crate::manager::words;
use crate::model::id::TaskId;

#[track_caller]
fn check(given: &str, expected: &str) {
    words::check(super::pass, given, expected);
}

/// What a service does that begins an update, and then goes on.
#[track_caller]
fn check_begin(given: &str, expected: &str) {
    let expected = match expected {
        "" => "web updating: update in progress".to_owned(),
        more => format!("web updating: update in progress; {more}"),
    };
    check(given, &expected);
}

const OLD: &str = "node a up; service web x3; task 1 web/1 on a running; \
                   task 2 web/2 on a running; task 3 web/3 on a running";

/// What is done `due to failure or early termination` of a task, in Docker's words.
fn because(what: &str, task: u128) -> String {
    let id = TaskId(task);
    format!("{what} due to failure or early termination of task {id}")
}

/// A service of three whose update with these options has begun.
fn updating(options: &str, then: &str) -> String {
    format!("{OLD}; service web x3 image new {options}; updating web slots 3; {then}")
}

#[test]
fn an_update_begins_with_as_many_slots_as_the_parallelism_and_zero_is_all() {
    check(OLD, "");
    let new = |options: &str| format!("{OLD}; service web x3 image new {options}");
    check_begin(&new(""), "create web/1 ready; shut down 1");
    check_begin(
        &new("parallelism 2"),
        "create web/1 ready; shut down 1; create web/2 ready; shut down 2",
    );
    check_begin(
        &new("parallelism 0"),
        "create web/1 ready; shut down 1; create web/2 ready; shut down 2; \
         create web/3 ready; shut down 3",
    );
}

#[test]
fn the_next_slot_comes_when_a_new_task_runs() {
    let first = |state: &str| updating("", &format!("task 4 web/1 on a {state} by update"));
    for state in ["pending", "preparing", "ready", "starting"] {
        check(&first(state), "");
    }
    check(&first("running"), "create web/2 ready; shut down 2");
    let two = "task 4 web/1 on a running by update; task 5 web/2 on a starting by update";
    check(
        &updating("parallelism 2", two),
        "create web/3 ready; shut down 3",
    );
}

#[test]
fn each_slot_rests_for_the_delay_after_its_own_task_came_up() {
    let one = |ago: &str| {
        let task = format!("task 4 web/1 on a running by update ago {ago}");
        updating("update-delay 10s", &task)
    };
    check(&one("9s"), "");
    check(&one("10s"), "create web/2 ready; shut down 2");
    let two = "task 4 web/1 on a running by update ago 10s; \
               task 5 web/2 on a running by update ago 1s";
    check(
        &updating("update-delay 10s parallelism 2", two),
        "create web/3 ready; shut down 3",
    );
}

#[test]
fn what_does_not_run_is_replaced_first() {
    check_begin(
        "node a up; service web x2; task 1 web/1 on a running; task 2 web/2 pending; \
         service web x2 image new",
        "create web/2 ready; shut down 2",
    );
}

#[test]
fn with_start_first_the_old_task_runs_on_beside_the_new_one() {
    let new = "service web x3 image new order start-first";
    check_begin(&format!("{OLD}; {new}"), "create web/1");
    let given = |task: &str| updating("order start-first", task);
    check(&given("task 4 web/1 on a starting by update"), "");
    words::check(
        super::super::restart::pass,
        &given("task 4 web/1 on a starting by update"),
        "",
    );
    words::check(
        super::super::restart::pass,
        &given("task 4 web/1 on a running by update"),
        "shut down 1",
    );
    words::check(
        super::super::restart::pass,
        &given("task 4 web/1 on a failed by update"),
        "create web/1; shut down 4",
    );
    check_begin(
        "node a up; service web x1; task 1 web/1 pending; \
         service web x1 image new order start-first",
        "create web/1 ready; shut down 1",
    );
}

#[test]
fn an_update_is_complete_when_its_last_task_has_run_for_the_monitor_time() {
    let given = |monitor: &str, ago: &str| {
        format!(
            "node a up; service web x1; task 1 web/1 on a shutdown desired shutdown; \
             service web x1 image new {monitor}; updating web slots 1; \
             task 2 web/1 on a running by update ago {ago}"
        )
    };
    check(&given("", "4s"), "");
    check(&given("", "5s"), "web completed: update completed");
    check(&given("monitor 20s", "19s"), "");
    check(
        &given("monitor 20s", "20s"),
        "web completed: update completed",
    );
}

#[test]
fn a_task_that_ends_early_pauses_the_update() {
    let because = because("web paused: update paused", 4);
    let given = |task: &str| updating("", &format!("task 4 web/1 on a {task} by update"));
    for task in ["failed", "rejected", "complete", "failed up 5s"] {
        check(&given(task), &format!("count 4; {because}"));
    }
    // It had run for long enough; and whoever was told to stop has not failed.
    check(&given("failed up 6s"), "create web/2 ready; shut down 2");
    check(
        &given("shutdown desired shutdown"),
        "create web/2 ready; shut down 2",
    );
}

#[test]
fn a_paused_update_does_nothing_until_the_service_is_updated_again() {
    let paused = updating("", "task 4 web/1 on a failed by update; paused web");
    check(&paused, "");
    check_begin(
        &format!("{paused}; task 5 web/1 on a running; service web x3 image new"),
        "create web/2 ready; shut down 2",
    );
}

#[test]
fn failures_within_the_ratio_are_tolerated_and_counted_once() {
    let failed = |n: u32, slot: u32| format!("task {n} web/{slot} on a failed by update");
    check(
        &updating("ratio 0.34", &failed(4, 1)),
        "count 4; create web/2 ready; shut down 2",
    );
    let two = format!("{}; {}", failed(4, 1), failed(5, 2));
    check(
        &updating("ratio 0.34", &two),
        &format!(
            "count 4; count 5; {}",
            because("web paused: update paused", 5)
        ),
    );
    check(
        &format!("{}; failures web 1", updating("ratio 0.34", &failed(4, 1))),
        &format!("count 4; {}", because("web paused: update paused", 4)),
    );
}

#[test]
fn with_continue_failures_stop_nothing() {
    check(
        &updating("action continue", "task 4 web/1 on a failed by update"),
        "create web/2 ready; shut down 2",
    );
}

#[test]
fn with_rollback_a_failure_brings_the_previous_spec_back() {
    words::check_first(
        super::pass,
        &updating("action rollback", "task 4 web/1 on a failed by update"),
        &format!(
            "count 4; {}",
            because("web rolls back: update rolled back", 4)
        ),
    );
}

#[test]
fn a_rollback_goes_over_the_new_tasks_only_with_its_own_configuration() {
    let given = |then: &str| {
        let new = "service web x3 image new";
        format!(
            "node a up; service web x3 rollback-parallelism 2; \
             task 1 web/1 on a shutdown desired shutdown; \
             task 2 web/2 on a shutdown desired shutdown; task 3 web/3 on a running; {new}; \
             updating web slots 3; task 4 web/1 on a failed desired shutdown by update; \
             task 5 web/2 on a running by update; back web; {then}"
        )
    };
    check(
        &given(""),
        "web rollback_started: asked for; create web/1 ready; create web/2 ready; shut down 5",
    );
    check(
        &given("rolling web slots 2; task 6 web/1 on a failed by update"),
        &format!(
            "count 6; {}",
            because("web rollback_paused: rollback paused", 6)
        ),
    );
    let both = "task 6 web/1 on a running by update ago 9s; \
                task 7 web/2 on a running by update ago 5s; retire 5";
    check(
        &given(&format!("rolling web slots 2; {both}")),
        "web rollback_completed: rollback completed",
    );
}

#[test]
fn a_rollback_keeps_the_old_task_that_start_first_left_running() {
    check(
        &format!(
            "{OLD}; service web x3 image new order start-first; updating web slots 3; \
             task 4 web/1 on a starting by update; back web"
        ),
        "shut down 4; web rollback_completed: rollback completed",
    );
}

#[test]
fn scaling_updates_nothing_and_new_slots_hold_nothing_up() {
    check(&format!("{OLD}; service web x5"), "");
    check(
        &updating(
            "",
            "task 4 web/1 on a running by update; task 5 web/4 pending",
        ),
        "create web/2 ready; shut down 2",
    );
}

#[test]
fn a_forced_update_replaces_tasks_of_the_same_template() {
    check_begin(
        &format!("{OLD}; service web x3 force 1"),
        "create web/1 ready; shut down 1",
    );
}

#[test]
fn a_slot_that_was_tried_is_not_tried_again() {
    check(
        &updating(
            "action continue order start-first restart none",
            "task 4 web/1 on a failed desired shutdown by update",
        ),
        "create web/2",
    );
}

#[test]
fn nodes_without_a_task_of_a_global_service_are_left_out() {
    let given = "node a up; node b drained; service web global; task 1 web/a on a running; \
                 task 2 web/b on b shutdown desired shutdown; service web global image new";
    check_begin(given, "create web/a ready; shut down 1");
}
