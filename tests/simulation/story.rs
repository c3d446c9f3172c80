//! One story: users want things while everything fails, then nothing fails any more.

mod alone;
mod picture;
mod trouble;

use std::collections::BTreeSet;
use std::sync::Arc;

use skep::host::rng::Rng;
use skep::model::object::{Node, Slot};
use skep::model::spec::node::{Availability, NodeSpec, Role};
use skep::model::spec::service::{
    FailureAction, ServiceMode, ServiceSpec, UpdateConfig, UpdateOrder,
};
use skep::model::time::Time;
use skep::wire::control::{Request, ServiceUpdate};

use crate::checkers::nothing_lost::NUMBER;
use crate::founding::{SECRETS, founding, secret};
use crate::host::{Host, JOB};
use crate::seat::Seat;
use crate::story::trouble::Troubles;
use crate::world::World;

/// How long the swarm may take when nothing fails any more: the longest back-off and some more.
const HEAL_MS: u64 = 15 * 60_000;
/// By then the last container has crashed that was going to.
const LAST_CRASH_MS: u64 = 60_000;
const ELECT_MS: u64 = 10_000;
const SHAPE_MS: u64 = 60_000;
const DEPLOY_MS: u64 = 30_000;
const REMOVE_MS: u64 = 5 * 60_000;
const LOOK_MS: u64 = 1_000;
const OPEN_TRIES: u64 = 3;
const OPEN_TRIES_MAX: u64 = 60;
/// What some services want of their nodes, and in the end all nodes have.
const ZONE: &str = "a";

pub struct Story {
    world: World,
    dice: Rng,
    /// Counts the services, and all specs.
    services: u64,
    specs: u64,
    troubles: Troubles,
    /// When a manager was last lost or demoted.
    shaken: Time,
}

impl Story {
    /// A swarm of three hosts or more, and one, three or five managers. The seed draws which faults
    /// there are, and how many.
    pub fn new(seed: u64) -> Self {
        let mut dice = Rng::from_seed(seed);
        let managers = [1, 3, 3, 5][usize::try_from(dice.below(4)).unwrap()];
        let hosts = managers.max(3) + dice.below(2);
        let mut world = World::new(seed, &founding(managers, hosts, &mut dice), managers, hosts);
        let troubles = Troubles::draw(&mut dice, &mut world.faults);
        (0..world.seats.len()).for_each(|seat| world.start_manager(seat));
        (0..world.hosts.len()).for_each(|host| world.start_daemon(host));
        Self {
            world,
            dice,
            services: 0,
            specs: 0,
            troubles,
            shaken: Time::default(),
        }
    }

    /// Tells it; what happened, in one number.
    pub fn tell(mut self) -> u64 {
        for _ in 0..60 {
            self.turn();
            let ms = self.dice.below(6_000);
            self.world.run(ms);
        }
        self.heal();
        self.expect("a manager leads", ELECT_MS, |story| {
            story.world.leader().is_some()
        });
        self.world.check_healed();
        self.expect(
            "the managers are those that shall be",
            SHAPE_MS,
            Self::is_shaped,
        );
        self.open_all();
        self.world.run(LAST_CRASH_MS);
        self.expect(
            "every service runs as it should",
            HEAL_MS,
            Self::is_as_wanted,
        );
        let replicas = Some(5);
        self.create(ServiceMode::Replicated { replicas });
        self.expect("a new service runs", DEPLOY_MS, Self::is_as_wanted);
        for service in self.names() {
            self.world.ask(Request::RemoveService(service));
        }
        self.expect("nothing is left", REMOVE_MS, Self::is_empty);
        self.expect("all managers have the same", LOOK_MS, Self::is_agreed);
        self.world.trace()
    }

    fn turn(&mut self) {
        match self.dice.below(6) {
            0 => {
                let replicas = Some(self.dice.below(6));
                let mode = match self.dice.below(6) {
                    0 | 1 => ServiceMode::Global,
                    2 => ServiceMode::GlobalJob,
                    3 => a_job(&mut self.dice),
                    _ => ServiceMode::Replicated { replicas },
                };
                self.create(mode);
            }
            1 => self.update(|spec, dice| {
                let replicas = Some(dice.below(8));
                match spec.mode {
                    ServiceMode::Replicated { .. } => {
                        spec.mode = ServiceMode::Replicated { replicas };
                    }
                    ServiceMode::ReplicatedJob { .. } => spec.mode = a_job(dice),
                    // It is executed anew.
                    ServiceMode::GlobalJob => spec.task.force_update += 1,
                    ServiceMode::Global => {}
                }
            }),
            2 => self.update(|spec, dice| {
                if spec.mode.is_job() {
                    spec.task.container.image = format!("{JOB}:{}", dice.next_u64());
                    return;
                }
                spec.task.container.image = format!("image:{}", dice.next_u64());
                spec.update = Some(update_config(dice));
                if dice.below(3) == 0 && goes_back(&spec.name) {
                    let action = Some(FailureAction::Rollback);
                    spec.update.as_mut().unwrap().failure_action = action;
                }
                spec.rollback = Some(update_config(dice));
            }),
            3 if self.dice.below(2) == 0 => self.roll_back(),
            3 if self.dice.below(4) == 0 => {
                if let Some(name) = self.any_service() {
                    self.world.ask(Request::RemoveService(name));
                }
            }
            _ => {}
        }
        self.disturb();
    }

    #[track_caller]
    fn expect(&mut self, what: &str, within_ms: u64, is_so: impl Fn(&Self) -> bool) {
        let end = self.world.now.plus_ms(within_ms);
        // What was asked for last is not in the log yet.
        self.world.run(LOOK_MS);
        while !is_so(self) {
            if self.world.now >= end {
                panic!("not within {within_ms} ms: {what}\n{}", self.picture());
            }
            self.world.run(LOOK_MS);
        }
    }

    /// Whether each service has as many containers as replicas, and nothing else runs.
    fn is_as_wanted(&self) -> bool {
        let state = self.world.state().unwrap();
        let runs = |task| self.members().filter(move |host| host.runs(task)).count();
        let hosts = self.members().count() as u64;
        let mut wanted = 0;
        let all_run = state.services().iter().all(|service| {
            let tasks = state.tasks_of_service(service.id);
            let tasks = tasks.filter(|task| service.executes(task));
            if service.job.is_some() {
                let total = service.job_size().map_or(hosts, |size| size.total);
                let complete = tasks.filter(|task| task.has_completed());
                // What was done on nodes that have been removed is not to be done again.
                let is_there = |slot: &Slot| match slot {
                    Slot::Number(_) => true,
                    Slot::Node(node) => state.nodes().find(*node).is_some(),
                };
                let slots = complete.map(|task| task.slot).filter(is_there);
                let slots: BTreeSet<_> = slots.collect();
                return slots.len() as u64 == total;
            }
            let replicas = service.replicas().unwrap_or(hosts);
            let replicas = usize::try_from(replicas).unwrap();
            wanted += replicas;
            tasks.map(|task| runs(task.id)).sum::<usize>() == replicas
        });
        let running: usize = self.members().map(|host| host.running().count()).sum();
        all_run && running == wanted
    }

    /// The hosts that are nodes. Who was removed is left to itself.
    fn members(&self) -> impl Iterator<Item = &Host> {
        let state = self.world.state();
        let is_node =
            move |host: &&Host| state.is_some_and(|s| s.nodes().find(host.node).is_some());
        self.world.hosts.iter().filter(is_node)
    }

    /// The seats of hosts that are nodes: the manager of one that was removed before it knew that
    /// it is none any more is never told (seed 562).
    fn seats(&self) -> impl Iterator<Item = &Seat> {
        let nodes: BTreeSet<_> = self.members().map(|host| host.node).collect();
        let seats = self.world.hosts.iter().zip(&self.world.seats);
        let seats = seats.filter(move |(host, _)| nodes.contains(&host.node));
        seats.map(|(_, seat)| seat)
    }

    fn is_empty(&self) -> bool {
        let state = self.world.state().unwrap();
        let holds = |host: &Host| host.agent.as_ref().map_or(0, |agent| agent.holds().count());
        state.tasks().iter().next().is_none()
            && self
                .members()
                .all(|host| host.containers.is_empty() && holds(host) == 0)
    }

    fn is_agreed(&self) -> bool {
        let managers = self.seats().filter_map(|seat| seat.manager.as_ref());
        let mut states = managers.map(|manager| manager.state().index());
        let first = states.next();
        states.all(|index| Some(index) == first)
    }

    /// Whether those are managers that shall be, all of them voters.
    fn is_shaped(&self) -> bool {
        let state = self.world.state().unwrap();
        let is_manager = |node: &&Arc<Node>| node.spec.role == Role::Manager;
        let shall_be = state.nodes().iter().filter(is_manager);
        let wanted: Option<BTreeSet<_>> = shall_be
            .map(|node| Some(node.manager.as_ref()?.raft_id))
            .collect();
        let are: BTreeSet<_> = self.seats().filter_map(|seat| seat.raft_id).collect();
        let leader = self
            .world
            .leader()
            .and_then(|seat| self.world.seats[seat].raft());
        leader.is_some_and(|leader| {
            let members = leader.conf_state();
            let voters: BTreeSet<_> = members.voters.into_iter().collect();
            members.learners.is_empty() && wanted.as_ref() == Some(&voters) && are == voters
        })
    }

    fn create(&mut self, mode: ServiceMode) {
        self.services += 1;
        let mut spec = ServiceSpec {
            name: format!("service{}", self.services),
            mode,
            ..ServiceSpec::default()
        };
        spec.task.container.image = match spec.mode.is_job() {
            true => format!("{JOB}:0"),
            false => "image:0".into(),
        };
        if self.dice.below(3) == 0 {
            let placement = spec.task.placement.get_or_insert_default();
            placement
                .constraints
                .push(format!("node.labels.zone=={ZONE}"));
        }
        let named = self.dice.below(SECRETS + 1);
        spec.task.container.secrets = (1..=named).map(secret).collect();
        self.number(&mut spec);
        self.world.ask(Request::CreateService(spec));
    }

    /// Gives a spec its number, by which its fate is known.
    fn number(&mut self, spec: &mut ServiceSpec) {
        self.specs += 1;
        spec.labels.insert(NUMBER.into(), self.specs.to_string());
    }

    fn update(&mut self, change: impl FnOnce(&mut ServiceSpec, &mut Rng)) {
        let Some(name) = self.any_service() else {
            return;
        };
        let service = self.world.state().and_then(|s| s.services().by_name(&name));
        let service = service.unwrap();
        let (version, mut spec) = (service.meta.version, (*service.spec).clone());
        change(&mut spec, &mut self.dice);
        self.number(&mut spec);
        let update = ServiceUpdate::Spec(spec);
        self.world.ask(Request::UpdateService {
            service: name,
            version,
            update,
        });
    }

    fn roll_back(&mut self) {
        let Some(name) = self.any_service().filter(|name| goes_back(name)) else {
            return;
        };
        let service = self.world.state().and_then(|s| s.services().by_name(&name));
        let version = service.unwrap().meta.version;
        self.world.ask(Request::UpdateService {
            service: name,
            version,
            update: ServiceUpdate::Rollback,
        });
    }

    fn make(&mut self, host: usize, availability: Availability, zone: &str) {
        self.respec(host, |spec| {
            spec.availability = availability;
            spec.labels = [("zone".to_owned(), zone.to_owned())].into();
        });
    }

    fn respec(&mut self, host: usize, change: impl FnOnce(&mut NodeSpec)) {
        let Some(state) = self.world.state() else {
            return;
        };
        // Who knows most may have yet to hear of the swarm.
        let Some(node) = state.nodes().find(self.world.hosts[host].node) else {
            return;
        };
        let mut spec = node.spec.clone();
        change(&mut spec);
        let (node, version) = (node.id.to_string(), node.meta.version);
        self.world.ask(Request::UpdateNode {
            node,
            version,
            spec,
        });
    }

    /// Lets every host take every task. What was asked before may still be on its way, and then
    /// this comes too late; and who is asked may be about to start again (seed 7132).
    fn open_all(&mut self) {
        let mut tries = 0;
        while tries < OPEN_TRIES || tries < OPEN_TRIES_MAX && !self.is_open() {
            tries += 1;
            (0..self.world.hosts.len())
                .for_each(|host| self.make(host, Availability::Active, ZONE));
            self.world.run(LOOK_MS);
        }
    }

    fn is_open(&self) -> bool {
        let is_open = |spec: &NodeSpec| {
            let zone = spec.labels.get("zone").is_some_and(|zone| zone == ZONE);
            zone && spec.availability == Availability::Active
        };
        let state = self.world.state();
        state.is_some_and(|state| state.nodes().iter().all(|node| is_open(&node.spec)))
    }

    fn names(&self) -> Vec<String> {
        let state = self.world.state().into_iter();
        let services = state.flat_map(|state| state.services().iter());
        services.map(|service| service.spec.name.clone()).collect()
    }

    fn any_service(&mut self) -> Option<String> {
        let mut names = self.names();
        let place = self.draw(names.len());
        (place < names.len()).then(|| names.swap_remove(place))
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.dice.below(below as u64)).unwrap()
    }

    fn happens(&mut self, rate: u64) -> bool {
        self.dice.below(1_000) < rate
    }
}

/// Some services are rolled back, and of the others every update is seen to last.
fn goes_back(service: &str) -> bool {
    service.ends_with(['0', '2', '4', '6', '8'])
}

fn a_job(dice: &mut Rng) -> ServiceMode {
    ServiceMode::ReplicatedJob {
        max_concurrent: Some(1 + dice.below(4)),
        total_completions: Some(dice.below(6)),
    }
}

fn update_config(dice: &mut Rng) -> UpdateConfig {
    let actions = [FailureAction::Pause, FailureAction::Continue];
    let orders = [UpdateOrder::StopFirst, UpdateOrder::StartFirst];
    let mut draw = |bound| usize::try_from(dice.below(bound)).unwrap();
    UpdateConfig {
        parallelism: [0, 1, 2][draw(3)],
        delay_ns: [0, 3_000_000_000][draw(2)],
        failure_action: Some(actions[draw(2)]),
        monitor_ns: None,
        max_failure_ratio: [0.0, 0.5][draw(2)],
        order: Some(orders[draw(2)]),
    }
}
