//! Further attempts at a task, which its node makes while no manager can be reached.

use std::sync::Arc;

use crate::agent::Effect;
use crate::agent::containers::{Attempt, ContainerId, Health};
use crate::agent::task::removal::Removal;
use crate::agent::task::{Ending, Moves, Phase, Task, failure};
use crate::model::object::{RestartRecord, TaskState};
use crate::model::restarts::{self, goes_on_alone};
use crate::model::spec::task::RestartPolicy;
use crate::model::time::Time;
use crate::wire::dependency::{DependencyId, named_by};
use crate::wire::session::Assignment;

impl Task {
    /// From when on the next attempt may be made, if the task has ended and its service wants one.
    pub fn next_attempt_at(&self) -> Option<Time> {
        Some(self.next_restarts()?.not_before)
    }

    /// Whether a daemon that starts without a manager shall know of it: it has run here, and may be
    /// run again.
    pub fn is_kept(&self) -> bool {
        let has_run = (TaskState::Starting..=TaskState::Running).contains(&self.status.state);
        let is_over = matches!(self.phase, Phase::Unjudged(_)) && self.next_restarts().is_none();
        has_run && self.may_go_on_alone() && !is_over
    }

    /// The secrets and configs that an attempt needs.
    pub fn needs(&self) -> Vec<DependencyId> {
        named_by(&self.assignment.spec.container)
    }

    /// Makes way for the next attempt. It counts from now on, whatever becomes of it.
    pub fn replace(&mut self, container: ContainerId, moves: &mut Moves) {
        let Some(restarts) = self.next_restarts() else {
            return;
        };
        let phase = Phase::Replacing(Removal::default(), container);
        if let Phase::Unjudged(Ending::Exited(exit)) = std::mem::replace(&mut self.phase, phase) {
            self.keep_tail(&exit);
        }
        Arc::make_mut(&mut self.assignment).restarts = restarts;
        self.status.restarts = Some(restarts);
        let name = self.assignment.task_name();
        tracing::info!("{name} has ended and no manager can be told: it is run again");
        moves.effects.push(Effect::Remove(self.attempt));
    }

    /// Makes the next attempt; the last has left nothing.
    pub(super) fn retry(&mut self, container: ContainerId, now: Time, moves: &mut Moves) {
        let Attempt { task, number, .. } = self.attempt;
        self.attempt = Attempt {
            task,
            number: number.saturating_add(1),
            container,
        };
        self.health = Health::Unchecked;
        self.prepare(1, now, moves);
    }

    /// Takes over what an earlier daemon told a manager and did not come to keep.
    pub(super) fn catch_up(&mut self, knows: &Assignment) {
        self.status.state = self.status.state.max(knows.state);
        if knows.restarts.is_beyond(&self.assignment.restarts) {
            Arc::make_mut(&mut self.assignment).restarts = knows.restarts;
            self.status.restarts = self.status.restarts.map(|_| knows.restarts);
        }
    }

    /// The task runs as before, in another container.
    pub(super) fn runs_again(&mut self, now: Time, moves: &mut Moves) {
        self.status.at = now;
        self.status.message = "started again by its node, without a manager".into();
        if !self.forgotten {
            moves.statuses.push(self.update());
        }
    }

    fn next_restarts(&self) -> Option<RestartRecord> {
        let Phase::Unjudged(end) = &self.phase else {
            return None;
        };
        let labels = &self.assignment.service_labels;
        let of_job = self.assignment.of_job;
        if !self.may_go_on_alone() {
            return None;
        }
        let ending = restarts::Ending {
            state: match end {
                Ending::Exited(exit)
                    if failure(exit, self.health == Health::Unhealthy).is_none() =>
                {
                    TaskState::Complete
                }
                _ => TaskState::Failed,
            },
            of_job,
            up_since: self.up_since(end),
            at: end.at(),
        };
        let default = RestartPolicy::default();
        let policy = self.assignment.spec.restart.as_ref().unwrap_or(&default);
        let record = self.assignment.restarts;
        record.next(labels, policy, &ending, ending.at)
    }

    fn may_go_on_alone(&self) -> bool {
        let Assignment {
            service_labels,
            of_job,
            ..
        } = &*self.assignment;
        let is_wanted = !self.forgotten && self.desired == TaskState::Running;
        is_wanted && goes_on_alone(service_labels, *of_job)
    }

    /// Since when what has ended ran.
    fn up_since(&self, end: &Ending) -> Time {
        match end {
            Ending::Exited(_) => self.status.at,
            Ending::Failed { at, .. } | Ending::Lost { at } => *at,
        }
    }
}

impl Ending {
    fn at(&self) -> Time {
        match self {
            Self::Exited(exit) => exit.at,
            Self::Failed { at, .. } | Self::Lost { at } => *at,
        }
    }

    /// A clock that was set back has not seen it end in the future.
    pub(super) fn bound(&mut self, now: Time) {
        let at = match self {
            Self::Exited(exit) => &mut exit.at,
            Self::Failed { at, .. } | Self::Lost { at } => at,
        };
        *at = now.min(*at);
    }
}
