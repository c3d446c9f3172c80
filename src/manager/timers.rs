//! When stored times come due. The times themselves are in the objects; this is an index over them
//! that a start makes again.

use std::collections::BTreeSet;

use crate::manager::dirty::Dirty;
use crate::manager::orchestrator::{restart, update};
use crate::model::id::{ServiceId, TaskId};
use crate::model::state::State;
use crate::model::time::Time;

/// What waits for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Task(TaskId),
    Service(ServiceId),
}

/// Objects by the time at which a pass has to look at them. Entries may be out of date: looking
/// once too often does no harm.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(Time, Waiting)>);

impl Timers {
    /// All that waits in a state.
    pub fn of(state: &State, now: Time) -> Self {
        let mut timers = Self::default();
        timers.note(state, now, &Dirty::everything(state));
        timers
    }

    pub fn due(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Notes the times in what was touched.
    pub fn note(&mut self, state: &State, now: Time, touched: &Dirty) {
        for (service, slot) in &touched.slots {
            for task in state.tasks_of_slot(*service, *slot) {
                self.insert(now, restart::due(task, now), Waiting::Task(task.id));
            }
        }
        let of_slots = touched.slots.iter().map(|(service, _)| *service);
        let ids: BTreeSet<_> = touched.services.iter().copied().chain(of_slots).collect();
        for id in ids {
            self.note_service(state, now, id);
        }
    }

    /// Makes dirty what has come due.
    pub fn tick(&mut self, state: &State, now: Time, dirty: &mut Dirty) {
        while let Some((_, waiting)) = self.0.first().copied().filter(|(at, _)| *at <= now) {
            self.0.pop_first();
            match waiting {
                Waiting::Task(id) => {
                    dirty.note_task(state, id);
                    let next = state
                        .tasks()
                        .find(id)
                        .and_then(|task| restart::due(task, now));
                    self.insert(now, next, waiting);
                }
                Waiting::Service(id) => {
                    dirty.services.insert(id);
                    self.note_service(state, now, id);
                }
            }
        }
    }

    fn note_service(&mut self, state: &State, now: Time, id: ServiceId) {
        if let Some(service) = state.services().find(id) {
            self.insert(now, update::due(state, service, now), Waiting::Service(id));
        }
    }

    fn insert(&mut self, now: Time, at: Option<Time>, waiting: Waiting) {
        self.0
            .extend(at.filter(|at| *at > now).map(|at| (at, waiting)));
    }
}
