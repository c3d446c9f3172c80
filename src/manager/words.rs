//! States and decisions in words, for the tests of the passes.
//!
//! ```text
//! given     service web x3 restart on-failure; node a up cpu 2; task 1 web/1 on a running
//! expected  shut down 2; create web/2 ready in 500ms; assign 3 to a; 4 waits: no suitable node
//! ```
//!
//! `service web global` has a slot for each node: `task 1 web/a on a running`, `create web/a`.
//!
//! Each statement is one log entry, so a service that is named again is updated, and tasks named
//! after it are of the new version. `ago` and `in` are relative to the moment of the decision.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::SplitWhitespace;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::model::change::{Batch, Change, NewCluster, NewNode, NewTask};
use crate::model::id::{ClusterId, NodeId, ServiceId, TaskId};
use crate::model::object::{NodeState, NodeStatus, RestartRecord, Slot, TaskState, TaskStatus};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::{Availability, NodeDescription, NodeSpec, Platform};
use crate::model::spec::service::{ServiceMode, ServiceSpec, UpdateConfig};
use crate::model::spec::task::{GenericResource, Reservations, Resources, RestartCondition};
use crate::model::state::State;
use crate::model::time::Time;

/// The moment of every decision.
pub const NOW: Time = Time(1_000_000_000);

type Pass = fn(&View<'_>, &Dirty, &mut Rng) -> Vec<Change>;
type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// Checks what a pass decides, that it then has nothing left to decide, and that looking at
/// everything changes nothing in that.
#[track_caller]
pub fn check(pass: Pass, given: &str, expected: &str) {
    let mut world = World::of(given);
    let changes = world.decide(pass);
    let decided: Vec<_> = changes.iter().map(|change| world.say(change)).collect();
    assert_eq!(decided.join("; "), expected, "given {given}");
    world.apply(changes);
    let again: Vec<_> = world
        .decide(pass)
        .iter()
        .map(|change| world.say(change))
        .collect();
    assert_eq!(again, Vec::<String>::new(), "decided again, given {given}");
}

/// A state whose objects go by short names.
#[derive(Default)]
pub struct World {
    pub state: State,
    nodes: BTreeMap<String, NodeId>,
    services: BTreeMap<String, ServiceId>,
}

impl World {
    pub fn of(given: &str) -> Self {
        let mut world = Self::default();
        for statement in given.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            let mut words = statement.split_whitespace().peekable();
            match words.next().unwrap() {
                "service" => world.service(&mut words),
                "node" => world.node(&mut words),
                "task" => world.task(&mut words),
                "history" => world.history(&mut words),
                "gone" => world.gone(words.next().unwrap()),
                other => panic!("{other:?} begins no statement"),
            }
        }
        world
    }

    fn decide(&self, pass: Pass) -> Vec<Change> {
        let view = View {
            state: &self.state,
            now: NOW,
            room: usize::MAX,
        };
        let dirty = Dirty::everything(&self.state);
        pass(&view, &dirty, &mut Rng::from_seed(1))
    }

    pub fn apply(&mut self, changes: Vec<Change>) {
        self.apply_at(NOW, changes);
    }

    fn apply_at(&mut self, at: Time, changes: Vec<Change>) {
        let index = self.state.index() + 1;
        self.state.apply(index, &Batch { at, changes });
    }

    /// `service NAME xN|global OPTION…`
    fn service(&mut self, words: &mut Words<'_>) {
        let name = words.next().unwrap();
        let mut spec = ServiceSpec {
            name: name.into(),
            mode: service_mode(words.next().unwrap()),
            ..ServiceSpec::default()
        };
        while let Some(option) = words.next() {
            service_option(&mut spec, option, words.next().unwrap());
        }
        let change = match self.services.get(name) {
            Some(id) => Change::UpdateService { id: *id, spec },
            None => {
                let id = ServiceId(self.services.len() as u128 + 1);
                self.services.insert(name.to_owned(), id);
                Change::CreateService { id, spec }
            }
        };
        self.apply(vec![change]);
    }

    /// `node NAME up|down|lost|drained|paused OPTION…`, which changes a node that is there.
    fn node(&mut self, words: &mut Words<'_>) {
        let name = words.next().unwrap();
        let (state, availability) = match words.next().unwrap() {
            "up" => (NodeState::Ready, Availability::Active),
            "down" => (NodeState::Down, Availability::Active),
            "lost" => (NodeState::Disconnected, Availability::Active),
            "drained" => (NodeState::Ready, Availability::Drain),
            "paused" => (NodeState::Ready, Availability::Pause),
            other => panic!("{other:?} is no state of a node"),
        };
        let mut spec = NodeSpec {
            availability,
            ..NodeSpec::default()
        };
        let mut description = NodeDescription {
            hostname: name.into(),
            ..NodeDescription::default()
        };
        while let Some(option) = words.next() {
            node_option(&mut spec, &mut description, option, words.next().unwrap());
        }
        let status = NodeStatus {
            state,
            ..NodeStatus::default()
        };
        if let Some(id) = self.nodes.get(name).copied() {
            let changes = vec![
                Change::SetNodeStatus { id, status },
                Change::UpdateNode { id, spec },
                Change::DescribeNode { id, description },
            ];
            return self.apply(changes);
        }
        let id = NodeId(self.nodes.len() as u128 + 1);
        self.nodes.insert(name.to_owned(), id);
        self.apply(vec![Change::CreateNode(NewNode {
            id,
            spec,
            description,
            status,
            manager: None,
        })]);
    }

    /// `task N SERVICE/SLOT [on NODE] STATE [desired STATE] [ago T] [made T] [in T] [step N]
    /// [attempts N] [window T]`
    fn task(&mut self, words: &mut Words<'_>) {
        let id = TaskId(words.next().unwrap().parse().unwrap());
        let (service, slot) = words.next().unwrap().split_once('/').unwrap();
        let service = self.services[service];
        let node = words
            .next_if_eq(&"on")
            .map(|_| self.nodes[words.next().unwrap()]);
        let state = task_state(words.next().unwrap());
        let mut desired_state = TaskState::Running;
        let mut restart = RestartRecord::default();
        let (mut at, mut made) = (NOW, Time(NOW.0 - 60_000));
        while let Some(option) = words.next() {
            let value = words.next().unwrap();
            match option {
                "desired" => desired_state = task_state(value),
                "ago" => at = Time(NOW.0 - ms(value)),
                "made" => made = Time(NOW.0 - ms(value)),
                "in" => restart.not_before = NOW.plus_ms(ms(value)),
                "step" => restart.backoff_step = value.parse().unwrap(),
                "attempts" => restart.attempts = value.parse().unwrap(),
                "window" => restart.window_start = Time(NOW.0 - ms(value)),
                other => panic!("{other:?} is no option of a task"),
            }
        }
        let slot = match slot.parse() {
            Ok(number) => Slot::Number(number),
            Err(_) => Slot::Node(self.nodes[slot]),
        };
        let create = NewTask {
            id,
            service,
            slot,
            desired_state,
            restart,
        };
        let status = TaskStatus {
            state,
            at,
            ..TaskStatus::default()
        };
        let assign = node.map(|node| Change::AssignTask { id, node });
        let status = Change::SetTaskStatus { id, status };
        let changes = [Some(Change::CreateTask(create)), assign, Some(status)];
        self.apply_at(made, changes.into_iter().flatten().collect());
    }

    /// `history N`
    fn history(&mut self, words: &mut Words<'_>) {
        let mut spec = ClusterSpec::default();
        let limit = words.next().unwrap().parse().unwrap();
        spec.orchestration.task_history_limit = Some(limit);
        self.apply(vec![Change::CreateCluster(NewCluster {
            id: ClusterId(1),
            spec,
            address_pools: Vec::new(),
            subnet_size: 24,
            data_path_port: 0,
        })]);
    }

    /// `gone NAME`: the service or node is removed.
    fn gone(&mut self, name: &str) {
        let change = match self.services.get(name) {
            Some(id) => Change::RemoveService { id: *id },
            None => Change::RemoveNode {
                id: self.nodes[name],
            },
        };
        self.apply(vec![change]);
    }

    /// A change in words.
    fn say(&self, change: &Change) -> String {
        match change {
            Change::CreateTask(new) => self.say_create(new),
            Change::AssignTask { id, node } => {
                format!("assign {} to {}", id.0, self.node_name(*node))
            }
            Change::SetDesiredState { id, state } => match state {
                TaskState::Shutdown => format!("shut down {}", id.0),
                TaskState::Remove => format!("remove {}", id.0),
                TaskState::Running => format!("run {}", id.0),
                other => panic!("no pass wants {other:?}"),
            },
            Change::SetTaskStatus { id, status } => format!("{} waits: {}", id.0, status.error),
            Change::RemoveTask { id } => format!("forget {}", id.0),
            other => panic!("no pass decides {other:?}"),
        }
    }

    fn node_name(&self, node: NodeId) -> &str {
        let mut names = self.nodes.iter().filter(|(_, id)| **id == node);
        names.next().unwrap().0
    }

    fn say_create(&self, new: &NewTask) -> String {
        let mut names = self.services.iter().filter(|(_, id)| **id == new.service);
        let slot = match new.slot {
            Slot::Number(number) => number.to_string(),
            Slot::Node(node) => self.node_name(node).to_owned(),
        };
        let ready = match new.desired_state {
            TaskState::Ready => " ready",
            TaskState::Running => "",
            other => panic!("no task starts as {other:?}"),
        };
        let wait_ms = new.restart.not_before.since_ms(NOW);
        let wait = if wait_ms > 0 {
            format!(" in {wait_ms}ms")
        } else {
            String::new()
        };
        format!("create {}/{slot}{ready}{wait}", names.next().unwrap().0)
    }
}

fn service_mode(word: &str) -> ServiceMode {
    match word.strip_prefix('x') {
        Some(replicas) => ServiceMode::Replicated {
            replicas: Some(replicas.parse().unwrap()),
        },
        None if word == "global" => ServiceMode::Global,
        None => panic!("{word:?} is no mode of a service"),
    }
}

fn service_option(spec: &mut ServiceSpec, option: &str, value: &str) {
    let task = &mut spec.task;
    let default_update = UpdateConfig {
        parallelism: 1,
        delay_ns: 0,
        failure_action: None,
        monitor_ns: None,
        max_failure_ratio: 0.0,
        order: None,
    };
    let ns = || Some(i64::try_from(ms(value)).unwrap() * 1_000_000);
    match option {
        "image" => task.container.image = value.into(),
        "label" => spec.labels.extend([pair(value)]),
        "restart" => {
            task.restart.get_or_insert_default().condition = Some(match value {
                "none" => RestartCondition::None,
                "on-failure" => RestartCondition::OnFailure,
                "any" => RestartCondition::Any,
                other => panic!("{other:?} is no condition"),
            });
        }
        "delay" => task.restart.get_or_insert_default().delay_ns = ns(),
        "window" => task.restart.get_or_insert_default().window_ns = ns(),
        "attempts" => {
            task.restart.get_or_insert_default().max_attempts = Some(value.parse().unwrap());
        }
        "constraint" => {
            let placement = task.placement.get_or_insert_default();
            placement.constraints.push(value.into());
        }
        "max" => {
            task.placement.get_or_insert_default().max_replicas = value.parse().unwrap();
        }
        "platform" => task
            .placement
            .get_or_insert_default()
            .platforms
            .push(Platform {
                architecture: value.into(),
                os: String::new(),
            }),
        "parallelism" => {
            spec.update.get_or_insert(default_update).parallelism = value.parse().unwrap();
        }
        "update-delay" => spec.update.get_or_insert(default_update).delay_ns = ns().unwrap(),
        _ => {
            let resources: &mut Resources = task.resources.get_or_insert_default();
            reservation(
                resources.reservations.get_or_insert_default(),
                option,
                value,
            );
        }
    }
}

fn reservation(wanted: &mut Reservations, option: &str, value: &str) {
    match option {
        "cpu" => wanted.nano_cpus = value.parse::<i64>().unwrap() * 1_000_000_000,
        "memory" => wanted.memory_bytes = value.parse::<i64>().unwrap() << 20,
        "generic" => wanted.generic.push(generic(value)),
        other => panic!("{other:?} is no option of a service"),
    }
}

fn node_option(spec: &mut NodeSpec, own: &mut NodeDescription, option: &str, value: &str) {
    match option {
        "cpu" => own.resources.nano_cpus = value.parse::<i64>().unwrap() * 1_000_000_000,
        "memory" => own.resources.memory_bytes = value.parse::<i64>().unwrap() << 20,
        "generic" => own.resources.generic.push(generic(value)),
        "arch" => own.platform.architecture = value.into(),
        "label" => spec.labels.extend([pair(value)]),
        other => panic!("{other:?} is no option of a node"),
    }
}

/// `KIND=NUMBER` or `KIND=NAME`.
fn generic(text: &str) -> GenericResource {
    let (kind, value) = pair(text);
    match value.parse() {
        Ok(value) => GenericResource::Discrete { kind, value },
        Err(_) => GenericResource::Named { kind, value },
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap();
    (key.to_owned(), value.to_owned())
}

fn task_state(word: &str) -> TaskState {
    let mut states = TaskState::ALL.into_iter();
    states
        .find(|state| state.name() == word)
        .unwrap_or_else(|| panic!("{word:?} is no state"))
}

fn ms(text: &str) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let number: u64 = text[..digits].parse().unwrap();
    match &text[digits..] {
        "ms" => number,
        "s" => number * 1_000,
        "m" => number * 60_000,
        other => panic!("{other:?} is no unit"),
    }
}
