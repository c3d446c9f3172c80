//! A manager's store: the journal in front of the checkpoint.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::raft::record::{Anchor, Entry, HardState, Restored};
use crate::store::checkpoint::{self, Changes, Checkpoint};
use crate::store::disk::Disk;
use crate::store::error::{Damage, StoreError};
use crate::store::journal::{Journal, Recovered};
use crate::store::sealer::Sealer;

/// The format of the record about the rows in the checkpoint.
const FORMAT: u16 = 1;

/// The log and the state of one manager.
#[derive(Debug)]
pub struct ManagerStore {
    place: String,
    journal: Journal,
    checkpoint: Checkpoint,
    /// Without one, everything lies open: for what looks at the bytes.
    sealer: Option<Sealer>,
    /// Set by a failure that is not passing; nothing is written after it.
    failed: bool,
}

/// What the checkpoint's rows are.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// They are the state at it.
    anchor: Anchor,
    /// The log begins anew after it. A journal that does not say so is older, and void.
    begins: bool,
}

/// What a store remembers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Opened {
    pub log: Restored,
    /// The state as of `log.anchor.applied`, by key.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Opened {
    /// Whether nothing was ever stored: this manager is in no cluster.
    pub fn is_new(&self) -> bool {
        self.log == Restored::default() && self.rows.is_empty()
    }
}

impl ManagerStore {
    /// Opens the store on a disk, or makes an empty one, and reads it.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Opened), StoreError> {
        let place = disk.describe("");
        let names = disk.list();
        let names = names.map_err(|source| StoreError::io("list", place.clone(), source))?;
        let mut checkpoint = Checkpoint::open(Arc::clone(&disk))?;
        let contents = checkpoint.load()?;
        let record = decode(&contents.meta, || disk.describe(checkpoint::FILE))?;
        if !Journal::exists(&names) {
            // An anchor is written only when there is a journal.
            if record.anchor != Anchor::default() {
                let file = disk.describe("journal-0");
                return Err(StoreError::Missing { file });
            }
            Journal::create(&disk)?;
        }
        // After a kill, a name may be in the host's memory only.
        let synced = disk.sync();
        synced.map_err(|source| StoreError::Sync {
            file: place.clone(),
            source,
        })?;
        let (mut journal, mut recovered) = Journal::open(&disk)?;
        let applied = record.anchor.applied;
        if record.begins && recovered.before != applied {
            journal.begin(applied);
            recovered.before = applied;
            recovered.entries.clear();
        }
        let log = merge(record.anchor, recovered).map_err(|what| StoreError::Damaged {
            file: place.clone(),
            what,
        })?;
        journal.cut(applied);
        let rows = contents.rows;
        let store = Self {
            place,
            journal,
            checkpoint,
            sealer: None,
            failed: false,
        };
        Ok((store, Opened { log, rows }))
    }

    /// The same for a store whose contents only `sealer` reads.
    pub fn open_sealed(disk: Arc<dyn Disk>, sealer: Sealer) -> Result<(Self, Opened), StoreError> {
        let (mut store, mut opened) = Self::open(disk)?;
        let damaged = |what| {
            let file = store.place.clone();
            StoreError::Damaged { file, what }
        };
        for entry in &mut opened.log.entries {
            let index = entry.index;
            let open = sealer.open_entry(entry);
            *entry = open.map_err(|_| damaged(Damage::SealedEntry { index }))?;
        }
        for (key, value) in &mut opened.rows {
            let open = sealer.open_row(key, value);
            *value = open.map_err(|_| damaged(Damage::SealedRow))?;
        }
        store.sealer = Some(sealer);
        Ok((store, opened))
    }

    /// Puts one write of consensus on the disk: `entries` replace the log from the first of them
    /// on. It is there for good when this returns.
    pub fn append(&mut self, entries: &[Entry], hard_state: HardState) -> Result<(), StoreError> {
        self.check()?;
        let appended = match &self.sealer {
            None => self.journal.append(entries, hard_state),
            Some(sealer) => {
                let sealed: io::Result<Vec<_>> =
                    entries.iter().map(|e| sealer.seal_entry(e)).collect();
                let sealed = sealed.map_err(|source| self.unsealed(source));
                sealed.and_then(|sealed| self.journal.append(&sealed, hard_state))
            }
        };
        self.note(appended)
    }

    /// Puts the rows that changed since the last checkpoint on the disk (`None` removes one), with
    /// the anchor that they are the state at, all or nothing; the journal may then forget the log
    /// up to it. All of the log up to there must have been appended before.
    pub fn checkpoint(&mut self, anchor: &Anchor, rows: &Changes) -> Result<(), StoreError> {
        self.check()?;
        let meta = encode(anchor, self.journal.is_anew());
        let rows = self.sealed(rows)?;
        let committed = self.checkpoint.commit(&meta, &rows);
        self.note(committed)?;
        self.journal.cut(anchor.applied);
        Ok(())
    }

    /// Puts a whole state on the disk, in the place of the state and the log that were there, all
    /// or nothing. The log begins anew after its anchor.
    pub fn begin(&mut self, anchor: &Anchor, rows: &Changes) -> Result<(), StoreError> {
        self.check()?;
        let rows = self.sealed(rows)?;
        let replaced = self.checkpoint.replace(&encode(anchor, true), &rows);
        self.note(replaced)?;
        self.journal.begin(anchor.applied);
        Ok(())
    }

    /// Whether a checkpoint should be made soon, because the journal fills up.
    pub fn is_checkpoint_due(&self) -> bool {
        self.journal.is_checkpoint_due()
    }

    fn sealed<'a>(&self, rows: &'a Changes) -> Result<Cow<'a, Changes>, StoreError> {
        let Some(sealer) = &self.sealer else {
            return Ok(Cow::Borrowed(rows));
        };
        let seal = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            let value = value.as_ref().map(|value| sealer.seal_row(key, value));
            Ok((key.clone(), value.transpose()?))
        };
        let sealed: io::Result<Vec<_>> = rows.iter().map(seal).collect();
        let sealed = sealed.map_err(|source| self.unsealed(source))?;
        Ok(Cow::Owned(sealed))
    }

    fn unsealed(&self, source: io::Error) -> StoreError {
        StoreError::io("seal what goes to", self.place.clone(), source)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.failed {
            let place = self.place.clone();
            return Err(StoreError::Failed { place });
        }
        Ok(())
    }

    fn note(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        self.failed |= result.as_ref().is_err_and(|error| !error.is_passing());
        result
    }
}

fn encode(anchor: &Anchor, begins: bool) -> Vec<u8> {
    let record = Record {
        anchor: anchor.clone(),
        begins,
    };
    postcard::to_extend(&record, FORMAT.to_le_bytes().to_vec())
        .expect("plain numbers always encode")
}

fn decode(meta: &[u8], file: impl Fn() -> String) -> Result<Record, StoreError> {
    if meta.is_empty() {
        return Ok(Record::default());
    }
    let damaged = || StoreError::Damaged {
        file: file(),
        what: Damage::Anchor,
    };
    let (format, record) = meta.split_first_chunk().ok_or_else(damaged)?;
    match u16::from_le_bytes(*format) {
        FORMAT => postcard::from_bytes(record).map_err(|_| damaged()),
        found => Err(StoreError::Format {
            file: file(),
            found: found.into(),
            known: FORMAT.into(),
        }),
    }
}

/// Puts the checkpoint and the log together.
fn merge(mut anchor: Anchor, recovered: Recovered) -> Result<Restored, Damage> {
    let Recovered {
        hard_state,
        before,
        entries,
    } = recovered;
    let applied = anchor.applied.index;
    let last = entries.last().map_or(before.index, |entry| entry.index);
    if last < applied {
        return Err(Damage::Short { last, applied });
    }
    // The checkpoint may have seen a later term than the last record; a vote is for its term.
    if hard_state.term >= anchor.hard_state.term {
        let commit = hard_state.commit.max(anchor.hard_state.commit);
        anchor.hard_state = HardState {
            commit,
            ..hard_state
        };
    }
    Ok(Restored {
        anchor,
        before,
        entries,
    })
}

#[cfg(test)]
mod tests;
