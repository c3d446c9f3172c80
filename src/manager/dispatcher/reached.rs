//! How services are reached, as every node is told: the same for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::manager::allocator::services;
use crate::model::id::{NetworkId, NodeId, ServiceId};
use crate::model::object::{Network, NodeState, Service, Task, TaskState};
use crate::model::state::State;
use crate::wire::reach::{Attachment, NetworkView, Reach, ServiceNetwork, ServiceView, TaskView};

/// The most bytes of a message, but for its last service's.
const MESSAGE_BYTES: usize = 4 << 20;

/// What nodes were told of services.
#[derive(Debug, Default)]
pub struct Reached {
    /// `None` until the state has been looked at.
    views: Option<BTreeMap<ServiceId, Arc<ServiceView>>>,
    stale: BTreeSet<ServiceId>,
}

impl Reached {
    /// Notes that a service or one of its tasks changed.
    pub fn note(&mut self, service: ServiceId) {
        if self.views.is_some() {
            self.stale.insert(service);
        }
    }

    /// What has changed since the nodes were told.
    pub fn differences(&mut self, state: &State) -> Vec<Reach> {
        let Some(views) = &mut self.views else {
            return Vec::new();
        };
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.stale) {
            match view(state, id) {
                Some(view) if views.get(&id).is_some_and(|known| **known == view) => {}
                Some(view) => {
                    let view = Arc::new(view);
                    views.insert(id, view.clone());
                    set.push(view);
                }
                None => removed.extend(views.remove(&id).map(|_| id)),
            }
        }
        let mut parts = parts(set);
        if !removed.is_empty() {
            parts.push(Reach {
                removed,
                ..Reach::default()
            });
        }
        parts
    }

    /// All services, for a node that knows of none. What has changed must have been told before.
    pub fn all(&mut self, state: &State) -> Vec<Reach> {
        let views = self.views.get_or_insert_with(|| {
            let ids = state.services().iter().map(|service| service.id);
            let views = ids.filter_map(|id| Some((id, Arc::new(view(state, id)?))));
            views.collect()
        });
        let mut parts = parts(views.values().cloned().collect());
        parts.push(Reach {
            all: Some(views.keys().copied().collect()),
            ..Reach::default()
        });
        parts
    }
}

/// Splits what is told so that each part fits into a frame.
fn parts(views: Vec<Arc<ServiceView>>) -> Vec<Reach> {
    let mut parts = Vec::<Reach>::new();
    let mut bytes = MESSAGE_BYTES;
    for view in views {
        if bytes >= MESSAGE_BYTES {
            parts.push(Reach::default());
            bytes = 0;
        }
        let size = postcard::experimental::serialized_size(&*view);
        bytes = bytes.saturating_add(size.unwrap_or(MESSAGE_BYTES));
        if let Some(part) = parts.last_mut() {
            part.services.push(view);
        }
    }
    parts
}

/// A task's networks, with its address on each.
pub fn attachments(state: &State, task: &Task) -> Vec<Attachment> {
    let own = task.addresses.iter();
    let own = own.filter_map(|(id, address)| {
        Some(Attachment {
            network: network_view(state.networks().find(*id)?)?,
            address: *address,
        })
    });
    own.collect()
}

/// A service that is on networks; `None` for others, which nobody reaches by way of the swarm.
fn view(state: &State, id: ServiceId) -> Option<ServiceView> {
    let service = state.services().find(id)?;
    let publishes = !service.spec.ports().is_empty();
    let networks = services::networks(state, &service.spec.task, publishes).ok()?;
    let networks: Vec<_> = { networks.iter() }
        .filter_map(|network| service_network(service, network))
        .collect();
    if networks.is_empty() {
        return None;
    }
    let tasks = state.tasks_of_service(id);
    let tasks = tasks.filter_map(|task| {
        let node = task.node.filter(|node| is_up(state, *node))?;
        let serves = task.status.state == TaskState::Running
            && task.desired_state <= TaskState::Running
            && !task.addresses.is_empty();
        serves.then(|| TaskView {
            id: task.id,
            name: task.name(),
            node,
            addresses: task.addresses.clone(),
        })
    });
    Some(ServiceView {
        id,
        name: service.spec.name.clone(),
        networks,
        ports: service.endpoint.ports.clone(),
        tasks: tasks.collect(),
    })
}

fn is_up(state: &State, node: NodeId) -> bool {
    let node = state.nodes().find(node);
    node.is_some_and(|node| node.status.state != NodeState::Down)
}

fn service_network(service: &Service, network: &Network) -> Option<ServiceNetwork> {
    let address_on = |id: NetworkId| {
        let mut own = service.endpoint.addresses.iter();
        own.find(|(network, _)| *network == id).map(|(_, a)| *a)
    };
    let joined = service.spec.task.networks.iter();
    let joined = joined.filter(|own| own.is_to(network.id, &network.spec.name));
    Some(ServiceNetwork {
        network: network_view(network)?,
        address: address_on(network.id),
        aliases: joined.flat_map(|own| own.aliases.clone()).collect(),
    })
}

fn network_view(network: &Network) -> Option<NetworkView> {
    Some(NetworkView {
        id: network.id,
        name: network.spec.name.clone(),
        subnet: network.block?.subnet,
        internal: network.spec.internal,
        ingress: network.spec.ingress,
    })
}
