//! Random histories: looking at what is dirty decides what looking at everything would, and once
//! the passes have come to rest they stay at rest.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::draft::Draft;
use crate::manager::passes::{self, PASSES, View};
use crate::manager::timers::Timers;
use crate::model::address::Subnet;
use crate::model::change::{Batch, Change, NewNode, RollBack};
use crate::model::id::{NetworkId, NodeId, ServiceId};
use crate::model::object::{AddressBlock, NodeState, NodeStatus, TaskState, TaskStatus};
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::{Availability, NodeDescription, NodeSpec};
use crate::model::spec::service::{
    FailureAction, PortConfig, ServiceMode, ServiceSpec, UpdateConfig, UpdateOrder,
};
use crate::model::spec::task::{NetworkAttachment, Reservations, RestartCondition};
use crate::model::state::State;
use crate::model::time::Time;

const HISTORIES: u64 = 60;
const STEPS: u64 = 40;

#[test]
fn looking_at_what_is_dirty_is_looking_at_everything() {
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        for step in 0..STEPS {
            world.step();
            world.check_at_rest(&format!("seed {seed} step {step}"));
        }
    }
}

struct World {
    rng: Rng,
    state: State,
    now: Time,
    timers: Timers,
    dirty: Dirty,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::from_seed(seed),
            state: a_state_with_networks(),
            now: Time(1_000_000),
            timers: Timers::default(),
            dirty: Dirty::default(),
        }
    }

    /// No job has more under way than it may have, and every slot that is begun is settled or under
    /// way.
    fn check_jobs(&self, when: &str) {
        for service in self.state.services().iter() {
            let Some(size) = service.job_size() else {
                continue;
            };
            let tasks = self.state.tasks_of_service(service.id);
            let tasks: Vec<_> = tasks.filter(|task| service.executes(task)).collect();
            let live = tasks.iter().filter(|task| task.is_live()).count() as u64;
            assert!(live <= size.concurrent, "{live} at a time: {when}");
            let begun: BTreeSet<_> = tasks.iter().map(|task| task.slot).collect();
            let begun = begun.len() as u64;
            assert!(begun <= size.total, "{begun} of {}: {when}", size.total);
            let is_idle = live < size.concurrent && begun < size.total;
            assert!(!is_idle, "{live} live, {begun} begun, {size:?}: {when}");
        }
    }

    /// Nobody has what another has, and what is nobody's is free.
    fn check_addresses(&self, when: &str) {
        let services = self.state.services().iter();
        let services = services.flat_map(|service| &service.endpoint.addresses);
        let tasks = self.state.tasks().iter();
        let tasks = tasks.filter(|task| !task.status.state.is_terminal());
        let nodes = self.state.nodes().iter();
        let nodes = nodes.flat_map(|node| &node.ingress);
        let all = services.chain(tasks.flat_map(|t| &t.addresses));
        let all: Vec<_> = all.chain(nodes).collect();
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "given out twice: {when}");
        for network in self.state.networks().iter() {
            let subnet = network.block.unwrap().subnet;
            for address in subnet.first().to_bits()..=subnet.last().to_bits() {
                let own = (network.id, Ipv4Addr::from(address));
                let is_taken = self.state.is_taken(own.0, own.1);
                assert_eq!(is_taken, distinct.contains(&&own), "{own:?}: {when}");
            }
        }
        let mut ports = BTreeSet::new();
        for service in self.state.services().iter() {
            for port in &service.endpoint.ports {
                let is_new = ports.insert((port.protocol, port.published_port));
                assert!(is_new, "port {}: {when}", port.published_port);
            }
        }
    }

    /// Some time passes and something happens, and what follows is applied.
    fn step(&mut self) {
        let wait_ms = [0, 100, 3_000, 70_000][self.draw(4)];
        self.now = self.now.plus_ms(wait_ms);
        self.timers.tick(&self.state, self.now, &mut self.dirty);
        let happened: Vec<_> = (0..=self.draw(3)).flat_map(|_| self.happen()).collect();
        let dirty = std::mem::take(&mut self.dirty);
        let mut draft = Draft::begin(&mut self.state, self.now, dirty);
        happened.into_iter().for_each(|change| draft.push(change));
        decide_both_ways(&mut draft, &mut self.rng);
        let (batch, dirty) = draft.finish();
        self.dirty = dirty;
        let mut touched = Dirty::default();
        batch
            .changes
            .iter()
            .for_each(|change| touched.note(&self.state, change));
        self.state.apply(self.state.index() + 1, &batch);
        self.timers.note(&self.state, self.now, &touched);
    }

    fn check_at_rest(&mut self, when: &str) {
        let everything = Dirty::everything(&self.state);
        let mut draft = Draft::begin(&mut self.state, self.now, everything);
        passes::run(&mut draft, &mut self.rng);
        let (batch, _) = draft.finish();
        assert_eq!(batch.changes, [], "not at rest: {when}");
        self.check_addresses(when);
        self.check_jobs(when);
        for task in self.state.tasks().iter() {
            let slot = self.state.tasks_of_slot(task.service, task.slot);
            let live = slot.iter().filter(|task| task.is_live());
            let versions: Vec<_> = live.map(|task| task.task_version).collect();
            let distinct: BTreeSet<_> = versions.iter().collect();
            // Two are side by side only while one replaces the other with start-first.
            assert_eq!(distinct.len(), versions.len(), "live in a slot: {when}");
            assert!(versions.len() <= 2, "{versions:?} live in a slot: {when}");
            assert!(slot.len() <= 12, "{} tasks in a slot: {when}", slot.len());
        }
    }

    fn draw(&mut self, bound: u64) -> usize {
        usize::try_from(self.rng.below(bound)).unwrap()
    }

    fn happen(&mut self) -> Vec<Change> {
        match self.draw(12) {
            0 => vec![self.add_node()],
            1 => self.node_status().into_iter().collect(),
            2 => self.node_spec().into_iter().collect(),
            3 if self.draw(4) == 0 => self
                .pick_node()
                .map_or_else(Vec::new, |id| vec![Change::RemoveNode { id }]),
            4 => vec![self.add_service()],
            5 if self.draw(4) == 0 => {
                let id = self.pick_service();
                id.map(|id| self.roll_back(id)).into_iter().collect()
            }
            5 => self.update_service().into_iter().collect(),
            6 if self.draw(2) == 0 => self
                .pick_service()
                .map_or_else(Vec::new, |id| vec![Change::RemoveService { id }]),
            _ => self.task_statuses(),
        }
    }

    fn add_node(&mut self) -> Change {
        let mut description = NodeDescription::default();
        description.resources.nano_cpus = 4_000_000_000;
        Change::CreateNode(NewNode {
            id: NodeId(self.rng.next_u128()),
            spec: NodeSpec::default(),
            description,
            status: NodeStatus {
                state: NodeState::Ready,
                ..NodeStatus::default()
            },
            manager: None,
            key: None,
        })
    }

    fn pick_node(&mut self) -> Option<NodeId> {
        let count = self.state.nodes().len() as u64;
        let place = self.draw(count.max(1));
        self.state.nodes().iter().nth(place).map(|node| node.id)
    }

    fn pick_service(&mut self) -> Option<ServiceId> {
        let count = self.state.services().len() as u64;
        let place = self.draw(count.max(1));
        self.state
            .services()
            .iter()
            .nth(place)
            .map(|service| service.id)
    }

    fn node_status(&mut self) -> Option<Change> {
        let states = [NodeState::Ready, NodeState::Down, NodeState::Disconnected];
        let status = NodeStatus {
            state: states[self.draw(3)],
            ..NodeStatus::default()
        };
        let id = self.pick_node()?;
        Some(Change::SetNodeStatus { id, status })
    }

    fn node_spec(&mut self) -> Option<Change> {
        let all = [
            Availability::Active,
            Availability::Pause,
            Availability::Drain,
        ];
        let mut spec = NodeSpec {
            availability: all[self.draw(3)],
            ..NodeSpec::default()
        };
        let zone = ["a", "b"][self.draw(2)].to_owned();
        spec.labels.extend([("zone".to_owned(), zone)]);
        let id = self.pick_node()?;
        Some(Change::UpdateNode { id, spec })
    }

    fn spec(&mut self) -> ServiceSpec {
        let mut spec = ServiceSpec {
            mode: ServiceMode::Replicated {
                replicas: Some(self.rng.below(6)),
            },
            ..ServiceSpec::default()
        };
        if self.draw(3) == 0 {
            let placement = spec.task.placement.get_or_insert_default();
            let text = ["node.labels.zone==a", "node.labels.zone!=a"][self.draw(2)];
            placement.constraints.push(text.into());
        }
        for name in ["small", "large"] {
            if self.draw(3) == 0 {
                spec.task.networks.push(NetworkAttachment {
                    target: name.into(),
                    ..NetworkAttachment::default()
                });
            }
        }
        if self.draw(4) == 0 {
            let ports = &mut spec.endpoint.get_or_insert_default().ports;
            ports.push(PortConfig {
                target_port: 80,
                published_port: [0, 80, 81][self.draw(3)],
                ..PortConfig::default()
            });
        }
        spec.task.container.image = ["a", "b", "c"][self.draw(3)].into();
        let policy = spec.task.restart.get_or_insert_default();
        let conditions = [RestartCondition::Any, RestartCondition::OnFailure];
        policy.condition = Some(conditions[self.draw(2)]);
        policy.max_attempts = Some(self.rng.below(4));
        policy.window_ns = Some([0, 60_000_000_000][self.draw(2)]);
        spec.update = Some(self.update_config());
        spec.rollback = Some(self.update_config());
        let resources = spec.task.resources.get_or_insert_default();
        resources.reservations = Some(Reservations {
            nano_cpus: [0, 1_000_000_000, 3_000_000_000][self.draw(3)],
            ..Reservations::default()
        });
        spec
    }

    fn update_config(&mut self) -> UpdateConfig {
        let actions = [
            FailureAction::Pause,
            FailureAction::Continue,
            FailureAction::Rollback,
        ];
        let orders = [UpdateOrder::StopFirst, UpdateOrder::StartFirst];
        UpdateConfig {
            parallelism: self.rng.below(4),
            delay_ns: [0, 2_000_000_000][self.draw(2)],
            failure_action: Some(actions[self.draw(3)]),
            monitor_ns: [None, Some(1_000_000_000)][self.draw(2)],
            max_failure_ratio: [0.0, 0.5][self.draw(2)],
            order: Some(orders[self.draw(2)]),
        }
    }

    fn roll_back(&self, id: ServiceId) -> Change {
        Change::RollBackService(RollBack {
            id,
            message: "asked for".into(),
            since: self.state.index() + 1,
            keeps_spec: true,
        })
    }

    fn add_service(&mut self) -> Change {
        let mut spec = self.spec();
        spec.mode = match self.draw(7) {
            0 | 1 => ServiceMode::Global,
            2 => ServiceMode::GlobalJob,
            3 => self.job(),
            _ => spec.mode,
        };
        let id = ServiceId(self.rng.next_u128());
        spec.name = format!("s{id}");
        Change::CreateService { id, spec }
    }

    fn job(&mut self) -> ServiceMode {
        ServiceMode::ReplicatedJob {
            max_concurrent: Some(1 + self.rng.below(3)),
            total_completions: Some(self.rng.below(6)),
        }
    }

    fn update_service(&mut self) -> Option<Change> {
        let id = self.pick_service()?;
        let mut spec = self.spec();
        let old = self.state.services().find(id)?;
        spec.name.clone_from(&old.spec.name);
        spec.mode = match old.spec.mode {
            ServiceMode::Replicated { .. } => spec.mode,
            ServiceMode::ReplicatedJob { .. } => self.job(),
            ServiceMode::Global => ServiceMode::Global,
            ServiceMode::GlobalJob => ServiceMode::GlobalJob,
        };
        Some(Change::UpdateService { id, spec })
    }

    /// Some tasks go a step further, or end.
    fn task_statuses(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let tasks: Vec<_> = self.state.tasks().iter().cloned().collect();
        for task in tasks {
            if task.node.is_none() || task.status.state.is_terminal() || self.draw(3) == 0 {
                continue;
            }
            let ends = [TaskState::Complete, TaskState::Failed, TaskState::Rejected];
            let state = match self.draw(6) {
                0 => ends[self.draw(3)],
                _ if task.desired_state > TaskState::Running => TaskState::Shutdown,
                1 => TaskState::Preparing.max(task.status.state),
                _ => TaskState::Running,
            };
            let status = TaskStatus {
                state,
                at: self.now,
                ..TaskStatus::default()
            };
            changes.push(Change::SetTaskStatus {
                id: task.id,
                status,
            });
        }
        changes
    }
}

/// Three networks, one of them with room for four addresses.
fn a_state_with_networks() -> State {
    let mut state = State::default();
    let networks = [
        "10.0.0.0/24 ingress",
        "10.0.1.0/29 small",
        "10.0.2.0/24 large",
    ];
    let changes = networks.into_iter().zip(1..).map(|(text, id)| {
        let (subnet, name) = text.split_once(' ').unwrap();
        let subnet: Subnet = subnet.parse().unwrap();
        Change::CreateNetwork {
            id: NetworkId(id),
            spec: NetworkSpec {
                name: name.into(),
                ingress: name == "ingress",
                ..NetworkSpec::default()
            },
            predefined: false,
            block: Some(AddressBlock {
                subnet,
                gateway: Ipv4Addr::from(subnet.first().to_bits() + 1),
            }),
        }
    });
    let changes = changes.collect();
    let at = Time(1_000_000);
    state.apply(1, &Batch { at, changes });
    state
}

/// Runs the passes as [`passes::run`] does, and each of them a second time over everything.
fn decide_both_ways(draft: &mut Draft<'_>, rng: &mut Rng) {
    for _ in 0..64 {
        if draft.dirty.is_empty() {
            return;
        }
        let mut round = std::mem::take(&mut draft.dirty);
        for (place, (pass, _)) in PASSES.into_iter().enumerate() {
            round.merge(&draft.dirty);
            let view = View {
                state: draft.state(),
                now: draft.at(),
                room: usize::MAX,
            };
            let everything = Dirty::everything(draft.state());
            let expected = pass(&view, &everything, &mut rng.clone());
            let changes = pass(&view, &round, rng);
            assert_eq!(changes, expected, "pass {place} over {round:?}");
            changes.into_iter().for_each(|change| draft.push(change));
        }
    }
    panic!("the passes do not come to rest");
}
