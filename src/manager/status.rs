//! Task status on its way into the log. That a task runs or has ended is what the passes and users
//! wait for, and goes at once; steps on the way there go with it, or a tenth of a second after the
//! first of them. Every log entry wears a card, so a few go in a row and then ten a second, each
//! with all that has come meanwhile.
//!
//! A leader may lose its lead, and a manager that does not lead tells the leader over a link that
//! may lose it. So where there are several managers, what was taken is kept until the state has it.

use std::collections::BTreeMap;

use crate::model::id::{NodeId, TaskId};
use crate::model::object::{TaskState, TaskStatus};
use crate::model::restarts::BACKOFF_STEP_MAX;
use crate::model::state::State;
use crate::model::time::Time;
use crate::wire::session::StatusUpdate;

const COALESCE_MS: u64 = 100;
/// A crash and its replacement are two, and a task's creation before them is one.
const IN_A_ROW: u64 = 4;
const TEXT_BYTES_MAX: usize = 1 << 10;
const LOG_TAIL_BYTES_MAX: usize = 4 << 10;
const CONTAINER_ID_BYTES_MAX: usize = 64;

/// The latest status of each task that has news.
#[derive(Debug, Default)]
pub struct Statuses {
    waiting: BTreeMap<TaskId, TaskStatus>,
    /// What was taken and the state does not have yet, as far as that is kept.
    taken: BTreeMap<TaskId, TaskStatus>,
    /// When the first of what waits came.
    since: Time,
    /// Whether an outcome is among what waits.
    has_outcome: bool,
    /// Each sending takes a tenth of a second; this is until when they have been taken.
    taken_until: Time,
}

impl Statuses {
    /// Takes what a node says of a task, if the task is its own and the state one that it may set.
    pub fn receive(&mut self, state: &State, now: Time, node: NodeId, update: StatusUpdate) {
        let StatusUpdate { task, mut status } = update;
        let Some(known) = state.tasks().find(task).filter(|t| t.node == Some(node)) else {
            return;
        };
        let settable = TaskState::Accepted..=TaskState::Rejected;
        let taken = || {
            self.taken
                .get(&task)
                .filter(|t| known.status.state.may_become(t.state))
        };
        let last = self.waiting.get(&task).or_else(taken);
        let last = last.unwrap_or(&known.status);
        if !settable.contains(&status.state) || !last.state.may_become(status.state) {
            return;
        }
        bound(&mut status, now);
        let same = TaskStatus {
            at: last.at,
            ..status.clone()
        };
        if same == *last {
            return;
        }
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.has_outcome |= is_outcome(&status);
        self.waiting.insert(task, status);
    }

    /// When the log shall have what waits, if anything does.
    pub fn due(&self) -> Option<Time> {
        if self.waiting.is_empty() {
            return None;
        }
        let ahead_ms = (IN_A_ROW - 1) * COALESCE_MS;
        let free = Time(self.taken_until.0.saturating_sub(ahead_ms));
        Some(match self.has_outcome {
            true => free,
            false => free.max(self.since.plus_ms(COALESCE_MS)),
        })
    }

    /// Takes at most `room` of them for the log, or for the leader.
    pub fn take(&mut self, now: Time, room: usize, keep: bool) -> Vec<(TaskId, TaskStatus)> {
        let mut taken = Vec::new();
        while taken.len() < room {
            let Some((id, status)) = self.waiting.pop_first() else {
                break;
            };
            if keep {
                self.taken.insert(id, status.clone());
            }
            taken.push((id, status));
        }
        self.has_outcome = self.waiting.values().any(is_outcome);
        if !taken.is_empty() {
            // Not beyond what a full row takes, or a clock that was set back would hold all up.
            let full = now.plus_ms((IN_A_ROW - 1) * COALESCE_MS);
            self.taken_until = self.taken_until.clamp(now, full).plus_ms(COALESCE_MS);
        }
        taken
    }

    /// Lets wait again what was taken and did not get into the state.
    pub fn take_back(&mut self, state: &State, now: Time) {
        for (id, status) in std::mem::take(&mut self.taken) {
            if is_missing(state, id, &status) && !self.waiting.contains_key(&id) {
                if self.waiting.is_empty() {
                    self.since = now;
                }
                self.has_outcome |= is_outcome(&status);
                self.waiting.insert(id, status);
            }
        }
    }

    /// Forgets what the state has by now.
    pub fn settle(&mut self, state: &State) {
        self.taken
            .retain(|id, status| is_missing(state, *id, status));
    }

    /// Whether something waits and its time has come. A moment far ahead is one that the clock has
    /// been set back from.
    pub fn is_due(&self, now: Time) -> bool {
        let due = self.due().map(|due| due.since_ms(now));
        due.is_some_and(|ahead_ms| ahead_ms == 0 || ahead_ms > COALESCE_MS)
    }
}

/// Whether somebody may be waiting for this: the task runs, or has ended.
fn is_outcome(status: &TaskStatus) -> bool {
    status.state >= TaskState::Running
}

/// Whether a status is news to the state.
fn is_missing(state: &State, id: TaskId, status: &TaskStatus) -> bool {
    state.tasks().find(id).is_some_and(|task| {
        let known = &task.status;
        let same = TaskStatus {
            at: known.at,
            ..status.clone()
        };
        known.state.may_become(status.state) && same != *known
    })
}

/// Keeps a status within what the log shall carry, and its time within the cluster's.
fn bound(status: &mut TaskStatus, now: Time) {
    status.at = status.at.min(now);
    cut(&mut status.message, TEXT_BYTES_MAX);
    cut(&mut status.error, TEXT_BYTES_MAX);
    if let Some(restarts) = &mut status.restarts {
        restarts.not_before = restarts.not_before.min(now);
        restarts.window_start = restarts.window_start.min(now);
        restarts.backoff_step = restarts.backoff_step.min(BACKOFF_STEP_MAX);
    }
    if let Some(container) = &mut status.container {
        cut(&mut container.container_id, CONTAINER_ID_BYTES_MAX);
        let surplus = container.log_tail.len().saturating_sub(LOG_TAIL_BYTES_MAX);
        container.log_tail.drain(..surplus);
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}
