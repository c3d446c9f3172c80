//! Sessions, told what changed and judged by their heartbeats.

mod statuses;

use std::net::Ipv4Addr;

use super::*;
use crate::manager::liveness::Liveness;
use crate::manager::words::{NOW, World};
use crate::model::change::Change;
use crate::model::id::{NetworkId, ServiceId, TaskId};
use crate::model::object::{NodeState, NodeStatus, TaskState, TaskStatus};
use crate::model::trust::Rotation;
use crate::wire::reach::Reach;
use crate::wire::session::Assignments;

const A: NodeId = NodeId(1);

fn world() -> World {
    World::of(
        "history 5; node a up; node b up; service web x3; task 1 web/1 on a running; \
         task 2 web/2 on b running; task 3 web/3 pending",
    )
}

fn hello() -> ToManager {
    let description = NodeDescription {
        hostname: "a".into(),
        ..NodeDescription::default()
    };
    ToManager::Hello {
        node: A,
        description,
    }
}

/// A dispatcher with the state it looks at, at the leader.
struct Desk {
    world: World,
    dispatcher: Dispatcher,
    liveness: Liveness,
    statuses: Statuses,
    now: Time,
}

impl Desk {
    fn new() -> Self {
        let world = world();
        let liveness = Liveness::of(&world.state, NOW, 0);
        Self {
            world,
            dispatcher: Dispatcher::default(),
            liveness,
            statuses: Statuses::default(),
            now: NOW,
        }
    }

    fn receive(&mut self, session: u64, message: ToManager) -> Vec<Said> {
        let (session, now) = (SessionId(session), self.now);
        let state = &self.world.state;
        if let ToManager::Hello { node, description } = message {
            self.dispatcher.hello(now, session, node, description);
            self.dispatcher.admit(state, session);
        } else {
            let statuses = &mut self.statuses;
            self.dispatcher
                .receive(state, now, session, message, statuses);
        }
        self.look();
        self.dispatcher.take_said()
    }

    fn close(&mut self, session: u64) {
        self.dispatcher.close(SessionId(session));
        self.look();
    }

    /// Tells the leader, which is here, what was seen.
    fn look(&mut self) {
        for seen in self.dispatcher.take_seen() {
            self.liveness.see(&self.world.state, self.now, 1, seen);
        }
    }

    fn after(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        for node in self.liveness.tick(&self.world.state, self.now) {
            self.dispatcher.end(node);
        }
    }

    fn state_of(&self, node: NodeId) -> Option<NodeState> {
        self.liveness.state_of(node)
    }

    fn change(&mut self, task: u128, change: Change) -> Vec<Said> {
        let node = self
            .world
            .state
            .tasks()
            .find(TaskId(task))
            .and_then(|task| task.node);
        let assigned = match change {
            Change::AssignTask { node, .. } => Some(node),
            _ => node,
        };
        self.dispatcher.note_task(assigned.unwrap(), TaskId(task));
        self.world.apply(vec![change]);
        self.dispatcher.tell(&self.world.state);
        self.dispatcher.take_said()
    }
}

/// `reach web 1 2, not 3, and no other`
fn say_reach(news: &Reach) -> String {
    let mut parts = Vec::new();
    for service in &news.services {
        let tasks = service.tasks.iter().map(|task| format!(" {}", task.id.0));
        parts.push(format!("{}{}", service.name, tasks.collect::<String>()));
    }
    parts.extend(news.removed.iter().map(|id| format!("not {}", id.0)));
    parts.extend(news.all.iter().map(|_| "no other".to_owned()));
    format!("reach {}", parts.join(", "))
}

/// What was said, in words.
fn words(said: &[Said]) -> String {
    let of_message = |message: &ToAgent| match message {
        ToAgent::Welcome { .. } => "welcome".to_owned(),
        ToAgent::Refused { .. } => "refused".to_owned(),
        ToAgent::Reach(news) => say_reach(news),
        ToAgent::Dependencies { set, released } => {
            format!("depend on {}, not on {}", set.len(), released.len())
        }
        ToAgent::Summon(summons) => format!("call {}", summons.address),
        ToAgent::Managers(roster) => roster.managers.join(" "),
        ToAgent::Assignments(Assignments::Full { version, tasks }) => {
            let tasks: Vec<_> = tasks.iter().map(|task| task.task.0.to_string()).collect();
            format!("full {version}: {}", tasks.join(" "))
        }
        ToAgent::Assignments(Assignments::Part { tasks }) => format!("part of {}", tasks.len()),
        ToAgent::Assignments(Assignments::Difference {
            from,
            to,
            set,
            desired,
            removed,
        }) => {
            let set = set.iter().map(|task| format!("set {}", task.task.0));
            let desired = desired
                .iter()
                .map(|(id, state)| format!("{} {}", state.name(), id.0));
            let removed = removed.iter().map(|id| format!("forget {}", id.0));
            let parts: Vec<_> = set.chain(desired).chain(removed).collect();
            format!("{from} to {to}: {}", parts.join(", "))
        }
    };
    // That there are no services to reach is told whenever a session begins; who the managers are
    // is told in a test of its own.
    let nothing = |said: &&Said| match said {
        Said::Send(_, ToAgent::Reach(news)) => news.services.is_empty() && news.removed.is_empty(),
        Said::Send(_, ToAgent::Managers(_)) => true,
        _ => false,
    };
    let said = said.iter().filter(|said| !nothing(said));
    let words = said.map(|said| match said {
        Said::Send(session, message) => format!("{}: {}", session.0, of_message(message)),
        Said::Close(session) => format!("{}: close", session.0),
    });
    words.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_session_starts_with_all_of_the_nodes_tasks_and_goes_on_with_differences() {
    let mut desk = Desk::new();
    assert_eq!(words(&desk.receive(5, hello())), "5: welcome; 5: full 1: 1");
    let id = TaskId(3);
    let said = desk.change(
        3,
        Change::AssignTask {
            id,
            node: A,
            generic: Vec::new(),
        },
    );
    assert_eq!(words(&said), "5: 1 to 2: set 3");
    let state = TaskState::Shutdown;
    let said = desk.change(3, Change::SetDesiredState { id, state });
    assert_eq!(words(&said), "5: 2 to 3: shutdown 3");
    assert_eq!(
        words(&desk.change(3, Change::RemoveTask { id })),
        "5: 3 to 4: forget 3"
    );
    assert_eq!(words(&desk.receive(5, ToManager::AskFull)), "5: full 5: 1");
}

#[test]
fn nodes_are_told_how_services_are_reached_before_the_tasks_that_it_concerns() {
    let mut desk = Desk::new();
    desk.world = World::of(
        "network front 10.0.1.0/24; node a up; service web x2 network front; \
         task 1 web/1 on a running; task 2 web/2 on a starting",
    );
    for (task, last) in [(1, 8), (2, 9)] {
        desk.world.apply(vec![Change::AllocateTask {
            id: TaskId(task),
            addresses: vec![(NetworkId(1), Ipv4Addr::new(10, 0, 1, last))],
            ports: Vec::new(),
        }]);
    }
    let said = words(&desk.receive(5, hello()));
    assert_eq!(said, "5: welcome; 5: reach web 1; 5: full 1: 1 2");
    let touch = |desk: &mut Desk, task: u128, change: Change| {
        let mut touched = Dirty::default();
        touched.note(&desk.world.state, &change);
        let state = &desk.world.state;
        desk.dispatcher.note_touched(state, &touched);
        words(&desk.change(task, change))
    };
    let running = |id| Change::SetTaskStatus {
        id: TaskId(id),
        status: TaskStatus {
            state: TaskState::Running,
            ..TaskStatus::default()
        },
    };
    assert_eq!(touch(&mut desk, 2, running(2)), "5: reach web 1 2");
    let stop = Change::SetDesiredState {
        id: TaskId(1),
        state: TaskState::Shutdown,
    };
    let said = touch(&mut desk, 1, stop);
    assert_eq!(said, "5: reach web 2; 5: 1 to 2: shutdown 1");
    let down = Change::SetNodeStatus {
        id: A,
        status: NodeStatus {
            state: NodeState::Down,
            ..NodeStatus::default()
        },
    };
    assert_eq!(touch(&mut desk, 2, down), "5: reach web");
    let gone = Change::RemoveService { id: ServiceId(1) };
    assert_eq!(touch(&mut desk, 2, gone), "5: reach not 1");
}

#[test]
fn a_node_is_not_told_of_others_tasks_nor_of_its_own_news() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    let state = TaskState::Shutdown;
    let id = TaskId(2);
    assert_eq!(
        words(&desk.change(2, Change::SetDesiredState { id, state })),
        ""
    );
    let id = TaskId(1);
    let status = TaskStatus {
        state: TaskState::Failed,
        ..TaskStatus::default()
    };
    assert_eq!(
        words(&desk.change(1, Change::SetTaskStatus { id, status })),
        ""
    );
}

#[test]
fn many_tasks_come_in_several_messages() {
    let tasks: Vec<_> = (10..260)
        .map(|n| format!("task {n} web/{n} on a running"))
        .collect();
    let mut desk = Desk::new();
    desk.world = World::of(&format!("node a up; service web x3; {}", tasks.join(";")));
    let said = desk.receive(5, hello());
    let told = words(&said);
    assert!(
        told.starts_with("5: welcome; 5: part of 100; 5: part of 100; 5: full 1: "),
        "{told}"
    );
    assert_eq!(told.rsplit(": ").next().unwrap().split(' ').count(), 50);
}

#[test]
fn large_tasks_come_in_more_messages_than_small_ones() {
    let image = "x".repeat(400_000);
    let tasks: Vec<_> = (10..40)
        .map(|n| format!("task {n} web/{n} on a running"))
        .collect();
    let mut desk = Desk::new();
    let service = format!("service web x3 image {image}");
    desk.world = World::of(&format!("node a up; {service}; {}", tasks.join(";")));
    let told = words(&desk.receive(5, hello()));
    assert!(
        told.starts_with("5: welcome; 5: part of 11; 5: part of 11; 5: full 1: "),
        "{told}"
    );
}

#[test]
fn a_second_session_of_a_node_ends_the_first() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    assert_eq!(
        words(&desk.receive(6, hello())),
        "5: close; 6: welcome; 6: full 1: 1"
    );
    desk.close(5);
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    assert!(desk.dispatcher.is_connected(A));
}

#[test]
fn strangers_and_those_without_a_hello_are_refused() {
    let mut desk = Desk::new();
    assert_eq!(
        words(&desk.receive(5, ToManager::Heartbeat)),
        "5: refused; 5: close"
    );
    let stranger = ToManager::Hello {
        node: NodeId(99),
        description: NodeDescription::default(),
    };
    assert_eq!(words(&desk.receive(6, stranger)), "6: refused; 6: close");
    let description = NodeDescription {
        kernel: "x".repeat(DESCRIPTION_BYTES_MAX),
        ..NodeDescription::default()
    };
    let talker = ToManager::Hello {
        node: A,
        description,
    };
    assert_eq!(words(&desk.receive(7, talker)), "7: refused; 7: close");
}

#[test]
fn three_missed_heartbeats_are_death() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.after(5_000);
    desk.receive(5, ToManager::Heartbeat);
    desk.after(5_900);
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    desk.after(100);
    assert_eq!(desk.state_of(A), Some(NodeState::Down));
    assert_eq!(words(&desk.dispatcher.take_said()), "5: close");
    assert_eq!(
        words(&desk.receive(5, ToManager::Heartbeat)),
        "5: refused; 5: close"
    );
}

#[test]
fn a_manager_that_overslept_gives_everybody_fresh_time() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.after(100_000_000);
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    desk.after(6_000);
    assert_eq!(desk.state_of(A), Some(NodeState::Down));
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_dead_alive() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.now = Time(NOW.0 - 500_000);
    desk.receive(5, ToManager::Heartbeat);
    desk.after(6_000);
    assert_eq!(desk.state_of(A), Some(NodeState::Down));
}

#[test]
fn a_closed_session_is_a_disconnected_node_unless_it_said_that_it_comes_back() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.close(5);
    assert_eq!(desk.state_of(A), Some(NodeState::Disconnected));
    desk.receive(6, hello());
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    desk.receive(6, ToManager::BackSoon { ms: 999_999_999 });
    desk.close(6);
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    desk.after(59_000);
    assert_eq!(desk.state_of(A), Some(NodeState::Ready));
    desk.after(1_000);
    assert_eq!(desk.state_of(A), Some(NodeState::Down));
}

#[test]
fn goodbye_is_down_at_once() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    assert_eq!(words(&desk.receive(5, ToManager::Goodbye)), "5: close");
    assert_eq!(desk.state_of(A), Some(NodeState::Down));
}

#[test]
fn a_nodes_words_are_said_again_until_the_state_has_them() {
    let mut desk = Desk::new();
    let description = NodeDescription {
        hostname: "other".into(),
        ..NodeDescription::default()
    };
    let hello = ToManager::Hello {
        node: A,
        description: description.clone(),
    };
    desk.receive(5, hello);
    desk.dispatcher.tell_again(&desk.world.state);
    let own = Box::new(description.clone());
    let joined = Sight::Joined {
        description: Some(own),
    };
    assert_eq!(desk.dispatcher.take_seen()[0].sight, joined);
    let id = A;
    desk.world
        .apply(vec![Change::DescribeNode { id, description }]);
    desk.dispatcher.tell_again(&desk.world.state);
    assert_eq!(desk.dispatcher.take_seen(), []);
}

#[test]
fn news_of_a_session_that_another_one_followed_is_no_news() {
    let mut desk = Desk::new();
    let see = |desk: &mut Desk, manager: u64, session: u64, sight: Sight| {
        let seen = Seen {
            node: A,
            session,
            sight,
        };
        desk.liveness.see(&desk.world.state, NOW, manager, seen);
        desk.state_of(A)
    };
    let joined = || Sight::Joined { description: None };
    assert_eq!(see(&mut desk, 2, 7, joined()), Some(NodeState::Ready));
    assert_eq!(see(&mut desk, 3, 7, joined()), Some(NodeState::Ready));
    for sight in [Sight::Lost, Sight::Goodbye, Sight::BackSoon { ms: 1 }] {
        assert_eq!(see(&mut desk, 2, 7, sight), Some(NodeState::Ready));
    }
    let lost = see(&mut desk, 3, 7, Sight::Lost);
    assert_eq!(lost, Some(NodeState::Disconnected));
    let heard = see(&mut desk, 3, 8, Sight::Heard);
    assert_eq!(heard, Some(NodeState::Ready));
}

#[test]
fn nodes_hear_of_other_roots_and_say_when_they_are_known_by_them() {
    let mut desk = Desk::new();
    desk.receive(5, hello());
    desk.dispatcher.take_seen();
    let mut told = |change: Change| {
        desk.dispatcher.note_managers(&desk.world.state, &change);
        desk.world.apply(vec![change]);
        desk.dispatcher.tell(&desk.world.state);
        match &desk.dispatcher.take_said()[..] {
            [Said::Send(SessionId(5), ToAgent::Managers(roster))] => roster.roots,
            said => panic!("{said:?}"),
        }
    };
    let rotation = Rotation {
        root: b"new".to_vec(),
        key: None,
        cross: b"cross".to_vec(),
    };
    let both = told(Change::BeginRotation(rotation));
    let new = told(Change::FinishRotation);
    assert_ne!(both, new);
    assert_eq!(new, digest_all(&[b"new".to_vec()]));
    let description = NodeDescription {
        issuer: Some([1; 32]),
        ..NodeDescription::default()
    };
    let said = ToManager::Describe(description.clone());
    let (state, statuses) = (&desk.world.state, &mut desk.statuses);
    let dispatcher = &mut desk.dispatcher;
    dispatcher.receive(state, NOW, SessionId(5), said, statuses);
    let joined = Sight::Joined {
        description: Some(Box::new(description)),
    };
    assert_eq!(desk.dispatcher.take_seen()[0].sight, joined);
}
