//! What an agent does while no manager can be reached: it makes further attempts at tasks that end.

use crate::agent::containers::ContainerId;
use crate::agent::task::{Moves, Task};
use crate::agent::{Agent, Effect};
use crate::host::rng::Rng;
use crate::model::id::TaskId;
use crate::model::time::Time;

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
        if self.leaving || self.solitude.from.is_none_or(|from| now < from) {
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
        let mut changes = Vec::new();
        let tasks = &self.tasks;
        let is_kept = |id: &TaskId| tasks.get(id).is_some_and(Task::is_kept);
        self.kept.retain(|id, _| {
            let stays = is_kept(id);
            if !stays {
                changes.push((*id, None));
            }
            stays
        });
        for (id, task) in self.tasks.iter().filter(|(_, task)| task.is_kept()) {
            let number = task.attempt().number;
            if self.kept.insert(*id, number) != Some(number) {
                changes.push((*id, Some(task.record())));
            }
        }
        if !changes.is_empty() {
            moves.effects.push(Effect::Keep(changes));
        }
    }

    /// A daemon that has been restarted holds no secrets until a manager sends them again.
    fn has_all_for(&self, task: &Task) -> bool {
        let mut needs = task.needs().into_iter();
        needs.all(|id| self.dependencies.contains_key(&id))
    }
}
