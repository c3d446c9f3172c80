//! The manager: one pure state machine from events to effects.
//!
//! ```text
//!  Request, Session, Tick        Persisted
//!        |                           |
//!        v                           v
//!     Draft on an overlay  ->  raft::Node  ->  State::apply  ->  Reply, ToAgent, Publish
//!     control, statuses, facts, passes    |
//!                                         +->  Persist, Checkpoint
//! ```
//!
//! One batch is uncommitted at a time; what arrives meanwhile joins the next. A request's answer
//! goes out when its batch is applied. [`Manager::due`] says when the next [`Event::Tick`] is
//! wanted; a manager that is alone and has nothing to wait for wants none.

pub mod dirty;
pub mod draft;
pub mod orchestrator;
pub mod scheduler;
pub mod passes;
pub mod genesis;
pub mod control;
pub mod status;
pub mod dispatcher;
pub mod events;
mod batch;
mod timers;
mod checkpoint;
pub mod run;

use std::collections::VecDeque;

use crate::host::rng::Rng;
use crate::manager::batch::Flight;
use crate::manager::checkpoint::Checkpoint;
use crate::manager::control::Presence;
use crate::manager::dirty::Dirty;
use crate::manager::dispatcher::{Dispatcher, Said, SessionId};
use crate::manager::status::Statuses;
use crate::manager::timers::Timers;
use crate::model::record::{RecordError, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::node::{Node, Persist, ProposeError};
use crate::raft::record::Anchor;
use crate::wire::control::{ObjectEvent, Refusal, Request, Response};
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
    dispatcher: Dispatcher,
    statuses: Statuses,
    timers: Timers,
    checkpoint: Checkpoint,
    /// Requests that wait for the next batch.
    queue: VecDeque<(RequestId, Request)>,
    /// The batch that is not committed yet.
    flight: Option<Flight>,
    /// What the passes have not looked at yet.
    dirty: Dirty,
    effects: Vec<Effect>,
    /// What came in before this manager had applied all that was committed.
    early: Vec<Event>,
    leading: bool,
    stopping: bool,
}

impl Manager {
    /// A manager that goes on from its stored state and log.
    pub fn new(state: State, raft: Node) -> Self {
        Self {
            state,
            raft,
            dispatcher: Dispatcher::default(),
            statuses: Statuses::default(),
            timers: Timers::default(),
            checkpoint: Checkpoint::default(),
            queue: VecDeque::new(),
            flight: None,
            dirty: Dirty::default(),
            effects: Vec::new(),
            early: Vec::new(),
            leading: false,
            stopping: false,
        }
    }

    /// The committed state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes one event in and says what is to be done, in this order.
    pub fn step(&mut self, now: Time, rng: &mut Rng, event: Event) -> Vec<Effect> {
        self.take_in(now, event);
        self.dispatcher.tick(&self.state, now);
        self.timers.tick(&self.state, now, &mut self.dirty);
        if let Err(fatal) = self.advance(now, rng) {
            self.effects.push(Effect::Fatal(fatal));
        }
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
        let waits = [
            self.statuses.due().filter(|_| can_propose),
            self.timers.due(),
            self.dispatcher.due(),
            self.checkpoint.due(),
        ];
        let next = waits.into_iter().flatten().min();
        next.map(|at| at.max(now))
    }

    fn take_in(&mut self, now: Time, event: Event) {
        match event {
            Event::Request(..) | Event::Session(..) | Event::SessionClosed(_)
                if !self.leading && !self.stopping =>
            {
                self.take_in_early(event);
            }
            Event::Tick => {}
            Event::Request(id, request) => self.request(id, *request),
            Event::Session(session, message) => {
                let statuses = &mut self.statuses;
                self.dispatcher
                    .receive(&self.state, now, session, message, statuses);
            }
            Event::SessionClosed(session) => self.dispatcher.close(session),
            Event::Persisted(number) => self.raft.persisted(number),
            Event::DiskFull(reason) => {
                self.checkpoint.failed(now, reason);
                self.refuse_queue();
            }
            Event::CheckpointDone => {
                if let Some(applied) = self.checkpoint.done() {
                    self.raft.compact(applied);
                }
            }
            Event::CheckpointWanted => self.checkpoint.hurry(),
            Event::Stop => {
                self.stopping = true;
                let early = std::mem::take(&mut self.early);
                early.into_iter().for_each(|event| self.take_in(now, event));
                for (id, _) in self.queue.drain(..) {
                    self.effects.push(Effect::Reply(id, Err(Refusal::NoLeader)));
                }
            }
        }
    }

    fn take_in_early(&mut self, event: Event) {
        let queued = self.early.len();
        match event {
            Event::Request(id, _) if queued >= REQUESTS_MAX => {
                self.effects
                    .push(Effect::Reply(id, Err(Refusal::Busy { queued })));
            }
            event => self.early.push(event),
        }
    }

    /// Takes up the lead: everything is looked at once, and every node gets fresh time.
    fn lead(&mut self, now: Time) {
        self.leading = true;
        self.dirty = Dirty::everything(&self.state);
        self.timers = Timers::of(&self.state, now);
        self.dispatcher.start(&self.state, now);
        for event in std::mem::take(&mut self.early) {
            self.take_in(now, event);
        }
    }

    fn request(&mut self, id: RequestId, request: Request) {
        let presence = Presence {
            leader: self.raft.leadership().leader,
            sessions: &self.dispatcher,
        };
        let queued = self.queue.len();
        let refusal = if let Some(answer) = control::read(&self.state, &presence, &request) {
            answer
        } else if self.stopping {
            Err(Refusal::NoLeader)
        } else if let Some(reason) = self.checkpoint.full() {
            Err(Refusal::Storage(reason.to_owned()))
        } else if queued >= REQUESTS_MAX {
            Err(Refusal::Busy { queued })
        } else {
            self.queue.push_back((id, request));
            return;
        };
        self.effects.push(Effect::Reply(id, refusal));
    }

    fn refuse_queue(&mut self) {
        let reason = self.checkpoint.full().unwrap_or_default();
        for (id, _) in self.queue.drain(..) {
            let refusal = Refusal::Storage(reason.to_owned());
            self.effects.push(Effect::Reply(id, Err(refusal)));
        }
    }
}

#[cfg(test)]
mod words;
#[cfg(test)]
mod tests;
