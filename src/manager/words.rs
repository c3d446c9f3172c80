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

mod options;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::net::Ipv4Addr;
use std::str::SplitWhitespace;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::manager::words::options::{ms, node_option, service_mode, service_option};
use crate::model::address::Subnet;
use crate::model::change::{Batch, Change, NewCluster, NewNode, NewTask, RollBack};
use crate::model::id::{ClusterId, NetworkId, NodeId, ServiceId, TaskId};
use crate::model::object::{
    AddressBlock, NodeState, NodeStatus, RestartRecord, Slot, TaskState, TaskStatus, UpdateState,
    UpdateStatus,
};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::{Availability, NodeDescription, NodeSpec};
use crate::model::spec::service::ServiceSpec;
use crate::model::spec::task::GenericResource;
use crate::model::state::State;
use crate::model::time::Time;
use crate::model::trust::tests::a_trust;

/// The moment of every decision.
pub const NOW: Time = Time(1_000_000_000);

type Pass = fn(&View<'_>, &Dirty, &mut Rng) -> Vec<Change>;
type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// Checks what a pass decides, that it then has nothing left to decide, and that looking at
/// everything changes nothing in that.
#[track_caller]
pub fn check(pass: Pass, given: &str, expected: &str) {
    let world = check_first(pass, given, expected);
    let again: Vec<_> = world
        .decide(pass)
        .iter()
        .map(|change| world.say(change))
        .collect();
    assert_eq!(again, Vec::<String>::new(), "decided again, given {given}");
}

/// Checks what a pass decides at first; the world as it is then.
#[track_caller]
pub fn check_first(pass: Pass, given: &str, expected: &str) -> World {
    let mut world = World::of(given);
    let changes = world.decide(pass);
    let decided: Vec<_> = changes.iter().map(|change| world.say(change)).collect();
    assert_eq!(decided.join("; "), expected, "given {given}");
    world.apply(changes);
    world
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
                "network" => world.network(&mut words),
                "history" => world.history(&mut words),
                "gone" => world.gone(words.next().unwrap()),
                "updating" => world.update(UpdateState::Updating, &mut words),
                "rolling" => world.update(UpdateState::RollbackStarted, &mut words),
                "paused" => world.update(UpdateState::Paused, &mut words),
                "failures" => world.failures(&mut words),
                "back" => world.back(words.next().unwrap()),
                "retire" => world.retire(words.next().unwrap()),
                other => panic!("{other:?} begins no statement"),
            }
        }
        world
    }

    /// Checks what a pass decides now.
    #[track_caller]
    pub fn check_next(&mut self, pass: Pass, expected: &str) {
        let changes = self.decide(pass);
        let decided: Vec<_> = changes.iter().map(|change| self.say(change)).collect();
        assert_eq!(decided.join("; "), expected);
        self.apply(changes);
    }

    pub fn decide(&self, pass: Pass) -> Vec<Change> {
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

    /// `service NAME xN|global|jobTOTAL/CONCURRENT|global-job OPTION…`
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

    /// `network NAME SUBNET`
    fn network(&mut self, words: &mut Words<'_>) {
        let name = words.next().unwrap();
        let subnet: Subnet = words.next().unwrap().parse().unwrap();
        let first = Ipv4Addr::from(subnet.first().to_bits() + 1);
        let count = self.state.networks().len() as u128;
        let spec = NetworkSpec {
            name: name.into(),
            ingress: name == "ingress",
            ..NetworkSpec::default()
        };
        self.apply(vec![Change::CreateNetwork {
            id: NetworkId(count + 1),
            spec,
            predefined: false,
            block: Some(AddressBlock {
                subnet,
                gateway: first,
            }),
        }]);
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
        let mut status = NodeStatus {
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
        status.address = format!("192.0.2.{}", id.0);
        self.apply(vec![Change::CreateNode(NewNode {
            id,
            spec,
            description,
            status,
            manager: None,
            key: None,
        })]);
    }

    /// `task N SERVICE/SLOT [on NODE] STATE [desired STATE] [ago T] [made T] [in T] [step N]
    /// [attempts N] [window T] [up T] [by update] [has ADDRESS]…`
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
        let (mut up, mut update) = (None, 0);
        let mut addresses = Vec::new();
        while let Some(option) = words.next() {
            let value = words.next().unwrap();
            match option {
                "desired" => desired_state = task_state(value),
                "ago" => at = Time(NOW.0 - ms(value)),
                "made" => made = Time(NOW.0 - ms(value)),
                "up" => up = Some(Time(NOW.0 - ms(value))),
                "by" => update = self.update_of(service).unwrap().since,
                "in" => restart.not_before = NOW.plus_ms(ms(value)),
                "step" => restart.backoff_step = value.parse().unwrap(),
                "attempts" => restart.attempts = value.parse().unwrap(),
                "window" => restart.window_start = Time(NOW.0 - ms(value)),
                "has" => addresses.push(self.place(value)),
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
            update,
        };
        let status = |state, at| {
            let status = TaskStatus {
                state,
                at,
                ..TaskStatus::default()
            };
            Change::SetTaskStatus { id, status }
        };
        let assign = node.map(|node| Change::AssignTask {
            id,
            node,
            generic: Vec::new(),
        });
        let allocate = Change::AllocateTask {
            id,
            addresses,
            ports: Vec::new(),
        };
        let changes = [Some(Change::CreateTask(create)), Some(allocate), assign];
        self.apply_at(made, changes.into_iter().flatten().collect());
        if let Some(up) = up {
            self.apply_at(up, vec![status(TaskState::Running, up)]);
        }
        self.apply_at(at, vec![status(state, at)]);
    }

    /// An address, with the network that it is of.
    fn place(&self, address: &str) -> (NetworkId, Ipv4Addr) {
        let address: Ipv4Addr = address.parse().unwrap();
        let mut networks = self.state.networks().iter();
        let is_of = |subnet: Subnet| (subnet.first()..=subnet.last()).contains(&address);
        let network = networks.find(|network| is_of(network.block.unwrap().subnet));
        (network.unwrap().id, address)
    }

    fn update_of(&self, service: ServiceId) -> Option<&UpdateStatus> {
        self.state.services().find(service)?.update.as_ref()
    }

    /// `updating|rolling|paused NAME [slots N]`: the update of the service stands so. Tasks made
    /// `by update` after that are its own.
    fn update(&mut self, state: UpdateState, words: &mut Words<'_>) {
        let id = self.services[words.next().unwrap()];
        let known = self.update_of(id);
        let slots = match words.next_if_eq(&"slots") {
            Some(_) => words.next().unwrap().parse().unwrap(),
            None => known.unwrap().slots,
        };
        let status = UpdateStatus {
            state,
            started_at: NOW,
            completed_at: None,
            message: String::new(),
            since: known.map_or_else(|| self.state.index() + 1, |known| known.since),
            slots,
            failures: 0,
        };
        self.apply(vec![Change::SetUpdateStatus { id, status }]);
    }

    /// `failures NAME N`: so many of the update's tasks have been counted.
    fn failures(&mut self, words: &mut Words<'_>) {
        let id = self.services[words.next().unwrap()];
        let mut status = self.update_of(id).unwrap().clone();
        status.failures = words.next().unwrap().parse().unwrap();
        self.apply(vec![Change::SetUpdateStatus { id, status }]);
    }

    /// `back NAME`: the service is rolled back.
    fn back(&mut self, name: &str) {
        let back = RollBack {
            id: self.services[name],
            message: "asked for".into(),
            since: self.state.index() + 1,
            keeps_spec: true,
        };
        self.apply(vec![Change::RollBackService(back)]);
    }

    /// `retire N`: the task is to stop.
    fn retire(&mut self, task: &str) {
        let id = TaskId(task.parse().unwrap());
        let state = TaskState::Shutdown;
        self.apply(vec![Change::SetDesiredState { id, state }]);
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
            data_path_port: 4789,
            trust: a_trust(),
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
            Change::AssignTask { id, node, generic } => {
                let to = format!("assign {} to {}", id.0, self.node_name(*node));
                generic.iter().fold(to, |to, given| match given {
                    GenericResource::Named { kind, value } => format!("{to} with {kind}={value}"),
                    GenericResource::Discrete { kind, value } => {
                        format!("{to} with {kind}={value}")
                    }
                })
            }
            Change::SetDesiredState { id, state } => match state {
                TaskState::Shutdown => format!("shut down {}", id.0),
                TaskState::Remove => format!("remove {}", id.0),
                TaskState::Running => format!("run {}", id.0),
                other => panic!("no pass wants {other:?}"),
            },
            Change::SetTaskStatus { id, status } => match status.state.is_terminal() {
                true => format!("{} is {}", id.0, status.state.name()),
                false => format!("{} waits: {}", id.0, status.error),
            },
            Change::RemoveTask { id } => format!("forget {}", id.0),
            Change::CountUpdateFailure { task } => format!("count {}", task.0),
            Change::SetUpdateStatus { id, status } => {
                let (state, message) = (status.state.name(), &status.message);
                format!("{} {state}: {message}", self.service_name(*id))
            }
            Change::RollBackService(back) => {
                format!(
                    "{} rolls back: {}",
                    self.service_name(back.id),
                    back.message
                )
            }
            Change::AllocateService { id, endpoint } => {
                let ports = endpoint.ports.iter();
                let ports = ports.map(|port| format!("port {}", port.published_port));
                let parts = addresses(&endpoint.addresses).chain(ports);
                let parts = parts.chain([endpoint.problem.clone()]);
                let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
                format!("{} has {}", self.service_name(*id), parts.join(", "))
            }
            Change::AllocateTask {
                id,
                addresses: own,
                ports,
            } => {
                let ports = ports.iter();
                let ports = ports.map(|port| format!("port {}", port.published_port));
                let own: Vec<_> = addresses(own).chain(ports).collect();
                format!("{} has {}", id.0, own.join(", "))
            }
            Change::AllocateNode { id, address } => {
                format!("{} has {}", self.node_name(*id), address.1)
            }
            other => panic!("no pass decides {other:?}"),
        }
    }

    fn service_name(&self, service: ServiceId) -> &str {
        let mut names = self.services.iter().filter(|(_, id)| **id == service);
        names.next().unwrap().0
    }

    fn node_name(&self, node: NodeId) -> &str {
        let mut names = self.nodes.iter().filter(|(_, id)| **id == node);
        names.next().unwrap().0
    }

    fn say_create(&self, new: &NewTask) -> String {
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
        format!(
            "create {}/{slot}{ready}{wait}",
            self.service_name(new.service)
        )
    }
}

fn addresses(addresses: &[(NetworkId, Ipv4Addr)]) -> impl Iterator<Item = String> {
    addresses.iter().map(|(_, address)| address.to_string())
}

fn task_state(word: &str) -> TaskState {
    let mut states = TaskState::ALL.into_iter();
    states
        .find(|state| state.name() == word)
        .unwrap_or_else(|| panic!("{word:?} is no state"))
}
