//! What becomes due for a task, and when.

use crate::agent::Effect;
use crate::agent::delays::{KILL_AGAIN_MS, grace_ms, prepare_again_ms};
use crate::agent::task::removal::Removal;
use crate::agent::task::{Moves, Phase, Task};
use crate::model::time::Time;

impl Task {
    /// When the task needs the agent again though nothing happens.
    pub fn due(&self) -> Option<Time> {
        match self.phase {
            Phase::Stopping { kill_at } => Some(kill_at),
            Phase::Waiting { again_at, .. } => Some(again_at),
            Phase::Removing(removal) | Phase::Replacing(removal, _) => removal.again_at,
            _ => None,
        }
    }

    /// Does what has become due. A clock that was set back holds nothing up: no moment is further
    /// away than when it was set.
    pub fn tick(&mut self, now: Time, moves: &mut Moves) {
        let removal = self.removal();
        if removal.is_some_and(|removal| removal.is_due_again(now)) {
            moves.effects.push(Effect::Remove(self.attempt));
        }
        let grace = now.plus_ms(grace_ms(&self.assignment).max(KILL_AGAIN_MS));
        match &mut self.phase {
            Phase::Stopping { kill_at } if *kill_at <= now => {
                *kill_at = now.plus_ms(KILL_AGAIN_MS);
                moves.effects.push(Effect::Kill(self.attempt));
            }
            Phase::Stopping { kill_at } => *kill_at = grace.min(*kill_at),
            Phase::Waiting { tries, again_at } if *again_at <= now => {
                let tries = tries.saturating_add(1);
                self.prepare(tries, now, moves);
            }
            Phase::Waiting { tries, again_at } => {
                *again_at = now.plus_ms(prepare_again_ms(*tries)).min(*again_at);
            }
            Phase::Unjudged(end) => end.bound(now),
            _ => {}
        }
    }

    pub(super) fn removal(&mut self) -> Option<&mut Removal> {
        match &mut self.phase {
            Phase::Removing(removal) | Phase::Replacing(removal, _) => Some(removal),
            _ => None,
        }
    }
}
