//! The manager: one pure state machine from events to effects.
//!
//! ```text
//!  Request, Session, Tick     Raft, Persisted
//!        |                           |
//!        v                           v
//!     Draft on an overlay  ->  raft::Node  ->  State::apply  ->  Reply, ToAgent, Publish
//!     control, statuses, facts, passes    |
//!                                         +->  Raft, Persist, Checkpoint
//! ```
//!
//! One batch is uncommitted at a time; what arrives meanwhile joins the next. A request's answer
//! goes out when its batch is applied. Only the leader makes batches; the other managers apply
//! them, have sessions with agents, pass requests on and tell the leader of their nodes.
//! [`Manager::due`] says when the next [`Event::Tick`] is wanted; a manager that is alone and has
//! nothing to wait for wants none.

pub mod dirty;
pub mod draft;
pub mod orchestrator;
pub mod scheduler;
pub mod allocator;
pub mod passes;
pub mod genesis;
pub mod control;
pub mod status;
pub mod liveness;
pub mod dispatcher;
pub mod events;
mod batch;
mod timers;
mod checkpoint;
mod quorum;
mod forward;
mod reads;
mod reports;
pub mod certify;
pub mod figures;
pub mod run;

use std::collections::VecDeque;

use crate::host::rng::Rng;
use crate::manager::batch::Flight;
use crate::manager::checkpoint::Checkpoint;
use crate::manager::dirty::Dirty;
use crate::manager::dispatcher::{Dispatcher, Said, SessionId};
use crate::manager::figures::{Figures, Tallies};
use crate::manager::forward::{Asker, Forwards};
use crate::manager::liveness::Liveness;
use crate::manager::quorum::Quorum;
use crate::manager::reads::{Reads, Waiter};
use crate::manager::reports::Reports;
use crate::manager::status::Statuses;
use crate::manager::timers::Timers;
use crate::model::record::{RecordError, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::message::Message;
use crate::raft::node::{Node, Persist, ProposeError};
use crate::raft::record::Anchor;
use crate::wire::control::{ObjectEvent, Refusal, Request, Response};
use crate::wire::peer::PeerMessage;
use crate::wire::session::{ToAgent, ToManager};

/// The most requests that wait for the log.
const REQUESTS_MAX: usize = 1_000;

/// Names a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Everything that can enter a manager.
#[derive(Clone, Debug)]
pub enum Event {
    /// The time that [`Manager::due`] named has come.
    Tick,
    Request(RequestId, Box<Request>),
    Session(SessionId, ToManager),
    /// A session ended on the agent's side or on the way.
    SessionClosed(SessionId),
    /// Consensus speaks, from the manager of this raft id; the transport has made sure of that.
    Raft {
        from: u64,
        message: Message,
    },
    /// Another manager speaks.
    Peer {
        from: u64,
        message: PeerMessage,
    },
    /// The write of this number, and all before it, is on the disk.
    Persisted(u64),
    /// There is no room for a write; it waits, and requests are refused, until a checkpoint is
    /// done.
    DiskFull(String),
    CheckpointDone,
    /// The log on the disk fills up.
    CheckpointWanted,
    /// The daemon stops: nothing more is taken in, and the state goes to the checkpoint.
    Stop,
}

/// Everything that a manager wants done.
#[derive(Debug)]
pub enum Effect {
    /// Goes to the manager of this raft id at once, before what follows. It may be lost.
    Raft {
        to: u64,
        message: Message,
    },
    /// The same, and in order as far as it arrives.
    ToPeer {
        to: u64,
        message: PeerMessage,
    },
    Persist(Persist),
    /// Rows that changed since the last checkpoint, at an anchor that has been persisted.
    Checkpoint(Anchor, Vec<Row>),
    Reply(RequestId, Result<Response, Refusal>),
    ToAgent(SessionId, ToAgent),
    CloseSession(SessionId),
    Publish(ObjectEvent),
    /// The manager cannot go on; the daemon stops cleanly.
    Fatal(Fatal),
}

/// Why a manager cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("cannot apply log entry {index}")]
    Apply { index: u64, source: RecordError },
    #[error("cannot write a log entry")]
    Encode(#[source] RecordError),
    #[error("cannot append to the log")]
    Propose(#[source] ProposeError),
    #[error("cannot write a row of the checkpoint")]
    Row(#[source] RecordError),
}

/// One manager of a swarm.
#[derive(Debug)]
pub struct Manager {
    state: State,
    raft: Node,
    quorum: Quorum,
    dispatcher: Dispatcher,
    statuses: Statuses,
    reports: Reports,
    liveness: Liveness,
    timers: Timers,
    checkpoint: Checkpoint,
    reads: Reads,
    forwards: Forwards,
    /// Requests that wait for the next batch.
    queue: VecDeque<(Asker, Box<Request>)>,
    /// The batch that is not committed yet.
    flight: Option<Flight>,
    /// What the passes have not looked at yet.
    dirty: Dirty,
    effects: Vec<Effect>,
    tallies: Tallies,
    /// What came in before this manager, which leads, had applied all that was committed.
    early: Vec<(Asker, Box<Request>)>,
    leading: bool,
    stopping: bool,
}

impl Manager {
    /// A manager that goes on from its stored state and log.
    pub fn new(state: State, raft: Node) -> Self {
        Self {
            state,
            raft,
            quorum: Quorum::default(),
            dispatcher: Dispatcher::default(),
            statuses: Statuses::default(),
            reports: Reports::default(),
            liveness: Liveness::default(),
            timers: Timers::default(),
            checkpoint: Checkpoint::default(),
            reads: Reads::default(),
            forwards: Forwards::default(),
            queue: VecDeque::new(),
            flight: None,
            dirty: Dirty::default(),
            effects: Vec::new(),
            tallies: Tallies::default(),
            early: Vec::new(),
            leading: false,
            stopping: false,
        }
    }

    /// The committed state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What this manager counts.
    pub fn figures(&self) -> Figures {
        Figures::of(&self.state, self.leading, &self.tallies)
    }

    /// This manager's place in consensus.
    pub fn raft(&self) -> &Node {
        &self.raft
    }

    /// Takes one event in and says what is to be done, in this order.
    pub fn step(&mut self, now: Time, rng: &mut Rng, event: Event) -> Vec<Effect> {
        self.tick_quorum(now);
        self.take_in(now, event);
        self.dispatcher.tick(now);
        for node in self.liveness.tick(&self.state, now) {
            self.dispatcher.end(node);
        }
        self.timers.tick(&self.state, now, &mut self.dirty);
        if let Err(fatal) = self.advance(now, rng) {
            self.effects.push(Effect::Fatal(fatal));
        }
        self.report(now);
        for said in self.dispatcher.take_said() {
            self.effects.push(match said {
                Said::Send(session, message) => Effect::ToAgent(session, message),
                Said::Close(session) => Effect::CloseSession(session),
            });
        }
        std::mem::take(&mut self.effects)
    }

    /// When the next tick is wanted, if any.
    pub fn due(&self, now: Time) -> Option<Time> {
        // While a batch is on its way to the disk, its arrival is the next event.
        let can_propose = self.flight.is_none() && self.leading && !self.stopping;
        let can_report = self.reports_to().is_some();
        let waits = [
            self.quorum.due(),
            self.statuses.due().filter(|_| can_propose || can_report),
            self.reports.due().filter(|_| can_report),
            self.timers.due(),
            self.liveness.due(),
            self.dispatcher.due(),
            self.checkpoint.due(),
        ];
        let next = waits.into_iter().flatten().min();
        next.map(|at| at.max(now))
    }

    fn take_in(&mut self, now: Time, event: Event) {
        match event {
            Event::Tick => {}
            Event::Request(id, request) => self.request(now, Asker::Here(id), request),
            Event::Raft { from, message } => self.hear_raft(now, from, message),
            Event::Peer { from, message } => self.hear_peer(now, from, message),
            Event::Session(session, ToManager::Hello { node, description }) => {
                if self.dispatcher.hello(now, session, node, description) {
                    self.wait(now, Waiter::Session(session));
                }
            }
            Event::Session(session, message) => {
                let statuses = &mut self.statuses;
                self.dispatcher
                    .receive(&self.state, now, session, message, statuses);
            }
            Event::SessionClosed(session) => self.dispatcher.close(session),
            Event::Persisted(number) => self.raft.persisted(number),
            Event::DiskFull(reason) => {
                let refusal = Refusal::Storage(reason.clone());
                self.checkpoint.failed(now, reason);
                self.refuse_queue(&refusal);
            }
            Event::CheckpointDone => {
                if let Some((applied, since)) = self.checkpoint.done() {
                    self.tallies.checkpoints.observe(now.since_ms(since));
                    self.raft.compact(applied);
                }
            }
            Event::CheckpointWanted => self.checkpoint.hurry(),
            Event::Stop => self.stop(now),
        }
    }

    /// Takes nothing in any more. What can still be answered is.
    fn stop(&mut self, now: Time) {
        self.stopping = true;
        self.refuse_queue(&Refusal::NoLeader);
        for (asker, request) in std::mem::take(&mut self.early) {
            self.request(now, asker, request);
        }
    }

    fn refuse_queue(&mut self, refusal: &Refusal) {
        for (asker, _) in std::mem::take(&mut self.queue) {
            self.reply(asker, Err(refusal.clone()));
        }
    }
}

#[cfg(test)]
mod words;
#[cfg(test)]
pub(crate) mod tests;
