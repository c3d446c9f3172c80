//! No manager can be reached, and containers end.

use super::*;
use crate::model::spec::task::{RestartCondition, RestartPolicy};

/// `web.1` runs, its manager is gone, and its container ends.
const ENDS: &str = "disconnected; exits 1; ";
/// The next attempt, once it is time for it.
const AGAIN: &str = "is removed; prepared; started; ";
const DONE_AGAIN: &str = "+prepare; +start; -; ";

/// A story of `web.1` with this policy, that begins when it runs.
#[track_caller]
fn check_with(policy: RestartPolicy, label: &str, story: &str, expect: &str) {
    let mut world = World::running(policy, label);
    let seen: Vec<_> = story
        .split(';')
        .map(|one| world.clause(one.trim()))
        .collect();
    assert_eq!(seen.join("; "), expect);
}

#[track_caller]
fn check_alone(story: &str, expect: &str) {
    check_with(RestartPolicy::default(), "", story, expect);
}

impl World {
    fn running(policy: RestartPolicy, label: &str) -> Self {
        let mut world = Self::default();
        let mut task = assignment("web.1", "running");
        Arc::make_mut(&mut task.spec).restart = Some(policy);
        let (key, value) = label.split_once('=').unwrap_or_default();
        task.service_labels = [(key.to_owned(), value.to_owned())].into();
        task.of_job = value == "true" || key == "job";
        world.clause("connected");
        world.clause("full");
        world.difference(vec![task], &[], &[]);
        world.clause("prepared");
        world.clause("started");
        world
    }
}

#[test]
fn a_task_that_ends_is_run_again_once_its_manager_has_been_gone_for_half_a_minute() {
    check_alone(
        &format!("{ENDS}after 29999ms; after 1ms; {AGAIN}after 900s"),
        &format!("-; -; -; +remove; {DONE_AGAIN}-"),
    );
}

#[test]
fn a_manager_that_is_back_sooner_is_told_of_the_end_and_decides_itself() {
    check_alone(
        &format!("{ENDS}after 29s; connected; full web.1 running/running; after 500s"),
        "-; -; -; hello; failed (task: non-zero exit (1)); -",
    );
}

#[test]
fn a_manager_that_is_back_later_is_told_that_the_task_runs_and_of_its_restarts() {
    let mut world = World::running(RestartPolicy::default(), "");
    let story = format!("{ENDS}after 30s; {AGAIN}connected");
    story
        .split("; ")
        .for_each(|clause| drop(world.clause(clause)));
    let effects = world.full(&["web.1", "running/running"]);
    let [Effect::Send(ToManager::Status(updates))] = &effects[..] else {
        panic!("{effects:?}");
    };
    let status = &updates[0].status;
    assert_eq!(status.state, TaskState::Running);
    assert_eq!(status.restarts.map(|restarts| restarts.attempts), Some(1));
    assert_eq!(status.at, world.now);
    let container = status.container.as_ref().unwrap();
    let attempt = world.records[&TaskId(1)].attempt;
    assert_eq!(attempt.number, 2);
    assert_eq!(container.container_id, attempt.container.to_string());
    assert_eq!(container.log_tail, b"last words");
}

#[test]
fn what_ends_while_the_node_is_alone_is_run_again_at_once_and_then_later_each_time() {
    check_alone(
        &format!(
            "disconnected; after 40s; exits 1; {AGAIN}\
             exits 1; after 499ms; after 1ms; {AGAIN}exits 1; after 999ms; after 1ms"
        ),
        &format!("-; -; +remove; {DONE_AGAIN}-; -; +remove; {DONE_AGAIN}-; -; +remove"),
    );
}

#[test]
fn the_policy_holds_for_a_node_that_is_alone_too() {
    let once = RestartPolicy {
        max_attempts: Some(1),
        ..RestartPolicy::default()
    };
    check_with(
        once,
        "",
        &format!(
            "{ENDS}after 30s; {AGAIN}exits 1; after 900s; connected; full web.1 running/running"
        ),
        &format!(
            "-; -; +remove; {DONE_AGAIN}-; -; hello; running, failed (task: non-zero exit (1))"
        ),
    );
    let never = RestartPolicy {
        condition: Some(RestartCondition::None),
        ..RestartPolicy::default()
    };
    check_with(never, "", &format!("{ENDS}after 900s"), "-; -; -");
    let on_failure = || RestartPolicy {
        condition: Some(RestartCondition::OnFailure),
        ..RestartPolicy::default()
    };
    check_with(
        on_failure(),
        "",
        "disconnected; exits 0; after 900s",
        "-; -; -",
    );
    check_with(
        on_failure(),
        "",
        &format!("{ENDS}after 30s"),
        "-; -; +remove",
    );
    let later = RestartPolicy {
        delay_ns: Some(60_000_000_000),
        ..RestartPolicy::default()
    };
    let waits = format!("{ENDS}after 59999ms; after 1ms");
    check_with(later, "", &waits, "-; -; -; +remove");
}

#[test]
fn a_job_is_run_again_only_if_it_asks_for_it_and_a_service_may_ask_not_to_be() {
    let policy = RestartPolicy::default;
    let waits = format!("{ENDS}after 900s");
    check_with(policy(), "job=", &waits, "-; -; -");
    check_with(policy(), "skep.restart-alone=true", &waits, "-; -; +remove");
    check_with(policy(), "skep.restart-alone=false", &waits, "-; -; -");
}

#[test]
fn what_shall_not_run_is_not_run_again() {
    check_alone(
        "desired shutdown; disconnected; exits 143; after 900s",
        "+stop; -; -; -",
    );
    check_alone(
        &format!("{ENDS}after 30s; connected; full web.1 shutdown/running; is removed; after 500s"),
        "-; -; +remove; hello; running, shutdown; -; -",
    );
    check_alone(
        &format!("{ENDS}after 30s; leave; is removed"),
        "-; -; +remove; -; done",
    );
}

#[test]
fn a_node_that_managers_refuse_runs_nothing_again() {
    check_alone(
        &format!("{ENDS}connected; refused; after 900s; connected; full web.1 running/running"),
        "-; -; hello; hang up; -; hello; failed (task: non-zero exit (1))",
    );
}

#[test]
fn an_attempt_that_cannot_be_made_is_followed_by_the_next() {
    check_alone(
        &format!(
            "{ENDS}after 30s; is removed; prepare fails: no image; after 499ms; after 1ms; \
             {AGAIN}after 1s"
        ),
        &format!("-; -; +remove; +prepare; -; -; +remove; {DONE_AGAIN}-"),
    );
}

#[test]
fn what_is_left_of_an_attempt_is_removed_before_the_next() {
    check_alone(
        &format!("{ENDS}after 30s; is not removed; after 10s; {AGAIN}after 1s"),
        &format!("-; -; +remove; -; +remove; {DONE_AGAIN}-"),
    );
}

#[test]
fn a_daemon_that_starts_without_a_manager_waits_ten_seconds_for_one() {
    check_alone(
        &format!("restarted, exits 1; after 9999ms; after 1ms; {AGAIN}after 1s"),
        &format!("-; -; +remove; {DONE_AGAIN}-"),
    );
}

#[test]
fn secrets_that_may_not_rest_on_a_disk_are_waited_for_by_the_next_daemon() {
    let begun = |sent: &str| format!("{sent}; full web.1 running+7; prepared; started; ");
    let began = "-; +prepare pw, accepted, preparing; +start, ready, starting; running; ";
    for ends in ["restarted, exits 1", "the host restarts"] {
        check(
            &format!("{}{ends}; after 900s", begun("sent 7 pw never")),
            &format!("{began}-; -"),
        );
        check(
            &format!("{}{ends}; after 10s; is removed", begun("sent 7 pw")),
            &format!("{began}-; +remove; +prepare pw"),
        );
        // The swarm was locked meanwhile.
        check(
            &format!("{}sent 7 pw never; {ends}; after 900s", begun("sent 7 pw")),
            &format!("{began}-; -; -"),
        );
    }
    check(
        &format!("{}{ENDS}after 30s; is removed", begun("sent 7 pw never")),
        &format!("{began}-; -; +remove; +prepare pw"),
    );
}

#[test]
fn what_no_task_needs_any_more_is_forgotten() {
    let mut world = World::default();
    let mut seen = |clause: &str| {
        world.clause(clause);
        world.kept.len()
    };
    for clause in ["connected", "sent 7 pw", "full web.1 running+7"] {
        assert_eq!(seen(clause), 0);
    }
    assert_eq!(seen("prepared"), 2);
    assert_eq!(seen("desired shutdown"), 0);
}

#[test]
fn a_host_that_starts_without_a_manager_runs_again_what_ran_there() {
    check_alone(
        &format!("the host restarts; after 9999ms; after 1ms; {AGAIN}after 1s"),
        &format!("-; -; +remove; {DONE_AGAIN}-"),
    );
    check_alone(
        &format!("the host restarts; after 10s; {AGAIN}the host restarts; after 10s"),
        &format!("-; +remove; {DONE_AGAIN}-; +remove"),
    );
}

#[test]
fn a_host_that_restarts_counts_as_an_end_like_any_other() {
    let once = RestartPolicy {
        max_attempts: Some(1),
        ..RestartPolicy::default()
    };
    check_with(
        once,
        "",
        &format!("the host restarts; after 10s; {AGAIN}the host restarts; after 900s"),
        &format!("-; +remove; {DONE_AGAIN}-; -"),
    );
}

#[test]
fn a_manager_that_is_there_soon_after_is_told_what_was_lost() {
    let lost = "failed (exit unknown: the container is gone, as after a restart of the host)";
    check_alone(
        "the host restarts; connected; full web.1 running/running; after 500s",
        &format!("-; hello; {lost}; -"),
    );
    check_alone(
        "the host restarts; connected; full web.1 shutdown/running",
        "-; hello; shutdown",
    );
    check_alone(
        "the host restarts; connected; full; after 500s",
        "-; hello; -; -",
    );
}

#[test]
fn what_shall_not_run_is_not_remembered() {
    let waits = "the host restarts; after 900s";
    check_alone(&format!("desired shutdown; {waits}"), "+stop; -; -");
    check_alone(&format!("removed; {waits}"), "+stop; -; -");
    let seen = |policy, label, story: &str| {
        let mut world = World::running(policy, label);
        story.split("; ").for_each(|one| drop(world.clause(one)));
        world.kept.len()
    };
    let policy = RestartPolicy::default;
    let never = RestartPolicy {
        condition: Some(RestartCondition::None),
        ..policy()
    };
    assert_eq!(seen(policy(), "", "disconnected"), 1);
    assert_eq!(seen(policy(), "", "exits 1"), 0);
    assert_eq!(seen(policy(), "", "leave"), 0);
    assert_eq!(seen(policy(), "job=", "disconnected"), 0);
    assert_eq!(
        seen(policy(), "skep.restart-alone=false", "disconnected"),
        0
    );
    assert_eq!(seen(never, "", "disconnected; exits 1"), 0);
}

#[test]
fn a_clock_that_was_set_back_lets_no_attempt_wait_for_long() {
    check_alone(
        &format!("{ENDS}clock back 900s; after 1ms; back soon; after 30s"),
        "-; -; -; -; done; +remove",
    );
}
