//! One task on its node: from assigned to running to ended, one move at a time.
//!
//! ```text
//! assigned -> accepted -> preparing -> ready -> starting -> running -> complete | failed
//!                             |                    |           |
//!                          rejected              failed        +-> stop, grace, kill -> shutdown
//! ```
//!
//! A container with a health check starts until it is healthy; when it is unhealthy it is stopped
//! and the task has failed.
//!
//! It is rejected for what cannot be mended by waiting; what can, is tried again a few times.
//!
//! The state that is reported only grows. Where the container stands is a thing of its own
//! (`Phase`): a task that ended keeps its container for the logs until the manager forgets the
//! task, and one that was prepared before a reboot is prepared again.
//!
//! What has ended is judged when a manager can be told. Until then the node may run it again by
//! itself, as a further attempt of the same task.

mod alone;
mod begin;
mod removal;
mod timers;

use std::sync::Arc;

use crate::agent::Effect;
use crate::agent::containers::{Attempt, ContainerId, Exit, Health, Record, Started};
use crate::agent::delays::{PREPARE_TRIES, REMOVE_TRIES, grace_ms, prepare_again_ms};
use crate::agent::task::removal::Removal;
use crate::model::id::{NodeId, ServiceId};
use crate::model::object::{ContainerStatus, TaskState, TaskStatus};
use crate::model::time::Time;
use crate::wire::reach::TaskView;
use crate::wire::session::{Assignment, StatusUpdate};

/// Most bytes of log that go with a status.
const LOG_TAIL_BYTES: usize = 4096;

/// Longest reason that goes with a status.
const ERROR_CHARS: usize = 1024;

/// Docker's exit code for a container that nobody saw end.
const EXIT_CODE_UNKNOWN: i32 = 255;

/// Why a task has failed whose container nobody saw end.
const LOST: &str = "exit unknown: the container is gone, as after a restart of the host";

/// A task that this node was given.
#[derive(Debug)]
pub struct Task {
    assignment: Arc<Assignment>,
    desired: TaskState,
    /// The manager knows the task no more: it ends, leaves nothing, and is not spoken of.
    forgotten: bool,
    attempt: Attempt,
    phase: Phase,
    health: Health,
    status: TaskStatus,
}

/// Where the container of a task stands.
#[derive(Debug, PartialEq)]
enum Phase {
    Unmade,
    Preparing {
        tries: u32,
    },
    /// It could not be prepared now; what is there of it is removed before another try.
    Clearing {
        tries: u32,
    },
    /// It is to be prepared again.
    Waiting {
        tries: u32,
        again_at: Time,
    },
    Prepared,
    Starting,
    Running,
    /// The stop signal was sent.
    Stopping {
        kill_at: Time,
    },
    /// It has ended, and what that means depends on what is wanted, and on whether a manager can
    /// be told.
    Unjudged(Ending),
    /// It ended without a manager, and the next attempt follows when it is removed.
    Replacing(Removal, ContainerId),
    /// It ended and is kept for its logs.
    Dead,
    Removing(Removal),
    Gone,
}

/// How an attempt came to its end.
#[derive(Debug, PartialEq)]
enum Ending {
    Exited(Exit),
    /// The host was switched off while it ran.
    Lost {
        at: Time,
    },
    /// It could not be made or started, though the task had come to STARTING before.
    Failed {
        reason: String,
        at: Time,
    },
}

/// What has become of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Prepared,
    /// It may be `passing`: the same may succeed later.
    PrepareFailed {
        reason: String,
        passing: bool,
    },
    Started(Started),
    Health(Health),
    StartFailed {
        reason: String,
    },
    Exited(Exit),
    Removed,
    RemoveFailed,
}

/// What a step asks for: effects in their order, and statuses for the manager.
#[derive(Debug, Default)]
pub struct Moves {
    pub effects: Vec<Effect>,
    pub statuses: Vec<StatusUpdate>,
}

impl Task {
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub fn status(&self) -> &TaskStatus {
        &self.status
    }

    /// Which of several attempts at one task counts: one that runs, then the latest.
    pub fn rank(&self) -> (bool, u32) {
        (self.is_running(), self.attempt.number)
    }

    /// Whether a process of the task may be there.
    pub fn is_running(&self) -> bool {
        matches!(
            self.phase,
            Phase::Starting | Phase::Running | Phase::Stopping { .. }
        )
    }

    pub fn service(&self) -> ServiceId {
        self.assignment.service
    }

    /// Whether it takes connections.
    pub fn serves(&self) -> bool {
        let is_well = matches!(self.health, Health::Unchecked | Health::Healthy);
        let is_wanted = !self.forgotten && self.desired <= TaskState::Running;
        self.phase == Phase::Running && is_well && is_wanted
    }

    /// As it is reached on its node.
    pub fn view(&self, node: NodeId) -> TaskView {
        let own = self.assignment.networks.iter();
        TaskView {
            id: self.attempt.task,
            name: self.assignment.task_name(),
            node,
            addresses: own.map(|own| (own.network.id, own.address)).collect(),
        }
    }

    /// Whether only the container's logs are left.
    pub fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// Whether nothing is left of the task, here and at the manager.
    pub fn is_over(&self) -> bool {
        self.forgotten && self.phase == Phase::Gone
    }

    /// Whether the container stays though it was tried to remove it several times.
    pub fn is_stuck(&self) -> bool {
        matches!(
            self.phase,
            Phase::Removing(Removal {
                tries: REMOVE_TRIES..,
                again_at: Some(_)
            })
        )
    }

    /// Takes in what the manager wants and knows of the task.
    pub fn assign(&mut self, assignment: &Assignment, now: Time, moves: &mut Moves) {
        self.forgotten = false;
        self.catch_up(assignment);
        let mut desired = assignment.desired_state;
        if assignment.state.is_terminal() {
            // The manager has given the task up, so nothing of it may go on.
            desired = desired.max(TaskState::Shutdown);
        }
        self.desire(desired, now, moves);
    }

    /// Tells the manager where the task is, if that is news after what it `knows`.
    pub fn resend(&mut self, knows: &Assignment, moves: &mut Moves) {
        self.catch_up(knows);
        let restarts = self.status.restarts;
        let was_restarted = restarts.is_some_and(|restarts| restarts != knows.restarts);
        let state = self.status.state;
        if state > knows.state || (state == knows.state && was_restarted) {
            moves.statuses.push(self.update());
        }
    }

    /// Takes in a desired state; one lower than before comes too late to count.
    pub fn desire(&mut self, state: TaskState, now: Time, moves: &mut Moves) {
        self.desired = self.desired.max(state);
        self.advance(now, moves);
    }

    /// The manager knows the task no more.
    pub fn forget(&mut self, now: Time, moves: &mut Moves) {
        self.forgotten = true;
        self.advance(now, moves);
    }

    /// Takes in what has become of the container.
    pub fn hear(&mut self, news: News, now: Time, moves: &mut Moves) {
        match (news, &self.phase) {
            (News::Prepared, Phase::Preparing { .. }) => self.prepared(now, moves),
            (News::PrepareFailed { reason, passing }, Phase::Preparing { tries }) => {
                match (passing, *tries) {
                    (true, tries @ ..PREPARE_TRIES) => self.clear(tries, &reason, now, moves),
                    _ => self.fail(reason, now, moves),
                }
            }
            (News::Removed | News::RemoveFailed, Phase::Clearing { tries }) => {
                let tries = *tries;
                let again_at = now.plus_ms(prepare_again_ms(tries));
                self.phase = Phase::Waiting { tries, again_at };
            }
            (News::StartFailed { reason }, Phase::Starting) => self.fail(reason, now, moves),
            (News::Started(started), Phase::Starting) => self.started(started, now, moves),
            (News::Health(health), Phase::Running) => self.check(health, now, moves),
            (News::Exited(exit), Phase::Running | Phase::Stopping { .. }) => {
                self.phase = Phase::Unjudged(Ending::Exited(exit));
            }
            (News::Removed, Phase::Removing(_)) => self.phase = Phase::Gone,
            (News::Removed, Phase::Replacing(_, container)) => self.retry(*container, now, moves),
            (News::RemoveFailed, _) => self.removal().into_iter().for_each(|r| r.fail(now)),
            _ => {}
        }
        self.advance(now, moves);
    }

    /// Removes the container of a dead task: its logs are not kept any longer.
    pub fn discard(&mut self, moves: &mut Moves) {
        self.remove(moves);
    }

    /// Makes the next move, if it can be made now.
    fn advance(&mut self, now: Time, moves: &mut Moves) {
        if self.forgotten || self.desired >= TaskState::Shutdown {
            return self.wind_down(now, moves);
        }
        match &mut self.phase {
            Phase::Unmade if self.status.state.is_terminal() => self.phase = Phase::Gone,
            Phase::Unmade if self.status.state >= TaskState::Starting => {
                self.phase = Phase::Gone;
                self.status.message = "started".into();
                self.end(TaskState::Failed, LOST, now, moves);
            }
            Phase::Unmade => self.prepare(1, now, moves),
            Phase::Prepared if self.desired > TaskState::Ready => {
                self.report(TaskState::Starting, "starting", now, moves);
                self.phase = Phase::Starting;
                moves.effects.push(Effect::Start(self.attempt));
            }
            // It fails once it has ended.
            Phase::Running if self.health == Health::Unhealthy => self.stop(now, moves),
            _ => {}
        }
    }

    fn wind_down(&mut self, now: Time, moves: &mut Moves) {
        match &mut self.phase {
            Phase::Unmade => {
                self.phase = Phase::Gone;
                self.report(TaskState::Shutdown, "shutdown", now, moves);
            }
            // The removal ends a preparation that is under way.
            Phase::Preparing { .. } | Phase::Waiting { .. } | Phase::Prepared => {
                self.report(TaskState::Shutdown, "shutdown", now, moves);
                self.remove(moves);
            }
            Phase::Clearing { .. } => {
                self.report(TaskState::Shutdown, "shutdown", now, moves);
                self.phase = Phase::Removing(Removal::default());
            }
            Phase::Replacing(removal, _) => {
                self.phase = Phase::Removing(*removal);
                self.report(TaskState::Shutdown, "shutdown", now, moves);
            }
            Phase::Running => self.stop(now, moves),
            Phase::Unjudged(_) => {
                self.judge(true, now, moves);
                self.wind_down(now, moves);
            }
            Phase::Dead if self.forgotten => self.remove(moves),
            _ => {}
        }
    }

    fn prepare(&mut self, tries: u32, now: Time, moves: &mut Moves) {
        self.report(TaskState::Accepted, "accepted", now, moves);
        self.report(TaskState::Preparing, "preparing", now, moves);
        self.phase = Phase::Preparing { tries };
        moves
            .effects
            .push(Effect::Prepare(self.record(), Vec::new()));
    }

    /// What the attempt is.
    pub fn record(&self) -> Record {
        Record {
            attempt: self.attempt,
            assignment: Arc::clone(&self.assignment),
        }
    }

    fn prepared(&mut self, now: Time, moves: &mut Moves) {
        self.container().container_id = self.attempt.container.to_string();
        self.phase = Phase::Prepared;
        self.status.error.clear();
        self.report(TaskState::Ready, "prepared", now, moves);
    }

    fn started(&mut self, started: Started, now: Time, moves: &mut Moves) {
        self.container().pid = started.pid;
        self.phase = Phase::Running;
        if self.status.state == TaskState::Running {
            self.runs_again(now, moves);
        }
        self.check(started.health, now, moves);
    }

    fn check(&mut self, health: Health, now: Time, moves: &mut Moves) {
        self.health = health;
        if matches!(health, Health::Unchecked | Health::Healthy) {
            self.report(TaskState::Running, "started", now, moves);
        }
    }

    fn stop(&mut self, now: Time, moves: &mut Moves) {
        self.phase = Phase::Stopping {
            kill_at: now.plus_ms(grace_ms(&self.assignment)),
        };
        moves.effects.push(Effect::Stop(self.attempt));
    }

    /// The container could not be made now. The task stays where it is and says why.
    fn clear(&mut self, tries: u32, reason: &str, now: Time, moves: &mut Moves) {
        self.phase = Phase::Clearing { tries };
        moves.effects.push(Effect::Remove(self.attempt));
        self.status.error = one_line(reason);
        self.status.at = now;
        if !self.forgotten {
            moves.statuses.push(self.update());
        }
    }

    /// The container could not be made or started: before STARTING the task is rejected.
    fn fail(&mut self, reason: String, now: Time, moves: &mut Moves) {
        if self.status.state >= TaskState::Starting {
            self.phase = Phase::Unjudged(Ending::Failed { reason, at: now });
            return;
        }
        self.end(TaskState::Rejected, &reason, now, moves);
        self.remove(moves);
    }

    /// Lets an end count: a manager can be told, or has asked for it.
    pub fn judge(&mut self, asked: bool, now: Time, moves: &mut Moves) {
        match std::mem::replace(&mut self.phase, Phase::Dead) {
            Phase::Unjudged(Ending::Exited(exit)) => self.ended(exit, asked, now, moves),
            Phase::Unjudged(Ending::Failed { reason, at }) => {
                self.end(TaskState::Failed, &reason, at.min(now), moves);
                self.remove(moves);
            }
            Phase::Unjudged(Ending::Lost { at }) => {
                self.phase = Phase::Gone;
                match asked {
                    true => self.report(TaskState::Shutdown, "shutdown", now, moves),
                    false => self.end(TaskState::Failed, LOST, at.min(now), moves),
                }
            }
            other => self.phase = other,
        }
    }

    fn ended(&mut self, exit: Exit, asked: bool, now: Time, moves: &mut Moves) {
        let code = exit.code.map_or(EXIT_CODE_UNKNOWN, i32::from);
        let at = exit.at.min(now);
        self.container().exit_code = code;
        let unhealthy = self.health == Health::Unhealthy;
        match failure(&exit, unhealthy) {
            _ if asked && !unhealthy => self.report(TaskState::Shutdown, "shutdown", at, moves),
            None => self.report(TaskState::Complete, "finished", at, moves),
            Some(reason) => {
                self.keep_tail(&exit);
                self.end(TaskState::Failed, &reason, at, moves);
            }
        }
    }

    /// Reports an end with its reason; the message goes on saying how far the task had come.
    fn end(&mut self, state: TaskState, reason: &str, at: Time, moves: &mut Moves) {
        self.status.error = one_line(reason);
        let message = self.status.message.clone();
        self.report(state, &message, at, moves);
    }

    fn report(&mut self, state: TaskState, message: &str, at: Time, moves: &mut Moves) {
        if state <= self.status.state || self.status.state.is_terminal() {
            return;
        }
        self.status.state = state;
        self.status.at = at;
        self.status.message = message.into();
        if !self.forgotten {
            moves.statuses.push(self.update());
        }
    }

    fn update(&self) -> StatusUpdate {
        StatusUpdate {
            task: self.attempt.task,
            status: self.status.clone(),
        }
    }

    fn container(&mut self) -> &mut ContainerStatus {
        self.status.container.get_or_insert_default()
    }

    fn keep_tail(&mut self, exit: &Exit) {
        let cut = exit.log_tail.len().saturating_sub(LOG_TAIL_BYTES);
        self.container().log_tail = exit.log_tail[cut..].to_vec();
    }

    fn remove(&mut self, moves: &mut Moves) {
        self.phase = Phase::Removing(Removal::default());
        moves.effects.push(Effect::Remove(self.attempt));
    }
}

fn one_line(reason: &str) -> String {
    let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(ERROR_CHARS).collect()
}

/// Docker's words for an end that is no success.
fn failure(exit: &Exit, unhealthy: bool) -> Option<String> {
    match (exit.code, exit.oom_killed) {
        (Some(0), _) => unhealthy.then(|| "task: unhealthy container".into()),
        (Some(code), _) if unhealthy => {
            Some(format!("task: non-zero exit ({code}): unhealthy container"))
        }
        (Some(code), false) => Some(format!("task: non-zero exit ({code})")),
        (Some(code), true) => Some(format!("task: non-zero exit ({code}): out of memory")),
        (None, _) => Some("exit unknown: the container's shim was killed".into()),
    }
}
