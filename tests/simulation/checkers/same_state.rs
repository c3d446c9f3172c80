//! Managers that have applied the log up to the same entry have the same log up to there, and the
//! same state.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use skep::manager::Manager;
use skep::model::record;
use skep::model::state::State;

#[derive(Debug, Default)]
pub struct Checker {
    /// The term and the state's digest, by index.
    known: BTreeMap<u64, (u64, u64)>,
    /// What each manager's daemon had applied when it was last looked at.
    looked_at: BTreeMap<(u64, u64), u64>,
}

impl Checker {
    /// Whether the manager has applied something since it was last looked at.
    pub fn look(&mut self, life: (u64, u64), manager: &Manager) -> bool {
        let index = manager.state().index();
        let last = self.looked_at.insert(life, index);
        if last == Some(index) {
            return false;
        }
        assert!(last.is_none_or(|last| last < index), "the state went back");
        let applied = manager.raft().anchor().applied;
        assert_eq!(applied.index, index, "the state is not where its log is");
        let own = (applied.term, digest(manager.state()));
        let known = *self.known.entry(index).or_insert(own);
        let id = manager.raft().id();
        assert_eq!(known, own, "manager {id} differs at entry {index}");
        true
    }
}

fn digest(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    for id in state.objects() {
        record::row(state, id).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
