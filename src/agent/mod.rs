//! The agent: runs what the managers assign to its node, and tells them how it goes.
//!
//! `Agent::step` is pure: an event in, effects out. It keeps a session (hello, heartbeats,
//! assignments down, statuses up) and one small state machine per task. Without a session the
//! containers go on, statuses wait for the next one, and what ends is run again.

pub mod alone;
mod delays;
mod services;
pub mod task;
pub mod containers;
pub mod run;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::alone::{Remembered, Solitude};
use crate::agent::containers::{Attempt, Change, ContainerId, Kept, Left, Record};
use crate::agent::services::Services;
use crate::agent::task::{Moves, News, Task};
use crate::host::rng::Rng;
use crate::model::id::{NodeId, TaskId};
use crate::model::object::TaskState;
use crate::model::spec::node::NodeDescription;
use crate::model::time::Time;
use crate::wire::dependency::{Dependency, DependencyId, named_by};
use crate::wire::reach::Reach;
use crate::wire::session::{Assignment, Assignments, Roster, ToAgent, ToManager};
use crate::wire::stream::Summons;

/// Containers of ended tasks that are kept for their logs; the oldest go first.
pub const DEAD_CONTAINERS_MAX: usize = 200;

/// Tasks that a node is given at most.
const TASKS_MAX: usize = 10_000;

/// How long the managers wait for a daemon that said it comes back.
pub const BACK_SOON_MS: u64 = 60_000;

/// The heartbeat periods that an agent lets itself be given.
const HEARTBEAT_MS_MIN: u64 = 100;
const HEARTBEAT_MS_MAX: u64 = 600_000;

/// Bytes of secrets and configs that a node is given at most; what is more is not taken, and the
/// tasks that need it are rejected.
const DEPENDENCY_BYTES_MAX: usize = 64 << 20;

/// Statuses that go in one message.
const STATUSES_PER_MESSAGE: usize = 500;

/// The agent of one node.
#[derive(Debug)]
pub struct Agent {
    node: NodeId,
    description: NodeDescription,
    session: Option<Session>,
    tasks: BTreeMap<TaskId, Task>,
    /// The secrets and configs that tasks of this node name.
    dependencies: BTreeMap<DependencyId, Arc<Dependency>>,
    services: Services,
    solitude: Solitude,
    kept: Remembered,
    leaving: bool,
}

/// A connection to a manager.
#[derive(Debug, Default)]
struct Session {
    heartbeat: Option<Heartbeat>,
    /// The node is another than the hello said.
    is_outdated: bool,
    /// The version of the assignments; statuses wait until there is one.
    version: Option<u64>,
    asked_full: bool,
    /// Tasks of a full assignment that has not been told to its end.
    parts: Vec<Assignment>,
    /// The dependencies that came in this session; a full assignment needs no others.
    dependencies: BTreeSet<DependencyId>,
}

#[derive(Debug)]
struct Heartbeat {
    period_ms: u64,
    next: Time,
}

/// What has changed between two versions of the assignments.
struct Difference {
    set: Vec<Assignment>,
    desired: Vec<(TaskId, TaskState)>,
    removed: Vec<TaskId>,
}

/// What happens to an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What an earlier daemon of this node left; comes first, if at all.
    Adopted(Left),
    Connected,
    Message(ToAgent),
    Disconnected,
    Container {
        attempt: Attempt,
        news: News,
    },
    Tick,
    Farewell(Farewell),
    /// The node has a certificate that this root issued.
    Certified([u8; 32]),
}

/// Why an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The daemon stops and comes back; the containers go on.
    BackSoon,
    /// The host is switched off, and the containers with it.
    SwitchedOff,
    /// The node leaves; the containers end.
    Leave,
}

/// What an agent wants done. For one attempt at most one effect is under way, but for `Stop` and
/// `Kill`, and a `Remove` ends a `Prepare`; whoever starts a container watches it until it has
/// exited.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(ToManager),
    /// Ends the session.
    HangUp,
    /// How services are reached from now on.
    Reach(Reach),
    /// With the secrets and configs that the task names, as far as the managers have sent them.
    Prepare(Record, Vec<Arc<Dependency>>),
    /// Remembers these tasks, or forgets them, for the day when a daemon starts without a manager.
    Keep(Vec<Change>),
    /// Keeps this for the next dial, and for what runs beside the agent.
    Learn(Roster),
    /// Calls the manager that asks for a stream.
    Answer(Summons),
    Start(Attempt),
    Stop(Attempt),
    Kill(Attempt),
    Remove(Attempt),
    /// The agent has nothing more to do.
    Done,
}

impl Agent {
    pub fn new(node: NodeId, description: NodeDescription) -> Self {
        Self {
            node,
            description,
            session: None,
            tasks: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            services: Services::default(),
            solitude: Solitude::default(),
            kept: Remembered::default(),
            leaving: false,
        }
    }

    /// Takes in one event.
    pub fn step(&mut self, now: Time, rng: &mut Rng, event: Event) -> Vec<Effect> {
        let mut moves = Moves::default();
        match event {
            Event::Adopted(left) => self.adopt(now, left, &mut moves),
            Event::Connected => self.connected(&mut moves),
            Event::Message(message) => self.listen(now, rng, message, &mut moves),
            Event::Disconnected => self.session = None,
            Event::Container { attempt, news } => self.news(now, attempt, news, &mut moves),
            Event::Tick => {}
            Event::Farewell(Farewell::BackSoon) => self.pause(&mut moves),
            Event::Farewell(Farewell::SwitchedOff) => {
                moves.effects.push(Effect::Send(ToManager::Goodbye));
                moves.effects.push(Effect::Done);
            }
            Event::Farewell(Farewell::Leave) => self.leave(now, &mut moves),
            Event::Certified(issuer) => self.certified(issuer, &mut moves),
        }
        self.beat(now, rng, &mut moves);
        for task in self.tasks.values_mut() {
            task.tick(now, &mut moves);
        }
        if self.is_told() {
            let tasks = self.tasks.values_mut();
            tasks.for_each(|task| task.judge(false, now, &mut moves));
        }
        self.go_on_alone(now, rng, &mut moves);
        self.reach_alone(now, &mut moves);
        self.discard_old(&mut moves);
        self.tasks.retain(|_, task| !task.is_over());
        self.remember(&mut moves);
        self.effects(moves)
    }

    /// The secrets and configs that the node holds for its tasks.
    pub fn holds(&self) -> impl Iterator<Item = DependencyId> {
        self.dependencies.keys().copied()
    }

    /// When the agent must be woken though nothing happens.
    pub fn due(&self) -> Option<Time> {
        let heartbeat = self.session.as_ref().and_then(|s| s.heartbeat.as_ref());
        let tasks = self.tasks.values().filter_map(Task::due);
        let alone = [self.attempt_due(), self.reach_due()];
        let others = [heartbeat.map(|h| h.next)].into_iter().chain(alone);
        tasks.chain(others.flatten()).min()
    }

    /// Whether a manager has said in this session what to do, and hears what comes of it.
    fn is_told(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.version.is_some())
    }

    fn adopt(&mut self, now: Time, left: Left, moves: &mut Moves) {
        for found in left.found {
            let task = Task::adopted(found);
            let known = self.tasks.get(&task.attempt().task);
            if known.is_some_and(|known| known.rank() >= task.rank()) {
                moves.effects.push(Effect::Remove(task.attempt()));
                continue;
            }
            if let Some(loser) = self.tasks.insert(task.attempt().task, task) {
                moves.effects.push(Effect::Remove(loser.attempt()));
            }
        }
        // The host has been switched off meanwhile.
        for kept in left.kept {
            self.kept.note(&kept);
            match kept {
                Kept::Task(record) => {
                    let id = record.attempt.task;
                    let lost = || Task::lost(record, now);
                    self.tasks.entry(id).or_insert_with(lost);
                }
                Kept::Dependency(held) => drop(self.dependencies.insert(held.id, held)),
                Kept::Service(service) => self.services.recall(service),
            }
        }
    }

    fn connected(&mut self, moves: &mut Moves) {
        self.session = Some(Session::default());
        let description = self.description.clone();
        let hello = ToManager::Hello {
            node: self.node,
            description,
        };
        moves.effects.push(Effect::Send(hello));
    }

    fn listen(&mut self, now: Time, rng: &mut Rng, message: ToAgent, moves: &mut Moves) {
        let Some(session) = &mut self.session else {
            return;
        };
        match message {
            ToAgent::Welcome { heartbeat_ms } => {
                let period_ms = heartbeat_ms.clamp(HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
                let next = now.plus_ms(jittered(period_ms, rng));
                session.heartbeat = Some(Heartbeat { period_ms, next });
                if std::mem::take(&mut session.is_outdated) {
                    let message = ToManager::Describe(self.description.clone());
                    moves.effects.push(Effect::Send(message));
                }
            }
            ToAgent::Refused { reason } => {
                tracing::warn!("the manager refused this node: {reason}");
                self.solitude.refuse();
                self.hang_up(moves);
            }
            ToAgent::Summon(summons) => moves.effects.push(Effect::Answer(summons)),
            ToAgent::Managers(roster) => moves.effects.push(Effect::Learn(roster)),
            ToAgent::Assignments(_) | ToAgent::Dependencies { .. } if self.leaving => {}
            ToAgent::Reach(news) => {
                self.services.hear(&news);
                moves.effects.push(Effect::Reach(news));
            }
            ToAgent::Dependencies { set, released } => {
                session.dependencies.extend(set.iter().map(|one| one.id));
                self.depend(set, &released);
            }
            ToAgent::Assignments(Assignments::Part { tasks }) => {
                session.parts.extend(tasks);
                if session.parts.len() > TASKS_MAX {
                    tracing::warn!("the manager assigns more than {TASKS_MAX} tasks");
                    self.hang_up(moves);
                }
            }
            ToAgent::Assignments(Assignments::Full { version, tasks }) => {
                session.version = Some(version);
                session.asked_full = false;
                let held = std::mem::take(&mut session.dependencies);
                self.dependencies.retain(|id, _| held.contains(id));
                let mut all = std::mem::take(&mut session.parts);
                all.extend(tasks);
                self.replace(now, rng, all, moves);
            }
            ToAgent::Assignments(Assignments::Difference {
                from,
                to,
                set,
                desired,
                removed,
            }) => {
                if session.version == Some(from) {
                    session.version = Some(to);
                    let difference = Difference {
                        set,
                        desired,
                        removed,
                    };
                    return self.change(now, rng, difference, moves);
                }
                if !std::mem::replace(&mut session.asked_full, true) {
                    moves.effects.push(Effect::Send(ToManager::AskFull));
                }
            }
        }
    }

    fn depend(&mut self, set: Vec<Dependency>, released: &[DependencyId]) {
        for id in released {
            self.dependencies.remove(id);
        }
        let held = self.dependencies.values().map(|one| one.data.len());
        let mut bytes: usize = held.sum();
        for dependency in set {
            let id = dependency.id;
            // What is there already is sent again to a session that begins anew.
            let replaced = self.dependencies.get(&id).map_or(0, |one| one.data.len());
            let with = bytes - replaced + dependency.data.len();
            if with > DEPENDENCY_BYTES_MAX {
                tracing::warn!("{id:?} is not taken: over {DEPENDENCY_BYTES_MAX} bytes in all");
                continue;
            }
            bytes = with;
            self.dependencies.insert(id, Arc::new(dependency));
        }
    }

    fn hang_up(&mut self, moves: &mut Moves) {
        self.session = None;
        moves.effects.push(Effect::HangUp);
    }

    fn change(&mut self, now: Time, rng: &mut Rng, difference: Difference, moves: &mut Moves) {
        for assignment in difference.set {
            self.assign(now, rng, assignment, moves);
        }
        for (id, state) in difference.desired {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.desire(state, now, moves);
            }
        }
        for id in difference.removed {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.forget(now, moves);
            }
        }
    }

    /// Takes in all that this node shall run; what is not among it ends.
    fn replace(&mut self, now: Time, rng: &mut Rng, tasks: Vec<Assignment>, moves: &mut Moves) {
        let named: BTreeSet<_> = tasks.iter().map(|assignment| assignment.task).collect();
        let unnamed = self.tasks.iter_mut().filter(|(id, _)| !named.contains(id));
        unnamed.for_each(|(_, task)| task.forget(now, moves));
        for assignment in tasks {
            if let Some(task) = self.tasks.get_mut(&assignment.task) {
                task.resend(&assignment, moves);
            }
            self.assign(now, rng, assignment, moves);
        }
    }

    fn assign(&mut self, now: Time, rng: &mut Rng, assignment: Assignment, moves: &mut Moves) {
        if let Some(task) = self.tasks.get_mut(&assignment.task) {
            return task.assign(&assignment, now, moves);
        }
        let (id, desired) = (assignment.task, assignment.desired_state);
        let attempt = Attempt {
            task: id,
            number: 1,
            container: ContainerId::draw(rng),
        };
        let mut task = Task::assigned(assignment, attempt);
        task.desire(desired, now, moves);
        self.tasks.insert(id, task);
    }

    fn news(&mut self, now: Time, attempt: Attempt, news: News, moves: &mut Moves) {
        let task = self.tasks.get_mut(&attempt.task);
        if let Some(task) = task.filter(|task| task.attempt() == attempt) {
            task.hear(news, now, moves);
        }
    }

    fn pause(&mut self, moves: &mut Moves) {
        moves
            .effects
            .push(Effect::Send(ToManager::BackSoon { ms: BACK_SOON_MS }));
        moves.effects.push(Effect::Done);
    }

    fn certified(&mut self, issuer: [u8; 32], moves: &mut Moves) {
        if self.description.issuer.replace(issuer) == Some(issuer) {
            return;
        }
        match &mut self.session {
            Some(session) if session.heartbeat.is_some() => {
                let message = ToManager::Describe(self.description.clone());
                moves.effects.push(Effect::Send(message));
            }
            Some(session) => session.is_outdated = true,
            None => {}
        }
    }

    fn leave(&mut self, now: Time, moves: &mut Moves) {
        self.leaving = true;
        // Said first, so that nothing is put here in place of what now ends.
        moves.effects.push(Effect::Send(ToManager::Goodbye));
        self.tasks
            .values_mut()
            .for_each(|task| task.forget(now, moves));
    }

    fn beat(&mut self, now: Time, rng: &mut Rng, moves: &mut Moves) {
        let session = self.session.as_mut();
        let Some(heartbeat) = session.and_then(|s| s.heartbeat.as_mut()) else {
            return;
        };
        if heartbeat.next <= now {
            heartbeat.next = now.plus_ms(jittered(heartbeat.period_ms, rng));
            moves.effects.push(Effect::Send(ToManager::Heartbeat));
        }
        // A clock that was set back must not hold heartbeats up.
        heartbeat.next = heartbeat
            .next
            .min(now.plus_ms(longest(heartbeat.period_ms)));
    }

    fn discard_old(&mut self, moves: &mut Moves) {
        let dead = self.tasks.values().filter(|task| task.is_dead()).count();
        let surplus = dead.saturating_sub(DEAD_CONTAINERS_MAX);
        if surplus == 0 {
            return;
        }
        let mut dead: Vec<_> = self
            .tasks
            .values_mut()
            .filter(|task| task.is_dead())
            .collect();
        dead.sort_by_key(|task| task.status().at);
        dead.into_iter()
            .take(surplus)
            .for_each(|task| task.discard(moves));
    }

    fn effects(&self, moves: Moves) -> Vec<Effect> {
        let Moves {
            mut effects,
            statuses,
        } = moves;
        if self.session.is_none() {
            effects.retain(|effect| !matches!(effect, Effect::Send(_)));
        }
        for effect in &mut effects {
            if let Effect::Prepare(record, dependencies) = effect {
                let named = named_by(&record.assignment.spec.container).into_iter();
                dependencies.extend(named.filter_map(|id| self.dependencies.get(&id).cloned()));
            }
        }
        if self.is_told() {
            let messages = statuses.chunks(STATUSES_PER_MESSAGE);
            effects.extend(messages.map(|some| Effect::Send(ToManager::Status(some.to_vec()))));
        }
        if self.leaving && self.tasks.values().all(Task::is_stuck) {
            effects.push(Effect::Done);
        }
        effects
    }
}

/// The period, give or take a tenth.
fn jittered(period_ms: u64, rng: &mut Rng) -> u64 {
    let tenth = period_ms / 10;
    period_ms - tenth + rng.below(2 * tenth + 1)
}

/// The longest that [`jittered`] gives.
fn longest(period_ms: u64) -> u64 {
    period_ms + period_ms / 10
}
