//! One story: users want things while everything fails, then nothing fails any more.

use std::collections::BTreeSet;

use skep::host::rng::Rng;
use skep::model::spec::node::{Availability, NodeSpec};
use skep::model::spec::service::{
    FailureAction, ServiceMode, ServiceSpec, UpdateConfig, UpdateOrder,
};
use skep::wire::control::{Request, ServiceUpdate};

use crate::checkers::nothing_lost::NUMBER;
use crate::founding::{HOSTS, SECRETS, founding, secret};
use crate::host::{Host, JOB};
use crate::world::{Faults, World};

/// How long the swarm may take when nothing fails any more: the longest back-off and some more.
const HEAL_MS: u64 = 15 * 60_000;
/// By then the last container has crashed that was going to.
const LAST_CRASH_MS: u64 = 60_000;
const ELECT_MS: u64 = 10_000;
const DEPLOY_MS: u64 = 30_000;
const REMOVE_MS: u64 = 5 * 60_000;
const LOOK_MS: u64 = 1_000;
const OPEN_TRIES: u64 = 3;
/// What some services want of their nodes, and in the end all nodes have.
const ZONE: &str = "a";

pub struct Story {
    world: World,
    dice: Rng,
    /// Counts the services, and all specs.
    services: u64,
    specs: u64,
    rates: Rates,
}

/// In a thousand, for each turn of the story.
struct Rates {
    cut: u64,
    kill: u64,
    reboot: u64,
    isolate: u64,
    kill_manager: u64,
    power_cut: u64,
    split: u64,
    drain: u64,
}

impl Story {
    /// A swarm of three hosts, and one, three or five managers. The seed draws which faults there
    /// are, and how many.
    pub fn new(seed: u64) -> Self {
        let mut dice = Rng::from_seed(seed);
        let managers = [1, 3, 3, 5][usize::try_from(dice.below(4)).unwrap()];
        let mut world = World::new(seed, &founding(managers), managers, HOSTS);
        let mut rate = |most: u64| match dice.below(2) {
            0 => 0,
            _ => dice.below(most),
        };
        world.faults = Faults {
            crash: rate(800),
            order: rate(300),
            stall: rate(200),
            loss: rate(200),
            latency_ms: 10 + rate(400),
        };
        let rates = Rates {
            cut: rate(200),
            kill: rate(200),
            reboot: rate(100),
            isolate: rate(100),
            kill_manager: rate(400),
            power_cut: rate(1_000),
            split: rate(300),
            drain: rate(200),
        };
        (0..world.seats.len()).for_each(|seat| world.start_manager(seat));
        (0..world.hosts.len()).for_each(|host| world.start_daemon(host));
        Self {
            world,
            dice,
            services: 0,
            specs: 0,
            rates,
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
        let host = self.draw(self.world.hosts.len());
        self.disturb_host(host);
        let seat = self.draw(self.world.seats.len());
        self.disturb_manager(seat);
        // What is off comes back, sooner or later.
        if self.world.hosts[host].agent.is_none() && self.dice.below(2) == 0 {
            self.world.start_daemon(host);
        }
        for seat in 0..self.world.seats.len() {
            if self.world.seats[seat].manager.is_none() && self.dice.below(2) == 0 {
                self.world.start_manager(seat);
            }
        }
        if self.dice.below(3) == 0 {
            self.world.net.cut.clear();
        }
    }

    fn disturb_host(&mut self, host: usize) {
        if self.happens(self.rates.cut) {
            self.world.cut(host);
        }
        if self.happens(self.rates.kill) {
            self.world.kill_daemon(host);
        }
        if self.happens(self.rates.reboot) {
            self.world.kill_daemon(host);
            self.world.hosts[host].reboot();
        }
        if self.happens(self.rates.isolate) {
            let ms = self.dice.below(30_000);
            self.world.hosts[host].isolated_until = self.world.now.plus_ms(ms);
            self.world.cut(host);
        }
        if self.happens(self.rates.drain) {
            let wishes = [
                Availability::Active,
                Availability::Pause,
                Availability::Drain,
            ];
            let wish = self.draw(wishes.len());
            let zone = ["", ZONE][self.draw(2)];
            self.make(host, wishes[wish], zone);
        }
    }

    fn disturb_manager(&mut self, seat: usize) {
        if self.happens(self.rates.kill_manager) {
            // The leader is the one that it hurts most.
            let is_leader = self.dice.below(2) == 0;
            let seat = self.world.leader().filter(|_| is_leader).unwrap_or(seat);
            let with_power = self.happens(self.rates.power_cut);
            if self.world.seats[seat].manager.is_some() {
                self.world.kill_manager(seat, with_power);
            }
        }
        if self.happens(self.rates.split) {
            self.world.split();
        }
    }

    fn heal(&mut self) {
        self.world.faults = Faults {
            latency_ms: 10,
            ..Faults::default()
        };
        self.world.net.cut.clear();
        for seat in 0..self.world.seats.len() {
            if self.world.seats[seat].manager.is_none() {
                self.world.start_manager(seat);
            }
        }
        for host in 0..self.world.hosts.len() {
            self.world.hosts[host].isolated_until = self.world.now;
            if self.world.hosts[host].agent.is_none() {
                self.world.start_daemon(host);
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, what: &str, within_ms: u64, is_so: impl Fn(&Self) -> bool) {
        let end = self.world.now.plus_ms(within_ms);
        // What was asked for last is not in the log yet.
        self.world.run(LOOK_MS);
        while !is_so(self) {
            let picture = self.picture();
            assert!(
                self.world.now < end,
                "not within {within_ms} ms: {what}\n{picture}"
            );
            self.world.run(LOOK_MS);
        }
    }

    /// Whether each service has as many containers as replicas, and nothing else runs.
    fn is_as_wanted(&self) -> bool {
        let state = self.world.state().unwrap();
        let runs = |task| {
            self.world
                .hosts
                .iter()
                .filter(move |host| host.runs(task))
                .count()
        };
        let mut wanted = 0;
        let all_run = state.services().iter().all(|service| {
            let tasks = state.tasks_of_service(service.id);
            let tasks = tasks.filter(|task| service.executes(task));
            if service.job.is_some() {
                let total = service.job_size().map_or(HOSTS, |size| size.total);
                let complete = tasks.filter(|task| task.has_completed());
                let slots: BTreeSet<_> = complete.map(|task| task.slot).collect();
                return slots.len() as u64 == total;
            }
            let replicas = service.replicas().unwrap_or(HOSTS);
            let replicas = usize::try_from(replicas).unwrap();
            wanted += replicas;
            tasks.map(|task| runs(task.id)).sum::<usize>() == replicas
        });
        let running: usize = self
            .world
            .hosts
            .iter()
            .map(|host| host.running().count())
            .sum();
        all_run && running == wanted
    }

    fn is_empty(&self) -> bool {
        let state = self.world.state().unwrap();
        let holds = |host: &Host| host.agent.as_ref().map_or(0, |agent| agent.holds().count());
        state.tasks().iter().next().is_none()
            && self
                .world
                .hosts
                .iter()
                .all(|host| host.containers.is_empty() && holds(host) == 0)
    }

    fn is_agreed(&self) -> bool {
        let seats = self.world.seats.iter();
        let mut states = seats.map(|seat| seat.manager.as_ref().unwrap().state().index());
        let first = states.next();
        states.all(|index| Some(index) == first)
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
        let Some(state) = self.world.state() else {
            return;
        };
        let node = state.nodes().find(self.world.hosts[host].node).unwrap();
        let spec = NodeSpec {
            availability,
            labels: [("zone".to_owned(), zone.to_owned())].into(),
            ..node.spec.clone()
        };
        let (node, version) = (node.id.to_string(), node.meta.version);
        self.world.ask(Request::UpdateNode {
            node,
            version,
            spec,
        });
    }

    /// Lets every host take every task. What was asked before may still be on its way, and then
    /// this comes too late.
    fn open_all(&mut self) {
        for _ in 0..OPEN_TRIES {
            (0..self.world.hosts.len())
                .for_each(|host| self.make(host, Availability::Active, ZONE));
            self.world.run(LOOK_MS);
        }
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

    /// What there is, for whoever has to find out why a story fails.
    fn picture(&self) -> String {
        let state = self.world.state().unwrap();
        let nodes = state.nodes().iter().map(|node| {
            let availability = node.spec.availability;
            format!("{}: {:?} {availability:?}", node.id, node.status.state)
        });
        let services = state.services().iter();
        let services = services.map(|s| format!("{}: {:?}", s.spec.name, s.replicas()));
        let tasks = state.tasks().iter().map(|task| {
            let (wish, is) = (task.desired_state.name(), task.status.state.name());
            let (name, error) = (task.name(), &task.status.error);
            let ago_ms = self.world.now.since_ms(task.status.at);
            format!(
                "{name} {} on {:?}: {wish}/{is} {ago_ms} ms ago {error}",
                task.id, task.node
            )
        });
        let containers = self.world.hosts.iter().flat_map(|host| {
            host.containers
                .values()
                .map(move |there| format!("{}: {there}", host.node))
        });
        let managers = self.world.seats.iter().map(|seat| {
            let index = seat.manager.as_ref().map(|m| m.state().index());
            format!("manager {}: {index:?} {:?}", seat.raft_id, seat.raft())
        });
        let lines: Vec<_> = managers
            .chain(nodes)
            .chain(services)
            .chain(tasks)
            .chain(containers)
            .collect();
        lines.join("\n")
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
