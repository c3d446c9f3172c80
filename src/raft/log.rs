//! The tail of the log in memory: what raft reads, and what a follower that lags is sent.

use std::collections::VecDeque;

use raft::util::limit_size;
use raft::{GetEntriesContext, RaftState, Result, Storage, StorageError};
use raft_proto::eraftpb::{ConfState, Entry, HardState, Snapshot, SnapshotMetadata};

use crate::raft::record::{Anchor, Position, Restored};

/// The most bytes of the applied log that are kept for followers that lag; beyond, they need the
/// whole state.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A log without a gap, from the entry after `before` on.
#[derive(Debug)]
pub struct Log {
    before: Position,
    entries: VecDeque<Entry>,
    hard_state: HardState,
    conf_state: ConfState,
    /// The last entry that was applied, at which `conf_state` is.
    applied: Position,
}

impl Log {
    /// The log as it was on the disk.
    pub fn new(restored: Restored) -> Self {
        Self {
            before: restored.before,
            entries: restored.entries.into_iter().map(Entry::from).collect(),
            applied: restored.anchor.applied,
            hard_state: restored.anchor.hard_state.into(),
            conf_state: restored.anchor.conf_state.into(),
        }
    }

    /// Takes new entries; what was there from the first of them on is void.
    pub fn append(&mut self, entries: &[Entry]) {
        if let Some(first) = entries.first() {
            self.entries.truncate(self.offset(first.index));
            self.entries.extend(entries.iter().cloned());
        }
    }

    /// Notes how far the state is.
    pub fn applied(&mut self, anchor: &Anchor) {
        self.applied = anchor.applied;
        self.conf_state = anchor.conf_state.clone().into();
    }

    /// Drops the entries up to `applied`, but for the last `kept` that a follower may ask for.
    pub fn compact(&mut self, applied: u64, kept: u64) {
        let mut applied_count = self.offset(applied + 1).min(self.entries.len());
        let mut kept_bytes: usize = self.entries.iter().map(|entry| entry.data.len()).sum();
        while applied_count > 0 {
            let few = u64::try_from(applied_count).is_ok_and(|count| count <= kept);
            if few && kept_bytes <= KEPT_BYTES_MAX {
                break;
            }
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            applied_count -= 1;
            kept_bytes -= entry.data.len();
            self.before = Position {
                index: entry.index,
                term: entry.term,
            };
        }
    }

    /// Where an entry lies in `entries`; too large a number if it is not there.
    fn offset(&self, index: u64) -> usize {
        let offset = index.saturating_sub(self.before.index + 1);
        usize::try_from(offset).unwrap_or(usize::MAX)
    }

    fn last(&self) -> u64 {
        self.entries
            .back()
            .map_or(self.before.index, |entry| entry.index)
    }
}

impl Storage for Log {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard_state, self.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        size_max: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.before.index {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let range = self.offset(low)..self.offset(high);
        let mut entries = self.entries.range(range).cloned().collect();
        limit_size(&mut entries, size_max.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.before.index {
            return Ok(self.before.term);
        }
        if index < self.before.index {
            return Err(StorageError::Compacted.into());
        }
        let entry = self.entries.get(self.offset(index));
        Ok(entry.ok_or(StorageError::Unavailable)?.term)
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.before.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    /// Names the state that there is. What is in it is the caller's: see `Ready::snapshots`.
    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        if self.applied.index < request_index.max(1) {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(Snapshot {
            metadata: SnapshotMetadata {
                conf_state: self.conf_state.clone(),
                index: self.applied.index,
                term: self.applied.term,
            },
            ..Snapshot::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(before: u64, last: u64, bytes: usize) -> Log {
        let entry = |index| Entry {
            index,
            term: 1,
            data: vec![0; bytes].into(),
            ..Entry::default()
        };
        Log {
            before: Position {
                index: before,
                term: 1,
            },
            entries: (before + 1..=last).map(entry).collect(),
            hard_state: HardState::default(),
            conf_state: ConfState::default(),
            applied: Position::default(),
        }
    }

    #[track_caller]
    fn check(mut log: Log, applied: u64, first_after: u64) {
        log.compact(applied, 500);
        assert_eq!(log.first_index().unwrap(), first_after);
        assert_eq!(log.term(first_after - 1).unwrap(), 1);
        assert_eq!(log.term(first_after - 2).unwrap_err().to_string(), {
            raft::Error::from(StorageError::Compacted).to_string()
        });
    }

    #[test]
    fn compaction_keeps_some_applied_entries_for_followers() {
        check(log(5, 400, 10), 400, 6);
        check(log(5, 2_000, 10), 1_000, 501);
    }

    #[test]
    fn compaction_keeps_few_large_entries() {
        check(log(5, 20, 1 << 20), 20, 17);
    }

    #[test]
    fn compaction_never_drops_what_is_not_applied() {
        check(log(5, 20, 1 << 20), 8, 9);
        check(log(5, 20, 1 << 20), 5, 6);
    }

    #[test]
    fn new_entries_void_the_old_tail() {
        let mut log = log(5, 20, 1);
        log.append(&[Entry {
            index: 10,
            term: 2,
            ..Entry::default()
        }]);
        assert_eq!((log.last(), log.term(10).unwrap()), (10, 2));
        assert!(log.term(11).is_err());
    }
}
