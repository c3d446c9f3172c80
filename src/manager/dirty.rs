//! What has changed since the passes last looked, so that a round looks at nothing else.

use std::collections::BTreeSet;

use crate::model::change::Change;
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::object::{Slot, TaskState};
use crate::model::state::State;

/// What a round of passes looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dirty {
    /// Services whose spec, or whose set of slots, changed.
    pub services: BTreeSet<ServiceId>,
    /// Slots in which a task changed, or whose stored time has come.
    pub slots: BTreeSet<(ServiceId, Slot)>,
    /// Nodes that changed, or that have room again.
    pub nodes: BTreeSet<NodeId>,
    /// Networks that have addresses again.
    pub networks: BTreeSet<NetworkId>,
}

impl Dirty {
    /// Everything there is: for a start, and to compare with.
    pub fn everything(state: &State) -> Self {
        let tasks = state.tasks().iter();
        let of_tasks = state.tasks().iter().map(|task| task.service);
        Self {
            services: state
                .services()
                .iter()
                .map(|s| s.id)
                .chain(of_tasks)
                .collect(),
            slots: tasks.map(|task| (task.service, task.slot)).collect(),
            nodes: state.nodes().iter().map(|node| node.id).collect(),
            networks: state.networks().iter().map(|network| network.id).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.slots.is_empty()
            && self.nodes.is_empty()
            && self.networks.is_empty()
    }

    pub fn merge(&mut self, other: &Self) {
        self.services.extend(&other.services);
        self.slots.extend(&other.slots);
        self.nodes.extend(&other.nodes);
        self.networks.extend(&other.networks);
    }

    /// Keeps at most so many services and slots; the others are returned.
    pub fn split_off(&mut self, services_max: usize, slots_max: usize) -> Self {
        Self {
            services: rest(&mut self.services, services_max),
            slots: rest(&mut self.slots, slots_max),
            ..Self::default()
        }
    }

    /// Notes a task whose stored time has come.
    pub fn note_task(&mut self, state: &State, id: TaskId) {
        if let Some(task) = state.tasks().find(id) {
            self.slots.insert((task.service, task.slot));
        }
    }

    /// Notes what a change touches; `state` is as it was before the change.
    pub fn note(&mut self, state: &State, change: &Change) {
        match change {
            Change::CreateService { id, .. }
            | Change::UpdateService { id, .. }
            | Change::SetUpdateStatus { id, .. }
            | Change::RemoveService { id }
            | Change::AllocateService { id, .. } => {
                self.services.insert(*id);
                let service = state.services().find(*id);
                let addresses = service.iter().flat_map(|s| &s.endpoint.addresses);
                self.networks.extend(addresses.map(|(network, _)| *network));
            }
            Change::RollBackService(back) => {
                self.services.insert(back.id);
            }
            Change::CountUpdateFailure { task } => self.note_task(state, *task),
            Change::CreateTask(new) => {
                self.slots.insert((new.service, new.slot));
            }
            Change::AssignTask { id, .. } | Change::AllocateTask { id, .. } => {
                self.note_task(state, *id);
            }
            Change::SetTaskStatus { id, status } => {
                self.note_task(state, *id);
                if status.state.is_terminal() {
                    self.note_room(state, *id);
                }
            }
            Change::SetDesiredState { id, state: wanted } => {
                self.note_task(state, *id);
                self.note_room(state, *id);
                if *wanted == TaskState::Remove {
                    let task = state.tasks().find(*id);
                    self.services.extend(task.map(|task| task.service));
                }
            }
            Change::RemoveTask { id } => {
                self.note_task(state, *id);
                self.note_room(state, *id);
            }
            Change::CreateNode(new) => {
                self.nodes.insert(new.id);
            }
            Change::UpdateNode { id, .. }
            | Change::DescribeNode { id, .. }
            | Change::SetNodeStatus { id, .. }
            | Change::AllocateNode { id, .. } => {
                self.nodes.insert(*id);
            }
            Change::RemoveNode { id } => {
                self.nodes.insert(*id);
                let node = state.nodes().find(*id);
                let address = node.and_then(|node| node.ingress);
                self.networks.extend(address.map(|(network, _)| network));
            }
            Change::CreateNetwork { id, .. } => {
                self.networks.insert(*id);
            }
            Change::UpdateCluster { .. } => self.merge(&Self::everything(state)),
            _ => {}
        }
    }

    /// The node and the networks of a task that makes room.
    fn note_room(&mut self, state: &State, id: TaskId) {
        if let Some(task) = state.tasks().find(id) {
            self.nodes.extend(task.node);
            let addresses = task.addresses.iter();
            self.networks.extend(addresses.map(|(network, _)| *network));
        }
    }
}

/// Takes out all but the first `most`.
fn rest<T: Ord + Copy>(all: &mut BTreeSet<T>, most: usize) -> BTreeSet<T> {
    match all.iter().nth(most).copied() {
        Some(first) => all.split_off(&first),
        None => BTreeSet::new(),
    }
}
