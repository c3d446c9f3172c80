//! Task status on its way into the log: the first change goes at once, what follows within a tenth
//! of a second goes together.

use std::collections::BTreeMap;

use crate::model::change::Change;
use crate::model::id::{NodeId, TaskId};
use crate::model::object::{TaskState, TaskStatus};
use crate::model::state::State;
use crate::model::time::Time;
use crate::wire::session::StatusUpdate;

const COALESCE_MS: u64 = 100;
const TEXT_BYTES_MAX: usize = 1 << 10;
const LOG_TAIL_BYTES_MAX: usize = 4 << 10;
const CONTAINER_ID_BYTES_MAX: usize = 64;

/// The latest status of each task that has news.
#[derive(Debug, Default)]
pub struct Statuses {
    waiting: BTreeMap<TaskId, TaskStatus>,
    /// Nothing is sent to the log before this moment.
    not_before: Time,
}

impl Statuses {
    /// Takes what a node says of a task, if the task is its own and the state one that it may set.
    pub fn receive(&mut self, state: &State, now: Time, node: NodeId, update: StatusUpdate) {
        let StatusUpdate { task, mut status } = update;
        let Some(known) = state.tasks().find(task).filter(|t| t.node == Some(node)) else {
            return;
        };
        let settable = TaskState::Accepted..=TaskState::Rejected;
        let last = self.waiting.get(&task).unwrap_or(&known.status);
        if !settable.contains(&status.state) || status.state < last.state {
            return;
        }
        bound(&mut status, now);
        let same = TaskStatus {
            at: last.at,
            ..status.clone()
        };
        if same != *last {
            self.waiting.insert(task, status);
        }
    }

    /// When the log shall have what waits, if anything does.
    pub fn due(&self) -> Option<Time> {
        (!self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Takes at most `room` changes for the log.
    pub fn take(&mut self, now: Time, room: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < room {
            let Some((id, status)) = self.waiting.pop_first() else {
                break;
            };
            changes.push(Change::SetTaskStatus { id, status });
        }
        if !changes.is_empty() {
            self.not_before = now.plus_ms(COALESCE_MS);
        }
        changes
    }

    /// Whether something waits and its time has come. A moment far ahead is one that the clock has
    /// been set back from.
    pub fn is_due(&self, now: Time) -> bool {
        let ahead_ms = self.not_before.since_ms(now);
        !self.waiting.is_empty() && (ahead_ms == 0 || ahead_ms > COALESCE_MS)
    }
}

/// Keeps a status within what the log shall carry, and its time within the cluster's.
fn bound(status: &mut TaskStatus, now: Time) {
    status.at = status.at.min(now);
    cut(&mut status.message, TEXT_BYTES_MAX);
    cut(&mut status.error, TEXT_BYTES_MAX);
    if let Some(container) = &mut status.container {
        cut(&mut container.container_id, CONTAINER_ID_BYTES_MAX);
        let surplus = container.log_tail.len().saturating_sub(LOG_TAIL_BYTES_MAX);
        container.log_tail.drain(..surplus);
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}
