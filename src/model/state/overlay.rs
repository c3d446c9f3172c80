//! What can be taken back, and what was touched.

use std::collections::BTreeSet;

use super::{ObjectId, State, Undo};

impl State {
    /// The ids of what was changed since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut self.touched)
    }

    /// Starts an overlay; what is applied from here on can be undone. Touched ids start empty.
    pub fn begin(&mut self) {
        debug_assert!(self.overlay.is_none(), "one overlay at a time");
        let touched = std::mem::take(&mut self.touched);
        self.overlay = Some(vec![Undo::Index(self.index), Undo::Touched(touched)]);
    }

    /// Takes back everything since [`State::begin`].
    pub fn undo(&mut self) {
        for undo in self.overlay.take().into_iter().flatten().rev() {
            match undo {
                Undo::Index(index) => self.index = index,
                Undo::Touched(touched) => self.touched = touched,
                Undo::Row(id, object) => {
                    self.put(id, object);
                }
            }
        }
    }
}
