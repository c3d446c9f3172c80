//! Runs a manager: brings it its events, carries out its effects, and owns its store, whose writes
//! happen one after another on the pool of threads. Decides nothing.

mod runner;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_channel::{Receiver, Sender};

use crate::host::rng::Rng;
use crate::manager::backup::Backup;
use crate::manager::dispatcher::SessionId;
use crate::manager::figures::Figures;
use crate::manager::genesis::{Genesis, genesis};
use crate::manager::quorum::timing;
use crate::manager::run::runner::Runner;
use crate::manager::snapshot::{Arrived, Outgoing};
use crate::manager::{Fatal, Manager};
use crate::model::change::Batch;
use crate::model::id::NodeId;
use crate::model::record::{self, RecordError, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::model::trust::UnlockSecret;
use crate::raft::message::Message;
use crate::raft::node::Node;
use crate::raft::record::{Anchor, RestoreError, Restored};
use crate::store::error::StoreError;
use crate::store::manager_store::{ManagerStore, Opened};
use crate::wire::control::{ObjectEvent, Refusal, Request, Response};
use crate::wire::peer::{PeerMessage, Whereabouts};
use crate::wire::session::{ToAgent, ToManager};
use crate::wire::stream::Summons;

/// Requests and session messages that wait to be taken in before those who bring more must wait.
const INPUTS_QUEUED: usize = 256;
/// Messages that wait for an agent; one that does not read them loses its session.
const MESSAGES_QUEUED: usize = 256;
/// Events that wait for a subscriber; one that does not read them loses its subscription.
const EVENTS_QUEUED: usize = 1_024;

/// Why a manager ended though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the manager cannot store its log or its state")]
    Store(#[source] StoreError),
    #[error("the manager cannot go on")]
    Fatal(#[source] Fatal),
}

/// Why a manager does not start from what its store holds, or a swarm cannot be founded.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the stored state of the swarm cannot be read")]
    State(#[source] RecordError),
    #[error("the stored log of the swarm cannot be continued")]
    Log(#[source] RestoreError),
    #[error("the first state of the swarm cannot be written")]
    Row(#[source] RecordError),
    #[error("the first state of the swarm cannot be stored")]
    Store(#[source] StoreError),
    #[error("this host has nothing of the swarm that it could go on with")]
    Stranger,
}

/// Founds a swarm of one manager in an empty store; its return means that the swarm is on the disk.
pub fn found(store: &mut ManagerStore, start: Genesis, now: Time) -> Result<Opened, StartError> {
    let anchor = Anchor::bootstrap(vec![start.raft_id]);
    let mut state = State::default();
    let changes = genesis(start, now);
    state.apply(anchor.applied.index, &Batch { at: now, changes });
    let rows = state.objects().map(|id| record::row(&state, id));
    let rows: Vec<Row> = rows.collect::<Result<_, _>>().map_err(StartError::Row)?;
    store.begin(&anchor, &rows).map_err(StartError::Store)?;
    let rows = rows.into_iter().filter_map(|(key, row)| Some((key, row?)));
    Ok(Opened {
        log: Restored {
            before: anchor.applied,
            anchor,
            entries: Vec::new(),
        },
        rows: rows.collect(),
    })
}

/// A manager that has just got its raft id, and waits for the state from a leader.
pub fn newcomer(raft_id: u64, seed: u64) -> Result<Manager, StartError> {
    resume(Opened::default(), raft_id, seed)
}

/// The manager that goes on from what a store held. `seed` draws election timeouts.
pub fn resume(opened: Opened, raft_id: u64, seed: u64) -> Result<Manager, StartError> {
    let index = opened.log.anchor.applied.index;
    let state = record::restore(index, opened.rows).map_err(StartError::State)?;
    start(state, opened.log, raft_id, seed)
}

/// The same for the manager of a node, whose host noted `raft_id`. If it was made the only one, its
/// store says so first: see [`crate::manager::refound`].
pub fn resume_of(
    opened: Opened,
    node: NodeId,
    raft_id: u64,
    seed: u64,
) -> Result<Manager, StartError> {
    let index = opened.log.anchor.applied.index;
    let state = record::restore(index, opened.rows).map_err(StartError::State)?;
    let own = state.nodes().find(node);
    let own = own.and_then(|node| Some(node.manager.as_ref()?.raft_id));
    let members = &opened.log.anchor.conf_state;
    let alone = own.filter(|own| members.voters == [*own] && members.learners.is_empty());
    start(state, opened.log, alone.unwrap_or(raft_id), seed)
}

fn start(state: State, log: Restored, raft_id: u64, seed: u64) -> Result<Manager, StartError> {
    let raft = Node::timed(raft_id, log, seed, timing(&state)).map_err(StartError::Log)?;
    Ok(Manager::new(state, raft))
}

/// The two ends of a manager that is about to run.
pub fn channel() -> (ManagerHandle, Inbox) {
    let (inputs_out, inputs) = async_channel::bounded(INPUTS_QUEUED);
    // Not bounded: each session closes once.
    let (closed_out, closed) = async_channel::unbounded();
    let handle = ManagerHandle {
        inputs: inputs_out,
        closed: closed_out,
        sessions: Arc::default(),
    };
    let inbox = Inbox {
        inputs,
        closed,
        peers: None,
        locks: None,
    };
    (handle, inbox)
}

impl Inbox {
    /// A manager that is not alone: what it has for the others goes into `peers`. What does not
    /// fit is lost, as on a bad link.
    pub fn with_peers(mut self, peers: Sender<ToPeers>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// A manager whose host keeps what has to be said to unlock it: `locks` takes it, at the start
    /// and whenever it changes, and is never full.
    pub fn with_locks(mut self, locks: Sender<Option<UnlockSecret>>) -> Self {
        self.locks = Some(locks);
        self
    }
}

/// What a manager has for the others, by their raft ids. Whoever carries it tells this one, through
/// its [`ManagerHandle`], what the others have for it.
#[derive(Debug)]
pub enum ToPeers {
    /// Where they are from now on.
    Know(BTreeMap<u64, Whereabouts>),
    /// For [`ManagerHandle::hear_raft`]. On one link between two managers it keeps its order, and
    /// nothing else should hold it up.
    Raft { to: u64, message: Box<Message> },
    /// For [`ManagerHandle::hear_peer`].
    Message { to: u64, message: PeerMessage },
    /// For [`ManagerHandle::hear_state`], frame by frame over a connection of its own. How it ended
    /// is told with [`ManagerHandle::sent_state`], always, or that manager gets no further one.
    State { to: u64, state: Box<Outgoing> },
}

/// Runs a manager until it is told to stop, or nobody can tell it anything any more.
pub async fn run(
    manager: Manager,
    store: ManagerStore,
    rng: Rng,
    inbox: Inbox,
) -> Result<(), RunError> {
    Runner::new(manager, store, rng, inbox).run().await
}

/// What others have of a running manager.
#[derive(Clone, Debug)]
pub struct ManagerHandle {
    inputs: Sender<Input>,
    closed: Sender<SessionId>,
    sessions: Arc<AtomicU64>,
}

impl ManagerHandle {
    /// Asks the managers for something and waits for the answer.
    pub async fn request(&self, request: Request) -> Result<Response, Refusal> {
        let (answer_out, answer) = async_channel::bounded(1);
        let sent = self
            .inputs
            .send(Input::Request(Box::new(request), answer_out))
            .await;
        match sent {
            Ok(()) => answer.recv().await.unwrap_or(Err(Refusal::NoLeader)),
            Err(_) => Err(Refusal::NoLeader),
        }
    }

    /// Begins a session for an agent; its first message must be hello. `None` if no manager runs.
    pub async fn connect(&self) -> Option<Session> {
        let id = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        // Bounded by whoever fills it: a bounded channel takes the room for all it may ever hold.
        let (to_agent, messages) = async_channel::unbounded();
        self.inputs.send(Input::Open(id, to_agent)).await.ok()?;
        Some(Session {
            id,
            inputs: self.inputs.clone(),
            closed: self.closed.clone(),
            messages,
        })
    }

    /// Has a node call this manager, if it is there.
    pub async fn summon(&self, node: NodeId, summons: Summons) {
        self.hear(Input::Summon(node, Box::new(summons))).await;
    }

    /// What happens to the swarm's objects from now on. It ends when the manager does, or when the
    /// subscriber falls too far behind.
    pub async fn events(&self) -> Receiver<ObjectEvent> {
        let (events_out, events) = async_channel::bounded(EVENTS_QUEUED);
        // Without a manager the subscription is at its end.
        let _ = self.inputs.send(Input::Subscribe(events_out)).await;
        events
    }

    /// What this manager counts; `None` if it has ended.
    pub async fn figures(&self) -> Option<Figures> {
        let (answer_out, answer) = async_channel::bounded(1);
        self.inputs.send(Input::Figures(answer_out)).await.ok()?;
        answer.recv().await.ok()
    }

    /// Takes in a message of consensus. `from` is the raft id of the manager that the other end of
    /// the connection has proved to be.
    pub async fn hear_raft(&self, from: u64, message: Message) {
        let message = Box::new(message);
        self.hear(Input::Raft { from, message }).await;
    }

    /// The same for what managers say beside consensus.
    pub async fn hear_peer(&self, from: u64, message: PeerMessage) {
        let message = Box::new(message);
        self.hear(Input::Peer { from, message }).await;
    }

    /// The same for a whole state.
    pub async fn hear_state(&self, from: u64, state: Arrived) {
        let state = Box::new(state);
        self.hear(Input::State { from, state }).await;
    }

    /// What became of a [`ToPeers::State`].
    pub async fn sent_state(&self, to: u64, arrived: bool) {
        self.hear(Input::Sent { to, arrived }).await;
    }

    /// The whole state, as it is now; `None` if the manager has ended.
    pub async fn backup(&self) -> Option<Backup> {
        let (answer_out, answer) = async_channel::bounded(1);
        self.inputs.send(Input::Backup(answer_out)).await.ok()?;
        answer.recv().await.ok()
    }

    async fn hear(&self, input: Input) {
        // Without a manager nobody needs to hear it.
        let _ = self.inputs.send(input).await;
    }

    /// Whether the manager still runs.
    pub fn is_running(&self) -> bool {
        !self.inputs.is_closed()
    }

    /// Asks the manager to store what it has and to end.
    pub async fn stop(&self) {
        // Without a manager there is nothing to stop.
        let _ = self.inputs.send(Input::Stop).await;
    }
}

/// The managers' end of a session with an agent. Dropping it ends the session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    inputs: Sender<Input>,
    closed: Sender<SessionId>,
    messages: Receiver<Box<ToAgent>>,
}

impl Session {
    /// Hands in what the agent says, waiting while the manager is busy; whether a manager runs.
    pub async fn send(&self, message: ToManager) -> bool {
        let input = Input::Session(self.id, Box::new(message));
        let sent = self.inputs.send(input).await;
        sent.is_ok()
    }

    /// The next message for the agent; `None` once the manager has ended the session.
    pub async fn receive(&self) -> Option<ToAgent> {
        self.messages.recv().await.ok().map(|message| *message)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a manager nobody needs to know.
        let _ = self.closed.try_send(self.id);
    }
}

/// What waits for a manager.
#[derive(Debug)]
pub struct Inbox {
    inputs: Receiver<Input>,
    closed: Receiver<SessionId>,
    /// The way to the other managers, if there may be some.
    peers: Option<Sender<ToPeers>>,
    locks: Option<Sender<Option<UnlockSecret>>>,
}

/// Everything that comes in from outside.
#[derive(Debug)]
enum Input {
    Request(Box<Request>, Sender<Result<Response, Refusal>>),
    Open(SessionId, Sender<Box<ToAgent>>),
    Session(SessionId, Box<ToManager>),
    Summon(NodeId, Box<Summons>),
    Raft {
        from: u64,
        message: Box<Message>,
    },
    Peer {
        from: u64,
        message: Box<PeerMessage>,
    },
    State {
        from: u64,
        state: Box<Arrived>,
    },
    Sent {
        to: u64,
        arrived: bool,
    },
    Subscribe(Sender<ObjectEvent>),
    Figures(Sender<Figures>),
    Backup(Sender<Backup>),
    Stop,
}
