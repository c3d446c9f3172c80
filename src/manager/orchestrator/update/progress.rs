//! How far an update has come, read from the service's tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::object::{Service, Slot, Task, TaskState};
use crate::model::state::State;
use crate::model::time::Time;

/// The tasks of a service as its update sees them.
#[derive(Debug, Default)]
pub struct Progress<'a> {
    /// Slots that the update has not come to yet.
    pub outdated: Vec<Outdated<'a>>,
    /// Tasks in whose slot an older one is of the wanted version again, and runs.
    pub superseded: Vec<&'a Arc<Task>>,
    /// The tasks that the update made.
    made: Vec<&'a Arc<Task>>,
}

/// A slot without a task of the wanted version.
#[derive(Debug)]
pub struct Outdated<'a> {
    pub slot: Slot,
    pub wanted: Vec<&'a Arc<Task>>,
}

impl Outdated<'_> {
    pub fn runs(&self) -> bool {
        let mut tasks = self.wanted.iter();
        tasks.any(|task| task.status.state == TaskState::Running)
    }
}

impl<'a> Progress<'a> {
    pub fn of(state: &'a State, service: &Service) -> Self {
        let mut slots = BTreeMap::<Slot, Vec<&Arc<Task>>>::new();
        for task in state.tasks_of_service(service.id) {
            if task.desired_state < TaskState::Remove {
                slots.entry(task.slot).or_default().push(task);
            }
        }
        let since = service.update.as_ref().map_or(0, |status| status.since);
        let mut progress = Self::default();
        for (slot, mut tasks) in slots {
            tasks.sort_by_key(|task| (task.meta.version, task.id));
            progress.add(service, since, slot, &tasks);
        }
        progress
    }

    /// Adds a slot with its tasks, the oldest first.
    fn add(&mut self, service: &Service, since: u64, slot: Slot, tasks: &[&'a Arc<Task>]) {
        let is_new = |task: &&Arc<Task>| task.task_version == service.task_version;
        let is_wanted = |task: &&Arc<Task>| task.desired_state <= TaskState::Running;
        let made = |task: &&&Arc<Task>| since > 0 && task.update == since && is_new(task);
        let before = self.made.len();
        self.made.extend(tasks.iter().filter(made));
        let was_tried = self.made.len() > before;
        let wanted: Vec<_> = tasks.iter().copied().filter(is_wanted).collect();
        if let Some(place) = wanted.iter().rposition(is_new) {
            self.superseded.extend(&wanted[place + 1..]);
            return;
        }
        // A slot whose tasks have all ended has one that is outdated; but a node that lost its task
        // of a global service gets a new one when it is back.
        let has_ended = wanted.is_empty();
        let is_idle = has_ended && (service.is_global() || tasks.last().is_none_or(is_new));
        if !was_tried && !is_idle {
            self.outdated.push(Outdated { slot, wanted });
        }
    }

    /// How many of the new tasks have neither come up nor ended.
    pub fn waiting(&self) -> usize {
        let made = self.made.iter();
        made.filter(|task| settled_at(task).is_none()).count()
    }

    /// How many of the new tasks came up, or ended, less than `delay_ms` ago.
    pub fn resting(&self, now: Time, delay_ms: u64) -> usize {
        self.settled()
            .filter(|at| at.plus_ms(delay_ms) > now)
            .count()
    }

    /// When each of the new tasks came up, or ended before.
    pub fn settled(&self) -> impl Iterator<Item = Time> {
        self.made.iter().filter_map(|task| settled_at(task))
    }

    pub fn last_settled(&self) -> Option<Time> {
        self.settled().max()
    }

    /// Whether nothing is left to replace, to wait for or to watch.
    pub fn is_over(&self, now: Time, monitor_ms: u64) -> bool {
        let watched = |at: Time| at.plus_ms(monitor_ms) <= now;
        self.outdated.is_empty() && self.waiting() == 0 && self.last_settled().is_none_or(watched)
    }

    /// The new tasks that ended by themselves within the monitor time and were not counted yet.
    pub fn failures(&self, now: Time, monitor_ms: u64) -> impl Iterator<Item = &Arc<Task>> {
        let by_itself = [TaskState::Complete, TaskState::Failed, TaskState::Rejected];
        let early = move |task: &Task| {
            let up = task.running_since;
            up.is_none_or(|up| now.since_ms(up) <= monitor_ms)
        };
        let made = self.made.iter().copied();
        made.filter(move |task| {
            by_itself.contains(&task.status.state) && !task.update_failed && early(task)
        })
    }
}

/// When a new task came up; or, if it never did, when it ended or was given up.
fn settled_at(task: &Task) -> Option<Time> {
    let is_over = task.status.state.is_terminal() || task.desired_state > TaskState::Running;
    let over = is_over.then_some(task.meta.updated_at);
    task.running_since.or(over)
}
