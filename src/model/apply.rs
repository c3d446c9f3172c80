//! `State::apply`: what each change does.

mod tasks;

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::model::change::{Batch, Change, NewCluster, NewNode, RollBack};
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::object::{
    Cluster, Config, Endpoint, JobStatus, Meta, Network, Node, Secret, Service, TaskState,
    TaskStatus, UpdateState, UpdateStatus,
};
use crate::model::spec::service::{PortConfig, ServiceSpec};
use crate::model::spec::task::GenericResource;
use crate::model::state::{Object, ObjectId, State};
use crate::model::time::Time;
use crate::model::trust::Trust;

/// The format of the first release's log entries.
pub const FORMAT: u16 = 1;

/// Where a change stands in the log.
#[derive(Clone, Copy)]
struct Stamp {
    index: u64,
    at: Time,
}

impl Stamp {
    fn created(self) -> Meta {
        Meta {
            version: self.index,
            changed: self.index,
            created_at: self.at,
            updated_at: self.at,
        }
    }

    fn moved(self, meta: Meta) -> Meta {
        Meta {
            changed: self.index,
            updated_at: self.at,
            ..meta
        }
    }

    fn respecified(self, meta: Meta) -> Meta {
        Meta {
            version: self.index,
            ..self.moved(meta)
        }
    }
}

impl State {
    /// Applies the log entry `index`. Entries that were applied already have no effect.
    pub fn apply(&mut self, index: u64, batch: &Batch) {
        if index <= self.index() {
            return;
        }
        self.set_index(index);
        for change in &batch.changes {
            self.apply_change(
                Stamp {
                    index,
                    at: batch.at,
                },
                change,
            );
        }
    }

    /// Applies one more change of the entry that is being put together in an overlay.
    pub fn apply_draft(&mut self, at: Time, change: &Change) {
        self.apply_change(
            Stamp {
                index: self.index() + 1,
                at,
            },
            change,
        );
    }

    fn change_trust(&mut self, stamp: Stamp, change: impl FnOnce(&mut Trust)) {
        self.change_cluster(|cluster| {
            cluster.meta = stamp.moved(cluster.meta);
            change(&mut cluster.trust);
        });
    }

    fn apply_change(&mut self, stamp: Stamp, change: &Change) {
        match change {
            Change::CreateCluster(new) => self.create_cluster(stamp, new),
            Change::UpdateCluster { spec } => self.change_cluster(|cluster| {
                cluster.meta = stamp.respecified(cluster.meta);
                cluster.spec = spec.clone();
                if !spec.autolock_managers {
                    cluster.trust.unlock = None;
                }
            }),
            Change::RotateTokens(tokens) => self.change_trust(stamp, |trust| trust.rotate(tokens)),
            Change::UseToken(role) => self.change_trust(stamp, |trust| trust.use_token(*role)),
            Change::BeginRotation(rotation) => self.change_trust(stamp, |trust| {
                trust.rotation = Some(rotation.clone());
            }),
            Change::FinishRotation => self.change_trust(stamp, Trust::finish_rotation),
            Change::CreateNode(new) => self.create_node(stamp, new),
            Change::UpdateNode { id, spec } => self.change_node(stamp, *id, |node| {
                node.meta = stamp.respecified(node.meta);
                node.spec = spec.clone();
            }),
            Change::DescribeNode { id, description } => self.change_node(stamp, *id, |node| {
                node.description = description.clone();
            }),
            Change::SetNodeStatus { id, status } => self.change_node(stamp, *id, |node| {
                node.status = status.clone();
            }),
            Change::SetNodeKey { id, key } => self.change_node(stamp, *id, |node| {
                node.key = Some(*key);
            }),
            Change::SetManager { id, manager } => self.change_node(stamp, *id, |node| {
                node.manager.clone_from(manager);
            }),
            Change::AllocateNode { id, address } => self.change_node(stamp, *id, |node| {
                node.ingress = Some(*address);
            }),
            Change::RemoveNode { id } => self.put(ObjectId::Node(*id), None),
            Change::CreateService { id, spec } => self.create_service(stamp, *id, spec),
            Change::UpdateService { id, spec } => self.update_service(stamp, *id, spec),
            Change::RollBackService(back) => self.roll_back(stamp, back),
            Change::SetUpdateStatus { id, status } => self.change_service(*id, |service| {
                service.meta = stamp.moved(service.meta);
                service.update = Some(status.clone());
            }),
            Change::CountUpdateFailure { task } => self.count_update_failure(stamp, *task),
            Change::RemoveService { id } => self.remove_service(*id),
            Change::CreateTask(new) => self.create_task(stamp, new),
            Change::AssignTask { id, node, generic } => {
                self.assign_task(stamp, *id, *node, generic)
            }
            Change::SetDesiredState { id, state } => self.change_task(*id, |task| {
                task.meta = stamp.moved(task.meta);
                task.desired_state = *state;
            }),
            Change::SetTaskStatus { id, status } => self.set_task_status(stamp, *id, status),
            Change::RemoveTask { id } => self.remove_task(*id),
            Change::AllocateService { id, endpoint } => self.reach_service(stamp, *id, endpoint),
            Change::AllocateTask {
                id,
                addresses,
                ports,
            } => self.reach_task(stamp, *id, addresses, ports),
            _ => self.apply_resource_change(stamp, change),
        }
    }

    fn assign_task(&mut self, stamp: Stamp, id: TaskId, node: NodeId, generic: &[GenericResource]) {
        self.change_task(id, |task| {
            task.meta = stamp.moved(task.meta);
            task.node = Some(node);
            task.generic = generic.to_vec();
            task.status = TaskStatus {
                state: TaskState::Assigned,
                at: stamp.at,
                message: "scheduler assigned task to node".into(),
                ..TaskStatus::default()
            };
        });
    }

    /// Networks, secrets and configs.
    fn apply_resource_change(&mut self, stamp: Stamp, change: &Change) {
        match change {
            Change::CreateNetwork {
                id,
                spec,
                predefined,
                block,
            } => {
                let meta = stamp.created();
                let network = Network {
                    id: *id,
                    meta,
                    spec: spec.clone(),
                    predefined: *predefined,
                    block: *block,
                };
                self.put(
                    ObjectId::Network(*id),
                    Some(Object::Network(Arc::new(network))),
                );
            }
            Change::RemoveNetwork { id } => self.remove_network(stamp, *id),
            Change::CreateSecret { id, spec } => {
                let secret = Secret {
                    id: *id,
                    meta: stamp.created(),
                    spec: spec.clone(),
                };
                self.put(
                    ObjectId::Secret(*id),
                    Some(Object::Secret(Arc::new(secret))),
                );
            }
            Change::LabelSecret { id, labels } => {
                if let Some(mut secret) = self.secrets().find(*id).map(|s| (**s).clone()) {
                    secret.meta = stamp.respecified(secret.meta);
                    secret.spec.labels.clone_from(labels);
                    self.put(
                        ObjectId::Secret(*id),
                        Some(Object::Secret(Arc::new(secret))),
                    );
                }
            }
            Change::RemoveSecret { id } => self.put(ObjectId::Secret(*id), None),
            Change::CreateConfig { id, spec } => {
                let config = Config {
                    id: *id,
                    meta: stamp.created(),
                    spec: spec.clone(),
                };
                self.put(
                    ObjectId::Config(*id),
                    Some(Object::Config(Arc::new(config))),
                );
            }
            Change::LabelConfig { id, labels } => {
                if let Some(mut config) = self.configs().find(*id).map(|c| (**c).clone()) {
                    config.meta = stamp.respecified(config.meta);
                    config.spec.labels.clone_from(labels);
                    self.put(
                        ObjectId::Config(*id),
                        Some(Object::Config(Arc::new(config))),
                    );
                }
            }
            Change::RemoveConfig { id } => self.put(ObjectId::Config(*id), None),
            _ => {}
        }
    }

    fn create_cluster(&mut self, stamp: Stamp, new: &NewCluster) {
        let cluster = Cluster {
            id: new.id,
            meta: stamp.created(),
            spec: new.spec.clone(),
            address_pools: new.address_pools.clone(),
            subnet_size: new.subnet_size,
            data_path_port: new.data_path_port,
            format: FORMAT,
            trust: new.trust.clone(),
        };
        self.put(ObjectId::Cluster, Some(Object::Cluster(Arc::new(cluster))));
    }

    fn change_cluster(&mut self, change: impl FnOnce(&mut Cluster)) {
        if let Some(mut cluster) = self.cluster().map(|cluster| (**cluster).clone()) {
            change(&mut cluster);
            self.put(ObjectId::Cluster, Some(Object::Cluster(Arc::new(cluster))));
        }
    }

    fn create_node(&mut self, stamp: Stamp, new: &NewNode) {
        let node = Node {
            id: new.id,
            meta: stamp.created(),
            spec: new.spec.clone(),
            description: new.description.clone(),
            status: new.status.clone(),
            manager: new.manager.clone(),
            key: new.key,
            ingress: None,
        };
        self.put(ObjectId::Node(new.id), Some(Object::Node(Arc::new(node))));
    }

    fn change_node(&mut self, stamp: Stamp, id: NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(mut node) = self.nodes().find(id).map(|node| (**node).clone()) {
            node.meta = stamp.moved(node.meta);
            change(&mut node);
            self.put(ObjectId::Node(id), Some(Object::Node(Arc::new(node))));
        }
    }

    fn remove_network(&mut self, stamp: Stamp, id: NetworkId) {
        self.put(ObjectId::Network(id), None);
        let nodes = self.nodes().iter();
        let nodes = nodes.filter(|node| node.ingress.is_some_and(|(network, _)| network == id));
        let nodes: Vec<_> = nodes.map(|node| node.id).collect();
        for node in nodes {
            self.change_node(stamp, node, |node| node.ingress = None);
        }
    }

    fn reach_service(&mut self, stamp: Stamp, id: ServiceId, endpoint: &Endpoint) {
        if let Some(mut service) = self.services().find(id).map(|s| (**s).clone()) {
            service.meta = stamp.moved(service.meta);
            service.endpoint.clone_from(endpoint);
            self.put_service_row(service);
        }
    }

    fn reach_task(
        &mut self,
        stamp: Stamp,
        id: TaskId,
        addresses: &[(NetworkId, Ipv4Addr)],
        ports: &[PortConfig],
    ) {
        self.change_task(id, |task| {
            task.meta = stamp.moved(task.meta);
            task.addresses = addresses.to_vec();
            task.ports = ports.to_vec();
        });
    }

    fn create_service(&mut self, stamp: Stamp, id: ServiceId, spec: &ServiceSpec) {
        let service = Service {
            id,
            meta: stamp.created(),
            spec: Arc::new(spec.clone()),
            previous_spec: None,
            task_version: stamp.index,
            update: None,
            endpoint: Endpoint::default(),
            job: spec.mode.is_job().then(|| JobStatus::begun(stamp.at)),
        };
        self.put(
            ObjectId::Service(id),
            Some(Object::Service(Arc::new(service))),
        );
        let task = Object::TaskSpec(id, stamp.index, Arc::new(spec.task.clone()));
        self.put(ObjectId::TaskSpec(id, stamp.index), Some(task));
    }

    fn update_service(&mut self, stamp: Stamp, id: ServiceId, spec: &ServiceSpec) {
        if let Some(old) = self.services().find(id).cloned() {
            // An update that goes on can still go back to where it came from.
            let goes_on = old.spec.task == spec.task
                && old.update.as_ref().is_some_and(|u| u.state.is_active());
            let (previous, update) = match goes_on {
                true => (old.previous_spec.clone(), old.update.clone()),
                false => (Some(old.spec.clone()), None),
            };
            self.respecify(stamp, &old, Arc::new(spec.clone()), previous, update);
        }
    }

    fn roll_back(&mut self, stamp: Stamp, back: &RollBack) {
        let Some(old) = self.services().find(back.id).cloned() else {
            return;
        };
        let Some(spec) = old.previous_spec.clone() else {
            return;
        };
        let status = UpdateStatus {
            state: UpdateState::RollbackStarted,
            started_at: stamp.at,
            completed_at: None,
            message: back.message.clone(),
            since: back.since,
            slots: 0,
            failures: 0,
        };
        let previous = back.keeps_spec.then(|| old.spec.clone());
        // A job is executed anew, not updated.
        let status = old.job.is_none().then_some(status);
        self.respecify(stamp, &old, spec, previous, status);
    }

    /// Gives a service another spec. Tasks that were made from the same task spec are up to date:
    /// its version comes back.
    fn respecify(
        &mut self,
        stamp: Stamp,
        old: &Service,
        spec: Arc<ServiceSpec>,
        previous_spec: Option<Arc<ServiceSpec>>,
        update: Option<UpdateStatus>,
    ) {
        let id = old.id;
        let same = |version: &u64| {
            let known = self.task_spec(id, *version);
            known.is_some_and(|known| **known == spec.task)
        };
        let reached_alike = old.spec.is_reached_like(&spec);
        // Versions may differ in how their tasks are reached alone: its own comes first, then the
        // newest.
        let own = Some(old.task_version).filter(same);
        let known = own.or_else(|| self.task_versions(id).filter(same).last());
        let known = known.filter(|_| reached_alike);
        let task_version = known.unwrap_or(stamp.index);
        if known.is_none() {
            let task = Object::TaskSpec(id, task_version, Arc::new(spec.task.clone()));
            self.put(ObjectId::TaskSpec(id, task_version), Some(task));
        }
        let service = Service {
            id,
            meta: stamp.respecified(old.meta),
            spec,
            previous_spec,
            task_version,
            update,
            endpoint: old.endpoint.clone(),
            job: old.job.map(|job| job.again(stamp.at)),
        };
        self.put_service_row(service);
        if task_version != old.task_version {
            self.drop_unused_spec(id, old.task_version);
        }
    }

    fn change_service(&mut self, id: ServiceId, change: impl FnOnce(&mut Service)) {
        if let Some(mut service) = self.services().find(id).map(|s| (**s).clone()) {
            change(&mut service);
            self.put_service_row(service);
        }
    }

    fn put_service_row(&mut self, service: Service) {
        let id = ObjectId::Service(service.id);
        self.put(id, Some(Object::Service(Arc::new(service))));
    }

    fn count_update_failure(&mut self, stamp: Stamp, id: TaskId) {
        let Some(task) = self.tasks().find(id).cloned() else {
            return;
        };
        if task.update_failed {
            return;
        }
        self.change_task(id, |task| task.update_failed = true);
        self.change_service(task.service, |service| {
            let status = service.update.as_mut();
            if let Some(status) = status.filter(|status| status.since == task.update) {
                status.failures += 1;
                service.meta = stamp.moved(service.meta);
            }
        });
    }

    fn remove_service(&mut self, id: ServiceId) {
        if let Some(version) = self.services().find(id).map(|service| service.task_version) {
            self.put(ObjectId::Service(id), None);
            self.drop_unused_spec(id, version);
        }
    }
}

#[cfg(test)]
mod tests;
