//! One task on its node: from assigned to running to ended, one move at a time.
//!
//! ```text
//! assigned -> accepted -> preparing -> ready -> starting -> running -> complete | failed
//!                             |                    |           |
//!                          rejected              failed        +-> stop, grace, kill -> shutdown
//! ```
//!
//! The state that is reported only grows. Where the container stands is a thing of its own
//! (`Phase`): a task that ended keeps its container for the logs until the manager forgets the
//! task, and one that was prepared before a reboot is prepared again.

use std::sync::Arc;

use crate::agent::Effect;
use crate::agent::containers::{Attempt, Condition, Exit, Found, Record};
use crate::model::object::{ContainerStatus, TaskState, TaskStatus};
use crate::model::spec::container::STOP_GRACE_PERIOD_NS;
use crate::model::time::{Time, ms_of_ns};
use crate::wire::session::{Assignment, StatusUpdate};

/// What outlives SIGKILL (a process that waits for a dead disk) is killed again this often.
const KILL_AGAIN_MS: u64 = 10_000;

/// A container that could not be removed is tried again after this, and then after twice as long
/// each time, so often doubled.
const REMOVE_AGAIN_MS: u64 = 10_000;
const REMOVE_DOUBLINGS_MAX: u32 = 6;

/// A node that leaves tries so often to remove a container.
const REMOVE_TRIES: u32 = 4;

/// Most bytes of log that go with a status.
const LOG_TAIL_BYTES: usize = 4096;

/// Longest reason that goes with a status.
const ERROR_CHARS: usize = 1024;

/// Docker's exit code for a container that nobody saw end.
const EXIT_CODE_UNKNOWN: i32 = 255;

/// A task that this node was given.
#[derive(Debug)]
pub struct Task {
    assignment: Arc<Assignment>,
    desired: TaskState,
    /// The manager knows the task no more: it ends, leaves nothing, and is not spoken of.
    forgotten: bool,
    attempt: Attempt,
    phase: Phase,
    status: TaskStatus,
}

/// Where the container of a task stands.
#[derive(Debug, PartialEq)]
enum Phase {
    Unmade,
    Preparing,
    Prepared,
    Starting,
    Running,
    /// The stop signal was sent.
    Stopping {
        kill_at: Time,
    },
    /// It ended while no daemon was there, and what that means depends on what was wanted.
    Unjudged(Exit),
    /// It ended and is kept for its logs.
    Dead,
    Removing {
        tries: u32,
        again_at: Option<Time>,
    },
    Gone,
}

/// What has become of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Prepared,
    PrepareFailed { reason: String },
    Started { pid: u32 },
    StartFailed { reason: String },
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
    /// A task that the node has no container of.
    pub fn assigned(assignment: Assignment, attempt: Attempt) -> Self {
        let state = assignment.state.max(TaskState::Assigned);
        Self {
            desired: assignment.desired_state,
            assignment: Arc::new(assignment),
            forgotten: false,
            attempt,
            phase: Phase::Unmade,
            status: TaskStatus {
                state,
                ..TaskStatus::default()
            },
        }
    }

    /// A task whose container an earlier daemon started.
    pub fn adopted(found: Found) -> Self {
        let Record {
            attempt,
            assignment,
        } = found.record;
        let mut container = ContainerStatus {
            container_id: attempt.container.to_string(),
            ..ContainerStatus::default()
        };
        let (phase, at) = match found.condition {
            Condition::Running { pid, since } => {
                container.pid = pid;
                (Phase::Running, since)
            }
            Condition::Ended(exit) => {
                let at = exit.at;
                (Phase::Unjudged(exit), at)
            }
        };
        Self {
            desired: assignment.desired_state,
            assignment,
            forgotten: false,
            attempt,
            phase,
            status: TaskStatus {
                state: TaskState::Running,
                at,
                message: "started".into(),
                error: String::new(),
                container: Some(container),
            },
        }
    }

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
            Phase::Removing {
                tries: REMOVE_TRIES..,
                again_at: Some(_)
            }
        )
    }

    /// Takes in what the manager wants and knows of the task.
    pub fn assign(&mut self, assignment: &Assignment, now: Time, moves: &mut Moves) {
        self.forgotten = false;
        let mut desired = assignment.desired_state;
        if assignment.state.is_terminal() {
            // The manager has given the task up, so nothing of it may go on.
            desired = desired.max(TaskState::Shutdown);
            self.status.state = self.status.state.max(assignment.state);
        }
        self.desire(desired, now, moves);
    }

    /// Tells the manager where the task is, if that is news after what it `knows`.
    pub fn resend(&self, knows: TaskState, moves: &mut Moves) {
        if self.status.state > knows {
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
            (News::Prepared, Phase::Preparing) => self.prepared(now, moves),
            (News::PrepareFailed { reason }, Phase::Preparing)
            | (News::StartFailed { reason }, Phase::Starting) => self.fail(&reason, now, moves),
            (News::Started { pid }, Phase::Starting) => self.started(pid, now, moves),
            (News::Exited(exit), Phase::Running) => self.ended(exit, false, now, moves),
            (News::Exited(exit), Phase::Stopping { .. }) => self.ended(exit, true, now, moves),
            (News::Removed, Phase::Removing { .. }) => self.phase = Phase::Gone,
            (News::RemoveFailed, Phase::Removing { tries, .. }) => {
                let again_at = Some(now.plus_ms(remove_again_ms(*tries)));
                self.phase = Phase::Removing {
                    tries: *tries,
                    again_at,
                };
            }
            _ => {}
        }
        self.advance(now, moves);
    }

    /// When the task needs the agent again though nothing happens.
    pub fn due(&self) -> Option<Time> {
        match self.phase {
            Phase::Stopping { kill_at } => Some(kill_at),
            Phase::Removing { again_at, .. } => again_at,
            _ => None,
        }
    }

    /// Does what has become due. A clock that was set back holds nothing up: no moment is further
    /// away than when it was set.
    pub fn tick(&mut self, now: Time, moves: &mut Moves) {
        let grace = now.plus_ms(self.grace_ms().max(KILL_AGAIN_MS));
        match &mut self.phase {
            Phase::Stopping { kill_at } if *kill_at <= now => {
                *kill_at = now.plus_ms(KILL_AGAIN_MS);
                moves.effects.push(Effect::Kill(self.attempt));
            }
            Phase::Stopping { kill_at } => *kill_at = grace.min(*kill_at),
            Phase::Removing {
                tries,
                again_at: Some(at),
            } if *at <= now => {
                let tries = *tries;
                self.remove(tries, moves);
            }
            Phase::Removing {
                tries,
                again_at: Some(at),
            } => {
                *at = now.plus_ms(remove_again_ms(*tries)).min(*at);
            }
            _ => {}
        }
    }

    /// Removes the container of a dead task: its logs are not kept any longer.
    pub fn discard(&mut self, moves: &mut Moves) {
        self.remove(0, moves);
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
                let lost = "exit unknown: the container is gone, as after a restart of the host";
                self.end(TaskState::Failed, lost, now, moves);
            }
            Phase::Unmade => self.prepare(now, moves),
            Phase::Prepared if self.desired > TaskState::Ready => {
                self.report(TaskState::Starting, "starting", now, moves);
                self.phase = Phase::Starting;
                moves.effects.push(Effect::Start(self.attempt));
            }
            Phase::Unjudged(exit) => {
                let exit = std::mem::take(exit);
                self.ended(exit, false, now, moves);
            }
            _ => {}
        }
    }

    fn wind_down(&mut self, now: Time, moves: &mut Moves) {
        match &mut self.phase {
            Phase::Unmade => {
                self.phase = Phase::Gone;
                self.report(TaskState::Shutdown, "shutdown", now, moves);
            }
            Phase::Prepared => {
                self.report(TaskState::Shutdown, "shutdown", now, moves);
                self.remove(0, moves);
            }
            Phase::Running => {
                self.phase = Phase::Stopping {
                    kill_at: now.plus_ms(self.grace_ms()),
                };
                moves.effects.push(Effect::Stop(self.attempt));
            }
            Phase::Unjudged(exit) => {
                let exit = std::mem::take(exit);
                self.ended(exit, true, now, moves);
                self.wind_down(now, moves);
            }
            Phase::Dead if self.forgotten => self.remove(0, moves),
            _ => {}
        }
    }

    fn prepare(&mut self, now: Time, moves: &mut Moves) {
        self.report(TaskState::Accepted, "accepted", now, moves);
        self.report(TaskState::Preparing, "preparing", now, moves);
        self.phase = Phase::Preparing;
        let record = Record {
            attempt: self.attempt,
            assignment: Arc::clone(&self.assignment),
        };
        moves.effects.push(Effect::Prepare(record));
    }

    fn prepared(&mut self, now: Time, moves: &mut Moves) {
        self.container().container_id = self.attempt.container.to_string();
        self.phase = Phase::Prepared;
        self.report(TaskState::Ready, "prepared", now, moves);
    }

    fn started(&mut self, pid: u32, now: Time, moves: &mut Moves) {
        self.container().pid = pid;
        self.phase = Phase::Running;
        self.report(TaskState::Running, "started", now, moves);
    }

    /// The container could not be made or started: before STARTING the task is rejected.
    fn fail(&mut self, reason: &str, now: Time, moves: &mut Moves) {
        let state = match self.status.state {
            state if state < TaskState::Starting => TaskState::Rejected,
            _ => TaskState::Failed,
        };
        self.end(state, reason, now, moves);
        self.remove(0, moves);
    }

    fn ended(&mut self, exit: Exit, asked: bool, now: Time, moves: &mut Moves) {
        self.phase = Phase::Dead;
        let code = exit.code.map_or(EXIT_CODE_UNKNOWN, i32::from);
        let at = exit.at.min(now);
        self.container().exit_code = code;
        match failure(&exit) {
            _ if asked => self.report(TaskState::Shutdown, "shutdown", at, moves),
            None => self.report(TaskState::Complete, "finished", at, moves),
            Some(reason) => {
                let cut = exit.log_tail.len().saturating_sub(LOG_TAIL_BYTES);
                self.container().log_tail = exit.log_tail[cut..].to_vec();
                self.end(TaskState::Failed, &reason, at, moves);
            }
        }
    }

    /// Reports an end with its reason; the message goes on saying how far the task had come.
    fn end(&mut self, state: TaskState, reason: &str, at: Time, moves: &mut Moves) {
        let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.status.error = line.take(ERROR_CHARS).collect();
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

    fn remove(&mut self, tries: u32, moves: &mut Moves) {
        self.phase = Phase::Removing {
            tries: tries.saturating_add(1),
            again_at: None,
        };
        moves.effects.push(Effect::Remove(self.attempt));
    }

    fn grace_ms(&self) -> u64 {
        let grace_ns = self.assignment.spec.container.stop_grace_period_ns;
        ms_of_ns(grace_ns.unwrap_or(STOP_GRACE_PERIOD_NS))
    }
}

fn remove_again_ms(tries: u32) -> u64 {
    let doublings = tries.saturating_sub(1).min(REMOVE_DOUBLINGS_MAX);
    REMOVE_AGAIN_MS << doublings
}

/// Docker's words for an end that is no success.
fn failure(exit: &Exit) -> Option<String> {
    match (exit.code, exit.oom_killed) {
        (Some(0), _) => None,
        (Some(code), false) => Some(format!("task: non-zero exit ({code})")),
        (Some(code), true) => Some(format!("task: non-zero exit ({code}): out of memory")),
        (None, _) => Some("exit unknown: the container's shim was killed".into()),
    }
}
