//! An agent ends only what it was told to end or was unhealthy; without a manager, everything else
//! goes on.

use skep::model::id::TaskId;
use skep::model::object::TaskState;

use crate::host::{Host, Order};

pub fn check(host: &Host, task: TaskId, order: &Order) {
    if matches!(order, Order::Stop | Order::Kill) {
        let wanted = host.wanted.get(&task);
        let shall_end = wanted.is_none_or(|state| *state > TaskState::Running);
        let node = host.node;
        let may_end = shall_end || host.was_unhealthy(task);
        assert!(may_end, "{task} is ended on {node}, told was {wanted:?}");
    }
}
