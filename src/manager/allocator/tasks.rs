//! An address on each of its networks for each task, before the task is given a node.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::allocator::addresses::{self, Given};
use crate::manager::allocator::services::{self, Unreachable};
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::{NetworkId, TaskId};
use crate::model::object::{Network, Task, TaskState, TaskStatus};
use crate::model::spec::service::{PortConfig, PublishMode};
use crate::model::state::State;

pub fn pass(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut given = Given::default();
    let mut changes = Vec::new();
    for task in waiting(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        match allocate(view.state, &mut given, task) {
            Ok(addresses) if addresses.is_empty() => {}
            Ok(addresses) => changes.push(Change::AllocateTask {
                id: task.id,
                addresses,
                ports: host_ports(view.state, task),
            }),
            Err(error) => changes.extend(wait(task, &error.to_string(), view)),
        }
    }
    changes
}

/// Whether a task lacks addresses that it must have before it can be given a node.
pub fn lacks_addresses(state: &State, task: &Task) -> bool {
    let none = || networks(state, task).is_ok_and(|networks| networks.is_empty());
    task.addresses.is_empty() && !none()
}

/// The ports of its node that a task takes.
fn host_ports(state: &State, task: &Task) -> Vec<PortConfig> {
    let service = state.services().find(task.service);
    let ports = service.into_iter().flat_map(|own| &own.endpoint.ports);
    let host = ports.filter(|port| port.publish_mode == PublishMode::Host);
    host.cloned().collect()
}

/// The networks of a task.
fn networks<'a>(state: &'a State, task: &Task) -> Result<Vec<&'a Arc<Network>>, Unreachable> {
    let service = state.services().find(task.service);
    let publishes = service.is_some_and(|service| !service.spec.ports().is_empty());
    services::networks(state, &task.spec, publishes)
}

/// The live tasks without a node that may have to be given addresses: those that are dirty, and
/// those that wait for room in a network that has some again.
fn waiting<'a>(state: &'a State, dirty: &Dirty) -> Vec<&'a Arc<Task>> {
    let slots = dirty.slots.iter();
    let tasks = slots.flat_map(|(service, slot)| state.tasks_of_slot(*service, *slot));
    let mut ids: BTreeSet<TaskId> = tasks.map(|task| task.id).collect();
    let services = dirty.services.iter();
    ids.extend(services.flat_map(|id| state.unassigned_of(*id)));
    if !dirty.networks.is_empty() {
        ids.extend(state.unassigned().map(|(_, _, task)| task));
    }
    let tasks = ids.into_iter().filter_map(|id| state.tasks().find(id));
    let is_waiting =
        |task: &&Arc<Task>| task.node.is_none() && task.is_live() && task.addresses.is_empty();
    tasks.filter(is_waiting).collect()
}

/// An address on each of the task's networks: all of them, or none and why.
fn allocate(
    state: &State,
    given: &mut Given,
    task: &Task,
) -> Result<Vec<(NetworkId, Ipv4Addr)>, Unreachable> {
    let mut addresses = Vec::new();
    for network in networks(state, task)? {
        match addresses::take(state, given, network, task.id.0).transpose() {
            Ok(address) => addresses.extend(address.map(|address| (network.id, address))),
            Err(error) => {
                given.give_back(&addresses);
                return Err(error.into());
            }
        }
    }
    Ok(addresses)
}

/// Says why the task waits, if it does not say so already.
fn wait(task: &Task, error: &str, view: &View<'_>) -> Option<Change> {
    let says = task.status.state == TaskState::Pending && task.status.error == error;
    (!says).then(|| Change::SetTaskStatus {
        id: task.id,
        status: TaskStatus {
            state: TaskState::Pending,
            at: view.now,
            message: "pending task allocation".into(),
            error: error.to_owned(),
            ..TaskStatus::default()
        },
    })
}
