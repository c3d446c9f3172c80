use super::*;

/// A story's beginning up to a running `web.1`, and what the agent does about it.
const RUNS: &str = "assigned web.1 running; prepared; started; ";
const RAN: &str = "+prepare, accepted, preparing; +start, ready, starting; running; ";

#[track_caller]
fn check_running(story: &str, expect: &str) {
    check(&format!("{RUNS}{story}"), &format!("{RAN}{expect}"));
}

#[test]
fn a_task_is_prepared_started_and_runs() {
    check(RUNS.trim_end_matches("; "), RAN.trim_end_matches("; "));
}

#[test]
fn a_container_that_ends_well_completes_its_task() {
    check_running("exits 0", "complete");
    check_running("exits 0 oom", "complete");
}

#[test]
fn a_container_that_ends_badly_fails_its_task_with_dockers_words() {
    check_running("exits 1", "failed (task: non-zero exit (1))");
    check_running(
        "exits 137 oom",
        "failed (task: non-zero exit (137): out of memory)",
    );
    check_running(
        "exits ?",
        "failed (exit unknown: the container's shim was killed)",
    );
}

#[test]
fn what_fails_before_starting_is_rejected_and_leaves_nothing() {
    check(
        "assigned web.1 running; prepare fails: no image; is removed",
        "+prepare, accepted, preparing; +remove, rejected (no image); -",
    );
}

#[test]
fn what_may_be_prepared_later_is_tried_again_and_says_why_until_then() {
    check(
        "assigned web.1 running; prepare fails for now: disk full; is removed; after 999ms; \
         after 1ms; prepared",
        "+prepare, accepted, preparing; +remove, preparing (disk full); -; -; +prepare; \
         +start, ready, starting",
    );
}

#[test]
fn what_cannot_be_prepared_for_long_is_rejected_for_another_node_to_try() {
    let story = "assigned web.1 running; ".to_owned()
        + &[1, 2, 4, 8, 16]
            .map(|s| format!("prepare fails for now: disk full; is removed; after {s}s; "))
            .concat()
        + "prepare fails for now: disk full";
    let expect = "+prepare, accepted, preparing; +remove, preparing (disk full); -; ".to_owned()
        + &"+prepare; +remove, preparing (disk full); -; ".repeat(4)
        + "+prepare; +remove, rejected (disk full)";
    check(&story, &expect);
}

#[test]
fn a_task_that_shall_end_is_not_prepared_again() {
    let fails = "assigned web.1 running; prepare fails for now: disk full; ";
    let failed = "+prepare, accepted, preparing; +remove, preparing (disk full); ";
    check(
        &format!("{fails}desired shutdown; is removed; removed"),
        &format!("{failed}shutdown (disk full); -; -"),
    );
    check(
        &format!("{fails}is removed; desired shutdown; is removed; after 60s"),
        &format!("{failed}-; +remove, shutdown (disk full); -; -"),
    );
}

#[test]
fn a_stop_under_way_goes_on_after_a_restart_and_its_grace_does_not_begin_again() {
    check_running(
        "desired shutdown; restarted, stopping since 7s; after 2999ms; after 1ms; exits 137",
        "+stop; -; -; +kill; -",
    );
    check_running(
        "desired shutdown; restarted, stopping since 60s; connected; full web.1 running; exits 137",
        "+stop; +kill; hello; running; shutdown",
    );
}

#[test]
fn what_fails_in_starting_is_failed_and_leaves_nothing() {
    check(
        "assigned web.1 running; prepared; start fails: no such program; is removed",
        "+prepare, accepted, preparing; +start, ready, starting; \
         +remove, failed (no such program); -",
    );
}

#[test]
fn a_task_that_shall_be_ready_waits_to_run() {
    check(
        "assigned web.1 ready; prepared; desired running; started",
        "+prepare, accepted, preparing; ready; +start, starting; running",
    );
}

#[test]
fn a_task_that_shall_end_is_asked_and_then_killed_after_its_grace() {
    check_running("desired shutdown; exits 143", "+stop; shutdown");
    check_running(
        "desired shutdown; after 9999ms; after 1ms; exits 137",
        "+stop; -; +kill; shutdown",
    );
    check_running("desired remove; exits 0", "+stop; shutdown");
}

#[test]
fn what_outlives_a_kill_is_killed_again() {
    check_running(
        "desired shutdown; after 29s; after 1s",
        "+stop; +kill, +kill; +kill",
    );
}

#[test]
fn a_clock_set_back_does_not_delay_a_kill_for_long() {
    check_running(
        "desired shutdown; clock back 900s; desired remove; after 10s",
        "+stop; -; -; +kill",
    );
}

#[test]
fn a_task_that_shall_end_before_it_runs_never_runs() {
    check(
        "assigned web.1 running; desired shutdown; prepared; is removed",
        "+prepare, accepted, preparing; +remove, shutdown; -; -",
    );
    check(
        "assigned web.1 running; prepared; desired shutdown; started; exits 0",
        "+prepare, accepted, preparing; +start, ready, starting; -; +stop, running; shutdown",
    );
    check("assigned web.1 shutdown", "shutdown");
}

#[test]
fn a_desired_state_that_comes_late_changes_nothing() {
    check_running(
        "desired shutdown; desired running; exits 0",
        "+stop; -; shutdown",
    );
    check(
        "assigned web.1 running; desired shutdown; desired running; prepared",
        "+prepare, accepted, preparing; +remove, shutdown; -; -",
    );
}

#[test]
fn a_dead_container_stays_for_its_logs_until_the_manager_forgets_the_task() {
    check_running(
        "exits 1; after 500s; removed; is removed; removed",
        "failed (task: non-zero exit (1)); -; +remove; -; -",
    );
}

#[test]
fn a_container_that_cannot_be_removed_is_tried_again_later_each_time() {
    check_running(
        "exits 0; removed; is not removed; after 10s; is not removed; after 19s; after 1s; \
         is removed",
        "complete; +remove; -; +remove; -; -; +remove; -",
    );
}

#[test]
fn a_node_that_leaves_does_not_wait_for_ever_for_a_container_to_go() {
    check_running(
        "exits 0; leave; is not removed; after 10s; is not removed; after 20s; is not removed; \
         after 40s; is not removed",
        "complete; goodbye, +remove; -; +remove; -; +remove; -; +remove; done",
    );
}

#[test]
fn dead_containers_are_bounded_and_the_oldest_goes_first() {
    let mut world = World::default();
    world.clause("connected");
    world.clause("full");
    let mut done = String::new();
    for number in 1..=DEAD_CONTAINERS_MAX + 1 {
        let name = format!("web.{number}");
        for clause in ["prepared", "started", "exits 0", "after 1s"] {
            if clause == "prepared" {
                world.clause(&format!("assigned {name} running"));
            }
            done = world.clause(&format!("{name} {clause}"));
            if clause == "exits 0" && number > DEAD_CONTAINERS_MAX {
                assert_eq!(done, format!("+remove, web.{number} complete"));
            }
        }
    }
    assert_eq!(done, "-");
}

#[test]
fn a_new_session_is_told_what_its_manager_does_not_know() {
    check_running(
        "disconnected; exits 1; connected; full web.1 running/running",
        "-; -; hello; failed (task: non-zero exit (1))",
    );
    check_running(
        "disconnected; connected; full web.1 running/starting; full web.1 running/running",
        "-; hello; running; -",
    );
}

#[test]
fn statuses_wait_until_the_session_has_assignments() {
    check_running(
        "disconnected; connected; exits 0; full web.1 running/running",
        "-; hello; -; complete",
    );
}

#[test]
fn what_a_full_assignment_does_not_name_is_stopped_and_removed_unreported() {
    check_running(
        "disconnected; connected; full; exits 0; is removed",
        "-; hello; +stop; +remove; -",
    );
}

#[test]
fn a_full_assignment_in_parts_counts_when_it_is_whole() {
    check_running(
        "disconnected; connected; part web.1 running/running; full web.2 shutdown",
        "-; hello; -; web.2 shutdown",
    );
    check_running(
        "part web.1 running/running; disconnected; connected; full",
        "-; -; hello; +stop",
    );
}

#[test]
fn a_full_assignment_without_an_end_is_hung_up() {
    let mut world = World::default();
    world.clause("connected");
    let tasks = vec![assignment("web.1", "running"); TASKS_MAX];
    let part = || {
        ToAgent::Assignments(Assignments::Part {
            tasks: tasks.clone(),
        })
    };
    assert_eq!(world.hear(part()), []);
    assert_eq!(world.hear(part()), [Effect::HangUp]);
}

#[test]
fn a_difference_to_another_version_makes_the_agent_ask_once_for_everything() {
    check_running(
        "a difference is lost; desired shutdown; desired remove; full web.1 shutdown/running",
        "-; ask full; -; +stop",
    );
}

#[test]
fn a_refused_session_is_hung_up() {
    check("refused; assigned web.1 running", "hang up; -");
}

#[test]
fn a_restarted_daemon_goes_on_with_what_runs() {
    check_running(
        "restarted, running; connected; full web.1 running/running; exits 3",
        "-; hello; -; failed (task: non-zero exit (3))",
    );
    check_running(
        "restarted, running; connected; full web.1 running/starting; desired shutdown; exits 0",
        "-; hello; running; +stop; shutdown",
    );
}

#[test]
fn what_ended_while_no_daemon_was_there_is_judged_by_what_is_wanted() {
    check_running(
        "restarted, exits 3; connected; full web.1 running/running",
        "-; hello; failed (task: non-zero exit (3))",
    );
    check_running(
        "restarted, exits ?; connected; full web.1 running/running",
        "-; hello; failed (exit unknown: the container's shim was killed)",
    );
    check_running(
        "desired shutdown; restarted, exits 143; connected; full web.1 shutdown/running",
        "+stop; -; hello; shutdown",
    );
    check_running("restarted, exits 3; connected; full", "-; hello; +remove");
}

#[test]
fn an_end_that_the_manager_knows_is_not_told_again() {
    check_running(
        "exits 0; restarted, exits 0; connected; full web.1 shutdown/complete",
        "complete; -; hello; -",
    );
    check_running(
        "exits 3; restarted, exits 3; connected; full web.1 running/failed; removed",
        "failed (task: non-zero exit (3)); -; hello; -; +remove",
    );
}

#[test]
fn a_task_that_the_manager_gave_up_is_stopped() {
    check_running("full web.1 running/orphaned; exits 0", "+stop; -");
}

#[test]
fn after_a_reboot_a_prepared_task_is_prepared_again_and_one_that_ran_has_failed() {
    check(
        "full web.1 running/ready; prepared; started",
        "+prepare; +start, starting; running",
    );
    check(
        "full web.1 running/running",
        "failed (exit unknown: the container is gone, as after a restart of the host)",
    );
    check("full web.1 shutdown/running; removed", "shutdown; -");
    check("full web.1 running/complete", "-");
}

#[test]
fn a_host_that_is_switched_off_says_goodbye_and_knows_its_tasks_when_it_boots() {
    check_running(
        "switched off; the host restarts; connected; full web.1 shutdown/running",
        "goodbye, done; -; hello; shutdown",
    );
}

#[test]
fn a_daemon_that_stops_says_it_comes_back_and_its_containers_go_on() {
    check_running("back soon", "back within 60000 ms, done");
}

#[test]
fn a_node_that_leaves_says_so_and_ends_everything() {
    check_running(
        "leave; assigned web.2 running; exits 0; is removed",
        "goodbye, +stop; -; +remove; done",
    );
    check("leave", "goodbye, done");
}

#[test]
fn news_of_another_attempt_is_no_news() {
    let mut world = World::default();
    for clause in ["connected", "full", "assigned web.1 running", "prepared"] {
        world.clause(clause);
    }
    let record = world.records.get_mut(&TaskId(1)).unwrap();
    record.attempt.container = ContainerId::draw(&mut Rng::from_seed(9));
    assert_eq!(world.clause("start fails: of old"), "-");
}

#[test]
fn heartbeats_come_at_the_pace_of_the_manager_give_or_take_a_tenth() {
    let mut world = World {
        heartbeat_ms: 2000,
        ..World::default()
    };
    assert_eq!(world.agent.due(), None);
    world.clause("connected");
    let mut gaps = BTreeSet::new();
    for _ in 0..200 {
        let due = world.agent.due().unwrap();
        gaps.insert(due.since_ms(world.now));
        world.now = due;
        assert_eq!(
            world.step(Event::Tick),
            [Effect::Send(ToManager::Heartbeat)]
        );
    }
    assert!(
        gaps.iter().all(|gap| (1800..=2200).contains(gap)),
        "{gaps:?}"
    );
    assert!(gaps.len() > 50, "only {} different gaps", gaps.len());
}

#[test]
fn a_clock_set_back_does_not_stop_heartbeats() {
    let mut world = World {
        heartbeat_ms: 2000,
        ..World::default()
    };
    world.clause("connected");
    world.clause("clock back 900s");
    world.step(Event::Tick);
    assert_eq!(world.clause("after 2200ms"), "heartbeat");
}

#[test]
fn a_failed_task_keeps_the_end_of_its_log_and_its_container() {
    let mut world = World::default();
    world.clause("connected");
    world.clause("full");
    RUNS.trim_end_matches("; ")
        .split("; ")
        .for_each(|clause| drop(world.clause(clause)));
    let attempt = world.records[&TaskId(1)].attempt;
    let exit = Exit {
        code: Some(2),
        log_tail: vec![b'x'; 9000],
        ..Exit::default()
    };
    let effects = world.step(Event::Container {
        attempt,
        news: News::Exited(exit),
    });
    let Some(Effect::Send(ToManager::Status(updates))) = effects.last() else {
        panic!("{effects:?}");
    };
    let container = updates[0].status.container.clone().unwrap();
    assert_eq!(container.log_tail.len(), 4096);
    assert_eq!(container.container_id, attempt.container.to_string());
    assert_eq!((container.pid, container.exit_code), (7, 2));
    assert_eq!(updates[0].status.message, "started");
}

#[test]
fn of_two_attempts_at_a_task_the_one_that_runs_counts_and_the_other_goes() {
    let mut world = World::default();
    let task = assignment("web.1", "running");
    let mut found = |number, condition| {
        let container = ContainerId::draw(&mut world.rng);
        let attempt = Attempt {
            task: task.task,
            number,
            container,
        };
        Found {
            record: Record {
                attempt,
                assignment: Arc::new(task.clone()),
            },
            condition,
            health: Health::Unchecked,
        }
    };
    let ended = || Condition::Ended(Exit::default());
    let first = found(1, ended());
    let runs = found(
        2,
        Condition::Running {
            pid: 7,
            since: Time(1),
            stopped: None,
        },
    );
    let last = found(3, ended());
    let losers = [&first, &last].map(|loser| Effect::Remove(loser.record.attempt));
    let left = Left {
        found: vec![first, runs, last],
        kept: Vec::new(),
    };
    let mut effects = world.step(Event::Adopted(left));
    effects.retain(|effect| !matches!(effect, Effect::Keep(_)));
    assert_eq!(effects, losers);
}

#[test]
fn a_task_is_prepared_with_the_secrets_that_it_names() {
    check(
        "sent 7 s3cret; sent 8 other; assigned web.1 running+7; assigned web.2 running; \
         assigned web.3 running+8",
        "-; -; +prepare s3cret, accepted, preparing; \
         web.2 +prepare, web.2 accepted, web.2 preparing; \
         web.3 +prepare other, web.3 accepted, web.3 preparing",
    );
}

#[test]
fn secrets_that_were_released_or_belong_to_an_earlier_session_are_gone() {
    check(
        "sent 7 s3cret; released 7; assigned web.1 running+7",
        "-; -; +prepare, accepted, preparing",
    );
    check(
        "sent 7 s3cret; disconnected; connected; sent 8 other; \
         full web.1 running+7 web.2 running+8",
        "-; -; hello; -; +prepare, web.2 +prepare other, accepted, preparing, web.2 accepted, \
         web.2 preparing",
    );
}
