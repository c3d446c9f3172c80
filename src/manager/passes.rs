//! The passes, and the round that runs them until none has anything left to do.

use crate::host::rng::Rng;
use crate::manager::allocator::{nodes, services, tasks};
use crate::manager::dirty::Dirty;
use crate::manager::draft::Draft;
use crate::manager::orchestrator::{global, jobs, reap, replicated, restart, update};
use crate::manager::{rotation, scheduler};
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

/// In the order in which they run, each with how many changes follow from one of its own in the
/// same batch. What makes tasks by the thousand leaves room for their addresses and nodes: else the
/// tasks of a large service would all wait, dirty, and each batch would look at all of them.
pub(super) const PASSES: [(Pass, usize); 12] = [
    (reap::pass, 1),
    (replicated::pass, 3),
    (global::pass, 3),
    (restart::pass, 1),
    (jobs::pass, 3),
    (update::pass, 1),
    (restart::promote, 1),
    (nodes::pass, 1),
    (services::pass, 1),
    (tasks::pass, 1),
    (scheduler::pass, 1),
    (rotation::pass, 1),
];
const SHARE_MAX: usize = 3;

/// How much a round looks at; the rest has its turn in the next.
const SERVICES_MAX: usize = 64;
const SLOTS_MAX: usize = 2_000;

/// More rounds with changes than any batch needs; beyond it two passes undo each other, which is a
/// bug, and the rest waits for the next batch rather than for ever.
const ROUNDS_MAX: usize = 64;

/// Runs the passes until nothing is dirty, or the draft is full and the rest stays dirty.
pub fn run(draft: &mut Draft<'_>, rng: &mut Rng) {
    let mut rounds = 0;
    while !draft.dirty.is_empty() {
        let before = draft.room();
        if before < SHARE_MAX {
            return;
        }
        let mut round = std::mem::take(&mut draft.dirty);
        let later = round.split_off(SERVICES_MAX, SLOTS_MAX);
        let unfinished = run_round(draft, &mut round, rng);
        draft.dirty.merge(&later);
        draft.dirty.merge(&unfinished);
        if draft.room() == 0 {
            return;
        }
        rounds += usize::from(draft.room() < before);
        if rounds > ROUNDS_MAX {
            tracing::error!("the passes do not come to rest; going on with the next batch");
            return;
        }
    }
}

/// Runs each pass once; what is left that they had no room for.
fn run_round(draft: &mut Draft<'_>, round: &mut Dirty, rng: &mut Rng) -> Dirty {
    let mut unfinished = Dirty::default();
    for (pass, share) in PASSES {
        round.merge(&draft.dirty);
        let room = draft.room() / share;
        let view = View {
            state: draft.state(),
            now: draft.at(),
            room,
        };
        let changes = pass(&view, round, rng);
        if share > 1 && changes.len() >= room {
            unfinished.merge(round);
        }
        for change in changes {
            if draft.room() == 0 {
                break;
            }
            draft.push(change);
        }
        if draft.room() == 0 {
            return std::mem::take(round);
        }
    }
    unfinished
}
