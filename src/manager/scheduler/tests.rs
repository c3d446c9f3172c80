//! Placement in words.

use crate::manager::words;

#[track_caller]
fn check(given: &str, expected: &str) {
    words::check(super::pass, given, expected);
}

#[test]
fn tasks_are_spread_over_the_nodes() {
    check(
        "node a up; node b up; service web x3; task 1 web/1 new; task 2 web/2 new; \
         task 3 web/3 new",
        "assign 1 to a; assign 2 to b; assign 3 to a",
    );
}

#[test]
fn the_fewest_tasks_of_the_service_count_first_then_the_fewest_of_all() {
    check(
        "node a up; node b up; service web x2; service db x3; task 1 web/1 on a running; \
         task 2 db/1 on b running; task 3 db/2 on b running; task 4 web/2 new",
        "assign 4 to b",
    );
    check(
        "node a up; node b up; service web x1; service db x1; task 1 db/1 on a running; \
         task 2 web/1 new",
        "assign 2 to b",
    );
}

#[test]
fn a_service_larger_than_the_swarm_fills_its_nodes_level_by_level() {
    let many = "node a up; node b up; node c down; service web x7; service db x1; \
                task 1 db/1 on a running; task 2 web/1 on b running; task 3 web/2 on b running; \
                task 4 web/3 on a running";
    check(
        &format!("{many}; task 5 web/4 new; task 6 web/5 new; task 7 web/6 new; task 8 web/7 new"),
        "assign 5 to a; assign 6 to b; assign 7 to a; assign 8 to b",
    );
    check(
        "node a up cpu 2; node b up cpu 9; service web x6 cpu 1; task 1 web/1 on a running; \
         task 2 web/2 new; task 3 web/3 new; task 4 web/4 new; task 5 web/5 new; task 6 web/6 new",
        "assign 2 to b; assign 3 to a; assign 4 to b; assign 5 to b; assign 6 to b",
    );
}

#[test]
fn dead_tasks_do_not_count() {
    check(
        "node a up; node b up; service web x2; task 1 web/1 on a failed desired shutdown; \
         task 2 web/2 on b running; task 3 web/1 new",
        "assign 3 to a",
    );
}

#[test]
fn only_ready_and_active_nodes_take_tasks() {
    check(
        "node a down; node b lost; node c drained; node d paused; service web x1; \
         task 1 web/1 new",
        "1 waits: no suitable node (4 nodes not available for new tasks)",
    );
    check(
        "service web x1; task 1 web/1 new",
        "1 waits: no suitable node",
    );
}

#[test]
fn reservations_fit_into_what_is_left() {
    check(
        "node a up cpu 2 memory 512; service web x3 cpu 1 memory 100; task 1 web/1 new; \
         task 2 web/2 new; task 3 web/3 new",
        "assign 1 to a; assign 2 to a; \
         3 waits: no suitable node (insufficient resources on 1 node)",
    );
    check(
        "node a up cpu 2; service big x1 cpu 2; task 1 big/1 on a running desired shutdown; \
         service web x1 cpu 1; task 2 web/1 new",
        "2 waits: no suitable node (insufficient resources on 1 node)",
    );
    check(
        "node a up; service web x1; task 1 web/1 new",
        "assign 1 to a",
    );
}

#[test]
fn groups_share_what_a_node_has() {
    check(
        "node a up cpu 2; service db x1 cpu 2; service web x1 cpu 1; task 1 db/1 new; \
         task 2 web/1 new",
        "assign 1 to a; 2 waits: no suitable node (insufficient resources on 1 node)",
    );
}

#[test]
fn generic_resources_are_counted_by_pieces() {
    check(
        "node a up generic gpu=one generic gpu=two; service web x3 generic gpu=1; \
         task 1 web/1 new; task 2 web/2 new; task 3 web/3 new",
        "assign 1 to a with gpu=one; assign 2 to a with gpu=two; \
         3 waits: no suitable node (insufficient resources on 1 node)",
    );
    check(
        "node a up generic gpu=3; service web x2 generic gpu=2; task 1 web/1 new; \
         task 2 web/2 new",
        "assign 1 to a with gpu=2; \
         2 waits: no suitable node (insufficient resources on 1 node)",
    );
    check(
        "node a up generic gpu=one generic gpu=two generic tpu=x; \
         service web x1 generic gpu=2 generic tpu=1; task 1 web/1 new",
        "assign 1 to a with gpu=one with gpu=two with tpu=x",
    );
}

#[test]
fn constraints_platform_and_max_replicas_keep_tasks_away() {
    check(
        "node a up; node b up label disk=ssd; service web x1 constraint node.labels.disk==ssd; \
         task 1 web/1 new",
        "assign 1 to b",
    );
    check(
        "node a up arch x86_64; node b up arch aarch64; service web x1 platform arm64; \
         task 1 web/1 new",
        "assign 1 to b",
    );
    check(
        "node a up; service web x2 max 1; task 1 web/1 new; task 2 web/2 new",
        "assign 1 to a; 2 waits: no suitable node (max replicas per node limit exceed)",
    );
}

#[test]
fn the_commonest_reason_is_told_first() {
    check(
        "node a down; node b up arch x86_64; node c up arch x86_64; node d up arch arm64 cpu 1; \
         service web x1 cpu 2 platform arm64; task 1 web/1 new",
        "1 waits: no suitable node (unsupported platform on 2 nodes; \
         1 node not available for new tasks; insufficient resources on 1 node)",
    );
}

#[test]
fn a_node_on_which_the_service_keeps_failing_comes_last() {
    let failed = |ago: &str| {
        let task = |n: u32| format!("task {n} web/1 on a failed desired shutdown ago {ago}");
        let tasks: Vec<_> = (1..=5).map(task).collect();
        format!(
            "node a up; node b up; service web x2; {}; task 8 web/2 on b running; \
             task 9 web/1 new attempts 5",
            tasks.join(";")
        )
    };
    check(&failed("10s"), "assign 9 to b");
    check(&failed("6m"), "assign 9 to a");
}

#[test]
fn tasks_are_spread_over_what_the_service_prefers() {
    let nodes = "node a up label rack=1; node b up label rack=1; node c up label rack=2; \
                 node d up";
    let tasks = "task 1 web/1 new; task 2 web/2 new; task 3 web/3 new; task 4 web/4 new";
    check(
        &format!("{nodes}; service web x4 spread node.labels.rack; {tasks}"),
        "assign 1 to d; assign 2 to a; assign 3 to c; assign 4 to d",
    );
    check(
        &format!("{nodes}; service web x4 spread node.labels.rack spread node.hostname; {tasks}"),
        "assign 1 to d; assign 2 to a; assign 3 to c; assign 4 to d",
    );
    check(
        &format!("{nodes}; service web x4 spread node.labels.rack max 1; {tasks}"),
        "assign 1 to d; assign 2 to a; assign 3 to c; assign 4 to b",
    );
}

#[test]
fn tasks_that_are_no_longer_wanted_are_not_placed() {
    check(
        "node a up; service web x1; task 1 web/1 new desired remove",
        "",
    );
}
