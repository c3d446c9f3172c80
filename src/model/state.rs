//! The whole state of a swarm in memory: tables, indexes, and an overlay that can be undone.
//!
//! A pass decides on committed state plus what it is about to propose. [`State::begin`] starts such
//! an overlay: what is applied after it is remembered and taken back by [`State::undo`], so the
//! state is never cloned.

mod overlay;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::model::addresses::Addresses;
use crate::model::id::{ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::jobs::Jobs;
use crate::model::load::{Load, NodeLoad};
use crate::model::object::{
    Cluster, Config, Network, Node, Secret, Service, Slot, Task, TaskState,
};
use crate::model::spec::task::TaskSpec;
use crate::model::table::Table;

/// Names any object of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectId {
    Cluster,
    Node(NodeId),
    Service(ServiceId),
    TaskSpec(ServiceId, u64),
    Task(TaskId),
    Network(NetworkId),
    Secret(SecretId),
    Config(ConfigId),
}

/// Any object of a swarm.
#[derive(Clone, Debug)]
pub enum Object {
    Cluster(Arc<Cluster>),
    Node(Arc<Node>),
    Service(Arc<Service>),
    TaskSpec(ServiceId, u64, Arc<TaskSpec>),
    Task(Arc<Task>),
    Network(Arc<Network>),
    Secret(Arc<Secret>),
    Config(Arc<Config>),
}

/// A swarm's objects at one log index.
#[derive(Clone, Debug, Default)]
pub struct State {
    index: u64,
    cluster: Option<Arc<Cluster>>,
    nodes: Table<Node>,
    /// The nodes that have a place among the managers.
    managers: BTreeSet<NodeId>,
    services: Table<Service>,
    tasks: Table<Task>,
    networks: Table<Network>,
    secrets: Table<Secret>,
    configs: Table<Config>,
    /// What tasks are made from, kept as long as a task or its service refers to it.
    task_specs: BTreeMap<(ServiceId, u64), SharedSpec>,
    /// Services with a task on each eligible node.
    global_services: BTreeSet<ServiceId>,
    tasks_of_slot: BTreeSet<(ServiceId, Slot, TaskId)>,
    tasks_of_node: BTreeMap<NodeId, BTreeSet<TaskId>>,
    load: Load,
    /// Nodes by how many tasks they have.
    ranked: BTreeSet<(u32, NodeId)>,
    /// How many slots of each service have a task that is not to be removed.
    filled_slots: BTreeMap<ServiceId, u64>,
    jobs: Jobs,
    addresses: Addresses,
    unreached: BTreeSet<ServiceId>,
    unaddressed: BTreeSet<NodeId>,
    /// Objects that were changed since they were last taken.
    touched: BTreeSet<ObjectId>,
    overlay: Option<Vec<Undo>>,
}

#[derive(Clone, Debug)]
struct SharedSpec {
    spec: Arc<TaskSpec>,
    references: u32,
}

/// What was there before a change of an overlay.
#[derive(Clone, Debug)]
enum Undo {
    Index(u64),
    Touched(BTreeSet<ObjectId>),
    Row(ObjectId, Option<Object>),
}

impl State {
    /// The index of the last log entry that was applied.
    pub fn index(&self) -> u64 {
        self.index
    }

    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    pub fn nodes(&self) -> &Table<Node> {
        &self.nodes
    }

    /// The nodes that have a place among the managers.
    pub fn managers(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.managers.iter().filter_map(|id| self.nodes.find(*id))
    }

    pub fn services(&self) -> &Table<Service> {
        &self.services
    }

    pub fn tasks(&self) -> &Table<Task> {
        &self.tasks
    }

    pub fn networks(&self) -> &Table<Network> {
        &self.networks
    }

    pub fn secrets(&self) -> &Table<Secret> {
        &self.secrets
    }

    pub fn configs(&self) -> &Table<Config> {
        &self.configs
    }

    /// The tasks of a service, whether it still exists or not.
    pub fn tasks_of_service(&self, id: ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        let keys = self.slots_of(id);
        keys.filter_map(|(_, _, task)| self.tasks.find(*task))
    }

    /// The services that have a task on each eligible node.
    pub fn global_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let ids = self.global_services.iter();
        ids.filter_map(|id| self.services.find(*id))
    }

    /// The tasks of one slot of a service, oldest first.
    pub fn tasks_of_slot(&self, id: ServiceId, slot: Slot) -> Vec<&Arc<Task>> {
        let keys = self
            .tasks_of_slot
            .range((id, slot, TaskId(0))..=(id, slot, TaskId(u128::MAX)));
        let mut tasks: Vec<_> = keys
            .filter_map(|(_, _, task)| self.tasks.find(*task))
            .collect();
        tasks.sort_by_key(|task| (task.meta.version, task.id));
        tasks
    }

    /// What the executions of jobs have come to.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What the tasks of a node take of it; `None` if there are none.
    pub fn load(&self, node: NodeId) -> Option<&NodeLoad> {
        self.load.node(node)
    }

    /// How many tasks of a service a node has, of those that are wanted and have not ended.
    pub fn tasks_on_node(&self, service: ServiceId, node: NodeId) -> u32 {
        self.load.of_service(service, node)
    }

    /// The fewest tasks of a service that a node has; a node that was removed with tasks counts.
    pub fn fewest_tasks(&self, service: ServiceId) -> u32 {
        self.load.least_of_service(service, self.nodes.len())
    }

    /// On which nodes tasks of a service have failed, and how many, as far as they are kept.
    pub fn failed(&self, service: ServiceId) -> impl Iterator<Item = (NodeId, u32)> {
        self.load.failed(service)
    }

    /// The tasks that wait for a node, by service and version of its task spec.
    pub fn unassigned(&self) -> impl Iterator<Item = (ServiceId, u64, TaskId)> {
        self.load.unassigned()
    }

    /// How many tasks are in a state, those that have ended included.
    pub fn tasks_in(&self, state: TaskState) -> u64 {
        self.load.in_state(state)
    }

    /// The same of one service.
    pub fn unassigned_of(&self, service: ServiceId) -> impl Iterator<Item = TaskId> {
        self.load.unassigned_of(service)
    }

    /// The nodes, those with the fewest tasks first, with how many they have.
    pub fn nodes_by_load(&self) -> impl Iterator<Item = (u32, NodeId)> {
        self.ranked.iter().copied()
    }

    /// How many slots of a service have a task that is not to be removed.
    pub fn filled_slots(&self, service: ServiceId) -> u64 {
        self.filled_slots.get(&service).copied().unwrap_or(0)
    }

    /// The highest slot in which a service has a task of any kind.
    pub fn last_slot(&self, service: ServiceId) -> Option<Slot> {
        let mut keys = self.slots_of(service);
        keys.next_back().map(|(_, slot, _)| *slot)
    }

    /// The nodes that have no address in the ingress network.
    pub fn unaddressed(&self) -> impl Iterator<Item = NodeId> {
        self.unaddressed.iter().copied()
    }

    /// Whether a node, a service or a task has an address of a network.
    pub fn is_taken(&self, network: NetworkId, address: Ipv4Addr) -> bool {
        self.addresses.is_taken(network, address)
    }

    /// The services that do not have all that they shall be reached by.
    pub fn unreached(&self) -> impl Iterator<Item = ServiceId> {
        self.unreached.iter().copied()
    }

    /// The versions of a service's task spec that its tasks, or it itself, are made from.
    pub fn task_versions(&self, id: ServiceId) -> impl Iterator<Item = u64> {
        let versions = self.task_specs.range((id, 0)..=(id, u64::MAX));
        versions.map(|((_, version), _)| *version)
    }

    /// The tasks that are assigned to a node, dead ones included.
    pub fn tasks_of_node(&self, id: NodeId) -> impl Iterator<Item = &Arc<Task>> {
        let ids = self.tasks_of_node.get(&id).into_iter().flatten();
        ids.filter_map(|task| self.tasks.find(*task))
    }

    /// What tasks of `version` of the service are made from.
    pub fn task_spec(&self, service: ServiceId, version: u64) -> Option<&Arc<TaskSpec>> {
        self.task_specs
            .get(&(service, version))
            .map(|shared| &shared.spec)
    }

    /// The object of an id, if it is there.
    pub fn object(&self, id: ObjectId) -> Option<Object> {
        match id {
            ObjectId::Cluster => self.cluster.clone().map(Object::Cluster),
            ObjectId::Node(id) => self.nodes.find(id).cloned().map(Object::Node),
            ObjectId::Service(id) => self.services.find(id).cloned().map(Object::Service),
            ObjectId::TaskSpec(service, version) => self
                .task_spec(service, version)
                .map(|spec| Object::TaskSpec(service, version, spec.clone())),
            ObjectId::Task(id) => self.tasks.find(id).cloned().map(Object::Task),
            ObjectId::Network(id) => self.networks.find(id).cloned().map(Object::Network),
            ObjectId::Secret(id) => self.secrets.find(id).cloned().map(Object::Secret),
            ObjectId::Config(id) => self.configs.find(id).cloned().map(Object::Config),
        }
    }

    /// Every object, specs before the tasks that refer to them.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> {
        let cluster = self.cluster.iter().map(|_| ObjectId::Cluster);
        let specs = self
            .task_specs
            .keys()
            .map(|(id, version)| ObjectId::TaskSpec(*id, *version));
        cluster
            .chain(self.nodes.iter().map(|row| ObjectId::Node(row.id)))
            .chain(self.services.iter().map(|row| ObjectId::Service(row.id)))
            .chain(specs)
            .chain(self.tasks.iter().map(|row| ObjectId::Task(row.id)))
            .chain(self.networks.iter().map(|row| ObjectId::Network(row.id)))
            .chain(self.secrets.iter().map(|row| ObjectId::Secret(row.id)))
            .chain(self.configs.iter().map(|row| ObjectId::Config(row.id)))
    }

    pub(super) fn set_index(&mut self, index: u64) {
        self.index = index;
    }

    /// Sets or clears one object: the only place where tables, indexes, overlay and touched ids
    /// move.
    pub(super) fn put(&mut self, id: ObjectId, object: Option<Object>) {
        self.touched.insert(id);
        let old = match (id, object) {
            (ObjectId::Cluster, object) => {
                let cluster = object.and_then(Object::cluster);
                std::mem::replace(&mut self.cluster, cluster).map(Object::Cluster)
            }
            (ObjectId::Node(id), object) => self
                .put_node(id, object.and_then(Object::node))
                .map(Object::Node),
            (ObjectId::Service(id), object) => self
                .put_service(id, object.and_then(Object::service))
                .map(Object::Service),
            (ObjectId::TaskSpec(service, version), object) => {
                self.put_task_spec(service, version, object)
            }
            (ObjectId::Task(id), object) => self
                .put_task(id, object.and_then(Object::task))
                .map(Object::Task),
            (ObjectId::Network(id), object) => self
                .networks
                .put(id, object.and_then(Object::network))
                .map(Object::Network),
            (ObjectId::Secret(id), object) => self
                .secrets
                .put(id, object.and_then(Object::secret))
                .map(Object::Secret),
            (ObjectId::Config(id), object) => self
                .configs
                .put(id, object.and_then(Object::config))
                .map(Object::Config),
        };
        if let Some(overlay) = &mut self.overlay {
            overlay.push(Undo::Row(id, old));
        }
    }

    /// Drops what no task and no service is made from any more.
    pub(super) fn drop_unused_spec(&mut self, service: ServiceId, version: u64) {
        let current = self
            .services
            .find(service)
            .is_some_and(|s| s.task_version == version);
        let used = self
            .task_specs
            .get(&(service, version))
            .is_some_and(|s| s.references > 0);
        if !current && !used {
            self.put(ObjectId::TaskSpec(service, version), None);
        }
    }

    fn slots_of(
        &self,
        id: ServiceId,
    ) -> impl DoubleEndedIterator<Item = &(ServiceId, Slot, TaskId)> {
        let least = (id, Slot::Number(0), TaskId(0));
        let most = (id, Slot::Node(NodeId(u128::MAX)), TaskId(u128::MAX));
        self.tasks_of_slot.range(least..=most)
    }

    fn put_node(&mut self, id: NodeId, node: Option<Arc<Node>>) -> Option<Arc<Node>> {
        let key = (self.tasks_on(id), id);
        match node.is_some() {
            true => self.ranked.insert(key),
            false => self.ranked.remove(&key),
        };
        match node.as_ref().is_some_and(|node| node.manager.is_some()) {
            true => self.managers.insert(id),
            false => self.managers.remove(&id),
        };
        match node.as_ref().is_some_and(|node| node.ingress.is_none()) {
            true => self.unaddressed.insert(id),
            false => self.unaddressed.remove(&id),
        };
        let old = self.nodes.put(id, node.clone());
        if let Some(old) = &old {
            self.addresses.remove_node(old);
        }
        if let Some(new) = &node {
            self.addresses.add_node(new);
        }
        old
    }

    fn tasks_on(&self, node: NodeId) -> u32 {
        self.load.node(node).map_or(0, |load| load.tasks)
    }

    fn put_service(
        &mut self,
        id: ServiceId,
        service: Option<Arc<Service>>,
    ) -> Option<Arc<Service>> {
        match service.as_ref().is_some_and(|service| service.is_global()) {
            true => self.global_services.insert(id),
            false => self.global_services.remove(&id),
        };
        let problem = service.as_ref().map(|service| &service.endpoint.problem);
        match problem.is_some_and(|problem| !problem.is_empty()) {
            true => self.unreached.insert(id),
            false => self.unreached.remove(&id),
        };
        let old = self.services.put(id, service.clone());
        if let Some(old) = &old {
            self.addresses.remove_service(old);
        }
        if let Some(new) = &service {
            self.addresses.add_service(new);
        }
        old
    }

    fn put_task_spec(
        &mut self,
        service: ServiceId,
        version: u64,
        object: Option<Object>,
    ) -> Option<Object> {
        let key = (service, version);
        let references = self
            .task_specs
            .get(&key)
            .map_or(0, |shared| shared.references);
        let old = match object {
            Some(Object::TaskSpec(_, _, spec)) => {
                self.task_specs.insert(key, SharedSpec { spec, references })
            }
            _ => self.task_specs.remove(&key),
        };
        old.map(|shared| Object::TaskSpec(service, version, shared.spec))
    }

    fn put_task(&mut self, id: TaskId, task: Option<Arc<Task>>) -> Option<Arc<Task>> {
        let old = self.tasks.put(id, task.clone());
        self.count_slot(id, old.as_ref(), task.as_ref());
        let nodes = [&old, &task].map(|task| task.as_ref().and_then(|task| task.node));
        let before = nodes.map(|node| node.map(|node| (self.tasks_on(node), node)));
        if let Some(old) = &old {
            self.tasks_of_slot.remove(&(old.service, old.slot, id));
            self.load.remove(old);
            self.jobs.remove(old);
            self.addresses.remove_task(old);
            if let Some(node) = old.node {
                remove_from(&mut self.tasks_of_node, node, id);
            }
            if let Some(shared) = self.task_specs.get_mut(&(old.service, old.task_version)) {
                shared.references -= 1;
            }
        }
        if let Some(new) = &task {
            self.tasks_of_slot.insert((new.service, new.slot, id));
            self.load.add(new);
            self.jobs.add(new);
            self.addresses.add_task(new);
            if let Some(node) = new.node {
                self.tasks_of_node.entry(node).or_default().insert(id);
            }
            if let Some(shared) = self.task_specs.get_mut(&(new.service, new.task_version)) {
                shared.references += 1;
            }
        }
        for (tasks, node) in before.into_iter().flatten() {
            if self.ranked.remove(&(tasks, node)) {
                self.ranked.insert((self.tasks_on(node), node));
            }
        }
        old
    }

    /// Counts the slot of a task that comes or goes, unless others have filled it.
    fn count_slot(&mut self, id: TaskId, old: Option<&Arc<Task>>, new: Option<&Arc<Task>>) {
        let fills = |task: &Arc<Task>| task.desired_state < TaskState::Remove;
        let (was, is) = (old.is_some_and(fills), new.is_some_and(fills));
        let Some(task) = old.or(new).filter(|_| was != is) else {
            return;
        };
        let (service, slot) = (task.service, task.slot);
        let range = (service, slot, TaskId(0))..=(service, slot, TaskId(u128::MAX));
        let mut others = self.tasks_of_slot.range(range).map(|(_, _, other)| *other);
        let mut others = others.by_ref().filter(|other| *other != id);
        if others.any(|other| self.tasks.find(other).is_some_and(fills)) {
            return;
        }
        let count = self.filled_slots.entry(service).or_default();
        match is {
            true => *count += 1,
            false => *count -= 1,
        }
        if *count == 0 {
            self.filled_slots.remove(&service);
        }
    }
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<TaskId>>, key: K, id: TaskId) {
    if let Some(ids) = index.get_mut(&key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}
