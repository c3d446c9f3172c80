//! An update keeps at least what it promised running: no more slots are out of service for it at a
//! time than its parallelism says.

use skep::model::object::{Service, Task, UpdateState, UpdateStatus};
use skep::model::state::State;

pub fn look(state: &State) {
    for service in state.services().iter() {
        let status = service.update.as_ref();
        if let Some(status) = status.filter(|status| status.state.is_active()) {
            check(state, service, status);
        }
    }
}

fn check(state: &State, service: &Service, status: &UpdateStatus) {
    let config = match status.state {
        UpdateState::RollbackStarted => service.spec.rollback.as_ref(),
        _ => service.spec.update.as_ref(),
    };
    let most = config.map_or(1, |config| config.parallelism);
    let tasks = state.tasks_of_service(service.id);
    let coming = tasks.filter(|task| task.update == status.since && is_coming(task));
    let (name, count) = (&service.spec.name, coming.count() as u64);
    let fine = most == 0 || count <= most;
    assert!(
        fine,
        "{name} is without {count} for its update, at most {most}"
    );
}

/// Whether the task is made and does not run yet.
fn is_coming(task: &Task) -> bool {
    task.is_live() && task.running_since.is_none()
}
