//! A term has one leader at most.

use std::collections::BTreeMap;

use skep::manager::Manager;
use skep::raft::node::Role;

#[derive(Debug, Default)]
pub struct Checker {
    /// By term.
    leaders: BTreeMap<u64, u64>,
}

impl Checker {
    pub fn look(&mut self, manager: &Manager) {
        let raft = manager.raft();
        if raft.leadership().role == Role::Leader {
            let leader = *self.leaders.entry(raft.term()).or_insert_with(|| raft.id());
            assert_eq!(leader, raft.id(), "term {} has two leaders", raft.term());
        }
    }
}
