//! The loop that brings a manager its events and carries its effects out.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_channel::Sender;
use futures_lite::future::{or, pending};

use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::{blocking, sleep};
use crate::manager::certify::{certify, prepare};
use crate::manager::dispatcher::SessionId;
use crate::manager::run::{Inbox, Input, MESSAGES_QUEUED, RunError, ToPeers};
use crate::manager::{Effect, Event, Manager, RequestId};
use crate::model::record::Row;
use crate::raft::node::Persist;
use crate::raft::record::Anchor;
use crate::store::error::StoreError;
use crate::store::manager_store::ManagerStore;
use crate::wire::control::{ObjectEvent, Refusal, Response};
use crate::wire::peer::Whereabouts;
use crate::wire::session::ToAgent;

/// What wakes the runner.
enum Woken {
    Input(Input),
    Closed(SessionId),
    Tick,
    Written(Box<Written>),
}

/// One call of the store.
enum Job {
    Persist(Persist),
    Checkpoint(Anchor, Vec<Row>),
    Install(Anchor, Vec<Row>),
}

/// A call of the store that has returned.
struct Written {
    store: ManagerStore,
    job: Job,
    result: Result<(), StoreError>,
}

pub(super) struct Runner {
    manager: Manager,
    rng: Rng,
    inbox: Inbox,
    /// Here while no job has it.
    store: Option<ManagerStore>,
    jobs: VecDeque<Job>,
    writing: Option<Pin<Box<dyn Future<Output = Written>>>>,
    /// The log had no room: only a checkpoint can make some.
    is_full: bool,
    /// It was told to stop.
    stopping: bool,
    /// What that asks for is done, but for the writes that are under way.
    has_ended: bool,
    /// Where the other managers are, if there was no room to say so yet.
    unsaid: Option<BTreeMap<u64, Whereabouts>>,
    requests: BTreeMap<RequestId, Sender<Result<Response, Refusal>>>,
    next_request: u64,
    sessions: BTreeMap<SessionId, Sender<Box<ToAgent>>>,
    subscribers: Vec<Sender<ObjectEvent>>,
}

impl Runner {
    pub(super) fn new(manager: Manager, store: ManagerStore, rng: Rng, inbox: Inbox) -> Self {
        Self {
            manager,
            rng,
            inbox,
            store: Some(store),
            jobs: VecDeque::new(),
            writing: None,
            is_full: false,
            stopping: false,
            has_ended: false,
            unsaid: None,
            requests: BTreeMap::new(),
            next_request: 0,
            sessions: BTreeMap::new(),
            subscribers: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), RunError> {
        self.step(Event::Tick)?;
        loop {
            if self.has_ended && self.writing.is_none() {
                return Ok(());
            }
            let woken = self.next().await;
            self.take_in(woken)?;
        }
    }

    async fn next(&mut self) -> Woken {
        let now = clock::now();
        let wait_ms = self.manager.due(now).map(|at| at.since_ms(now));
        let Self {
            writing,
            inbox,
            stopping,
            ..
        } = self;
        let written = async {
            match writing {
                Some(writing) => Woken::Written(Box::new(writing.await)),
                None => pending().await,
            }
        };
        let tick = async {
            match wait_ms {
                Some(ms) => sleep(Duration::from_millis(ms)).await,
                None => pending().await,
            }
            Woken::Tick
        };
        let input = async {
            match inbox.inputs.recv().await {
                Ok(input) => Woken::Input(input),
                Err(_) if *stopping => pending().await,
                Err(_) => Woken::Input(Input::Stop),
            }
        };
        // After the inputs: a session's last words come before its end.
        let closed = async {
            match inbox.closed.recv().await {
                Ok(session) => Woken::Closed(session),
                Err(_) => pending().await,
            }
        };
        or(or(written, tick), or(input, closed)).await
    }

    fn take_in(&mut self, woken: Woken) -> Result<(), RunError> {
        let event = match woken {
            Woken::Tick => Event::Tick,
            Woken::Closed(session) => {
                self.sessions.remove(&session);
                Event::SessionClosed(session)
            }
            Woken::Written(written) => return self.written(*written),
            Woken::Input(Input::Session(session, message)) => {
                if !self.sessions.contains_key(&session) {
                    // It was ended here, and the agent does not know yet.
                    return Ok(());
                }
                Event::Session(session, *message)
            }
            Woken::Input(Input::Summon(node, summons)) => Event::Summon(node, *summons),
            Woken::Input(Input::Request(request, answer)) => {
                let (state, rng) = (self.manager.state(), &mut self.rng);
                let request = match prepare(state, clock::now(), rng, *request) {
                    Ok(request) => Box::new(request),
                    Err(refusal) => {
                        // Who asked may have gone meanwhile.
                        let _ = answer.try_send(Err(refusal));
                        return Ok(());
                    }
                };
                let id = RequestId(self.next_request);
                self.next_request += 1;
                self.requests.insert(id, answer);
                Event::Request(id, request)
            }
            Woken::Input(Input::Open(session, to_agent)) => {
                self.sessions.insert(session, to_agent);
                return Ok(());
            }
            Woken::Input(Input::Raft { from, message }) => Event::Raft {
                from,
                message: *message,
            },
            Woken::Input(Input::Peer { from, message }) => Event::Peer {
                from,
                message: *message,
            },
            Woken::Input(Input::State { from, state }) => Event::Snapshot {
                from,
                state: *state,
            },
            Woken::Input(Input::Sent { to, arrived }) => Event::SnapshotSent { to, arrived },
            Woken::Input(Input::Subscribe(subscriber)) => {
                self.subscribers.push(subscriber);
                return Ok(());
            }
            Woken::Input(Input::Figures(asker)) => {
                // Who asked may have gone meanwhile.
                let _ = asker.try_send(self.manager.figures());
                return Ok(());
            }
            Woken::Input(Input::Backup(asker)) => {
                let _ = asker.try_send(self.manager.backup());
                return Ok(());
            }
            Woken::Input(Input::Stop) => {
                self.stopping = true;
                Event::Stop
            }
        };
        self.step(event)
    }

    /// Takes in one event, and what follows from it here.
    fn step(&mut self, event: Event) -> Result<(), RunError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.manager.step(clock::now(), &mut self.rng, event) {
                events.extend(self.carry_out(effect)?);
            }
        }
        if let Some(peers) = self.unsaid.take() {
            self.know(peers);
        }
        self.start_writing();
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>, RunError> {
        match effect {
            Effect::Raft { to, message } => {
                let message = Box::new(message);
                self.tell_peers(ToPeers::Raft { to, message });
            }
            Effect::ToPeer { to, message } => {
                self.tell_peers(ToPeers::Message { to, message });
            }
            Effect::SendSnapshot { to, state } => {
                if !self.tell_peers(ToPeers::State { to, state }) {
                    let arrived = false;
                    return Ok(Some(Event::SnapshotSent { to, arrived }));
                }
            }
            Effect::Peers(peers) => self.know(peers),
            Effect::Lock(unlock) => {
                if let Some(locks) = &self.inbox.locks {
                    // Nobody keeps a key any more when the host is about to leave or to stop.
                    let _ = locks.try_send(unlock);
                }
            }
            Effect::Install(anchor, rows) => {
                self.jobs.clear();
                self.jobs.push_back(Job::Install(anchor, rows));
            }
            Effect::Stopped => self.has_ended = true,
            Effect::Persist(persist) => self.jobs.push_back(Job::Persist(persist)),
            Effect::Checkpoint(anchor, rows) => {
                self.jobs.push_back(Job::Checkpoint(anchor, rows));
            }
            Effect::Reply(id, answer) => {
                let (state, rng) = (self.manager.state(), &mut self.rng);
                let answer = answer.and_then(|answer| certify(state, clock::now(), rng, answer));
                if let Some(asker) = self.requests.remove(&id) {
                    // Who asked may have gone meanwhile.
                    let _ = asker.try_send(answer);
                }
            }
            Effect::ToAgent(session, message) => {
                let agent = self.sessions.get(&session);
                let takes = |agent: &Sender<Box<ToAgent>>| {
                    agent.len() < MESSAGES_QUEUED && agent.try_send(Box::new(message)).is_ok()
                };
                if !agent.is_none_or(takes) {
                    self.sessions.remove(&session);
                    return Ok(Some(Event::SessionClosed(session)));
                }
            }
            Effect::CloseSession(session) => {
                self.sessions.remove(&session);
            }
            Effect::Publish(event) => {
                let takes = |to: &Sender<ObjectEvent>| to.try_send(event.clone()).is_ok();
                self.subscribers.retain(takes);
            }
            Effect::Fatal(fatal) => return Err(RunError::Fatal(fatal)),
        }
        Ok(None)
    }

    fn know(&mut self, peers: BTreeMap<u64, Whereabouts>) {
        if self.peers_full() {
            self.unsaid = Some(peers);
        } else {
            self.tell_peers(ToPeers::Know(peers));
        }
    }

    fn peers_full(&self) -> bool {
        self.inbox.peers.as_ref().is_some_and(Sender::is_full)
    }

    /// Whether somebody takes it.
    fn tell_peers(&self, message: ToPeers) -> bool {
        let peers = self.inbox.peers.as_ref();
        peers.is_some_and(|peers| peers.try_send(message).is_ok())
    }

    /// Gives the store its next job if it is free. When the log is full, what makes room goes
    /// first.
    fn start_writing(&mut self) {
        let is_checkpoint = |job: &Job| !matches!(job, Job::Persist(_));
        let next = match self.is_full {
            true => self.jobs.iter().position(is_checkpoint),
            false => Some(0),
        };
        let Some(mut store) = self.store.take() else {
            return;
        };
        let Some(job) = next.and_then(|place| self.jobs.remove(place)) else {
            self.store = Some(store);
            return;
        };
        self.writing = Some(Box::pin(blocking(move || {
            let result = match &job {
                Job::Persist(write) => store.append(&write.entries, write.hard_state),
                Job::Checkpoint(anchor, rows) => store.checkpoint(anchor, rows),
                Job::Install(anchor, rows) => store.begin(anchor, rows),
            };
            Written { store, job, result }
        })));
    }

    fn written(&mut self, written: Written) -> Result<(), RunError> {
        let Written { store, job, result } = written;
        self.writing = None;
        let fills_up = store.is_checkpoint_due();
        self.store = Some(store);
        let event = match (result, job) {
            (Ok(()), Job::Persist(write)) => Event::Persisted(write.number),
            (Ok(()), Job::Checkpoint(..)) => {
                self.is_full = false;
                Event::CheckpointDone
            }
            (Ok(()), Job::Install(..)) => {
                self.is_full = false;
                Event::Installed
            }
            (Err(error), Job::Install(..)) if matches!(error, StoreError::Full { .. }) => {
                tracing::warn!("{error}; the state of the swarm waits for room");
                Event::InstallFailed
            }
            (Err(error), job) if matches!(error, StoreError::Full { .. }) => {
                tracing::warn!("{error}; requests are refused until there is room");
                if let write @ Job::Persist(_) = job {
                    self.is_full = true;
                    self.jobs.push_front(write);
                }
                Event::DiskFull(error.to_string())
            }
            (Err(error), _) => return Err(RunError::Store(error)),
        };
        self.step(event)?;
        match fills_up {
            true => self.step(Event::CheckpointWanted),
            false => Ok(()),
        }
    }
}
