//! What a store holds, unreadable without a key that lies elsewhere: the data of log entries and
//! the values of rows. Where an entry stands in the log and the keys of rows, which are ids, stay
//! readable, so that the formats below are the same and damage is found without the key.

use std::io;

use crate::host::rng::random;
use crate::identity::seal::{DoesNotOpen, SealKey};
use crate::raft::record::Entry;

/// Seals and opens under one key.
#[derive(Debug)]
pub struct Sealer(SealKey);

impl Sealer {
    pub fn new(key: SealKey) -> Self {
        Self(key)
    }

    pub(super) fn seal_entry(&self, entry: &Entry) -> io::Result<Entry> {
        let data = match entry.data.is_empty() {
            // A leader's first entry says nothing.
            true => Vec::new(),
            false => self.seal(&about_entry(entry), &entry.data)?,
        };
        let data = data.into();
        Ok(Entry { data, ..*entry })
    }

    pub(super) fn open_entry(&self, entry: &Entry) -> Result<Entry, DoesNotOpen> {
        let data = match entry.data.is_empty() {
            true => Vec::new(),
            false => self.open(&about_entry(entry), &entry.data)?,
        };
        let data = data.into();
        Ok(Entry { data, ..*entry })
    }

    pub(super) fn seal_row(&self, key: &[u8], value: &[u8]) -> io::Result<Vec<u8>> {
        self.seal(&about_row(key), value)
    }

    pub(super) fn open_row(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.open(&about_row(key), value)
    }

    fn seal(&self, about: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
        let nonce = random().map_err(io::Error::other)?;
        self.0.seal(nonce, about, plain).map_err(io::Error::other)
    }

    fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        Ok(std::mem::take(&mut *self.0.open(about, sealed)?))
    }
}

/// Bytes that were moved to another place do not open there.
fn about_entry(entry: &Entry) -> Vec<u8> {
    let (index, term) = (entry.index.to_le_bytes(), entry.term.to_le_bytes());
    [&b"entry"[..], &index, &term].concat()
}

fn about_row(key: &[u8]) -> Vec<u8> {
    [b"row", key].concat()
}
