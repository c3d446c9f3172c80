//! One manager, whose disk is a list, and one agent that runs everything at once.

mod agent;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dispatcher::SessionId;
use crate::manager::genesis::{Genesis, genesis};
use crate::manager::tests::swarm::agent::Agent;
use crate::manager::{Effect, Event, Manager, RequestId};
use crate::model::change::Batch;
use crate::model::id::{ClusterId, NodeId, TaskId};
use crate::model::object::{NodeState, Task, TaskState, TaskStatus};
use crate::model::record::{self, Row};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::{Availability, NodeDescription};
use crate::model::spec::service::{ServiceMode, ServiceSpec};
use crate::model::state::State;
use crate::model::time::Time;
use crate::model::trust::tests::a_trust;
use crate::raft::node::{Node, Persist};
use crate::raft::record::{Anchor, Entry, HardState, Position, Restored};
use crate::wire::control::{Refusal, Request, Response, ServiceUpdate};
use crate::wire::session::{Assignment, StatusUpdate, ToManager};

pub const NODE: NodeId = NodeId(7);
const HEARTBEAT_MS: u64 = 2_000;
const START: Time = Time(1_800_000_000_000);

/// A swarm whose only node is [`NODE`].
pub fn a_genesis() -> Genesis {
    Genesis {
        cluster: ClusterId(1),
        spec: ClusterSpec::default(),
        address_pools: vec!["10.0.0.0/8".into()],
        subnet_size: 24,
        data_path_port: 4789,
        node: NODE,
        description: NodeDescription::default(),
        availability: Availability::Active,
        address: "127.0.0.1".into(),
        manager_address: "127.0.0.1:2377".into(),
        raft_id: 1,
        key: None,
        trust: a_trust(),
    }
}

pub fn create_request(name: &str, replicas: u64) -> Request {
    let replicas = Some(replicas);
    create_with(name, ServiceMode::Replicated { replicas })
}

fn create_with(name: &str, mode: ServiceMode) -> Request {
    let mut spec = ServiceSpec {
        name: name.into(),
        mode,
        ..ServiceSpec::default()
    };
    spec.task.container.image = "hello".into();
    Request::CreateService(spec)
}

/// What a store would remember.
#[derive(Default)]
struct Disk {
    anchor: Anchor,
    before: Position,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    entries: Vec<Entry>,
    hard_state: HardState,
    is_held: bool,
    is_full: bool,
    held: Vec<Persist>,
}

pub struct Swarm {
    manager: Manager,
    rng: Rng,
    now: Time,
    disk: Disk,
    agent: Agent,
    sessions: u64,
    answers: Vec<Result<Response, Refusal>>,
}

impl Swarm {
    pub fn new() -> Self {
        let anchor = Anchor::bootstrap(vec![1]);
        let mut state = State::default();
        let changes = genesis(a_genesis(), START);
        state.apply(1, &Batch { at: START, changes });
        let mut disk = Disk {
            before: anchor.applied,
            hard_state: anchor.hard_state,
            anchor,
            ..Disk::default()
        };
        disk.keep(rows(&state));
        let manager = disk.resume();
        let mut swarm = Self {
            manager,
            rng: Rng::from_seed(1),
            now: START,
            disk,
            agent: Agent::default(),
            sessions: 0,
            answers: Vec::new(),
        };
        swarm.step(Event::Tick);
        swarm.join_agent();
        swarm.settle();
        swarm
    }

    pub fn now(&self) -> Time {
        self.now
    }

    pub fn state(&self) -> &State {
        self.manager.state()
    }

    pub fn due(&self) -> Option<Time> {
        self.manager.due(self.now)
    }

    pub fn rows(&self) -> Vec<Row> {
        rows(self.state())
    }

    pub fn tasks(&self, service: &str) -> Vec<Arc<Task>> {
        let id = self.state().services().by_name(service).unwrap().id;
        self.state().tasks_of_service(id).cloned().collect()
    }

    pub fn node_state(&self) -> NodeState {
        self.state().nodes().find(NODE).unwrap().status.state
    }

    /// Tasks that the service's view counts as running.
    pub fn running(&mut self, service: &str) -> u64 {
        self.view(service).0
    }

    /// Tasks that the service's view counts as running, and as desired.
    pub fn view(&mut self, service: &str) -> (u64, u64) {
        match self.ask(Request::Service(service.into())) {
            Ok(Response::Service(view)) => (view.running, view.desired),
            other => panic!("{other:?}"),
        }
    }

    /// Tasks that run on the agent.
    pub fn containers(&self) -> usize {
        let tasks = self.agent.tasks.values();
        tasks
            .filter(|(_, state)| *state == TaskState::Running)
            .count()
    }

    pub fn ask(&mut self, request: Request) -> Result<Response, Refusal> {
        self.post(request);
        self.answers.pop().unwrap()
    }

    pub fn answers(&mut self) -> Vec<Result<Response, Refusal>> {
        std::mem::take(&mut self.answers)
    }

    pub fn create(&mut self, name: &str, replicas: u64) {
        self.ask(create_request(name, replicas)).unwrap();
    }

    pub fn create_global(&mut self, name: &str) {
        self.ask(create_with(name, ServiceMode::Global)).unwrap();
    }

    pub fn post_create(&mut self, name: &str, replicas: u64) {
        self.post(create_request(name, replicas));
    }

    pub fn scale(&mut self, name: &str, replicas: u64) {
        let replicas = Some(replicas);
        self.update(name, |spec| {
            spec.mode = ServiceMode::Replicated { replicas }
        });
    }

    pub fn update(&mut self, name: &str, change: impl FnOnce(&mut ServiceSpec)) {
        let mut spec = (*self.state().services().by_name(name).unwrap().spec).clone();
        change(&mut spec);
        self.send_update(name, ServiceUpdate::Spec(spec));
    }

    pub fn roll_back(&mut self, name: &str) {
        self.send_update(name, ServiceUpdate::Rollback);
    }

    fn send_update(&mut self, name: &str, update: ServiceUpdate) {
        let version = self.state().services().by_name(name).unwrap().meta.version;
        let service = name.to_owned();
        let request = Request::UpdateService {
            service,
            version,
            update,
        };
        self.ask(request).unwrap();
    }

    /// The running task of this name fails.
    pub fn crash(&mut self, task: &str) {
        let mut tasks = self.agent.tasks.values();
        let runs = |(_, state): &&(Assignment, TaskState)| *state == TaskState::Running;
        let found = tasks.find(|t| runs(t) && t.0.task_name() == task);
        let id = found.unwrap().0.task;
        self.report(id, TaskState::Failed);
    }

    pub fn join_agent(&mut self) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.agent.session = Some(session);
        let hello = ToManager::Hello {
            node: NODE,
            description: NodeDescription::default(),
        };
        self.step(Event::Session(session, hello));
    }

    /// The agent's connection breaks.
    pub fn lose_agent(&mut self) {
        let session = self.agent.session.take().unwrap();
        self.step(Event::SessionClosed(session));
    }

    /// The agent's daemon stops and says that it comes back.
    pub fn restart_agent(&mut self) {
        self.say(ToManager::BackSoon { ms: 60_000 });
        self.lose_agent();
    }

    /// The agent's host shuts down.
    pub fn leave_agent(&mut self) {
        self.say(ToManager::Goodbye);
        self.agent = Agent::default();
    }

    pub fn hold_disk(&mut self) {
        self.disk.is_held = true;
    }

    pub fn release_disk(&mut self) {
        self.disk.is_held = false;
        for write in std::mem::take(&mut self.disk.held) {
            let event = self.disk.write(write);
            self.step(event);
        }
    }

    /// Checkpoints fail from now on; the log had its room reserved.
    pub fn fill_disk(&mut self) {
        self.disk.is_full = true;
        self.step(Event::DiskFull("no space".into()));
    }

    pub fn empty_disk(&mut self) {
        self.disk.is_full = false;
    }

    /// The state goes to the checkpoint.
    pub fn checkpoint(&mut self) {
        let index = self.state().index();
        self.step(Event::Stop);
        assert_eq!(self.disk.anchor.applied.index, index);
        self.restart();
    }

    /// The manager ends without a word, and a new one starts from the disk.
    pub fn restart(&mut self) {
        self.manager = self.disk.resume();
        self.step(Event::Tick);
        self.join_agent();
    }

    /// Lets everything happen that can, up to five minutes of waiting.
    pub fn settle(&mut self) {
        self.settle_while(|_| {});
    }

    /// Settles, and returns the fewest tasks of a service that ran on the way.
    pub fn settle_watching(&mut self, service: &str) -> u64 {
        let mut fewest = u64::MAX;
        let service = service.to_owned();
        self.settle_while(|swarm| fewest = fewest.min(swarm.running(&service)));
        fewest
    }

    fn settle_while(&mut self, mut watch: impl FnMut(&mut Self)) {
        for _ in 0..1_000 {
            watch(self);
            if self.work() {
                continue;
            }
            let is_waiting =
                |task: &Arc<Task>| task.is_live() && task.desired_state == TaskState::Ready;
            let waits = self.state().tasks().iter().any(is_waiting);
            let unsent = self.manager.statuses.due().is_some();
            if !waits && !unsent {
                return;
            }
            self.wait_until(self.due().unwrap());
        }
        panic!("does not settle");
    }

    /// Lets time pass, with the agent's heartbeats if it is there.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while self.now < end {
            let due = self.due().unwrap_or(end);
            self.wait_until(due.min(end));
            self.work();
        }
    }

    fn wait_until(&mut self, at: Time) {
        while self.agent.session.is_some() && at.since_ms(self.now) > HEARTBEAT_MS {
            self.now = self.now.plus_ms(HEARTBEAT_MS);
            self.say(ToManager::Heartbeat);
        }
        self.now = at.max(self.now);
        self.step(Event::Tick);
    }

    /// One move of each task on the agent; whether there was any.
    fn work(&mut self) -> bool {
        let tasks: Vec<_> = self.agent.tasks.values().cloned().collect();
        let mut moved = false;
        for (task, state) in tasks {
            let next = match (state, task.desired_state) {
                (state, _) if state.is_terminal() => continue,
                (_, desired) if desired > TaskState::Running => TaskState::Shutdown,
                (state, _) if state < TaskState::Ready => TaskState::Ready,
                (TaskState::Ready, TaskState::Running) => TaskState::Running,
                _ => continue,
            };
            self.report(task.task, next);
            moved = true;
        }
        moved && self.agent.session.is_some()
    }

    fn report(&mut self, id: TaskId, state: TaskState) {
        self.agent.tasks.get_mut(&id).unwrap().1 = state;
        let status = TaskStatus {
            state,
            at: self.now,
            ..TaskStatus::default()
        };
        self.say(ToManager::Status(vec![StatusUpdate { task: id, status }]));
    }

    fn say(&mut self, message: ToManager) {
        if let Some(session) = self.agent.session {
            self.step(Event::Session(session, message));
        }
    }

    fn post(&mut self, request: Request) {
        self.step(Event::Request(RequestId(1), Box::new(request)));
    }

    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.manager.step(self.now, &mut self.rng, event) {
                events.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Persist(write) if self.disk.is_held => self.disk.held.push(write),
            Effect::Persist(write) => return Some(self.disk.write(write)),
            Effect::Checkpoint(anchor, rows) => return Some(self.disk.checkpoint(anchor, rows)),
            Effect::Reply(_, answer) => self.answers.push(answer),
            Effect::ToAgent(session, message) if self.agent.session == Some(session) => {
                self.agent.take_in(message);
            }
            Effect::CloseSession(session) if self.agent.session == Some(session) => {
                self.agent.session = None;
            }
            Effect::ToAgent(..)
            | Effect::CloseSession(_)
            | Effect::Publish(_)
            | Effect::Stopped
            | Effect::Peers(_)
            | Effect::Lock(_) => {}
            // Nobody is there: a host that joined as a manager has yet to start it.
            Effect::Raft { .. } | Effect::SendSnapshot { .. } => {}
            Effect::Fatal(fatal) => panic!("{fatal}"),
            other => panic!("who is there? {other:?}"),
        }
        None
    }
}

impl Disk {
    fn write(&mut self, write: Persist) -> Event {
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
        }
        self.entries.extend(write.entries);
        self.hard_state = write.hard_state;
        Event::Persisted(write.number)
    }

    fn checkpoint(&mut self, anchor: Anchor, rows: Vec<Row>) -> Event {
        if self.is_full {
            return Event::DiskFull("no space".into());
        }
        self.keep(rows);
        self.anchor = anchor;
        Event::CheckpointDone
    }

    fn keep(&mut self, rows: Vec<Row>) {
        for (key, row) in rows {
            match row {
                Some(bytes) => self.rows.insert(key, bytes),
                None => self.rows.remove(&key),
            };
        }
    }

    fn resume(&self) -> Manager {
        let state = record::restore(self.anchor.applied.index, self.rows.clone()).unwrap();
        let mut anchor = self.anchor.clone();
        anchor.hard_state = self.hard_state;
        anchor.hard_state.commit = self.hard_state.commit.max(anchor.applied.index);
        let log = Restored {
            anchor,
            before: self.before,
            entries: self.entries.clone(),
        };
        Manager::new(state, Node::new(1, log, 1).unwrap())
    }
}

fn rows(state: &State) -> Vec<Row> {
    let rows = state.objects().map(|id| record::row(state, id));
    rows.collect::<Result<_, _>>().unwrap()
}
