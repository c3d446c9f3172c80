//! When the state goes to the checkpoint: every so many entries, after a while of quiet, at a clean
//! stop, and again after a failure. The log has everything in between, so none of this is urgent,
//! and each checkpoint costs a flash card some tens of kilobytes.

use std::collections::BTreeSet;

use crate::model::state::{ObjectId, State};
use crate::model::time::Time;
use crate::raft::record::Anchor;

const ENTRIES_MAX: u64 = 512;
/// So few entries are read back in no time; quiet alone is no reason to write.
const ENTRIES_MIN: u64 = 32;
const QUIET_MS: u64 = 10_000;
const RETRY_MS: u64 = 5_000;

/// How many entries there are between two checkpoints at most: what the swarm's settings say,
/// within what a start shall have to read back.
fn interval(state: &State) -> u64 {
    let interval = state.cluster().map(|c| c.spec.raft.snapshot_interval);
    interval.unwrap_or(ENTRIES_MAX).clamp(1, ENTRIES_MAX)
}

/// What the checkpoint on the disk lacks.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// Entries with changes that were applied since the last one.
    entries: u64,
    last_entry: Time,
    /// What is being written.
    writing: Option<Writing>,
    /// What a write that failed did not get to the disk.
    missing: BTreeSet<ObjectId>,
    failed: Option<(Time, String)>,
    /// The log on the disk fills up.
    hurry: bool,
}

/// A checkpoint on its way.
#[derive(Debug)]
struct Writing {
    applied: u64,
    ids: BTreeSet<ObjectId>,
    since: Time,
}

impl Checkpoint {
    /// Counts an entry that was applied.
    pub fn applied(&mut self, now: Time, is_empty: bool) {
        if !is_empty {
            self.entries += 1;
            self.last_entry = now;
        }
    }

    /// Notes that the log on the disk fills up.
    pub fn hurry(&mut self) {
        self.hurry = true;
    }

    /// Why the disk takes no more, if it does not.
    pub fn full(&self) -> Option<&str> {
        self.failed.as_ref().map(|(_, reason)| reason.as_str())
    }

    pub fn due(&self) -> Option<Time> {
        if self.writing.is_some() {
            return None;
        }
        let retry = self.failed.as_ref().map(|(at, _)| *at);
        let quiet = (self.entries >= ENTRIES_MIN).then_some(self.last_entry.plus_ms(QUIET_MS));
        retry.or(quiet)
    }

    /// The objects to write now, if it is time to, and the anchor that they are at.
    pub fn take(
        &mut self,
        now: Time,
        stopping: bool,
        state: &mut State,
        anchor: impl FnOnce() -> Anchor,
    ) -> Option<(Anchor, BTreeSet<ObjectId>)> {
        let has_failed = self.failed.is_some();
        let many = self.entries >= interval(state) || self.hurry || stopping;
        let wanted = (many && !has_failed) || self.due().is_some_and(|at| at <= now);
        let nothing = self.entries == 0 && !has_failed;
        if self.writing.is_some() || !wanted || nothing {
            return None;
        }
        let mut ids = state.take_touched();
        ids.append(&mut self.missing);
        let anchor = anchor();
        self.entries = 0;
        self.hurry = false;
        self.writing = Some(Writing {
            applied: anchor.applied.index,
            ids: ids.clone(),
            since: now,
        });
        Some((anchor, ids))
    }

    /// The write, whose beginning is returned, is on the disk; the log up to the index that is
    /// returned is no longer needed.
    pub fn done(&mut self) -> Option<(u64, Time)> {
        self.failed = None;
        let writing = self.writing.take();
        writing.map(|writing| (writing.applied, writing.since))
    }

    /// There was no room for the write, or for one to the log. It is tried again after a while.
    pub fn failed(&mut self, now: Time, reason: String) {
        self.failed = Some((now.plus_ms(RETRY_MS), reason));
        if let Some(writing) = self.writing.take() {
            self.missing.extend(writing.ids);
        }
    }
}
