//! What each node carries and which tasks wait for a node, kept up to date as tasks come and go, so
//! that placing a task never counts tasks.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::{NodeId, ServiceId, TaskId};
use crate::model::object::{Slot, Task, TaskState};
use crate::model::spec::service::{PortConfig, Protocol};
use crate::model::spec::task::{GenericResource, Reservations};

/// What the tasks of one node take of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeLoad {
    /// Tasks that are wanted and have not ended.
    pub tasks: u32,
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    /// Generic resources by kind, in pieces.
    pub generic: BTreeMap<String, i64>,
    /// Those that have a name, and were given to a task: kind and name.
    pub named: BTreeSet<(String, String)>,
    /// Ports of the node itself, each with the number of tasks that have it.
    pub ports: BTreeMap<(Protocol, u16), i64>,
}

impl NodeLoad {
    /// Takes, or with a `sign` of -1 gives back, what a task reserves.
    pub fn reserve(&mut self, wanted: &Reservations, sign: i64) {
        let add = |sum: &mut i64, part: i64| *sum = sum.saturating_add(part.saturating_mul(sign));
        add(&mut self.nano_cpus, wanted.nano_cpus);
        add(&mut self.memory_bytes, wanted.memory_bytes);
        for (kind, count) in generic_counts(&wanted.generic) {
            add(self.generic.entry(kind.to_owned()).or_default(), count);
        }
        self.generic.retain(|_, count| *count != 0);
    }

    /// Takes, or with a `sign` of -1 gives back, what a task was given by name.
    pub fn give(&mut self, generic: &[GenericResource], sign: i64) {
        for resource in generic {
            if let GenericResource::Named { kind, value } = resource {
                let key = (kind.clone(), value.clone());
                match sign > 0 {
                    true => self.named.insert(key),
                    false => self.named.remove(&key),
                };
            }
        }
    }

    /// Takes or gives back ports of the node.
    pub fn take_ports(&mut self, ports: &[PortConfig], sign: i64) {
        for port in ports {
            let key = (port.protocol, port.published_port);
            *self.ports.entry(key).or_default() += sign;
        }
        self.ports.retain(|_, count| *count != 0);
    }
}

/// Generic resources by kind, in pieces: each named one is a piece.
pub fn generic_counts(resources: &[GenericResource]) -> BTreeMap<&str, i64> {
    let mut counts = BTreeMap::<&str, i64>::new();
    for resource in resources {
        let (kind, count) = match resource {
            GenericResource::Named { kind, .. } => (kind, 1),
            GenericResource::Discrete { kind, value } => (kind, *value),
        };
        let sum = counts.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    }
    counts
}

/// Where the tasks of one service are.
#[derive(Clone, Debug, Default)]
struct PerNode {
    /// How many each node has, of those that have any.
    nodes: BTreeMap<NodeId, u32>,
    /// How many nodes have so many.
    levels: BTreeMap<u32, u32>,
}

impl PerNode {
    fn set(&mut self, node: NodeId, tasks: u32) {
        let old = match tasks {
            0 => self.nodes.remove(&node),
            _ => self.nodes.insert(node, tasks),
        };
        if let Some(old) = old
            && let Some(nodes) = self.levels.get_mut(&old)
        {
            *nodes -= 1;
            if *nodes == 0 {
                self.levels.remove(&old);
            }
        }
        if tasks > 0 {
            *self.levels.entry(tasks).or_default() += 1;
        }
    }
}

/// The load of all nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    nodes: BTreeMap<NodeId, NodeLoad>,
    services: BTreeMap<ServiceId, PerNode>,
    unassigned: BTreeSet<(ServiceId, u64, Slot, TaskId)>,
    /// How many tasks of a service have failed on a node, as far as they are kept.
    failed: BTreeMap<(ServiceId, NodeId), u32>,
    /// How many tasks are in each state.
    states: BTreeMap<TaskState, u64>,
}

impl Load {
    pub fn node(&self, id: NodeId) -> Option<&NodeLoad> {
        self.nodes.get(&id)
    }

    /// How many tasks of a service a node has.
    pub fn of_service(&self, service: ServiceId, node: NodeId) -> u32 {
        let per_node = self.services.get(&service);
        let tasks = per_node.and_then(|per_node| per_node.nodes.get(&node));
        tasks.copied().unwrap_or(0)
    }

    /// The fewest tasks of a service that one of so many nodes has.
    pub fn least_of_service(&self, service: ServiceId, nodes: usize) -> u32 {
        let per_node = self.services.get(&service);
        let everywhere = per_node.filter(|per_node| per_node.nodes.len() >= nodes);
        let least = everywhere.and_then(|per_node| per_node.levels.first_key_value());
        least.map_or(0, |(tasks, _)| *tasks)
    }

    pub fn unassigned(&self) -> impl Iterator<Item = (ServiceId, u64, TaskId)> {
        let keys = self.unassigned.iter();
        keys.map(|(service, version, _, task)| (*service, *version, *task))
    }

    pub fn unassigned_of(&self, service: ServiceId) -> impl Iterator<Item = TaskId> {
        let least = (service, 0, Slot::Number(0), TaskId(0));
        let most = (
            service,
            u64::MAX,
            Slot::Node(NodeId(u128::MAX)),
            TaskId(u128::MAX),
        );
        let keys = self.unassigned.range(least..=most);
        keys.map(|(_, _, _, task)| *task)
    }

    pub fn in_state(&self, state: TaskState) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }

    /// On which nodes tasks of a service have failed, and how many.
    pub fn failed(&self, id: ServiceId) -> impl Iterator<Item = (NodeId, u32)> {
        let range = (id, NodeId(0))..=(id, NodeId(u128::MAX));
        self.failed.range(range).map(|((_, node), n)| (*node, *n))
    }

    pub fn add(&mut self, task: &Task) {
        if let Some(key) = failed_key(task) {
            *self.failed.entry(key).or_default() += 1;
        }
        *self.states.entry(task.status.state).or_default() += 1;
        match task.node {
            Some(node) if !task.status.state.is_terminal() => self.count(node, task, 1),
            None if task.is_live() => {
                self.unassigned.insert(unassigned_key(task));
            }
            _ => {}
        }
    }

    pub fn remove(&mut self, task: &Task) {
        if let Some(key) = failed_key(task)
            && let Some(count) = self.failed.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.failed.remove(&key);
            }
        }
        if let Some(count) = self.states.get_mut(&task.status.state) {
            *count -= 1;
        }
        match task.node {
            Some(node) if !task.status.state.is_terminal() => self.count(node, task, -1),
            None => {
                self.unassigned.remove(&unassigned_key(task));
            }
            _ => {}
        }
    }

    fn count(&mut self, node: NodeId, task: &Task, sign: i64) {
        let load = self.nodes.entry(node).or_default();
        if let Some(wanted) = reservations(task) {
            load.reserve(wanted, sign);
        }
        load.give(&task.generic, sign);
        load.take_ports(&task.ports, sign);
        if task.desired_state <= TaskState::Running {
            let step = |n: u32| {
                if sign > 0 {
                    n.saturating_add(1)
                } else {
                    n.saturating_sub(1)
                }
            };
            load.tasks = step(load.tasks);
            let per_node = self.services.entry(task.service).or_default();
            let tasks = step(per_node.nodes.get(&node).copied().unwrap_or(0));
            per_node.set(node, tasks);
            if per_node.nodes.is_empty() {
                self.services.remove(&task.service);
            }
        }
        if self.nodes.get(&node) == Some(&NodeLoad::default()) {
            self.nodes.remove(&node);
        }
    }
}

fn reservations(task: &Task) -> Option<&Reservations> {
    task.spec.resources.as_ref()?.reservations.as_ref()
}

fn failed_key(task: &Task) -> Option<(ServiceId, NodeId)> {
    let failed = matches!(task.status.state, TaskState::Failed | TaskState::Rejected);
    task.node
        .filter(|_| failed)
        .map(|node| (task.service, node))
}

fn unassigned_key(task: &Task) -> (ServiceId, u64, Slot, TaskId) {
    (task.service, task.task_version, task.slot, task.id)
}
