//! Entries of the same index and term are the same, whoever writes them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use skep::raft::record::{Entry, EntryKind};

#[derive(Debug, Default)]
pub struct Checker {
    /// The digest of each entry, by index and term.
    known: BTreeMap<(u64, u64), u64>,
}

impl Checker {
    pub fn look(&mut self, entries: &[Entry]) {
        for entry in entries {
            let place = (entry.index, entry.term);
            let mut hasher = DefaultHasher::new();
            (entry.kind == EntryKind::Members).hash(&mut hasher);
            entry.data.hash(&mut hasher);
            let own = hasher.finish();
            let known = *self.known.entry(place).or_insert(own);
            assert_eq!(known, own, "entry {place:?} is not the same everywhere");
        }
    }
}
