//! Stories: a manager with its log, and agents that the test plays.

mod control;
mod join;
mod fleet;
mod property;
mod resources;
mod running;
pub(crate) mod swarm;

use crate::manager::tests::swarm::Swarm;
use crate::model::object::{NodeState, TaskState};
use crate::wire::control::{Refusal, Request, Response};

#[test]
fn a_service_lives_from_its_creation_to_its_removal() {
    let mut swarm = Swarm::new();
    swarm.create("web", 3);
    assert_eq!(swarm.running("web"), 0);
    swarm.settle();
    assert_eq!(swarm.running("web"), 3);

    swarm.crash("web.2");
    swarm.settle();
    assert_eq!(swarm.running("web"), 3);
    assert_eq!(swarm.tasks("web").len(), 4);

    swarm.scale("web", 5);
    swarm.settle();
    assert_eq!(swarm.running("web"), 5);
    swarm.scale("web", 1);
    swarm.settle();
    assert_eq!(swarm.running("web"), 1);
    assert_eq!(swarm.containers(), 1);

    swarm.ask(Request::RemoveService("web".into())).unwrap();
    swarm.settle();
    assert_eq!(swarm.containers(), 0);
    assert!(swarm.state().tasks().is_empty());
    assert!(swarm.state().services().is_empty());
}

#[test]
fn a_restarted_manager_has_the_same_state() {
    let mut swarm = Swarm::new();
    swarm.create("web", 3);
    swarm.settle();
    swarm.checkpoint();
    swarm.scale("web", 4);
    swarm.crash("web.1");
    let before = swarm.rows();
    swarm.restart();
    assert_eq!(swarm.rows(), before);
    swarm.settle();
    assert_eq!(swarm.running("web"), 4);
}

#[test]
fn a_crash_loop_backs_off_and_recovers() {
    let mut swarm = Swarm::new();
    swarm.create("web", 1);
    swarm.settle();
    let waits = [0, 500, 1_000, 2_000, 4_000];
    for wait_ms in waits {
        swarm.crash("web.1");
        let crashed = swarm.now();
        swarm.settle();
        let waited_ms = swarm.now().since_ms(crashed);
        assert!(
            (wait_ms..wait_ms + 400).contains(&waited_ms),
            "{waited_ms} for {wait_ms}"
        );
        assert_eq!(swarm.running("web"), 1);
    }
    swarm.pass(600_000);
    swarm.crash("web.1");
    let crashed = swarm.now();
    swarm.settle();
    assert!(swarm.now().since_ms(crashed) < 400);
}

#[test]
fn an_agent_that_is_gone_for_three_heartbeats_is_down_and_its_tasks_wait() {
    let mut swarm = Swarm::new();
    swarm.create("web", 2);
    swarm.settle();
    swarm.lose_agent();
    assert_eq!(swarm.node_state(), NodeState::Disconnected);
    swarm.pass(5_000);
    assert_eq!(swarm.node_state(), NodeState::Disconnected);
    swarm.pass(1_500);
    assert_eq!(swarm.node_state(), NodeState::Down);
    let tasks = swarm.tasks("web");
    let waiting: Vec<_> = tasks.iter().filter(|task| task.is_live()).collect();
    assert_eq!(waiting.len(), 2);
    for task in waiting {
        let error = "no suitable node (1 node not available for new tasks)";
        assert_eq!(
            (task.status.state, task.status.error.as_str()),
            (TaskState::Pending, error)
        );
    }
    swarm.join_agent();
    swarm.settle();
    assert_eq!(swarm.node_state(), NodeState::Ready);
    assert_eq!(swarm.running("web"), 2);
    assert_eq!(swarm.containers(), 2);
}

#[test]
fn a_daemon_that_comes_back_soon_moves_nothing_and_writes_nothing() {
    let mut swarm = Swarm::new();
    swarm.create("web", 2);
    swarm.settle();
    let index = swarm.state().index();
    swarm.restart_agent();
    swarm.pass(50_000);
    swarm.join_agent();
    swarm.settle();
    assert_eq!(swarm.state().index(), index);
    assert_eq!(swarm.node_state(), NodeState::Ready);
}

#[test]
fn a_new_template_replaces_tasks_one_by_one_and_goes_back() {
    let mut swarm = Swarm::new();
    swarm.create("web", 3);
    swarm.settle();
    swarm.update("web", |spec| spec.task.container.image = "other".into());
    let fewest = swarm.settle_watching("web");
    assert_eq!(fewest, 2);
    let images = |swarm: &Swarm| {
        let tasks = swarm.tasks("web").into_iter().filter(|task| task.is_live());
        tasks
            .map(|task| task.spec.container.image.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(images(&swarm), ["other"; 3]);
    swarm.roll_back("web");
    swarm.settle();
    assert_eq!(images(&swarm), ["hello"; 3]);
}

#[test]
fn requests_of_one_moment_share_a_log_entry() {
    let mut swarm = Swarm::new();
    let index = swarm.state().index();
    swarm.hold_disk();
    for name in ["a", "b", "c", "d"] {
        swarm.post_create(name, 1);
    }
    swarm.release_disk();
    assert_eq!(swarm.answers().len(), 4);
    // The first went alone, the others while it was on its way to the disk.
    assert_eq!(swarm.state().index(), index + 2);
    let names: Vec<_> = swarm
        .state()
        .services()
        .iter()
        .map(|s| s.spec.name.clone())
        .collect();
    assert_eq!(names.len(), 4);
}

#[test]
fn a_name_is_taken_even_within_one_log_entry() {
    let mut swarm = Swarm::new();
    swarm.hold_disk();
    for name in ["a", "b", "b"] {
        swarm.post_create(name, 1);
    }
    swarm.release_disk();
    let refused: Vec<_> = swarm
        .answers()
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(
        matches!(&refused[..], [Refusal::NameTaken { .. }]),
        "{refused:?}"
    );
}

#[test]
fn a_full_disk_refuses_requests_until_there_is_room() {
    let mut swarm = Swarm::new();
    swarm.fill_disk();
    let refusal = swarm.ask(swarm::create_request("web", 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::Storage(_)), "{refusal:?}");
    assert!(matches!(
        swarm.ask(Request::Cluster),
        Ok(Response::Cluster(_))
    ));
    swarm.empty_disk();
    swarm.pass(5_000);
    swarm.create("web", 1);
    swarm.settle();
    assert_eq!(swarm.running("web"), 1);
}

#[test]
fn a_manager_with_nothing_to_do_wants_no_wake_up() {
    let mut swarm = Swarm::new();
    swarm.create("web", 2);
    swarm.settle();
    swarm.leave_agent();
    assert_eq!(swarm.node_state(), NodeState::Down);
    assert_eq!(swarm.due(), None);
}

#[test]
fn a_global_service_follows_its_nodes_constraints_and_availability() {
    let mut swarm = Swarm::new();
    swarm.create_global("log");
    swarm.settle();
    assert_eq!(swarm.view("log"), (1, 1));
    let names: Vec<_> = swarm.tasks("log").iter().map(|task| task.name()).collect();
    assert_eq!(names, [format!("log.{}", swarm::NODE)]);
    swarm.crash(&names[0]);
    swarm.settle();
    assert_eq!(swarm.view("log"), (1, 1));
    swarm.update("log", |spec| {
        let placement = spec.task.placement.get_or_insert_default();
        placement.constraints = vec!["node.labels.disk == ssd".into()];
    });
    swarm.settle();
    assert_eq!((swarm.view("log"), swarm.containers()), ((0, 0), 0));
    swarm.update("log", |spec| spec.task.placement = None);
    swarm.settle();
    assert_eq!((swarm.view("log"), swarm.containers()), ((1, 1), 1));
}
