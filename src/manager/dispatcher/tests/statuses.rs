//! What a node says of its tasks, on its way into the log.

use super::*;
use crate::model::object::TaskStatus;
use crate::wire::session::StatusUpdate;

fn report(task: u128, state: TaskState) -> ToManager {
    status_of(task, state, "")
}

fn status_of(task: u128, state: TaskState, message: &str) -> ToManager {
    let status = TaskStatus {
        state,
        at: NOW,
        message: message.to_owned(),
        ..TaskStatus::default()
    };
    ToManager::Status(vec![StatusUpdate {
        task: TaskId(task),
        status,
    }])
}

#[test]
fn a_node_speaks_of_its_own_tasks_only_and_never_back() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.receive(5, report(2, TaskState::Failed));
    desk.receive(5, report(3, TaskState::Failed));
    desk.receive(5, report(99, TaskState::Failed));
    desk.receive(5, report(1, TaskState::Preparing));
    desk.receive(5, report(1, TaskState::Remove));
    desk.receive(5, report(1, TaskState::Orphaned));
    assert_eq!(desk.statuses.take(NOW, 10, false), []);
    desk.receive(5, report(1, TaskState::Failed));
    desk.receive(5, report(1, TaskState::Running));
    let changes = desk.statuses.take(NOW, 10, false);
    assert!(
        matches!(&changes[..], [(TaskId(1), status)] if status.state == TaskState::Failed),
        "{changes:?}"
    );
}

#[test]
fn what_was_taken_waits_again_until_the_state_has_it() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.receive(5, report(1, TaskState::Failed));
    let taken = desk.statuses.take(NOW, 10, true);
    desk.receive(5, report(1, TaskState::Failed));
    assert_eq!(desk.statuses.due(), None, "taken in twice");
    desk.statuses.take_back(&desk.world.state, NOW);
    assert_eq!(desk.statuses.take(NOW, 10, true), taken);
    let [(id, status)] = &taken[..] else {
        panic!("{taken:?}");
    };
    let (id, status) = (*id, status.clone());
    desk.change(1, Change::SetTaskStatus { id, status });
    desk.statuses.take_back(&desk.world.state, NOW);
    assert_eq!(desk.statuses.due(), None);
}

#[test]
fn steps_on_the_way_wait_for_each_other_and_go_with_an_outcome_at_once() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    let id = TaskId(3);
    desk.change(
        3,
        Change::AssignTask {
            id,
            node: A,
            generic: Vec::new(),
        },
    );
    desk.receive(5, report(3, TaskState::Preparing));
    assert_eq!(desk.statuses.due(), Some(NOW.plus_ms(100)));
    assert!(!desk.statuses.is_due(desk.now));
    desk.after(30);
    desk.receive(5, report(3, TaskState::Ready));
    assert_eq!(desk.statuses.due(), Some(NOW.plus_ms(100)));
    desk.receive(5, report(1, TaskState::Failed));
    assert!(desk.statuses.is_due(desk.now));
    assert_eq!(desk.statuses.take(desk.now, 10, false).len(), 2);
    assert_eq!(desk.statuses.due(), None);
    // The outcome is gone: the next step waits again, until its own time.
    desk.receive(5, report(3, TaskState::Starting));
    assert!(!desk.statuses.is_due(desk.now));
    desk.after(100);
    assert!(desk.statuses.is_due(desk.now));
}

#[test]
fn outcomes_go_four_in_a_row_and_then_ten_a_second() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    let sent_within = |desk: &mut Desk, ms: u64| {
        let mut sent = 0;
        for n in 0..ms {
            desk.after(1);
            for id in [1, 3] {
                let update = status_of(id, TaskState::Running, &n.to_string());
                desk.receive(5, update);
            }
            if desk.statuses.is_due(desk.now) {
                sent += 1;
                desk.statuses.take(desk.now, 10, false);
            }
        }
        sent
    };
    let id = TaskId(3);
    desk.change(
        3,
        Change::AssignTask {
            id,
            node: A,
            generic: Vec::new(),
        },
    );
    assert_eq!(sent_within(&mut desk, 4), 4);
    assert_eq!(sent_within(&mut desk, 90), 0);
    assert_eq!(sent_within(&mut desk, 1_000), 10);
    desk.statuses.take(desk.now, 10, false);
    desk.after(1_000);
    assert_eq!(sent_within(&mut desk, 10), 4);
}

#[test]
fn a_clock_that_is_set_back_holds_no_status_up() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    for n in 0..6 {
        desk.receive(5, status_of(1, TaskState::Running, &n.to_string()));
        desk.statuses.take(desk.now, 10, false);
    }
    desk.now = Time(NOW.0 - 500_000);
    desk.receive(5, report(1, TaskState::Failed));
    assert!(desk.statuses.is_due(desk.now));
    assert_eq!(desk.statuses.take(desk.now, 10, false).len(), 1);
    desk.receive(5, report(1, TaskState::Rejected));
    assert!(desk.statuses.due().unwrap() <= desk.now.plus_ms(100));
}

#[test]
fn what_a_node_says_is_cut_to_size_and_to_the_clusters_time() {
    use crate::model::object::ContainerStatus;

    let mut desk = Desk::new();
    desk.receive(5, hello());
    let status = TaskStatus {
        state: TaskState::Failed,
        at: NOW.plus_ms(1_000_000),
        error: "é".repeat(10_000),
        container: Some(ContainerStatus {
            log_tail: vec![b'x'; 100_000],
            ..ContainerStatus::default()
        }),
        ..TaskStatus::default()
    };
    let task = TaskId(1);
    desk.receive(5, ToManager::Status(vec![StatusUpdate { task, status }]));
    let changes = desk.statuses.take(NOW, 10, false);
    let [(_, status)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((status.at, status.error.len()), (NOW, 1_024));
    assert_eq!(status.container.as_ref().unwrap().log_tail.len(), 4_096);
}
