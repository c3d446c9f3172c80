//! Time, links, and who is woken when: the only place where anything happens.

mod agents;
mod containers;
mod links;
mod managers;
mod net;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use skep::agent::Event as AgentEvent;
use skep::agent::containers::{Attempt, ContainerId, Health};
use skep::host::rng::Rng;
use skep::manager::dispatcher::SessionId;
use skep::manager::{Event, Manager, RequestId};
use skep::model::change::Batch;
use skep::model::id::NodeId;
use skep::model::state::State;
use skep::model::time::Time;
use skep::wire::frame;

use crate::checkers::Checkers;
use crate::host::{Host, Order};
use crate::seat::Seat;
use crate::world::links::Line;
use crate::world::managers::Asker;
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
    /// A message between managers is lost, or comes twice.
    pub loss: u64,
    pub echo: u64,
    /// A state on its way to a manager is cut off or comes in with other bytes.
    pub damage: u64,
    /// The longest that a message takes.
    pub latency_ms: u64,
}

/// The swarm's machines: the host and the seat of a number are one.
pub struct World {
    pub now: Time,
    pub dice: Rng,
    pub faults: Faults,
    /// Nothing fails any more: who was asked to stop comes back at once (seed 534).
    pub is_healed: bool,
    pub net: Net,
    pub seats: Vec<Seat>,
    pub hosts: Vec<Host>,
    checkers: Checkers,
    requests: BTreeMap<RequestId, Asker>,
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
    StateSent {
        seat: usize,
        life: u64,
        to: u64,
        arrived: bool,
    },
    Dial {
        host: usize,
        life: u64,
    },
    /// The host looks whether it is the manager that it shall be.
    Claim(usize),
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
    /// A sleep that began before a clock was set is over.
    Wake(usize),
}

impl World {
    /// Hosts that are off, the first of which are managers.
    pub fn new(seed: u64, founding: &Batch, managers: u64, hosts: u64) -> Self {
        let mut dice = Rng::from_seed(seed);
        let voters: Vec<_> = (1..=managers).collect();
        let seats = (1..=hosts).map(|id| match id <= managers {
            true => Seat::founded(id, &voters, founding, dice.fork("manager")),
            false => Seat::empty(dice.fork("manager")),
        });
        let seats = seats.collect();
        let hosts = (1..=hosts)
            .map(|node| Host::new(NodeId(node.into()), managers, dice.fork("host")))
            .collect();
        Self {
            now: founding.at,
            dice,
            faults: Faults::default(),
            is_healed: false,
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
        let managers = self.seats.iter().filter_map(|seat| seat.due(self.now));
        let agents = self.hosts.iter().filter_map(Host::due);
        agents.chain(queue).chain(managers).min()
    }

    fn tick(&mut self) {
        for seat in 0..self.seats.len() {
            let due = self.seats[seat].due(self.now);
            if due.is_some_and(|due| due <= self.now) {
                self.step_manager(seat, Event::Tick);
            }
        }
        for host in 0..self.hosts.len() {
            let due = self.hosts[host].due();
            if due.is_some_and(|due| due <= self.now) {
                self.step_agent(host, AgentEvent::Tick);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        self.now.0.hash(&mut self.trace);
        match happening {
            Happening::ToManager(session, bytes) => self.manager_hears(session, &bytes),
            Happening::ToAgent(session, bytes) => self.agent_hears(session, &bytes),
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
                mail.hash(&mut self.trace);
                self.deliver(from, to, lives, &mail);
            }
            Happening::StateSent {
                seat,
                life,
                to,
                arrived,
            } if life == self.seats[seat].life => {
                self.step_manager(seat, Event::SnapshotSent { to, arrived });
            }
            Happening::StateSent { .. } => {}
            Happening::Dial { host, life } => self.dial(host, life),
            Happening::Claim(host) => self.claim(host),
            Happening::Written { seat, life } => self.written(seat, life),
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
            Happening::Wake(host) => {
                self.step_manager(host, Event::Tick);
                self.step_agent(host, AgentEvent::Tick);
            }
        }
    }

    fn manager_hears(&mut self, session: SessionId, bytes: &[u8]) {
        bytes.hash(&mut self.trace);
        let line = self.lines.get(&session).filter(|line| !line.is_cut);
        if let Some(seat) = line.map(|line| line.seat) {
            let message = frame::decode(bytes).unwrap();
            self.step_manager(seat, Event::Session(session, message));
        }
    }

    fn agent_hears(&mut self, session: SessionId, bytes: &[u8]) {
        bytes.hash(&mut self.trace);
        let line = self.lines.get(&session).filter(|line| !line.is_cut);
        if let Some(host) = line.map(|line| line.host) {
            self.tell_agent(host, session, frame::decode(bytes).unwrap());
        }
    }

    /// A machine's clock is set. Who sleeps is woken as if it had not been.
    pub fn set_clock(&mut self, host: usize, ahead_ms: i64) {
        let wakes = [self.seats[host].due(self.now), self.hosts[host].due()];
        self.seats[host].clock.set(ahead_ms);
        self.hosts[host].clock.set(ahead_ms);
        self.checkers.alone.clock_set(self.hosts[host].node);
        for at in wakes.into_iter().flatten() {
            self.at(at.max(self.now), Happening::Wake(host));
        }
    }

    /// Whose address an agent was told.
    fn seat_of(&self, address: &str) -> Option<usize> {
        (0..self.seats.len()).find(|seat| address == address_of(*seat))
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.dice.below(below as u64)).unwrap()
    }

    fn happens(&mut self, rate: u64) -> bool {
        self.dice.below(1_000) < rate
    }

    fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now.plus_ms(ms), happening);
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }
}

/// Where the manager of a machine is found.
pub fn address_of(seat: usize) -> String {
    format!("127.0.0.{}:2377", seat + 1)
}
