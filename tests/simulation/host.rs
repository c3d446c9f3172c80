//! A host: its agent while its daemon runs, and its containers, which outlive the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use skep::agent::containers::{
    Attempt, Change, Condition, ContainerId, Exit, Found, Health, Kept, KeptId, Record, Started,
};
use skep::agent::task::News;
use skep::agent::{Agent, Effect};
use skep::host::rng::Rng;
use skep::manager::dispatcher::SessionId;
use skep::model::id::{NodeId, TaskId};
use skep::model::object::TaskState;
use skep::model::spec::node::{NodeDescription, Role};
use skep::model::time::Time;
use skep::wire::dependency::Dependency;
use skep::wire::session::{Assignment, Assignments, Roster};

use crate::clock::Clock;
use crate::world::address_of;

/// How the images of jobs begin.
pub const JOB: &str = "job";

/// What the runtime does when it is asked to.
#[derive(Clone, Debug)]
pub enum Order {
    Prepare(Record, Vec<Arc<Dependency>>),
    Start(Attempt),
    Stop,
    Kill,
    Remove(Attempt),
}

#[derive(Debug)]
pub struct Host {
    pub node: NodeId,
    pub agent: Option<Agent>,
    pub rng: Rng,
    /// Counts the daemons; news for an earlier one is no news.
    pub life: u64,
    pub session: Option<SessionId>,
    /// Nothing reaches the manager before this.
    pub isolated_until: Time,
    pub containers: BTreeMap<ContainerId, Container>,
    /// What its disk has for the day when it starts without a manager.
    pub kept: BTreeMap<KeptId, Kept>,
    /// Every task that a manager gave this host.
    pub assigned: BTreeSet<TaskId>,
    /// What it was last told to make of its tasks.
    pub wanted: BTreeMap<TaskId, TaskState>,
    /// The tasks of a full assignment that has not been told to its end.
    parts: BTreeMap<TaskId, TaskState>,
    pub clock: Clock,
    /// What it knows of the managers.
    pub roster: Roster,
    /// It looks from time to time whether it is the manager that it shall be.
    pub looks: bool,
}

#[derive(Debug)]
pub struct Container {
    record: Record,
    state: State,
    health: Health,
    was_unhealthy: bool,
}

#[derive(Debug)]
enum State {
    Prepared,
    Running(Time),
    Ended(Exit),
}

/// What a carried out order leads to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub news: Option<News>,
    /// The container's process was told to end, and ends with this code.
    pub ends: Option<u8>,
}

impl Host {
    /// A host that is off. The first so many are managers.
    pub fn new(node: NodeId, managers: u64, rng: Rng) -> Self {
        let count = usize::try_from(managers).unwrap();
        let number = u64::try_from(node.0).unwrap();
        let role = match node.0 <= managers.into() {
            true => Role::Manager,
            false => Role::Worker,
        };
        let managers = (0..count).map(address_of).collect();
        Self {
            wanted: BTreeMap::new(),
            parts: BTreeMap::new(),
            clock: Clock::default(),
            roster: Roster {
                managers,
                role,
                raft_id: (role == Role::Manager).then_some(number),
                roots: [0; 32],
            },
            looks: false,
            node,
            agent: None,
            rng,
            life: 0,
            session: None,
            isolated_until: Time::default(),
            containers: BTreeMap::new(),
            kept: BTreeMap::new(),
            assigned: BTreeSet::new(),
        }
    }

    /// Takes note of what a manager says of tasks.
    pub fn told(&mut self, assignments: &Assignments) {
        let state = |task: &Assignment| (task.task, task.desired_state);
        match assignments {
            Assignments::Part { tasks } => self.parts.extend(tasks.iter().map(state)),
            Assignments::Full { tasks, .. } => {
                self.wanted = std::mem::take(&mut self.parts);
                self.wanted.extend(tasks.iter().map(state));
            }
            Assignments::Difference {
                set,
                desired,
                removed,
                ..
            } => {
                self.wanted.extend(set.iter().map(state));
                self.wanted.extend(desired.iter().copied());
                self.wanted.retain(|task, _| !removed.contains(task));
            }
        }
        self.assigned.extend(self.wanted.keys());
        self.assigned.extend(self.parts.keys());
    }

    /// When its agent wants to be woken.
    pub fn due(&self) -> Option<Time> {
        let due = self.agent.as_ref()?.due()?;
        Some(self.clock.when(due))
    }

    /// A daemon starts; what it finds of an earlier one's.
    pub fn start_daemon(&mut self) -> Vec<Found> {
        self.life += 1;
        self.agent = Some(Agent::new(self.node, NodeDescription::default()));
        self.containers
            .retain(|_, container| !matches!(container.state, State::Prepared));
        self.containers
            .values()
            .filter_map(Container::found)
            .collect()
    }

    /// The machine restarts: nothing in its run directory is left.
    pub fn reboot(&mut self) {
        self.containers.clear();
    }

    /// Writes to its disk.
    pub fn keep(&mut self, changes: Vec<Change>) {
        for (id, kept) in changes {
            match kept {
                Some(kept) => drop(self.kept.insert(id, kept)),
                None => drop(self.kept.remove(&id)),
            }
        }
    }

    pub fn running(&self) -> impl Iterator<Item = Attempt> {
        let running = self
            .containers
            .values()
            .filter(|container| container.is_running());
        running.map(|container| container.record.attempt)
    }

    /// Whether the container was started and has ended.
    pub fn has_ended(&self, container: ContainerId) -> bool {
        let container = self.containers.get(&container);
        container.is_some_and(|container| matches!(container.state, State::Ended(_)))
    }

    /// Whether what runs in the container is to complete.
    pub fn is_of_job(&self, container: ContainerId) -> bool {
        self.containers.get(&container).is_some_and(|container| {
            let spec = &container.record.assignment.spec;
            spec.container.image.starts_with(JOB)
        })
    }

    /// Whether a container of the task has been unhealthy.
    pub fn was_unhealthy(&self, task: TaskId) -> bool {
        let mut containers = self.containers.values();
        containers.any(|c| c.was_unhealthy && c.record.attempt.task == task)
    }

    /// Whether a container of the task runs here.
    pub fn runs(&self, task: TaskId) -> bool {
        self.running().any(|attempt| attempt.task == task)
    }

    /// Does what the agent wants of the runtime, or fails to.
    pub fn carry_out(&mut self, order: Order, now: Time, fails: bool, health: Health) -> Outcome {
        let news = |news| Outcome {
            news: Some(news),
            ends: None,
        };
        let ends = |code| Outcome {
            news: None,
            ends: Some(code),
        };
        match order {
            Order::Prepare(..) if fails => news(News::PrepareFailed {
                reason: "no such image".into(),
                passing: now.0.is_multiple_of(2),
            }),
            Order::Start(_) if fails => news(News::StartFailed {
                reason: "no such program".into(),
            }),
            Order::Remove(_) if fails => news(News::RemoveFailed),
            Order::Prepare(record, _) => {
                let container = Container {
                    record,
                    state: State::Prepared,
                    health,
                    was_unhealthy: false,
                };
                self.containers
                    .insert(container.record.attempt.container, container);
                news(News::Prepared)
            }
            Order::Start(attempt) => {
                let container = self
                    .containers
                    .get_mut(&attempt.container)
                    .expect("unprepared");
                assert!(matches!(container.state, State::Prepared), "started twice");
                container.state = State::Running(now);
                news(News::Started(Started {
                    pid: 7,
                    health: container.health,
                }))
            }
            // A process may ignore its stop signal.
            Order::Stop if fails => Outcome::default(),
            Order::Stop => ends(143),
            Order::Kill => ends(137),
            Order::Remove(attempt) => {
                let container = self.containers.remove(&attempt.container);
                assert!(
                    !container.is_some_and(|c| c.is_running()),
                    "removed while it runs"
                );
                news(News::Removed)
            }
        }
    }

    /// A running container's health is another now; whose it is.
    pub fn health_changes(&mut self, container: ContainerId, health: Health) -> Option<Attempt> {
        let container = self
            .containers
            .get_mut(&container)
            .filter(|c| c.is_running())?;
        container.health = health;
        container.was_unhealthy |= health == Health::Unhealthy;
        Some(container.record.attempt)
    }

    /// A running container ends; what there is to tell about it.
    pub fn end(&mut self, container: ContainerId, code: u8, now: Time) -> Option<News> {
        let container = self
            .containers
            .get_mut(&container)
            .filter(|c| c.is_running())?;
        let exit = Exit {
            code: Some(code),
            at: now,
            ..Exit::default()
        };
        container.state = State::Ended(exit.clone());
        Some(News::Exited(exit))
    }
}

impl Container {
    fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    fn found(&self) -> Option<Found> {
        let condition = match &self.state {
            State::Prepared => return None,
            State::Running(since) => Condition::Running {
                pid: 7,
                since: *since,
                stopped: None,
            },
            State::Ended(exit) => Condition::Ended(exit.clone()),
        };
        Some(Found {
            record: self.record.clone(),
            condition,
            health: self.health,
        })
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.record.attempt.task, self.state)
    }
}

impl Order {
    /// The order that an effect is, if it is one for the runtime.
    pub fn of(effect: Effect) -> Option<(Attempt, Self)> {
        Some(match effect {
            Effect::Prepare(record, dependencies) => {
                (record.attempt, Self::Prepare(record, dependencies))
            }
            Effect::Start(attempt) => (attempt, Self::Start(attempt)),
            Effect::Stop(attempt) => (attempt, Self::Stop),
            Effect::Kill(attempt) => (attempt, Self::Kill),
            Effect::Remove(attempt) => (attempt, Self::Remove(attempt)),
            Effect::Send(_)
            | Effect::Learn(_)
            | Effect::Answer(_)
            | Effect::Reach(_)
            | Effect::Keep(_)
            | Effect::HangUp
            | Effect::Done => return None,
        })
    }
}
