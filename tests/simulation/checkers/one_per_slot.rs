//! As far as managers know, one task of a slot is alive, but for services that start the next task
//! before they stop the last.

use std::collections::{BTreeMap, BTreeSet};

use skep::model::id::TaskId;
use skep::model::object::{Service, UpdateState};
use skep::model::spec::service::UpdateOrder;
use skep::model::state::State;

#[derive(Debug, Default)]
pub struct Checker {
    /// Tasks that came while they might overlap with others: nothing that is wanted later takes
    /// that back at once (seed 1627).
    overlap: BTreeSet<TaskId>,
}

impl Checker {
    pub fn look(&mut self, state: &State) {
        let mut alive = BTreeMap::new();
        for task in state.tasks().iter().filter(|task| task.is_live()) {
            let first = alive.insert((task.service, task.slot), task.id);
            let Some(first) = first else { continue };
            let service = state.services().find(task.service);
            if service.is_some_and(|service| overlaps(service)) {
                self.overlap.extend([first, task.id]);
            }
            let (name, id) = (task.name(), task.id);
            assert!(
                [first, id].iter().all(|one| self.overlap.contains(one)),
                "{name}: {id} and {first} are alive at once"
            );
        }
    }
}

/// Whether two tasks of a slot may be alive: the last of an update may still be about when the spec
/// says otherwise. What a service was rolled back from is not kept, and may have let them overlap
/// (seed 982).
pub fn overlaps(service: &Service) -> bool {
    let rollback = [
        UpdateState::RollbackStarted,
        UpdateState::RollbackPaused,
        UpdateState::RollbackCompleted,
    ];
    let mut update = service.update.iter();
    if update.any(|update| rollback.contains(&update.state)) {
        return true;
    }
    let specs = [Some(&service.spec), service.previous_spec.as_ref()];
    let both = specs.into_iter().flatten();
    let mut orders = both.flat_map(|spec| [&spec.update, &spec.rollback]);
    orders.any(|config| {
        let order = config.as_ref().and_then(|config| config.order);
        order == Some(UpdateOrder::StartFirst)
    })
}
