//! The restart policy in words.

use crate::manager::words;

#[track_caller]
fn check(given: &str, expected: &str) {
    words::check(super::pass, given, expected);
}

#[track_caller]
fn check_promote(given: &str, expected: &str) {
    words::check(super::promote, given, expected);
}

#[test]
fn a_task_whose_node_does_not_satisfy_its_constraints_any_more_goes_elsewhere() {
    let on = |service: &str| {
        format!(
            "node a up label disk=ssd; service web {service} constraint node.labels.disk==ssd; \
             task 1 web/1 on a running"
        )
    };
    check(&on("x1"), "");
    check(
        &format!("{}; node a up label disk=hdd", on("x1 delay 5s")),
        "create web/1 ready; shut down 1",
    );
    check(
        &format!("{}; node a paused", on("x1")),
        "create web/1 ready; shut down 1",
    );
    // It is what the task was made from that counts.
    check(
        "node a up; service web x1; task 1 web/1 on a running; \
         service web x1 constraint node.labels.disk==ssd",
        "",
    );
}

#[test]
fn a_task_that_ended_is_replaced_at_once_the_first_time() {
    for end in ["failed", "complete", "rejected", "shutdown"] {
        let given = format!("service web x1; node a up; task 1 web/1 on a {end}");
        check(&given, "create web/1; shut down 1");
    }
    check("service web x1; node a up; task 1 web/1 on a running", "");
}

#[test]
fn a_replacement_is_not_let_run_while_an_older_task_of_the_slot_still_stops() {
    let given = "service web x1; node a up; node b up; task 1 web/1 on a running desired shutdown; \
                 task 2 web/1 on b failed";
    check(given, "create web/1 ready; shut down 2");
    check(
        &format!("{given}; node a down"),
        "create web/1; shut down 2",
    );
}

#[test]
fn the_condition_says_which_ends_count() {
    let web = |condition: &str, end: &str| {
        format!("service web x1 restart {condition}; node a up; task 1 web/1 on a {end}")
    };
    check(&web("none", "failed"), "shut down 1");
    check(&web("on-failure", "complete"), "shut down 1");
    check(&web("on-failure", "failed"), "create web/1; shut down 1");
    check(&web("any", "complete"), "create web/1; shut down 1");
}

#[test]
fn the_back_off_doubles_up_to_five_minutes() {
    let step = |step: u8| {
        format!("service web x1; node a up; task 1 web/1 on a failed step {step} attempts 1")
    };
    check(&step(1), "create web/1 ready in 500ms; shut down 1");
    check(&step(2), "create web/1 ready in 1000ms; shut down 1");
    check(&step(5), "create web/1 ready in 8000ms; shut down 1");
    check(&step(11), "create web/1 ready in 300000ms; shut down 1");
    check(&step(200), "create web/1 ready in 300000ms; shut down 1");
}

#[test]
fn the_larger_of_delay_and_back_off_counts() {
    let web = |delay: &str, step: u8| {
        let task = format!("task 1 web/1 on a failed step {step}");
        format!("service web x1 delay {delay}; node a up; {task}")
    };
    check(&web("5s", 0), "create web/1 ready in 5000ms; shut down 1");
    check(&web("5s", 9), "create web/1 ready in 128000ms; shut down 1");
    check(&web("0s", 0), "create web/1; shut down 1");
}

#[test]
fn without_back_off_the_delay_is_the_specs_or_swarms() {
    let web = |options: &str| {
        let label = "label skep.restart-backoff=false";
        format!("service web x1 {label} {options}; node a up; task 1 web/1 on a failed step 9")
    };
    check(&web(""), "create web/1 ready in 5000ms; shut down 1");
    check(
        &web("delay 1s"),
        "create web/1 ready in 1000ms; shut down 1",
    );
}

#[test]
fn ten_minutes_up_reset_the_back_off() {
    let task = |made: &str| format!("task 1 web/1 on a failed step 7 made {made}");
    let given = |made: &str| format!("service web x1; node a up; {}", task(made));
    check(&given("9m"), "create web/1 ready in 32000ms; shut down 1");
    check(&given("10m"), "create web/1; shut down 1");
}

#[test]
fn attempts_end_with_the_window() {
    let web = |options: &str, task: &str| {
        format!("service web x1 {options}; node a up; task 1 web/1 on a failed {task}")
    };
    check(
        &web("attempts 3", "attempts 2 window 5s"),
        "create web/1; shut down 1",
    );
    check(&web("attempts 3", "attempts 3 window 5s"), "shut down 1");
    check(
        &web("attempts 3 window 10s", "attempts 3 window 5s"),
        "shut down 1",
    );
    check(
        &web("attempts 3 window 10s", "attempts 3 window 11s"),
        "create web/1; shut down 1",
    );
    check(
        &web("attempts 0", "attempts 99"),
        "create web/1; shut down 1",
    );
}

#[test]
fn an_update_begins_with_a_clean_record() {
    check(
        "service web x1 attempts 3; node a up; task 1 web/1 on a failed attempts 3 step 9; \
         service web x1 attempts 3 image new",
        "create web/1; shut down 1",
    );
}

#[test]
fn a_task_on_a_node_that_is_down_is_replaced_after_the_delay() {
    let task = "task 1 web/1 on a running step 4";
    check(
        &format!("service web x1; node a down; {task}"),
        "create web/1; shut down 1",
    );
    check(
        &format!("service web x1 delay 5s; node a down; {task}"),
        "create web/1 ready in 5000ms; shut down 1",
    );
    check(&format!("service web x1; node a lost; {task}"), "");
    check(
        &format!("service web x1; node a up; {task}; gone a"),
        "create web/1; shut down 1",
    );
}

#[test]
fn a_drained_nodes_task_is_replaced_without_delay_once_it_has_stopped() {
    check(
        "service web x1 delay 5s; node a drained; task 1 web/1 on a running",
        "create web/1 ready; shut down 1",
    );
}

#[test]
fn of_two_tasks_in_a_slot_the_older_goes() {
    check(
        "service web x1; node a up; task 1 web/1 on a running; task 2 web/1 on a running",
        "shut down 1",
    );
    check(
        "service web x1; node a up; task 1 web/1 on a failed; task 2 web/1 on a assigned",
        "shut down 1",
    );
}

#[test]
fn tasks_of_services_that_are_gone_or_given_up_are_not_replaced() {
    check(
        "service web x1; node a up; task 1 web/1 on a failed; gone web",
        "",
    );
    check(
        "service web x1; node a up; task 1 web/1 on a failed desired remove",
        "",
    );
}

#[test]
fn a_replacement_runs_when_its_time_has_come_and_the_old_task_has_stopped() {
    let given = |old: &str, new: &str| {
        format!(
            "service web x1; node a up; node b down; task 1 web/1 {old} desired shutdown; \
             task 2 web/1 on a {new} desired ready made 1s"
        )
    };
    check_promote(&given("on a failed", "ready"), "run 2");
    check_promote(&given("on a failed", "preparing"), "run 2");
    check_promote(&given("on a failed", "ready in 1ms"), "");
    check_promote(&given("on a running", "ready"), "");
    check_promote(&given("on b running", "ready"), "run 2");
    check_promote(&given("pending", "ready"), "run 2");
}

#[test]
fn a_replacement_waits_a_minute_for_an_old_task_and_no_longer() {
    let given = |made: &str| {
        format!(
            "service web x1; node a up; task 1 web/1 on a running desired shutdown; \
             task 2 web/1 on a ready desired ready made {made}"
        )
    };
    check_promote(&given("59s"), "");
    check_promote(&given("60s"), "run 2");
}

#[test]
fn a_replacement_runs_though_a_newer_one_was_made_and_given_up() {
    let given = |newer: &str| {
        format!(
            "service web x1; node a up; task 1 web/1 on a ready desired ready made 1s; \
             task 2 {newer}"
        )
    };
    check_promote(&given("web/1 on a running desired shutdown"), "");
    check_promote(&given("web/1 on a shutdown desired shutdown"), "run 1");
}
