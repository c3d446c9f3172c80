//! Which node each task goes to: of the nodes that every filter lets through, the one with the
//! fewest tasks of the service, then the fewest tasks, spread over what the service prefers.
//!
//! Tasks are placed in groups made from the same spec. The state knows how few tasks of a service a
//! node has at least, and the nodes in the order of what they carry: most groups look at few nodes.
//! Where preferences or failures say otherwise, and where no node is found, the filters look at
//! each node once per group, and a heap gives the next best node for each task.

pub mod filter;
mod loads;
pub mod spread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::allocator::tasks::lacks_addresses;
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::manager::scheduler::filter::{Group, Site};
use crate::manager::scheduler::loads::{Loads, Owned};
use crate::manager::scheduler::spread::Spread;
use crate::model::change::Change;
use crate::model::id::{NodeId, ServiceId, TaskId};
use crate::model::object::{Task, TaskState, TaskStatus};
use crate::model::state::State;

/// A node on which tasks of a service failed so often within the window is taken last.
const FAILURES_MAX: usize = 5;
const FAILURE_WINDOW_MS: u64 = 300_000;

pub fn pass(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut loads = Loads::default();
    for ((service, version), tasks) in groups(view.state, dirty) {
        if changes.len() >= view.room {
            break;
        }
        place(view, service, version, &tasks, &mut loads, &mut changes);
    }
    changes
}

/// The tasks that wait for a node and could get one now, by what they are made from.
fn groups<'a>(state: &'a State, dirty: &Dirty) -> BTreeMap<(ServiceId, u64), Vec<&'a Arc<Task>>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    if dirty.nodes.is_empty() {
        for (service, slot) in &dirty.slots {
            for task in state.tasks_of_slot(*service, *slot) {
                if task.node.is_none() && task.is_live() && !lacks_addresses(state, task) {
                    groups
                        .entry((task.service, task.task_version))
                        .or_default()
                        .push(task);
                }
            }
        }
        return groups;
    }
    for (service, version, task) in state.unassigned() {
        let task = state.tasks().find(task);
        if let Some(task) = task.filter(|task| !lacks_addresses(state, task)) {
            groups.entry((service, version)).or_default().push(task);
        }
    }
    groups
}

/// Places the tasks of one group. `loads` are the nodes' loads as this round has changed them.
fn place(
    view: &View<'_>,
    service: ServiceId,
    version: u64,
    tasks: &[&Arc<Task>],
    loads: &mut Loads,
    changes: &mut Vec<Change>,
) {
    let Some(spec) = view.state.task_spec(service, version) else {
        return;
    };
    // All tasks of a version take the same ports.
    let ports = tasks.first().map_or(&[][..], |task| &task.ports);
    let group = Group::of(spec, ports);
    // All tasks of a service are of one kind.
    if tasks.iter().all(|task| task.place().is_some()) {
        return place_at_home(view, &group, tasks, loads, changes);
    }
    let mut owned = Owned::of(view.state, service);
    let failing = failing_nodes(view, service, tasks);
    let mut tasks = tasks;
    if failing.is_empty() && !group.has_preferences() {
        tasks = place_by_load(view, &group, tasks, &mut owned, (loads, changes));
        if tasks.is_empty() || changes.len() >= view.room {
            return;
        }
    }
    let mut sites = BTreeMap::new();
    let mut best = Spread::default();
    let mut refused = filter::Refused::default();
    for node in view.state.nodes().iter() {
        let own = owned.on(node.id);
        let site = Site::of(node, loads.of(view.state, node.id), own);
        match group.refuses(&site) {
            Some(reason) => refused.add(reason),
            None => {
                let tasks = site.load.tasks;
                let fails = failing.contains(&node.id);
                best.add(&group.values(node), (fails, own, tasks, node.id));
                sites.insert(node.id, site);
            }
        }
    }
    let mut waiting = tasks.iter();
    while let Some((fails, _, _, id)) = best.take() {
        if changes.len() >= view.room {
            return;
        }
        let (Some(task), Some(site)) = (waiting.next(), sites.get_mut(&id)) else {
            return;
        };
        changes.push(Change::AssignTask {
            id: task.id,
            node: id,
            generic: group.take(site),
        });
        loads.set(id, site.load.clone());
        match group.refuses(site) {
            Some(reason) => refused.add(reason),
            None => {
                let rank = (fails, site.of_service, site.load.tasks, id);
                best.put_back(&group.values(site.node()), rank);
            }
        }
    }
    let error = refused.explain();
    let left = waiting.filter(|task| !already_says(task, &error));
    changes.extend(left.map(|task| wait(task.id, &error, view)));
}

/// Gives tasks to the nodes that have fewest of the service, one to each, then to those that have
/// fewest by then, each time in the order of what the nodes carry. What is left over is returned;
/// then no node takes another, or there is no room.
fn place_by_load<'a>(
    view: &View<'_>,
    group: &Group,
    mut tasks: &'a [&'a Arc<Task>],
    owned: &mut Owned<'_>,
    (loads, changes): (&mut Loads, &mut Vec<Change>),
) -> &'a [&'a Arc<Task>] {
    let mut refusing = BTreeSet::new();
    let mut level = Some(view.state.fewest_tasks(owned.service));
    while let Some(most) = level.take() {
        for id in loads.by_load(view.state) {
            let Some((task, rest)) = tasks.split_first().filter(|_| changes.len() < view.room)
            else {
                return tasks;
            };
            let node = view.state.nodes().find(id);
            let Some(node) = node.filter(|_| !refusing.contains(&id)) else {
                continue;
            };
            let own = owned.on(id);
            if own > most {
                level = level.or(Some(own)).map(|least| least.min(own));
                continue;
            }
            let mut site = Site::of(node, loads.of(view.state, id), own);
            if group.refuses(&site).is_some() {
                refusing.insert(id);
                continue;
            }
            changes.push(Change::AssignTask {
                id: task.id,
                node: id,
                generic: group.take(&mut site),
            });
            loads.set(id, site.load);
            owned.set(id, site.of_service);
            level = level
                .or(Some(site.of_service))
                .map(|least| least.min(site.of_service));
            tasks = rest;
        }
    }
    tasks
}

/// Places the tasks of a global service: each on its own node, or nowhere.
fn place_at_home(
    view: &View<'_>,
    group: &Group,
    tasks: &[&Arc<Task>],
    loads: &mut Loads,
    changes: &mut Vec<Change>,
) {
    for task in tasks {
        let home = task.place().and_then(|id| view.state.nodes().find(id));
        let Some(node) = home.filter(|_| changes.len() < view.room) else {
            continue;
        };
        // There is no limit per node to what each node has one of.
        let mut site = Site::of(node, loads.of(view.state, node.id), 0);
        if let Some(reason) = group.refuses(&site) {
            let mut refused = filter::Refused::default();
            refused.add(reason);
            let error = refused.explain();
            let news = (!already_says(task, &error)).then(|| wait(task.id, &error, view));
            changes.extend(news);
            continue;
        }
        changes.push(Change::AssignTask {
            id: task.id,
            node: node.id,
            generic: group.take(&mut site),
        });
        loads.set(node.id, site.load);
    }
}

fn already_says(task: &Task, error: &str) -> bool {
    task.status.state == TaskState::Pending && task.status.error == error
}

fn wait(id: TaskId, error: &str, view: &View<'_>) -> Change {
    Change::SetTaskStatus {
        id,
        status: TaskStatus {
            state: TaskState::Pending,
            at: view.now,
            message: "pending task scheduling".into(),
            error: error.to_owned(),
            ..TaskStatus::default()
        },
    }
}

/// The nodes on which the service keeps failing. Only a group that has restarted tasks can have
/// any.
fn failing_nodes(view: &View<'_>, service: ServiceId, tasks: &[&Arc<Task>]) -> BTreeSet<NodeId> {
    if tasks.iter().all(|task| task.restart.attempts == 0) {
        return BTreeSet::new();
    }
    let fails = |task: &&Arc<Task>| {
        let failed = matches!(task.status.state, TaskState::Failed | TaskState::Rejected);
        let recent = view.now.since_ms(task.status.at) <= FAILURE_WINDOW_MS;
        task.service == service && failed && recent
    };
    let often = |id: &NodeId| view.state.tasks_of_node(*id).filter(fails).count() >= FAILURES_MAX;
    let nodes = view.state.failed(service);
    let nodes = nodes.filter(|(_, count)| usize::try_from(*count).unwrap_or(0) >= FAILURES_MAX);
    nodes.map(|(id, _)| id).filter(often).collect()
}

#[cfg(test)]
mod tests;
