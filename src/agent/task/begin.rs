//! How a node comes by a task: it is assigned, or an earlier daemon has started it.

use std::sync::Arc;

use crate::agent::containers::{Attempt, Condition, Found, Health, Record};
use crate::agent::delays::grace_ms;
use crate::agent::task::{Ending, Phase, Task};
use crate::model::object::{ContainerStatus, TaskState, TaskStatus};
use crate::model::time::Time;
use crate::wire::session::Assignment;

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
            health: Health::Unchecked,
            status: TaskStatus {
                state,
                ..TaskStatus::default()
            },
        }
    }

    /// A task that ran when the host was switched off.
    pub fn lost(record: Record, now: Time) -> Self {
        let Record {
            attempt,
            assignment,
        } = record;
        Self {
            desired: assignment.desired_state,
            forgotten: false,
            attempt,
            phase: Phase::Unjudged(Ending::Lost { at: now }),
            health: Health::Unchecked,
            status: TaskStatus {
                // Whether it ever ran is not known; states only grow.
                state: TaskState::Starting,
                at: now,
                message: "started".into(),
                restarts: (attempt.number > 1).then_some(assignment.restarts),
                ..TaskStatus::default()
            },
            assignment,
        }
    }

    /// A task whose container an earlier daemon started.
    pub fn adopted(found: Found) -> Self {
        let Found {
            record,
            condition,
            health,
        } = found;
        let Record {
            attempt,
            assignment,
        } = record;
        let mut container = ContainerStatus {
            container_id: attempt.container.to_string(),
            ..ContainerStatus::default()
        };
        let mut desired = assignment.desired_state;
        let (phase, at) = match condition {
            Condition::Running {
                pid,
                since,
                stopped,
            } => {
                container.pid = pid;
                let phase = stopped.map_or(Phase::Running, |at| {
                    if health != Health::Unhealthy {
                        desired = desired.max(TaskState::Shutdown);
                    }
                    let kill_at = at.plus_ms(grace_ms(&assignment));
                    Phase::Stopping { kill_at }
                });
                (phase, since)
            }
            Condition::Ended(exit) => {
                let at = exit.at;
                (Phase::Unjudged(Ending::Exited(exit)), at)
            }
        };
        let (state, message) = match health {
            Health::Unchecked | Health::Healthy => (TaskState::Running, "started"),
            // Whether it ever was well is not known; states only grow.
            Health::Starting | Health::Unhealthy => (TaskState::Starting, "starting"),
        };
        let is_further = attempt.number > 1;
        let restarts = is_further.then_some(assignment.restarts);
        Self {
            desired,
            assignment,
            forgotten: false,
            attempt,
            phase,
            health,
            status: TaskStatus {
                state,
                at,
                message: message.into(),
                error: String::new(),
                container: Some(container),
                restarts,
            },
        }
    }
}
