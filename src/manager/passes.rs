//! The passes, and the round that runs them until none has anything left to do.

use crate::host::rng::Rng;
use crate::manager::allocator::{services, tasks};
use crate::manager::dirty::Dirty;
use crate::manager::draft::Draft;
use crate::manager::orchestrator::{global, jobs, reap, replicated, restart, update};
use crate::manager::scheduler;
use crate::model::change::Change;
use crate::model::state::State;
use crate::model::time::Time;

/// What a pass decides on. It looks at what is dirty and at nothing that could not have changed
/// with it, and every prefix of what it decides is a legal state.
#[derive(Debug)]
pub struct View<'a> {
    pub state: &'a State,
    pub now: Time,
    /// How many changes the caller can use; a pass may stop there.
    pub room: usize,
}

/// A decision: what to change in a view, given what is dirty. Randomness is for ids alone.
pub(super) type Pass = fn(&View<'_>, &Dirty, &mut Rng) -> Vec<Change>;

/// In the order in which they run.
pub(super) const PASSES: [Pass; 10] = [
    reap::pass,
    replicated::pass,
    global::pass,
    restart::pass,
    jobs::pass,
    update::pass,
    restart::promote,
    services::pass,
    tasks::pass,
    scheduler::pass,
];

/// More rounds than any batch needs; beyond it two passes undo each other, which is a bug, and the
/// rest waits for the next batch rather than for ever.
const ROUNDS_MAX: usize = 64;

/// Runs the passes until nothing is dirty, or the draft is full and the rest stays dirty.
pub fn run(draft: &mut Draft<'_>, rng: &mut Rng) {
    for _ in 0..ROUNDS_MAX {
        if draft.dirty.is_empty() {
            return;
        }
        let mut round = std::mem::take(&mut draft.dirty);
        for pass in PASSES {
            round.merge(&draft.dirty);
            let view = View {
                state: draft.state(),
                now: draft.at(),
                room: draft.room(),
            };
            let changes = pass(&view, &round, rng);
            for change in changes {
                if draft.room() == 0 {
                    draft.dirty.merge(&round);
                    return;
                }
                draft.push(change);
            }
        }
        if draft.room() == 0 {
            draft.dirty.merge(&round);
            return;
        }
    }
    tracing::error!("the passes do not come to rest; going on with the next batch");
}
