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
pub mod rotation;
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
mod summon;
pub mod certify;
pub mod figures;
pub mod snapshot;
mod install;
mod members;
pub mod refound;
pub mod backup;
pub mod run;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::batch::Flight;
use crate::manager::checkpoint::Checkpoint;
use crate::manager::dirty::Dirty;
use crate::manager::dispatcher::{Dispatcher, Said, SessionId};
use crate::manager::figures::{Figures, Tallies};
use crate::manager::forward::{Asker, Forwards};
use crate::manager::install::Install;
use crate::manager::liveness::Liveness;
use crate::manager::quorum::Quorum;
use crate::manager::reads::{Reads, Waiter};
use crate::manager::reports::Reports;
use crate::manager::snapshot::{Arrived, Outgoing};
use crate::manager::status::Statuses;
use crate::manager::timers::Timers;
use crate::model::id::NodeId;
use crate::model::object::{self, ManagerMember};
use crate::model::record::{RecordError, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::model::trust::UnlockSecret;
use crate::raft::message::Message;
use crate::raft::node::{Node, Persist, ProposeError, Role};
use crate::raft::record::Anchor;
use crate::wire::control::{ObjectEvent, Refusal, Request, Response};
use crate::wire::peer::{PeerMessage, Whereabouts};
use crate::wire::session::{ToAgent, ToManager};
use crate::wire::stream::Summons;

/// The most requests that wait for the log.
const REQUESTS_MAX: usize = 1_000;

/// How long a manager that stops tries to hand its lead over.
const STOP_MS: u64 = 2_000;

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
    /// A stream is wanted from a node, to this manager.
    Summon(NodeId, Summons),
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
    /// A whole state has come in, from the manager of this raft id.
    Snapshot {
        from: u64,
        state: Arrived,
    },
    /// What became of [`Effect::SendSnapshot`].
    SnapshotSent {
        to: u64,
        arrived: bool,
    },
    /// The write of this number, and all before it, is on the disk.
    Persisted(u64),
    /// There is no room for a write; it waits, and requests are refused, until a checkpoint is
    /// done.
    DiskFull(String),
    CheckpointDone,
    /// The state of [`Effect::Install`] is on the disk.
    Installed,
    /// There was no room for it.
    InstallFailed,
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
    /// A whole state to the manager of this raft id, on a connection of its own.
    SendSnapshot {
        to: u64,
        state: Box<Outgoing>,
    },
    /// A whole state for the disk, in the place of all that is there. Writes that were asked for
    /// before and have not begun are void.
    Install(Anchor, Vec<Row>),
    /// Where the other managers are, by raft id.
    Peers(BTreeMap<u64, Whereabouts>),
    /// What this manager has to be told when it starts again, or that it need not be told anything.
    Lock(Option<UnlockSecret>),
    /// Rows that changed since the last checkpoint, at an anchor that has been persisted.
    Checkpoint(Anchor, Vec<Row>),
    Reply(RequestId, Result<Response, Refusal>),
    ToAgent(SessionId, ToAgent),
    CloseSession(SessionId),
    Publish(ObjectEvent),
    /// What [`Event::Stop`] asked for is done, but for the writes that are under way.
    Stopped,
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
    /// What came in before this manager, which leads, had applied all that was committed, or while
    /// it is not known who leads.
    early: Vec<(Asker, Box<Request>)>,
    leading: bool,
    /// A state that is on its way to the disk, and what this manager then is.
    installing: Option<Box<Install>>,
    peers: BTreeMap<u64, Whereabouts>,
    /// The lock, as it was said last.
    lock: Option<Option<UnlockSecret>>,
    /// Consensus goes on without this manager.
    removed: bool,
    stopping: bool,
    /// Until when a manager that stops tries to hand its lead over.
    stops_by: Option<Time>,
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
            installing: None,
            peers: BTreeMap::new(),
            lock: None,
            removed: false,
            stopping: false,
            stops_by: None,
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
        self.tick_install(now);
        self.take_in(now, rng, event);
        self.dispatcher.tick(now);
        for node in self.liveness.tick(&self.state, now) {
            self.dispatcher.end(node);
        }
        self.timers.tick(&self.state, now, &mut self.dirty);
        if let Err(fatal) = self.advance(now, rng) {
            self.effects.push(Effect::Fatal(fatal));
        }
        self.report(now);
        self.follow_peers();
        self.follow_lock();
        self.follow_stop(now);
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
        let can_propose = self.can_propose();
        let can_report = self.reports_to().is_some();
        let waits = [
            self.quorum.due(),
            self.installing.as_ref().and_then(|install| install.due()),
            self.stops_by,
            self.statuses.due().filter(|_| can_propose || can_report),
            self.reports.due().filter(|_| can_report),
            self.timers.due(),
            self.liveness.due(),
            self.dispatcher.due(),
            self.checkpoint.due().filter(|_| self.installing.is_none()),
        ];
        let next = waits.into_iter().flatten().min();
        next.map(|at| at.max(now))
    }

    fn take_in(&mut self, now: Time, rng: &mut Rng, event: Event) {
        match event {
            Event::Tick => {}
            Event::Request(id, request) => self.request(now, Asker::Here(id), request),
            Event::Raft { from, message } => self.hear_raft(now, from, message),
            Event::Peer { from, message } => self.hear_peer(now, from, message),
            Event::Snapshot { from, state } => self.hear_snapshot(rng, from, state),
            Event::SnapshotSent { to, arrived } => self.raft.sent_snapshot(to, arrived),
            Event::Summon(node, summons) => self.summon(node, &summons),
            Event::Session(session, ToManager::Hello { .. }) if self.removed => {
                self.dispatcher.turn_away(session);
            }
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
                    self.raft.compact(applied, self.kept_entries());
                }
            }
            Event::CheckpointWanted => self.checkpoint.hurry(),
            Event::Installed => self.installed(),
            Event::InstallFailed => self.install_failed(now),
            Event::Stop => self.stop(now),
        }
    }

    /// Takes nothing in any more. What can still be answered is.
    fn stop(&mut self, now: Time) {
        self.stopping = true;
        self.stops_by = Some(now.plus_ms(STOP_MS));
        self.refuse_queue(&Refusal::NoLeader);
        for (asker, request) in std::mem::take(&mut self.early) {
            self.request(now, asker, request);
        }
    }

    /// Ends once the lead is another's, so that nobody has to wait for an election.
    fn follow_stop(&mut self, now: Time) {
        let Some(by) = self.stops_by else {
            return;
        };
        let has_others = !self.raft.is_alone() && self.installing.is_none();
        let leads = has_others && self.raft.leadership().role == Role::Leader;
        // The next leader has yet to hear what was seen of the nodes that have their sessions here.
        let is_unheard = has_others && !leads && self.reports_to().is_none();
        if (leads || is_unheard) && now < by {
            if leads {
                self.hand_over(now, |_| false);
            }
            return;
        }
        self.stops_by = None;
        self.effects.push(Effect::Stopped);
    }

    /// Says where the others are, when that changes.
    fn follow_peers(&mut self) {
        let own = self.raft.id();
        let whereabouts = |node: &Arc<object::Node>| {
            let ManagerMember { raft_id, address } = node.manager.clone()?;
            let node = node.id;
            Some((raft_id, Whereabouts { node, address }))
        };
        let members = self.state.managers().filter_map(whereabouts);
        let peers: BTreeMap<_, _> = members.filter(|(id, _)| *id != own).collect();
        if peers != self.peers {
            self.peers.clone_from(&peers);
            self.effects.push(Effect::Peers(peers));
        }
    }

    /// Says what the swarm's unlock key is, at the start and when that changes.
    fn follow_lock(&mut self) {
        let Some(cluster) = self.state.cluster() else {
            return;
        };
        let unlock = cluster.trust.unlock;
        if self.lock != Some(unlock) {
            self.lock = Some(unlock);
            self.effects.push(Effect::Lock(unlock));
        }
    }

    /// How much of the applied log is kept for managers that lag.
    fn kept_entries(&self) -> u64 {
        let spec = self.state.cluster().map(|cluster| &cluster.spec.raft);
        spec.map_or(0, |raft| raft.log_entries_for_slow_followers)
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
