//! What an agent does while no manager can be reached: it makes further attempts at tasks that end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::containers::{Attempt, Change, ContainerId, Kept, KeptId};
use crate::agent::services::KeptServices;
use crate::agent::task::{Moves, Task};
use crate::agent::{Agent, Effect};
use crate::host::rng::Rng;
use crate::model::id::TaskId;
use crate::model::time::Time;
use crate::wire::dependency::DependencyId;

/// An agent that managers have spoken to waits so long for them to do it again, and one whose
/// daemon has just started so long for the first time.
pub const ALONE_MS: u64 = 30_000;
pub const ALONE_AT_START_MS: u64 = 10_000;

/// How far an agent trusts that a manager will tell it what to do.
#[derive(Debug)]
pub struct Solitude {
    /// How long it waits once there is none.
    patience_ms: u64,
    /// From when on it goes on alone, if no manager speaks to it before.
    from: Option<Time>,
    /// A manager was there and would not have it: the node may have been removed, and its tasks run
    /// elsewhere.
    is_refused: bool,
}

impl Default for Solitude {
    fn default() -> Self {
        Self {
            patience_ms: ALONE_AT_START_MS,
            from: None,
            is_refused: false,
        }
    }
}

impl Solitude {
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// From when on the node goes on alone.
    pub(super) fn begins(&self) -> Option<Time> {
        self.from
    }

    /// Whether no manager has spoken up for as long as the node waits for one.
    pub(super) fn has_begun(&self, now: Time) -> bool {
        self.from.is_some_and(|from| from <= now)
    }

    fn mind(&mut self, is_told: bool, now: Time) {
        if is_told {
            self.patience_ms = ALONE_MS;
            self.is_refused = false;
        }
        if is_told || self.is_refused {
            self.from = None;
            return;
        }
        // A clock that was set back makes no wait longer.
        let latest = now.plus_ms(self.patience_ms);
        self.from = Some(self.from.map_or(latest, |from| from.min(latest)));
    }
}

/// What the host was made to remember.
#[derive(Debug, Default, PartialEq)]
pub struct Remembered {
    /// The tasks, each with the number of its attempt.
    numbers: BTreeMap<TaskId, u32>,
    needs: BTreeSet<DependencyId>,
    services: KeptServices,
}

impl Remembered {
    /// Takes note of what an earlier daemon had it remember.
    pub(super) fn note(&mut self, kept: &Kept) {
        match kept {
            Kept::Task(record) => {
                let Attempt { task, number, .. } = record.attempt;
                self.numbers.insert(task, number);
            }
            Kept::Dependency(held) => drop(self.needs.insert(held.id)),
            Kept::Service(service) => {
                drop(self.services.insert(service.id, Arc::clone(service)));
            }
        }
    }

    /// The services that are kept in another way than before, or no more.
    fn changed_services(&self, now: &KeptServices) -> Vec<Change> {
        let new = now
            .iter()
            .filter(|(id, service)| self.services.get(id) != Some(service));
        let gone = self.services.keys().filter(|id| !now.contains_key(id));
        let gone = gone.map(|id| (KeptId::Service(*id), None));
        let new = new.map(|(id, service)| {
            let kept = Kept::Service(Arc::clone(service));
            (KeptId::Service(*id), Some(kept))
        });
        new.chain(gone).collect()
    }
}

/// The tasks that are kept in another way than before, or no more.
fn changed(before: &BTreeMap<TaskId, u32>, now: &BTreeMap<TaskId, u32>) -> Vec<(TaskId, bool)> {
    let new = now
        .iter()
        .filter(|(id, number)| before.get(id) != Some(number));
    let gone = before.keys().filter(|id| !now.contains_key(id));
    let new = new.map(|(id, _)| (*id, true));
    new.chain(gone.map(|id| (*id, false))).collect()
}

impl Agent {
    /// When the next attempt is due, if no manager speaks up before.
    pub(super) fn attempt_due(&self) -> Option<Time> {
        let from = self.solitude.from?;
        let tasks = self.tasks.values().filter(|task| self.has_all_for(task));
        let next = tasks.filter_map(Task::next_attempt_at).min()?;
        Some(next.max(from))
    }

    pub(super) fn go_on_alone(&mut self, now: Time, rng: &mut Rng, moves: &mut Moves) {
        self.solitude.mind(self.is_told(), now);
        if self.leaving || !self.solitude.has_begun(now) {
            return;
        }
        let is_due = |task: &&Task| task.next_attempt_at().is_some_and(|at| at <= now);
        let tasks = self.tasks.values().filter(is_due);
        let tasks = tasks.filter(|task| self.has_all_for(task));
        let ids: Vec<_> = tasks.map(|task| task.attempt().task).collect();
        for id in ids {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.replace(ContainerId::draw(rng), moves);
            }
        }
    }

    /// Sees to it that the next daemon knows which tasks may go on, should it start without a
    /// manager on a host that was switched off.
    pub(super) fn remember(&mut self, moves: &mut Moves) {
        let tasks = self.tasks.values().filter(|task| task.is_kept());
        let numbers = tasks
            .clone()
            .map(|task| (task.attempt().task, task.attempt().number));
        let numbers: BTreeMap<_, _> = numbers.collect();
        let may_rest = |id: &DependencyId| self.dependencies.get(id).is_some_and(|d| d.at_rest);
        let of_services = self.tasks.values();
        let of_services = of_services.filter(|task| task.is_kept() || task.is_running());
        let services = self.services.kept(of_services, &self.kept.services);
        let needs = tasks.flat_map(Task::needs).filter(may_rest).collect();
        let now = Remembered {
            numbers,
            needs,
            services,
        };
        if now == self.kept {
            return;
        }
        let tasks = changed(&self.kept.numbers, &now.numbers).into_iter();
        let task = |id: &TaskId| Some(Kept::Task(self.tasks.get(id)?.record()));
        let tasks = tasks.map(|(id, stays)| {
            let kept = task(&id).filter(|_| stays);
            (KeptId::Task(id), kept)
        });
        let gone = self.kept.needs.difference(&now.needs);
        let gone = gone.map(|id| (KeptId::Dependency(*id), None));
        let new = now.needs.difference(&self.kept.needs);
        let new = new.filter_map(|id| {
            let held = Arc::clone(self.dependencies.get(id)?);
            Some((KeptId::Dependency(*id), Some(Kept::Dependency(held))))
        });
        // What a task needs is there before the task.
        let mut changes = self.kept.changed_services(&now.services);
        changes.extend(new.chain(tasks).chain(gone));
        moves.effects.push(Effect::Keep(changes));
        self.kept = now;
    }

    /// Some are in memory only, and a daemon that has been restarted waits for a manager with them.
    fn has_all_for(&self, task: &Task) -> bool {
        let mut needs = task.needs().into_iter();
        needs.all(|id| self.dependencies.contains_key(&id))
    }
}
