//! One story: users want things while everything fails, then nothing fails any more.

use skep::host::rng::Rng;
use skep::manager::genesis::{Genesis, genesis};
use skep::model::change::{Batch, Change, NewNode};
use skep::model::id::{ClusterId, NodeId};
use skep::model::object::NodeStatus;
use skep::model::spec::cluster::ClusterSpec;
use skep::model::spec::node::{Availability, NodeDescription, NodeSpec};
use skep::model::spec::service::{ServiceMode, ServiceSpec};
use skep::model::time::Time;
use skep::wire::control::{Request, ServiceUpdate};

use crate::world::{Faults, World};

const START: Time = Time(1_800_000_000_000);
const HOSTS: u64 = 3;

/// How long the swarm may take when nothing fails any more: the longest back-off and some more.
const HEAL_MS: u64 = 15 * 60_000;
/// By then the last container has crashed that was going to.
const LAST_CRASH_MS: u64 = 60_000;
const DEPLOY_MS: u64 = 30_000;
const REMOVE_MS: u64 = 5 * 60_000;
const LOOK_MS: u64 = 1_000;

pub struct Story {
    world: World,
    dice: Rng,
    services: u64,
    /// In a thousand, for each turn of the story.
    cut: u64,
    kill: u64,
    reboot: u64,
    isolate: u64,
    kill_manager: u64,
    drain: u64,
}

impl Story {
    /// A swarm of three hosts and one manager. The seed draws which faults there are, and how many.
    pub fn new(seed: u64) -> Self {
        let mut dice = Rng::from_seed(seed);
        let mut world = World::new(seed, &founding(), (1..=HOSTS).map(|n| NodeId(n.into())));
        let mut rate = |most: u64| {
            if dice.below(2) == 0 {
                0
            } else {
                dice.below(most)
            }
        };
        world.faults = Faults {
            crash: rate(800),
            order: rate(300),
            stall: rate(200),
        };
        let (cut, kill, reboot) = (rate(200), rate(200), rate(100));
        let (isolate, kill_manager, drain) = (rate(100), rate(200), rate(200));
        world.start_manager();
        (0..world.hosts.len()).for_each(|host| world.start_daemon(host));
        Self {
            world,
            dice,
            services: 0,
            cut,
            kill,
            reboot,
            isolate,
            kill_manager,
            drain,
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
        self.world.trace()
    }

    fn turn(&mut self) {
        match self.dice.below(6) {
            0 => {
                let replicas = Some(self.dice.below(6));
                let mode = match self.dice.below(3) {
                    0 => ServiceMode::Global,
                    _ => ServiceMode::Replicated { replicas },
                };
                self.create(mode);
            }
            1 => self.update(|spec, dice| {
                let replicas = Some(dice.below(8));
                if spec.mode != ServiceMode::Global {
                    spec.mode = ServiceMode::Replicated { replicas };
                }
            }),
            2 => self.update(|spec, dice| {
                spec.task.container.image = format!("image:{}", dice.next_u64());
            }),
            3 if self.dice.below(4) == 0 => {
                if let Some(name) = self.any_service() {
                    self.world.ask(Request::RemoveService(name));
                }
            }
            _ => {}
        }
        let host = usize::try_from(self.dice.below(HOSTS)).unwrap();
        if self.happens(self.cut) {
            self.world.cut(host);
        }
        if self.happens(self.kill) {
            self.world.kill_daemon(host);
        }
        if self.happens(self.reboot) {
            self.world.kill_daemon(host);
            self.world.hosts[host].reboot();
        }
        if self.happens(self.isolate) {
            let ms = self.dice.below(30_000);
            self.world.hosts[host].isolated_until = self.world.now.plus_ms(ms);
            self.world.cut(host);
        }
        if self.happens(self.drain) {
            let wishes = [
                Availability::Active,
                Availability::Pause,
                Availability::Drain,
            ];
            let wish = usize::try_from(self.dice.below(3)).unwrap();
            self.make(host, wishes[wish]);
        }
        if self.happens(self.kill_manager) {
            self.world.kill_manager();
        }
        // What is off comes back, sooner or later.
        if self.world.hosts[host].agent.is_none() && self.dice.below(2) == 0 {
            self.world.start_daemon(host);
        }
        if self.world.manager.is_none() && self.dice.below(2) == 0 {
            self.world.start_manager();
        }
    }

    fn heal(&mut self) {
        self.world.faults = Faults::default();
        if self.world.manager.is_none() {
            self.world.start_manager();
        }
        for host in 0..self.world.hosts.len() {
            self.world.hosts[host].isolated_until = self.world.now;
            if self.world.hosts[host].agent.is_none() {
                self.world.start_daemon(host);
            }
            self.make(host, Availability::Active);
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
        let state = self.world.manager.as_ref().unwrap().state();
        let runs = |task| {
            self.world
                .hosts
                .iter()
                .filter(move |host| host.runs(task))
                .count()
        };
        let mut wanted = 0;
        let all_run = state.services().iter().all(|service| {
            let replicas = service.replicas().unwrap_or(HOSTS);
            let replicas = usize::try_from(replicas).unwrap();
            wanted += replicas;
            let tasks = state.tasks_of_service(service.id);
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
        let state = self.world.manager.as_ref().unwrap().state();
        state.tasks().iter().next().is_none()
            && self
                .world
                .hosts
                .iter()
                .all(|host| host.containers.is_empty())
    }

    fn create(&mut self, mode: ServiceMode) {
        self.services += 1;
        let mut spec = ServiceSpec {
            name: format!("service{}", self.services),
            mode,
            ..ServiceSpec::default()
        };
        spec.task.container.image = "image:0".into();
        self.world.ask(Request::CreateService(spec));
    }

    fn update(&mut self, change: impl FnOnce(&mut ServiceSpec, &mut Rng)) {
        let Some(name) = self.any_service() else {
            return;
        };
        let state = self.world.manager.as_ref().unwrap().state();
        let service = state.services().by_name(&name).unwrap();
        let (version, mut spec) = (service.meta.version, (*service.spec).clone());
        change(&mut spec, &mut self.dice);
        let update = ServiceUpdate::Spec(spec);
        self.world.ask(Request::UpdateService {
            service: name,
            version,
            update,
        });
    }

    fn make(&mut self, host: usize, availability: Availability) {
        let Some(manager) = &self.world.manager else {
            return;
        };
        let node = manager
            .state()
            .nodes()
            .find(self.world.hosts[host].node)
            .unwrap();
        let spec = NodeSpec {
            availability,
            ..node.spec.clone()
        };
        let (node, version) = (node.id.to_string(), node.meta.version);
        self.world.ask(Request::UpdateNode {
            node,
            version,
            spec,
        });
    }

    fn names(&self) -> Vec<String> {
        let manager = self.world.manager.iter();
        let services = manager.flat_map(|manager| manager.state().services().iter());
        services.map(|service| service.spec.name.clone()).collect()
    }

    fn any_service(&mut self) -> Option<String> {
        let mut names = self.names();
        let place = usize::try_from(self.dice.below(names.len() as u64)).unwrap();
        (place < names.len()).then(|| names.swap_remove(place))
    }

    fn happens(&mut self, rate: u64) -> bool {
        self.dice.below(1_000) < rate
    }

    /// What there is, for whoever has to find out why a story fails.
    fn picture(&self) -> String {
        let state = self.world.manager.as_ref().unwrap().state();
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
        let lines: Vec<_> = nodes
            .chain(services)
            .chain(tasks)
            .chain(containers)
            .collect();
        lines.join("\n")
    }
}

/// The first log entry: the swarm, the manager's node, and two more.
fn founding() -> Batch {
    let start = Genesis {
        cluster: ClusterId(1),
        spec: ClusterSpec::default(),
        address_pools: vec!["10.0.0.0/8".into()],
        subnet_size: 24,
        data_path_port: 4789,
        node: NodeId(1),
        description: NodeDescription::default(),
        availability: Availability::Active,
        address: "127.0.0.1".into(),
        manager_address: "127.0.0.1:2377".into(),
        raft_id: 1,
    };
    let mut changes = genesis(start, START);
    changes.extend((2..=HOSTS).map(|number| {
        Change::CreateNode(NewNode {
            id: NodeId(number.into()),
            spec: NodeSpec::default(),
            description: NodeDescription::default(),
            status: NodeStatus::default(),
            manager: None,
        })
    }));
    Batch { at: START, changes }
}
