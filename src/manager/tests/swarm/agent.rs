//! The node's side.

use std::collections::BTreeMap;

use crate::manager::dispatcher::SessionId;
use crate::model::id::TaskId;
use crate::model::object::TaskState;
use crate::wire::session::{Assignment, Assignments, ToAgent};

/// The agent's side.
#[derive(Default)]
pub(super) struct Agent {
    pub(super) session: Option<SessionId>,
    pub(super) version: u64,
    parts: Vec<Assignment>,
    pub(super) tasks: BTreeMap<TaskId, (Assignment, TaskState)>,
}

impl Agent {
    pub(super) fn take_in(&mut self, message: ToAgent) {
        let ToAgent::Assignments(assignments) = message else {
            return;
        };
        match assignments {
            Assignments::Part { tasks } => self.parts.extend(tasks),
            Assignments::Full { version, tasks } => {
                self.version = version;
                let mut all = std::mem::take(&mut self.parts);
                all.extend(tasks);
                let known = std::mem::take(&mut self.tasks);
                for task in all {
                    let state = known
                        .get(&task.task)
                        .map_or(task.state, |(_, state)| *state);
                    self.tasks.insert(task.task, (task, state));
                }
            }
            Assignments::Difference {
                from,
                to,
                set,
                desired,
                removed,
            } => {
                assert_eq!(from, self.version);
                self.version = to;
                for task in set {
                    let state = task.state;
                    self.tasks.insert(task.task, (task, state));
                }
                for (id, state) in desired {
                    self.tasks.get_mut(&id).unwrap().0.desired_state = state;
                }
                for id in removed {
                    let (_, state) = self.tasks.remove(&id).unwrap();
                    assert_ne!(state, TaskState::Running, "a running task was taken away");
                }
            }
        }
    }
}
