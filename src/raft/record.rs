//! What consensus leaves on the disk, and starts from again.

use std::collections::BTreeSet;

use bytes::Bytes;
use raft_proto::eraftpb;
use serde::{Deserialize, Serialize};

/// What a member's disk holds cannot be: the state directory was damaged or mixed with another.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("the log on disk has entry {found} where {expected} belongs")]
    Gap { expected: u64, found: u64 },
    #[error("the log on disk ends at {last}, but {needed} was applied or committed")]
    Short { last: u64, needed: u64 },
    #[error("the log on disk begins after {before}, but only {applied} was applied")]
    Late { before: u64, applied: u64 },
    #[error("the log on disk has committed {committed}, but {applied} was applied")]
    Behind { committed: u64, applied: u64 },
    #[error("the log on disk has the number {0}, which no cluster reaches")]
    Number(u64),
    #[error("the members on disk are impossible")]
    Members(#[source] raft::Error),
    #[error("the members on disk contradict each other")]
    Contradiction,
}

/// Terms and indexes grow by one; no honest one comes near this, and raft adds to them unchecked.
pub(super) const NUMBER_MAX: u64 = 1 << 48;

/// A place in the log. The same place with the same term has the same log before it everywhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub index: u64,
    pub term: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub index: u64,
    pub term: u64,
    pub kind: EntryKind,
    /// Empty in the entry with which a leader opens its term. Clones share the bytes.
    pub data: Bytes,
}

/// Whether an entry is for the state machine or for consensus itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum EntryKind {
    /// Bytes that were proposed.
    Normal,
    /// A change of members; the node has taken it in, the state machine only counts it.
    Members,
}

/// What a member must remember before it answers anyone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct HardState {
    pub term: u64,
    /// The member that got this one's vote in the term, or 0.
    pub vote: u64,
    pub commit: u64,
}

/// Who the members are, by raft id.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfState {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    /// The voters that are being replaced, while a change of several members is under way.
    pub voters_outgoing: Vec<u64>,
    pub learners_next: Vec<u64>,
    pub auto_leave: bool,
}

impl ConfState {
    /// Whether each member is named once, and nothing is on its way unless something is replaced.
    fn is_consistent(&self) -> bool {
        let is_once = |ids: &[u64]| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
        let lists = [
            &self.voters,
            &self.learners,
            &self.voters_outgoing,
            &self.learners_next,
        ];
        let is_resting = self.learners_next.is_empty() && !self.auto_leave;
        lists.iter().all(|ids| is_once(ids)) && (is_resting || !self.voters_outgoing.is_empty())
    }
}

/// What stands in for the log up to `applied`, beside the state that has it applied.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    pub applied: Position,
    /// Its commit index is never below `applied`.
    pub hard_state: HardState,
    pub conf_state: ConfState,
}

impl Anchor {
    /// The anchor of a new cluster. Its log begins behind a first entry that nobody has, so that a
    /// member that joins later is sent the state, and with it who the members are.
    pub fn bootstrap(voters: Vec<u64>) -> Self {
        Self {
            applied: Position { index: 1, term: 1 },
            hard_state: HardState {
                term: 1,
                vote: 0,
                commit: 1,
            },
            conf_state: ConfState {
                voters,
                ..ConfState::default()
            },
        }
    }
}

/// What the disk remembers of consensus.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    pub anchor: Anchor,
    /// The entry before the first of `entries`; not after `anchor.applied`.
    pub before: Position,
    /// The log as far as it was written, without a gap.
    pub entries: Vec<Entry>,
}

impl Restored {
    /// Checks what raft would answer with a panic.
    pub(super) fn check(&self) -> Result<(), RestoreError> {
        let HardState { term, commit, .. } = self.anchor.hard_state;
        let applied = self.anchor.applied.index;
        let mut last = self.before;
        let numbers = [term, commit, applied, last.index, last.term];
        if let Some(number) = numbers.into_iter().find(|number| *number > NUMBER_MAX) {
            return Err(RestoreError::Number(number));
        }
        for entry in &self.entries {
            let (expected, found) = (last.index + 1, entry.index);
            if expected != found {
                return Err(RestoreError::Gap { expected, found });
            }
            last.index = found;
        }
        let (before, last) = (self.before.index, last.index);
        if before > applied {
            return Err(RestoreError::Late { before, applied });
        }
        let needed = commit.max(applied);
        if needed > last {
            return Err(RestoreError::Short { last, needed });
        }
        if commit < applied {
            let committed = commit;
            return Err(RestoreError::Behind { committed, applied });
        }
        match self.anchor.conf_state.is_consistent() {
            true => Ok(()),
            false => Err(RestoreError::Contradiction),
        }
    }
}

impl From<Anchor> for Restored {
    /// A log that begins after an anchor, and has nothing yet.
    fn from(anchor: Anchor) -> Self {
        Self {
            before: anchor.applied,
            anchor,
            entries: Vec::new(),
        }
    }
}

impl From<eraftpb::Entry> for Entry {
    fn from(entry: eraftpb::Entry) -> Self {
        let kind = match entry.entry_type {
            eraftpb::EntryType::EntryNormal => EntryKind::Normal,
            // Only the second encoding is ever proposed; see `Node::propose_members`.
            eraftpb::EntryType::EntryConfChange | eraftpb::EntryType::EntryConfChangeV2 => {
                EntryKind::Members
            }
        };
        Self {
            index: entry.index,
            term: entry.term,
            kind,
            data: entry.data,
        }
    }
}

impl From<Entry> for eraftpb::Entry {
    fn from(entry: Entry) -> Self {
        let entry_type = match entry.kind {
            EntryKind::Normal => eraftpb::EntryType::EntryNormal,
            EntryKind::Members => eraftpb::EntryType::EntryConfChangeV2,
        };
        Self {
            entry_type,
            term: entry.term,
            index: entry.index,
            data: entry.data,
            context: Bytes::new(),
        }
    }
}

impl From<eraftpb::HardState> for HardState {
    fn from(state: eraftpb::HardState) -> Self {
        Self {
            term: state.term,
            vote: state.vote,
            commit: state.commit,
        }
    }
}

impl From<HardState> for eraftpb::HardState {
    fn from(state: HardState) -> Self {
        Self {
            term: state.term,
            vote: state.vote,
            commit: state.commit,
        }
    }
}

impl From<eraftpb::ConfState> for ConfState {
    fn from(state: eraftpb::ConfState) -> Self {
        Self {
            voters: state.voters,
            learners: state.learners,
            voters_outgoing: state.voters_outgoing,
            learners_next: state.learners_next,
            auto_leave: state.auto_leave,
        }
    }
}

impl From<ConfState> for eraftpb::ConfState {
    fn from(state: ConfState) -> Self {
        Self {
            voters: state.voters,
            learners: state.learners,
            voters_outgoing: state.voters_outgoing,
            learners_next: state.learners_next,
            auto_leave: state.auto_leave,
        }
    }
}
