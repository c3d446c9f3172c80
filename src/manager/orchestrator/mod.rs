//! Which tasks there shall be, and what is wanted of each.

pub mod replicated;
pub mod restart;
pub mod global;
pub mod jobs;
pub mod update;
pub mod reap;

use crate::host::rng::Rng;
use crate::model::change::{Change, NewTask};
use crate::model::constraint::Constraint;
use crate::model::id::{ServiceId, TaskId};
use crate::model::object::{Node, NodeState, RestartRecord, Slot, Task, TaskState};
use crate::model::spec::node::Availability;
use crate::model::spec::task::TaskSpec;
use crate::model::state::State;

/// A task that is not there yet, and that no update makes.
fn create(
    service: ServiceId,
    slot: Slot,
    desired_state: TaskState,
    restart: RestartRecord,
    rng: &mut Rng,
) -> Change {
    Change::CreateTask(NewTask {
        id: TaskId(rng.next_u128()),
        service,
        slot,
        desired_state,
        restart,
        update: 0,
    })
}

fn set_desired(task: &Task, state: TaskState) -> Change {
    Change::SetDesiredState { id: task.id, state }
}

/// Whether the task's node will not run it any further: gone, down, drained, or not one that the
/// task's constraints allow any more.
fn has_lost_node(state: &State, task: &Task) -> bool {
    let Some(id) = task.node else { return false };
    let node = state.nodes().find(id);
    node.is_none_or(|node| is_lost(node) || !satisfies(&task.spec, node))
}

/// Whether a node is one that the constraints allow.
fn satisfies(spec: &TaskSpec, node: &Node) -> bool {
    let placement = spec.placement.iter();
    // A constraint that does not parse was refused with its service.
    let mut constraints = placement
        .flat_map(|placement| &placement.constraints)
        .filter_map(|text| Constraint::parse(text).ok());
    constraints.all(|constraint| constraint.allows(node))
}

fn is_lost(node: &Node) -> bool {
    node.status.state == NodeState::Down || node.spec.availability == Availability::Drain
}

/// Whether nothing of the task can run any more, as far as the managers can know.
fn has_stopped(state: &State, task: &Task) -> bool {
    let unreachable = |id| {
        let node = state.nodes().find(id);
        node.is_none_or(|node| node.status.state == NodeState::Down)
    };
    task.status.state.is_terminal() || task.node.is_none_or(unreachable)
}
