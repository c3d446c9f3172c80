//! Time, links, and who is woken when: the only place where anything happens.

mod links;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use skep::agent::containers::{Attempt, ContainerId};
use skep::agent::task::News;
use skep::agent::{Effect as AgentEffect, Event as AgentEvent};
use skep::host::rng::Rng;
use skep::manager::dispatcher::SessionId;
use skep::manager::{Effect, Event, Manager, RequestId};
use skep::model::change::Batch;
use skep::model::id::{NodeId, TaskId};
use skep::model::object::TaskState;
use skep::model::record::Row;
use skep::model::time::Time;
use skep::raft::node::Persist;
use skep::raft::record::Anchor;
use skep::wire::control::Request;
use skep::wire::frame;
use skep::wire::session::{Assignments, ToAgent};

use crate::disk::Disk;
use crate::host::{Host, Order};
use crate::world::links::Line;

/// Things that may happen at one moment before time must go on.
const AT_ONCE_MAX: u64 = 100_000;

/// How often what goes wrong, in a thousand.
#[derive(Debug, Default)]
pub struct Faults {
    /// A container ends by itself within a minute of its start.
    pub crash: u64,
    /// The runtime does not do what it is asked to.
    pub order: u64,
    /// The disk stalls for seconds.
    pub stall: u64,
}

pub struct World {
    pub now: Time,
    pub dice: Rng,
    pub faults: Faults,
    pub manager: Option<Manager>,
    pub hosts: Vec<Host>,
    manager_rng: Rng,
    /// Counts the manager's daemons.
    manager_life: u64,
    disk: Disk,
    disk_busy_until: Time,
    lines: BTreeMap<SessionId, Line>,
    queue: BTreeMap<(Time, u64), Happening>,
    count: u64,
    /// The last state of each task that the log had.
    states: BTreeMap<TaskId, TaskState>,
    trace: DefaultHasher,
}

#[derive(Debug)]
enum Happening {
    ToManager(SessionId, Vec<u8>),
    ToAgent(SessionId, Vec<u8>),
    ManagerHearsEnd(SessionId),
    AgentHearsEnd(SessionId),
    Dial {
        host: usize,
        life: u64,
    },
    Written {
        life: u64,
        job: Job,
    },
    Ordered {
        host: usize,
        life: u64,
        attempt: Attempt,
        order: Order,
    },
    Ends {
        host: usize,
        container: ContainerId,
        code: u8,
    },
}

#[derive(Debug)]
enum Job {
    Persist(Persist),
    Checkpoint(Anchor, Vec<Row>),
}

impl World {
    /// Hosts that are off, and a manager that is off.
    pub fn new(seed: u64, founding: &Batch, nodes: impl Iterator<Item = NodeId>) -> Self {
        let mut dice = Rng::from_seed(seed);
        let hosts = nodes
            .map(|node| Host::new(node, dice.fork("host")))
            .collect();
        Self {
            now: founding.at,
            hosts,
            manager_rng: dice.fork("manager"),
            dice,
            faults: Faults::default(),
            manager: None,
            manager_life: 0,
            disk: Disk::founded(founding),
            disk_busy_until: founding.at,
            lines: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            states: BTreeMap::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// What happened, in one number.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub fn ask(&mut self, request: Request) {
        self.step_manager(Event::Request(RequestId(1), Box::new(request)));
    }

    pub fn start_manager(&mut self) {
        self.manager_life += 1;
        self.disk_busy_until = self.now;
        self.manager = Some(self.disk.resume(self.dice.next_u64()));
        self.step_manager(Event::Tick);
    }

    /// What was not written is lost, and every session ends.
    pub fn kill_manager(&mut self) {
        self.manager = None;
        for (session, line) in &mut self.lines {
            line.is_cut = true;
            let at = self.now.plus_ms(self.dice.below(1_000));
            self.count += 1;
            self.queue
                .insert((at, self.count), Happening::AgentHearsEnd(*session));
        }
    }

    pub fn start_daemon(&mut self, host: usize) {
        let found = self.hosts[host].start_daemon();
        self.step_agent(host, AgentEvent::Adopted(found));
        self.dial_after(host, 10);
    }

    pub fn kill_daemon(&mut self, host: usize) {
        self.hosts[host].agent = None;
        if let Some(session) = self.hosts[host].session.take() {
            self.end_up(session);
        }
    }

    /// Lets everything happen that happens within this time.
    pub fn run(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        let mut at_once = 0;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once < AT_ONCE_MAX, "time stands still at {:?}", self.now);
            self.now = self.now.max(next);
            match self
                .queue
                .first_entry()
                .filter(|first| first.key().0 <= self.now)
            {
                Some(first) => {
                    let happening = first.remove();
                    self.happen(happening);
                }
                None => self.tick(),
            }
        }
        self.now = end;
    }

    fn next(&self) -> Option<Time> {
        let queue = self.queue.first_key_value().map(|((at, _), _)| *at);
        let manager = self
            .manager
            .as_ref()
            .and_then(|manager| manager.due(self.now));
        let agents = self
            .hosts
            .iter()
            .filter_map(|host| host.agent.as_ref()?.due());
        agents.chain(queue).chain(manager).min()
    }

    fn tick(&mut self) {
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= self.now);
        if is_due(
            self.manager
                .as_ref()
                .and_then(|manager| manager.due(self.now)),
        ) {
            self.step_manager(Event::Tick);
        }
        for host in 0..self.hosts.len() {
            let due = self.hosts[host]
                .agent
                .as_ref()
                .and_then(|agent| agent.due());
            if due.is_some_and(|due| due <= self.now) {
                self.step_agent(host, AgentEvent::Tick);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        self.now.0.hash(&mut self.trace);
        match happening {
            Happening::ToManager(session, bytes) => {
                bytes.hash(&mut self.trace);
                if self.lines.get(&session).is_some_and(|line| !line.is_cut) {
                    let message = frame::decode(&bytes).unwrap();
                    self.step_manager(Event::Session(session, message));
                }
            }
            Happening::ToAgent(session, bytes) => {
                bytes.hash(&mut self.trace);
                let line = self.lines.get(&session).filter(|line| !line.is_cut);
                if let Some(host) = line.map(|line| line.host) {
                    self.tell_agent(host, session, frame::decode(&bytes).unwrap());
                }
            }
            Happening::ManagerHearsEnd(session) => {
                self.lines.remove(&session);
                self.step_manager(Event::SessionClosed(session));
            }
            Happening::AgentHearsEnd(session) => self.agent_hears_end(session),
            Happening::Dial { host, life } => self.dial(host, life),
            Happening::Written { life, job } if life == self.manager_life => self.written(job),
            Happening::Written { .. } => {}
            Happening::Ordered {
                host,
                life,
                attempt,
                order,
            } => {
                let lives = self.hosts[host].agent.is_some() && self.hosts[host].life == life;
                if lives {
                    self.carry_out(host, attempt, order);
                }
            }
            Happening::Ends {
                host,
                container,
                code,
            } => self.container_ends(host, container, code),
        }
    }

    fn step_manager(&mut self, event: Event) {
        let Some(manager) = &mut self.manager else {
            return;
        };
        let effects = manager.step(self.now, &mut self.manager_rng, event);
        for effect in effects {
            match effect {
                Effect::Persist(persist) => self.write(Job::Persist(persist)),
                Effect::Checkpoint(anchor, rows) => self.write(Job::Checkpoint(anchor, rows)),
                Effect::ToAgent(session, message) => {
                    self.check_states();
                    let at = self.now.plus_ms(1 + self.dice.below(50));
                    if let Some(line) = self.lines.get_mut(&session) {
                        line.last_down = line.last_down.max(at);
                        let (at, bytes) = (line.last_down, frame::encode(&message).unwrap());
                        self.at(at, Happening::ToAgent(session, bytes));
                    }
                }
                Effect::CloseSession(session) => {
                    if let Some(line) = self.lines.get(&session) {
                        self.at(line.last_down, Happening::AgentHearsEnd(session));
                    }
                }
                Effect::Reply(..) | Effect::Publish(_) => {}
                Effect::Fatal(fatal) => panic!("{fatal}"),
            }
        }
    }

    fn write(&mut self, job: Job) {
        let stalls = self.dice.below(1_000) < self.faults.stall;
        let takes_ms = if stalls {
            3_000
        } else {
            1 + self.dice.below(20)
        };
        self.disk_busy_until = self.disk_busy_until.max(self.now).plus_ms(takes_ms);
        let life = self.manager_life;
        self.at(self.disk_busy_until, Happening::Written { life, job });
    }

    fn written(&mut self, job: Job) {
        if self.manager.is_none() {
            return;
        }
        let event = match job {
            Job::Persist(persist) => {
                let number = persist.number;
                self.disk.write(persist);
                Event::Persisted(number)
            }
            Job::Checkpoint(anchor, rows) => {
                self.disk.checkpoint(anchor, rows);
                Event::CheckpointDone
            }
        };
        self.step_manager(event);
    }

    /// What agents are told is said from a state that is not older than any before.
    fn check_states(&mut self) {
        for task in self
            .manager
            .iter()
            .flat_map(|manager| manager.state().tasks().iter())
        {
            let state = task.status.state;
            let last = self.states.insert(task.id, state).unwrap_or_default();
            assert!(
                last <= state,
                "{} went from {last:?} to {state:?}",
                task.name()
            );
        }
    }

    fn tell_agent(&mut self, host: usize, session: SessionId, message: ToAgent) {
        if self.hosts[host].session != Some(session) {
            return;
        }
        if let ToAgent::Assignments(assignments) = &message {
            let tasks = match assignments {
                Assignments::Full { tasks, .. } | Assignments::Part { tasks } => tasks,
                Assignments::Difference { set, .. } => set,
            };
            self.hosts[host]
                .assigned
                .extend(tasks.iter().map(|task| task.task));
        }
        self.step_agent(host, AgentEvent::Message(message));
    }

    fn step_agent(&mut self, host: usize, event: AgentEvent) {
        let now = self.now;
        let Host {
            agent: Some(agent),
            rng,
            life,
            session,
            ..
        } = &mut self.hosts[host]
        else {
            return;
        };
        let (life, session) = (*life, *session);
        for effect in agent.step(now, rng, event) {
            match effect {
                AgentEffect::Send(message) => self.send(session, &message),
                AgentEffect::HangUp => {
                    self.hosts[host].session = None;
                    session.into_iter().for_each(|session| self.end_up(session));
                    self.dial_after(host, 1_000);
                }
                effect => {
                    let (attempt, order) = Order::of(effect).unwrap();
                    let ms = 1 + self.dice.below(200);
                    self.after(
                        ms,
                        Happening::Ordered {
                            host,
                            life,
                            attempt,
                            order,
                        },
                    );
                }
            }
        }
    }

    fn carry_out(&mut self, host: usize, attempt: Attempt, order: Order) {
        if matches!(order, Order::Start(_)) {
            let elsewhere = self.hosts.iter().any(|other| other.runs(attempt.task));
            assert!(!elsewhere, "{:?} would run twice", attempt.task);
        }
        let fails = self.dice.below(1_000) < self.faults.order;
        let outcome = self.hosts[host].carry_out(order, self.now, fails);
        let container = attempt.container;
        let started = matches!(outcome.news, Some(News::Started { .. }));
        if started && self.dice.below(1_000) < self.faults.crash {
            let code = u8::from(self.dice.below(4) > 0);
            let ms = self.dice.below(60_000);
            self.after(
                ms,
                Happening::Ends {
                    host,
                    container,
                    code,
                },
            );
        }
        if let Some(code) = outcome.ends {
            let ms = self.dice.below(3_000);
            self.after(
                ms,
                Happening::Ends {
                    host,
                    container,
                    code,
                },
            );
        }
        if let Some(news) = outcome.news {
            self.step_agent(host, AgentEvent::Container { attempt, news });
        }
    }

    fn container_ends(&mut self, host: usize, container: ContainerId, code: u8) {
        let attempt = self.hosts[host]
            .running()
            .find(|a| a.container == container);
        let news = self.hosts[host].end(container, code, self.now);
        if let Some((attempt, news)) = attempt.zip(news) {
            self.step_agent(host, AgentEvent::Container { attempt, news });
        }
    }

    fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now.plus_ms(ms), happening);
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }
}
