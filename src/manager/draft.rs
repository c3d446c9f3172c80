//! A batch that is being put together on an overlay of the committed state.

use crate::manager::dirty::Dirty;
use crate::model::change::{Batch, Change};
use crate::model::state::State;
use crate::model::time::Time;

/// The most changes of a batch.
pub const CHANGES_MAX: usize = 2_000;
/// The most bytes of a batch.
pub const BYTES_MAX: usize = 3 << 19;

/// Changes that will be one log entry. Dropping a draft takes its changes back from the state.
#[derive(Debug)]
pub struct Draft<'a> {
    state: &'a mut State,
    at: Time,
    changes: Vec<Change>,
    bytes: usize,
    /// What the passes have to look at.
    pub dirty: Dirty,
}

impl<'a> Draft<'a> {
    pub fn begin(state: &'a mut State, at: Time, dirty: Dirty) -> Self {
        state.begin();
        Self {
            state,
            at,
            changes: Vec::new(),
            bytes: 0,
            dirty,
        }
    }

    /// The state as it will be.
    pub fn state(&self) -> &State {
        self.state
    }

    /// The moment that the batch is stamped with.
    pub fn at(&self) -> Time {
        self.at
    }

    /// How many more changes fit; what a single one needs beyond the limit of bytes it still gets.
    pub fn room(&self) -> usize {
        match self.bytes < BYTES_MAX {
            true => CHANGES_MAX - self.changes.len().min(CHANGES_MAX),
            false => 0,
        }
    }

    pub fn push(&mut self, change: Change) {
        self.dirty.note(self.state, &change);
        self.state.apply_draft(self.at, &change);
        self.bytes += postcard::experimental::serialized_size(&change).unwrap_or(BYTES_MAX);
        self.changes.push(change);
    }

    /// The batch, and what the passes have not looked at yet. The state is as before.
    pub fn finish(mut self) -> (Batch, Dirty) {
        let changes = std::mem::take(&mut self.changes);
        let batch = Batch {
            at: self.at,
            changes,
        };
        (batch, std::mem::take(&mut self.dirty))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.state.undo();
    }
}
