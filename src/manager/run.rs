//! Runs a manager: brings it its events, carries out its effects, and owns its store, whose writes
//! happen one after another on the pool of threads. Decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::{or, pending};

use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::{blocking, sleep};
use crate::manager::certify::certify;
use crate::manager::dispatcher::SessionId;
use crate::manager::figures::Figures;
use crate::manager::genesis::{Genesis, genesis};
use crate::manager::{Effect, Event, Fatal, Manager, RequestId};
use crate::model::change::Batch;
use crate::model::record::{self, RecordError, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::node::{Node, Persist};
use crate::raft::record::{Anchor, RestoreError, Restored};
use crate::store::error::StoreError;
use crate::store::manager_store::{ManagerStore, Opened};
use crate::wire::control::{ObjectEvent, Refusal, Request, Response};
use crate::wire::session::{ToAgent, ToManager};

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

/// The manager that goes on from what a store held. `seed` draws election timeouts.
pub fn resume(opened: Opened, raft_id: u64, seed: u64) -> Result<Manager, StartError> {
    let index = opened.log.anchor.applied.index;
    let state = record::restore(index, opened.rows).map_err(StartError::State)?;
    let raft = Node::new(raft_id, opened.log, seed).map_err(StartError::Log)?;
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
    (handle, Inbox { inputs, closed })
}

/// Runs a manager until it is told to stop, or nobody can tell it anything any more.
pub async fn run(
    manager: Manager,
    store: ManagerStore,
    rng: Rng,
    inbox: Inbox,
) -> Result<(), RunError> {
    let mut runner = Runner {
        manager,
        rng,
        inbox,
        store: Some(store),
        jobs: VecDeque::new(),
        writing: None,
        is_full: false,
        stopping: false,
        requests: BTreeMap::new(),
        next_request: 0,
        sessions: BTreeMap::new(),
        subscribers: Vec::new(),
    };
    runner.run().await
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
        let (to_agent, messages) = async_channel::bounded(MESSAGES_QUEUED);
        self.inputs.send(Input::Open(id, to_agent)).await.ok()?;
        Some(Session {
            id,
            inputs: self.inputs.clone(),
            closed: self.closed.clone(),
            messages,
        })
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
    messages: Receiver<ToAgent>,
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
        self.messages.recv().await.ok()
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
}

/// Everything that comes in from outside.
#[derive(Debug)]
enum Input {
    Request(Box<Request>, Sender<Result<Response, Refusal>>),
    Open(SessionId, Sender<ToAgent>),
    Session(SessionId, Box<ToManager>),
    Subscribe(Sender<ObjectEvent>),
    Figures(Sender<Figures>),
    Stop,
}

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
}

/// A call of the store that has returned.
struct Written {
    store: ManagerStore,
    job: Job,
    result: Result<(), StoreError>,
}

struct Runner {
    manager: Manager,
    rng: Rng,
    inbox: Inbox,
    /// Here while no job has it.
    store: Option<ManagerStore>,
    jobs: VecDeque<Job>,
    writing: Option<Pin<Box<dyn Future<Output = Written>>>>,
    /// The log had no room: only a checkpoint can make some.
    is_full: bool,
    stopping: bool,
    requests: BTreeMap<RequestId, Sender<Result<Response, Refusal>>>,
    next_request: u64,
    sessions: BTreeMap<SessionId, Sender<ToAgent>>,
    subscribers: Vec<Sender<ObjectEvent>>,
}

impl Runner {
    async fn run(&mut self) -> Result<(), RunError> {
        self.step(Event::Tick)?;
        while !(self.stopping && self.writing.is_none()) {
            let woken = self.next().await;
            self.take_in(woken)?;
        }
        Ok(())
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
            Woken::Input(Input::Session(session, message)) => Event::Session(session, *message),
            Woken::Input(Input::Request(request, answer)) => {
                let id = RequestId(self.next_request);
                self.next_request += 1;
                self.requests.insert(id, answer);
                Event::Request(id, request)
            }
            Woken::Input(Input::Open(session, to_agent)) => {
                self.sessions.insert(session, to_agent);
                return Ok(());
            }
            Woken::Input(Input::Subscribe(subscriber)) => {
                self.subscribers.push(subscriber);
                return Ok(());
            }
            Woken::Input(Input::Figures(asker)) => {
                // Who asked may have gone meanwhile.
                let _ = asker.try_send(self.manager.figures());
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
        self.start_writing();
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>, RunError> {
        match effect {
            // A manager that is alone has nobody to speak to.
            Effect::Raft { .. } | Effect::ToPeer { .. } => {}
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
                if agent.is_some_and(|agent| agent.try_send(message).is_err()) {
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

    /// Gives the store its next job if it is free. When the log is full, a checkpoint goes first.
    fn start_writing(&mut self) {
        let is_checkpoint = |job: &Job| matches!(job, Job::Checkpoint(..));
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
