//! Replaces the tasks of a service whose template changed, or changed back, as its update or
//! rollback configuration says.
//!
//! As many slots as the parallelism are under way at a time: a slot is from its replacement until
//! its new task runs, or has ended, and then for the delay. When all are through, the last is
//! watched for the monitor time. A task that ends before it ran for the monitor time is a failure;
//! if too many fail, the update pauses or goes back.
//!
//! Nothing of this is in memory only: how it stands is in the service, and each task knows the
//! update that made it, so a new leader, or a rebooted one, goes on exactly.

mod progress;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::update::progress::{Outdated, Progress};
use crate::manager::orchestrator::{has_lost_node, set_desired};
use crate::manager::passes::View;
use crate::model::change::{Change, NewTask, RollBack};
use crate::model::id::{ServiceId, TaskId};
use crate::model::object::{RestartRecord, Service, Task, TaskState, UpdateState, UpdateStatus};
use crate::model::spec::service::{FailureAction, UpdateOrder};
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};

/// How long a new task is watched if the configuration does not say it.
const MONITOR_NS: i64 = 5_000_000_000;

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    let of_slots = dirty.slots.iter().map(|(service, _)| *service);
    let ids: BTreeSet<ServiceId> = dirty.services.iter().copied().chain(of_slots).collect();
    for id in ids {
        if changes.len() >= view.room {
            break;
        }
        let service = view.state.services().find(id);
        if let Some(service) = service.filter(|service| is_concerned(view.state, dirty, service)) {
            advance(view, service, rng, &mut changes);
        }
    }
    changes
}

/// When the service's update goes on, if nothing happens before.
pub fn due(state: &State, service: &Service, now: Time) -> Option<Time> {
    let status = service.update.as_ref()?;
    if !status.state.is_active() {
        return None;
    }
    let plan = Plan::of(service);
    let progress = Progress::of(state, service);
    if progress.outdated.is_empty() {
        let last = progress
            .last_settled()
            .filter(|_| progress.waiting() == 0)?;
        return Some(last.plus_ms(plan.monitor_ms));
    }
    let settled = progress.settled();
    let free = settled.map(|at| at.plus_ms(plan.delay_ms));
    free.filter(|at| *at > now).min()
}

/// Only a changed service begins an update; from then on its tasks and its times move it on.
fn is_concerned(state: &State, dirty: &Dirty, service: &Service) -> bool {
    match &service.update {
        Some(status) => status.state.is_active(),
        // A job is executed anew, not updated.
        None if service.job.is_some() => false,
        None => {
            let mut versions = state.task_versions(service.id);
            dirty.services.contains(&service.id) && versions.any(|v| v != service.task_version)
        }
    }
}

/// The configuration with its defaults.
struct Plan {
    parallelism: u64,
    delay_ms: u64,
    action: FailureAction,
    monitor_ms: u64,
    max_failure_ratio: f32,
    order: UpdateOrder,
}

impl Plan {
    fn of(service: &Service) -> Self {
        let config = match is_rollback(service) {
            true => service.spec.rollback.as_ref(),
            false => service.spec.update.as_ref(),
        };
        let monitor_ns = config.and_then(|c| c.monitor_ns).unwrap_or(MONITOR_NS);
        let action = config.and_then(|c| c.failure_action);
        let order = config.and_then(|c| c.order);
        Self {
            parallelism: config.map_or(1, |c| c.parallelism),
            delay_ms: config.map_or(0, |c| ms_of_ns(c.delay_ns)),
            action: action.unwrap_or(FailureAction::Pause),
            monitor_ms: ms_of_ns(monitor_ns),
            max_failure_ratio: config.map_or(0.0, |c| c.max_failure_ratio),
            order: order.unwrap_or(UpdateOrder::StopFirst),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio of numbers up to a million"
    )]
    fn is_exceeded(&self, status: &UpdateStatus) -> bool {
        status.failures as f32 / status.slots.max(1) as f32 > self.max_failure_ratio
    }
}

fn is_rollback(service: &Service) -> bool {
    let state = service.update.as_ref().map(|status| status.state);
    state == Some(UpdateState::RollbackStarted)
}

fn advance(view: &View<'_>, service: &Service, rng: &mut Rng, changes: &mut Vec<Change>) {
    let plan = Plan::of(service);
    let progress = Progress::of(view.state, service);
    let superseded = progress.superseded.iter();
    changes.extend(superseded.map(|task| set_desired(task, TaskState::Shutdown)));
    let Some(mut status) = begin(view, service, &progress, changes) else {
        return;
    };
    if plan.action != FailureAction::Continue {
        for task in progress.failures(view.now, plan.monitor_ms) {
            status.failures += 1;
            changes.push(Change::CountUpdateFailure { task: task.id });
            if plan.is_exceeded(&status) {
                changes.push(give_up(view, service, &plan, status, task.id));
                return;
            }
        }
    }
    if progress.is_over(view.now, plan.monitor_ms) {
        changes.push(complete(view, service, status));
        return;
    }
    let busy = progress.waiting() + progress.resting(view.now, plan.delay_ms);
    let free = match usize::try_from(plan.parallelism).unwrap_or(usize::MAX) {
        0 => usize::MAX,
        parallelism => parallelism.saturating_sub(busy),
    };
    let mut outdated = progress.outdated;
    // What does not run has nothing to lose.
    outdated.sort_by_key(Outdated::runs);
    for slot in outdated.iter().take(free) {
        if changes.len() >= view.room {
            return;
        }
        replace(view.state, service, &plan, slot, status.since, rng, changes);
    }
}

/// How the update stands, as far as it has begun or has a reason to begin now.
fn begin(
    view: &View<'_>,
    service: &Service,
    progress: &Progress<'_>,
    changes: &mut Vec<Change>,
) -> Option<UpdateStatus> {
    let slots = progress.outdated.len() as u64;
    let status = match &service.update {
        Some(status) if status.slots > 0 || slots == 0 => return Some(status.clone()),
        Some(status) => UpdateStatus {
            slots,
            ..status.clone()
        },
        None if slots == 0 => return None,
        None => UpdateStatus {
            state: UpdateState::Updating,
            started_at: view.now,
            completed_at: None,
            message: "update in progress".into(),
            since: view.state.index() + 1,
            slots,
            failures: 0,
        },
    };
    changes.push(set_status(service, status.clone()));
    Some(status)
}

fn set_status(service: &Service, status: UpdateStatus) -> Change {
    Change::SetUpdateStatus {
        id: service.id,
        status,
    }
}

fn complete(view: &View<'_>, service: &Service, status: UpdateStatus) -> Change {
    let (state, message) = match is_rollback(service) {
        true => (UpdateState::RollbackCompleted, "rollback completed"),
        false => (UpdateState::Completed, "update completed"),
    };
    let status = UpdateStatus {
        state,
        completed_at: Some(view.now),
        message: message.into(),
        ..status
    };
    set_status(service, status)
}

/// Pauses or goes back, as the configuration says. A rollback is never rolled back.
fn give_up(
    view: &View<'_>,
    service: &Service,
    plan: &Plan,
    status: UpdateStatus,
    task: TaskId,
) -> Change {
    let message = |what: &str| format!("{what} due to failure or early termination of task {task}");
    let goes_back = plan.action == FailureAction::Rollback && service.previous_spec.is_some();
    let (state, message) = match is_rollback(service) {
        true => (UpdateState::RollbackPaused, message("rollback paused")),
        false if goes_back => {
            return Change::RollBackService(RollBack {
                id: service.id,
                message: message("update rolled back"),
                since: view.state.index() + 1,
                keeps_spec: false,
            });
        }
        false => (UpdateState::Paused, message("update paused")),
    };
    let status = UpdateStatus {
        state,
        message,
        ..status
    };
    set_status(service, status)
}

/// Gives a slot a new task: after the old one has stopped, or, with start-first, beside it until
/// the new one runs and the restart pass finds that the old one was replaced.
fn replace(
    state: &State,
    service: &Service,
    plan: &Plan,
    slot: &Outdated<'_>,
    update: u64,
    rng: &mut Rng,
    changes: &mut Vec<Change>,
) {
    let runs =
        |task: &&&Arc<Task>| task.status.state == TaskState::Running && !has_lost_node(state, task);
    let starts_first =
        plan.order == UpdateOrder::StartFirst && slot.wanted.iter().find(runs).is_some();
    changes.push(Change::CreateTask(NewTask {
        id: TaskId(rng.next_u128()),
        service: service.id,
        slot: slot.slot,
        desired_state: match starts_first {
            true => TaskState::Running,
            false => TaskState::Ready,
        },
        restart: RestartRecord::default(),
        update,
    }));
    if !starts_first {
        let wanted = slot.wanted.iter();
        changes.extend(wanted.map(|task| set_desired(task, TaskState::Shutdown)));
    }
}

#[cfg(test)]
mod tests;
