//! As far as managers know, one task of a slot is alive, but for services that start the next task
//! before they stop the last.

use std::collections::BTreeMap;

use skep::model::object::{Service, UpdateState};
use skep::model::spec::service::UpdateOrder;
use skep::model::state::State;

pub fn check(state: &State) {
    let mut alive = BTreeMap::new();
    for task in state.tasks().iter().filter(|task| task.is_live()) {
        let service = state.services().find(task.service);
        let first = alive.insert((task.service, task.slot), task.id);
        let overlap = service.is_some_and(|service| overlaps(service));
        let (name, id) = (task.name(), task.id);
        assert!(
            first.is_none() || overlap,
            "{name}: {id} and {first:?} are alive at once"
        );
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
