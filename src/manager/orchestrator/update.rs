//! Replaces the tasks of a service whose template changed: so many slots at a time as the update
//! configuration says, the old task stopped before the new one runs, with its delay in between.
//!
//! A slot is under way until its new task runs. When new tasks fail, their slots stay under way and
//! the update goes no further: what still runs of the old version goes on running.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::{create, set_desired};
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::object::{RestartRecord, Service, Slot, Task, TaskState};
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};

pub fn pass(view: &View<'_>, dirty: &Dirty, rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    let of_slots = dirty.slots.iter().map(|(service, _)| service);
    let mut ids: Vec<_> = dirty.services.iter().chain(of_slots).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        if let Some(service) = view.state.services().find(*id)
            && view
                .state
                .task_versions(*id)
                .any(|v| v != service.task_version)
        {
            changes.extend(update(view, service, rng));
        }
    }
    changes
}

/// When the service's update goes on, if nothing happens before.
pub fn due(state: &State, service: &Service, now: Time) -> Option<Time> {
    let progress = Progress::of(state, service);
    let next = progress.last_up?.plus_ms(delay_ms(service));
    (!progress.outdated.is_empty() && next > now).then_some(next)
}

fn update(view: &View<'_>, service: &Service, rng: &mut Rng) -> Vec<Change> {
    let Progress {
        mut outdated,
        under_way,
        last_up,
    } = Progress::of(view.state, service);
    let next = last_up.map_or_else(Time::default, |at| at.plus_ms(delay_ms(service)));
    if outdated.is_empty() || view.now < next {
        return Vec::new();
    }
    let parallelism = service
        .spec
        .update
        .as_ref()
        .map_or(1, |config| config.parallelism);
    let free = match usize::try_from(parallelism).unwrap_or(usize::MAX) {
        0 => outdated.len(),
        parallelism => parallelism.saturating_sub(under_way),
    };
    // What does not run has nothing to lose.
    outdated.sort_by_key(|task| task.status.state == TaskState::Running);
    let chosen = outdated.into_iter().take(free);
    let replaced = chosen.flat_map(|old| {
        let new = RestartRecord::default();
        let waits = TaskState::Ready;
        [
            create(service.id, old.slot, waits, new, rng),
            set_desired(old, TaskState::Shutdown),
        ]
    });
    replaced.collect()
}

/// How far an update has come.
struct Progress<'a> {
    /// The newest tasks of slots that have no task of the new version yet.
    outdated: Vec<&'a Arc<Task>>,
    /// Slots whose new task does not run yet.
    under_way: usize,
    /// When the last new task came up.
    last_up: Option<Time>,
}

impl<'a> Progress<'a> {
    fn of(state: &'a State, service: &Service) -> Self {
        let mut newest = BTreeMap::<Slot, &Arc<Task>>::new();
        for task in state.tasks_of_service(service.id) {
            if task.desired_state == TaskState::Remove {
                continue;
            }
            let known = newest.entry(task.slot).or_insert(task);
            if (task.meta.version, task.id) > (known.meta.version, known.id) {
                *known = task;
            }
        }
        let mut progress = Self {
            outdated: Vec::new(),
            under_way: 0,
            last_up: None,
        };
        for task in newest.into_values() {
            let up =
                task.desired_state == TaskState::Running && task.status.state == TaskState::Running;
            // A node that lost its task of a global service gets a new one when it is back.
            let is_idle = service.is_global() && task.desired_state > TaskState::Running;
            if task.task_version != service.task_version && !is_idle {
                progress.outdated.push(task);
            } else if up {
                progress.last_up = progress.last_up.max(Some(task.status.at));
            } else if task.is_live() || task.desired_state <= TaskState::Running {
                progress.under_way += 1;
            }
        }
        progress
    }
}

fn delay_ms(service: &Service) -> u64 {
    let config = service.spec.update.as_ref();
    config.map_or(0, |config| ms_of_ns(config.delay_ns))
}

#[cfg(test)]
mod tests {
    use crate::manager::words;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        words::check(super::pass, given, expected);
    }

    const OLD: &str = "node a up; service web x3; task 1 web/1 on a running; \
                       task 2 web/2 on a running; task 3 web/3 on a running";

    #[test]
    fn tasks_of_an_old_version_are_replaced_one_at_a_time() {
        check(OLD, "");
        check(
            &format!("{OLD}; service web x3 image new"),
            "create web/1 ready; shut down 1",
        );
        let first = "task 4 web/1 on a starting";
        check(&format!("{OLD}; service web x3 image new; {first}"), "");
        let first = "task 4 web/1 on a running";
        check(
            &format!("{OLD}; service web x3 image new; {first}"),
            "create web/2 ready; shut down 2",
        );
    }

    #[test]
    fn parallelism_says_how_many_and_zero_is_all() {
        check(
            &format!("{OLD}; service web x3 image new parallelism 2"),
            "create web/1 ready; shut down 1; create web/2 ready; shut down 2",
        );
        check(
            &format!("{OLD}; service web x3 image new parallelism 0"),
            "create web/1 ready; shut down 1; create web/2 ready; shut down 2; \
             create web/3 ready; shut down 3",
        );
    }

    #[test]
    fn the_delay_counts_from_the_last_task_that_came_up() {
        let with = |ago: &str| {
            format!(
                "{OLD}; service web x3 image new update-delay 10s; \
                 task 4 web/1 on a running ago {ago}"
            )
        };
        check(&with("9s"), "");
        check(&with("10s"), "create web/2 ready; shut down 2");
    }

    #[test]
    fn what_does_not_run_is_replaced_first() {
        check(
            "node a up; service web x2; task 1 web/1 on a running; task 2 web/2 pending; \
             service web x2 image new",
            "create web/2 ready; shut down 2",
        );
    }

    #[test]
    fn an_update_whose_tasks_fail_goes_no_further() {
        check(
            &format!(
                "{OLD}; service web x3 image new; task 4 web/1 on a failed desired shutdown; \
                 task 5 web/1 on a ready desired ready in 10s"
            ),
            "",
        );
    }

    #[test]
    fn scaling_replaces_nothing() {
        check(&format!("{OLD}; service web x5"), "");
    }
}
