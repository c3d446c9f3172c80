//! What one agent was told, and the messages that tell it the rest.

use std::collections::BTreeMap;

use crate::manager::dispatcher::SessionId;
use crate::manager::dispatcher::needs::Needs;
use crate::manager::dispatcher::peers::Told;
use crate::manager::dispatcher::reached::attachments;
use crate::model::id::{NodeId, TaskId};
use crate::model::object::{Task, TaskState};
use crate::model::spec::node::NodeDescription;
use crate::model::state::State;
use crate::wire::session::{Assignment, Assignments, Roster, ToAgent};

/// The most tasks of one message, and the most bytes but for its last task's.
const TASKS_PER_MESSAGE: usize = 100;
const MESSAGE_BYTES: usize = 4 << 20;

/// A session that stands.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    /// What the node says of itself, until the state has it.
    pub description: Option<Box<NodeDescription>>,
    /// It said that it comes back soon, so that its end is no news.
    pub coming_back: bool,
    /// What it was told of the managers.
    pub roster: Option<Roster>,
    /// Counts the assignments that were sent.
    version: u64,
    told: BTreeMap<TaskId, TaskState>,
    pub needs: Needs,
    pub peers: Told,
}

impl Session {
    pub fn new(id: SessionId, description: Option<Box<NodeDescription>>, peers: Told) -> Self {
        Self {
            id,
            description,
            coming_back: false,
            roster: None,
            version: 0,
            told: BTreeMap::new(),
            needs: Needs::default(),
            peers,
        }
    }

    /// Forgets the node's description if the state has it.
    pub fn settle(&mut self, state: &State, node: NodeId) {
        let known = state.nodes().find(node).map(|node| &node.description);
        self.description
            .take_if(|own| known.is_some_and(|known| *known == **own));
    }

    /// All that the node shall do: a full message, and before it the parts that it has no room for.
    pub fn full(&mut self, state: &State, node: NodeId) -> Vec<ToAgent> {
        let tasks = state.tasks_of_node(node);
        self.told = tasks.map(|task| (task.id, task.desired_state)).collect();
        self.version += 1;
        let tasks = state
            .tasks_of_node(node)
            .map(|task| assignment(state, task));
        let mut parts = parts(tasks.collect());
        let last = Assignments::Full {
            version: self.version,
            tasks: parts.pop().unwrap_or_default(),
        };
        self.needs = Needs::default();
        let tasks = state.tasks_of_node(node).map(|task| &**task);
        let mut messages = self.needs.add(state, tasks);
        let parts = parts.into_iter().map(|tasks| Assignments::Part { tasks });
        messages.extend(parts.chain([last]).map(ToAgent::Assignments));
        messages
    }

    /// What has changed for the agent in `tasks`, as far as it has to know.
    pub fn differences(&mut self, state: &State, node: NodeId, tasks: &[TaskId]) -> Vec<ToAgent> {
        let (mut set, mut desired, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for id in tasks {
            let task = state
                .tasks()
                .find(*id)
                .filter(|task| task.node == Some(node));
            match task {
                None => removed.extend(self.told.remove(id).map(|_| *id)),
                Some(task) => match self.told.insert(*id, task.desired_state) {
                    None => set.push(assignment(state, task)),
                    Some(told) if told != task.desired_state => {
                        desired.push((*id, task.desired_state));
                    }
                    Some(_) => {}
                },
            }
        }
        let ids = set.iter().map(|assignment| assignment.task);
        let new = ids
            .filter_map(|id| state.tasks().find(id))
            .map(|task| &**task);
        let mut messages = self.needs.add(state, new);
        let mut parts = parts(set);
        if parts.is_empty() && !(desired.is_empty() && removed.is_empty()) {
            parts.push(Vec::new());
        }
        let differences = parts.into_iter().map(|set| {
            let from = self.version;
            self.version += 1;
            ToAgent::Assignments(Assignments::Difference {
                from,
                to: self.version,
                set,
                // With the first part: whoever makes room does so before others come.
                desired: std::mem::take(&mut desired),
                removed: std::mem::take(&mut removed),
            })
        });
        messages.extend(differences);
        messages.extend(self.needs.release(state, tasks));
        messages
    }
}

/// Splits assignments so that each part fits into a frame.
fn parts(assignments: Vec<Assignment>) -> Vec<Vec<Assignment>> {
    let mut parts = Vec::<Vec<_>>::new();
    let mut bytes = MESSAGE_BYTES;
    for assignment in assignments {
        let full = parts
            .last()
            .is_none_or(|part| part.len() >= TASKS_PER_MESSAGE);
        if full || bytes >= MESSAGE_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        let size = postcard::experimental::serialized_size(&assignment);
        bytes = bytes.saturating_add(size.unwrap_or(MESSAGE_BYTES));
        if let Some(part) = parts.last_mut() {
            part.push(assignment);
        }
    }
    parts
}

fn assignment(state: &State, task: &Task) -> Assignment {
    let service = state.services().find(task.service);
    let lacks_image = task.status.state < TaskState::Ready;
    let auth = service
        .filter(|_| lacks_image)
        .map(|s| s.spec.registry_auth.clone());
    Assignment {
        task: task.id,
        service: task.service,
        service_name: task.service_name.to_string(),
        service_labels: service.map_or_else(Default::default, |s| s.spec.labels.clone()),
        slot: task.slot,
        desired_state: task.desired_state,
        spec: task.spec.clone(),
        state: task.status.state,
        registry_auth: auth.unwrap_or_default(),
        networks: attachments(state, task),
        generic: task.generic.clone(),
        of_job: task.job_iteration.is_some(),
        restarts: task.restart,
    }
}
