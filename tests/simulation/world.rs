//! Time, links, and who is woken when: the only place where anything happens.

mod containers;
mod links;
mod net;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use skep::agent::containers::{Attempt, ContainerId, Health};
use skep::agent::{Effect as AgentEffect, Event as AgentEvent};
use skep::host::rng::Rng;
use skep::manager::dispatcher::SessionId;
use skep::manager::{Effect, Event, Manager, RequestId};
use skep::model::change::Batch;
use skep::model::id::NodeId;
use skep::model::state::State;
use skep::model::time::Time;
use skep::wire::control::{Refusal, Request, Response};
use skep::wire::frame;
use skep::wire::session::{Assignments, ToAgent};

use crate::checkers::Checkers;
use crate::host::{Host, Order};
use crate::seat::{Job, Seat};
use crate::world::links::Line;
use crate::world::net::{Mail, Net};

/// Things that may happen at one moment before time must go on.
const AT_ONCE_MAX: u64 = 100_000;

/// How often what goes wrong, in a thousand.
#[derive(Debug, Default)]
pub struct Faults {
    /// A container ends by itself within a minute of its start.
    pub crash: u64,
    /// The runtime does not do what it is asked to.
    pub order: u64,
    /// The disk of a manager stalls for seconds.
    pub stall: u64,
    /// A message between managers is lost.
    pub loss: u64,
    /// The longest that one takes.
    pub latency_ms: u64,
}

pub struct World {
    pub now: Time,
    pub dice: Rng,
    pub faults: Faults,
    pub net: Net,
    pub seats: Vec<Seat>,
    pub hosts: Vec<Host>,
    checkers: Checkers,
    requests: BTreeMap<RequestId, Request>,
    lines: BTreeMap<SessionId, Line>,
    queue: BTreeMap<(Time, u64), Happening>,
    count: u64,
    trace: DefaultHasher,
}

#[derive(Debug)]
enum Happening {
    ToManager(SessionId, Vec<u8>),
    ToAgent(SessionId, Vec<u8>),
    ManagerHearsEnd(SessionId),
    AgentHearsEnd(SessionId),
    Mail {
        from: usize,
        to: usize,
        /// The daemons between which the connection was.
        lives: (u64, u64),
        mail: Mail,
    },
    Dial {
        host: usize,
        life: u64,
    },
    Written {
        seat: usize,
        life: u64,
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
    Health {
        host: usize,
        container: ContainerId,
        health: Health,
    },
}

impl World {
    /// Hosts that are off, and managers that are off.
    pub fn new(seed: u64, founding: &Batch, managers: u64, hosts: u64) -> Self {
        let mut dice = Rng::from_seed(seed);
        let voters: Vec<_> = (1..=managers).collect();
        let seats = voters
            .iter()
            .map(|id| Seat::founded(*id, &voters, founding, dice.fork("manager")))
            .collect();
        let hosts = (1..=hosts)
            .map(|node| Host::new(NodeId(node.into()), dice.fork("host")))
            .collect();
        Self {
            now: founding.at,
            dice,
            faults: Faults::default(),
            net: Net::default(),
            seats,
            hosts,
            checkers: Checkers::default(),
            requests: BTreeMap::new(),
            lines: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            trace: DefaultHasher::new(),
        }
    }

    /// What happened, in one number.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// The state of the swarm, as the manager has it that knows most.
    pub fn state(&self) -> Option<&State> {
        let states = self.seats.iter().filter_map(|seat| seat.manager.as_ref());
        states.map(Manager::state).max_by_key(|state| state.index())
    }

    /// The manager that leads; the newest, if an older one does not know yet.
    pub fn leader(&self) -> Option<usize> {
        let rafts = self.seats.iter().map(Seat::raft).enumerate();
        let leading = rafts.filter_map(|(seat, raft)| {
            let raft = raft.filter(|raft| raft.leads())?;
            Some((raft.term(), seat))
        });
        leading.max().map(|(_, seat)| seat)
    }

    pub fn check_healed(&self) {
        self.checkers.healed(self.state().unwrap());
    }

    /// A user asks some manager.
    pub fn ask(&mut self, request: Request) {
        let seat = usize::try_from(self.dice.below(self.seats.len() as u64)).unwrap();
        self.count += 1;
        let id = RequestId(self.count);
        self.checkers.asked(&request);
        self.requests.insert(id, request.clone());
        self.step_manager(seat, Event::Request(id, Box::new(request)));
    }

    pub fn start_manager(&mut self, seat: usize) {
        self.seats[seat].start();
        self.step_manager(seat, Event::Tick);
    }

    /// What was not written is lost, and every session ends.
    pub fn kill_manager(&mut self, seat: usize, with_power: bool) {
        match with_power {
            true => self.seats[seat].cut_power(),
            false => self.seats[seat].kill(),
        }
        self.cut_seat(seat);
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
            let due = |((at, _), _): (&(Time, u64), _)| *at <= self.now;
            match self.queue.first_key_value().is_some_and(due) {
                true => {
                    let (_, happening) = self.queue.pop_first().unwrap();
                    self.happen(happening);
                }
                false => self.tick(),
            }
        }
        self.now = end;
    }

    fn next(&self) -> Option<Time> {
        let queue = self.queue.first_key_value().map(|((at, _), _)| *at);
        let managers = self
            .seats
            .iter()
            .filter_map(|seat| seat.manager.as_ref()?.due(self.now));
        let agents = self
            .hosts
            .iter()
            .filter_map(|host| host.agent.as_ref()?.due());
        agents.chain(queue).chain(managers).min()
    }

    fn tick(&mut self) {
        for seat in 0..self.seats.len() {
            let manager = self.seats[seat].manager.as_ref();
            let due = manager.and_then(|manager| manager.due(self.now));
            if due.is_some_and(|due| due <= self.now) {
                self.step_manager(seat, Event::Tick);
            }
        }
        for host in 0..self.hosts.len() {
            let agent = self.hosts[host].agent.as_ref();
            let due = agent.and_then(|agent| agent.due());
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
                let line = self.lines.get(&session).filter(|line| !line.is_cut);
                if let Some(seat) = line.map(|line| line.seat) {
                    let message = frame::decode(&bytes).unwrap();
                    self.step_manager(seat, Event::Session(session, message));
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
                if let Some(line) = self.lines.remove(&session) {
                    self.step_manager(line.seat, Event::SessionClosed(session));
                }
            }
            Happening::AgentHearsEnd(session) => self.agent_hears_end(session),
            Happening::Mail {
                from,
                to,
                lives,
                mail,
            } => {
                let (Mail::Raft(bytes) | Mail::Peer(bytes)) = &mail;
                bytes.hash(&mut self.trace);
                self.deliver(from, to, lives, &mail);
            }
            Happening::Dial { host, life } => self.dial(host, life),
            Happening::Written { seat, life } if life == self.seats[seat].life => {
                for event in self.seats[seat].write_next() {
                    self.step_manager(seat, event);
                }
            }
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
            Happening::Health {
                host,
                container,
                health,
            } => self.health_changes(host, container, health),
        }
    }

    fn step_manager(&mut self, seat: usize, event: Event) {
        let now = self.now;
        let Seat {
            manager: Some(manager),
            rng,
            raft_id,
            life,
            ..
        } = &mut self.seats[seat]
        else {
            return;
        };
        let effects = manager.step(now, rng, event);
        self.checkers.stepped((*raft_id, *life), manager);
        for effect in effects {
            match effect {
                Effect::Raft { to, message } => self.send_raft(seat, to, &message),
                Effect::ToPeer { to, message } => self.send_peer(seat, to, &message),
                Effect::Persist(persist) => self.write(seat, Job::Persist(persist)),
                Effect::Checkpoint(anchor, rows) => {
                    self.write(seat, Job::Checkpoint(anchor, rows));
                }
                Effect::ToAgent(session, message) => {
                    self.check_told(seat, session, &message);
                    self.send_down(session, &message);
                }
                Effect::CloseSession(session) => self.end_down(session),
                Effect::Reply(id, answer) => self.answered(id, &answer),
                Effect::Publish(_) => {}
                Effect::Fatal(fatal) => panic!("{fatal}"),
            }
        }
    }

    fn check_told(&self, seat: usize, session: SessionId, message: &ToAgent) {
        let state = self.seats[seat].manager.as_ref().map(Manager::state);
        if let Some((state, line)) = state.zip(self.lines.get(&session)) {
            self.checkers
                .tells(state, self.hosts[line.host].node, message);
        }
    }

    fn answered(&mut self, id: RequestId, answer: &Result<Response, Refusal>) {
        let request = self.requests.remove(&id).expect("answered twice");
        self.checkers.answered(&request, answer);
    }

    fn write(&mut self, seat: usize, job: Job) {
        let stalls = self.dice.below(1_000) < self.faults.stall;
        let takes_ms = match stalls {
            true => 3_000,
            false => 1 + self.dice.below(20),
        };
        let (life, at) = self.seats[seat].push(self.now, takes_ms, job);
        self.at(at, Happening::Written { seat, life });
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
                AgentEffect::Send(message) => self.send_up(session, &message),
                AgentEffect::Reach(_) => {}
                AgentEffect::HangUp => {
                    self.hosts[host].session = None;
                    session.into_iter().for_each(|session| self.end_up(session));
                    self.dial_after(host, 1_000);
                }
                effect => {
                    let (attempt, order) = Order::of(effect).unwrap();
                    if matches!(order, Order::Remove(_)) {
                        self.cancel_preparation(host, attempt);
                    }
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

    fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now.plus_ms(ms), happening);
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }
}
