//! The disk of the manager: what was not written when its daemon is killed is lost.

use std::collections::BTreeMap;

use skep::manager::Manager;
use skep::model::change::Batch;
use skep::model::record::{self, Row};
use skep::model::state::State;
use skep::raft::node::{Node, Persist};
use skep::raft::record::{Anchor, Entry, HardState, Position, Restored};

#[derive(Debug, Default)]
pub struct Disk {
    anchor: Anchor,
    before: Position,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    entries: Vec<Entry>,
    hard_state: HardState,
}

impl Disk {
    /// The disk of a swarm that was just founded.
    pub fn founded(batch: &Batch) -> Self {
        let anchor = Anchor::bootstrap(vec![1]);
        let mut state = State::default();
        state.apply(anchor.applied.index, batch);
        let mut disk = Self {
            before: anchor.applied,
            hard_state: anchor.hard_state,
            anchor,
            ..Self::default()
        };
        let rows = state.objects().map(|id| record::row(&state, id));
        disk.keep(rows.collect::<Result<_, _>>().unwrap());
        disk
    }

    pub fn write(&mut self, write: Persist) {
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
        }
        self.entries.extend(write.entries);
        self.hard_state = write.hard_state;
    }

    pub fn checkpoint(&mut self, anchor: Anchor, rows: Vec<Row>) {
        self.keep(rows);
        self.before = anchor.applied;
        self.entries
            .retain(|entry| entry.index > anchor.applied.index);
        self.anchor = anchor;
    }

    pub fn resume(&self, seed: u64) -> Manager {
        let state = record::restore(self.anchor.applied.index, self.rows.clone()).unwrap();
        let mut anchor = self.anchor.clone();
        anchor.hard_state = self.hard_state;
        anchor.hard_state.commit = self.hard_state.commit.max(anchor.applied.index);
        let (before, entries) = (self.before, self.entries.clone());
        let log = Restored {
            anchor,
            before,
            entries,
        };
        Manager::new(state, Node::new(1, log, seed).unwrap())
    }

    fn keep(&mut self, rows: Vec<Row>) {
        for (key, row) in rows {
            match row {
                Some(bytes) => self.rows.insert(key, bytes),
                None => self.rows.remove(&key),
            };
        }
    }
}
