//! A manager votes once in a term, whatever its daemon and its disk do in between.

use std::collections::BTreeMap;

use skep::raft::message::Message;

#[derive(Debug, Default)]
pub struct Checker {
    /// For whom a raft id has voted, by term.
    votes: BTreeMap<(u64, u64), u64>,
}

impl Checker {
    pub fn sends(&mut self, message: &Message) {
        if let Some((term, candidate)) = message.vote() {
            let voter = message.from();
            let first = *self.votes.entry((voter, term)).or_insert(candidate);
            assert_eq!(first, candidate, "{voter} votes twice in term {term}");
        }
    }
}
