//! A backup: the whole state in one file, from which a host goes on with the swarm.
//!
//! ```text
//!  byte 0   "skepbkup", format u16, little endian: 1
//!  parts    length u32, little endian, and a Part in postcard:
//!             Head(where in the log the state is)   Rows(some of its rows) …   End
//!  32 bytes SHA-256 of everything before
//! ```
//!
//! The state has the root's key, the tokens and the secrets, so the file is worth as much as a
//! manager. Which node it was made on is not in it: whoever restores becomes a node of its own, and
//! no two hosts are ever one node.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manager::Manager;
use crate::model::record::{self, RecordError};
use crate::model::state::Object;
use crate::raft::record::{Anchor, Restored};
use crate::store::manager_store::Opened;

const MAGIC: &[u8; 8] = b"skepbkup";
const FORMAT: u16 = 1;
const DIGEST_BYTES: usize = 32;
/// A part ends with the row that crosses this.
const PART_BYTES: usize = 256 << 10;
/// No row comes near this.
const PART_BYTES_MAX: usize = 16 << 20;
const BACKUP_BYTES_MAX: usize = 512 << 20;

/// The state of a swarm at one moment. Its objects are shared, not copied.
#[derive(Clone, Debug)]
pub struct Backup {
    anchor: Anchor,
    objects: Vec<Object>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Part {
    Head(Anchor),
    Rows(Vec<(Vec<u8>, Vec<u8>)>),
    End,
}

/// Why no backup was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot write the backup: {0}")]
    Io(#[from] io::Error),
    #[error("a part of the state does not encode: {0}")]
    Row(#[from] RecordError),
    #[error("a part of the state does not encode: {0}")]
    Part(#[from] postcard::Error),
    #[error("a part of the state has {0} bytes")]
    TooLong(usize),
}

/// Why a file is no backup that a host could go on from.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the backup: {0}")]
    Io(#[from] io::Error),
    #[error("this is no backup of a swarm")]
    NoBackup,
    #[error("the backup has format {0}, and this version knows format {FORMAT}: use a newer one")]
    Format(u16),
    #[error("the backup is cut off or damaged")]
    Damaged,
    #[error("the backup has more than {BACKUP_BYTES_MAX} bytes")]
    TooLong,
}

impl Manager {
    /// The state as it is.
    pub fn backup(&self) -> Backup {
        let objects = self.state.objects();
        let objects = objects.filter_map(|id| self.state.object(id)).collect();
        let anchor = self.raft.anchor();
        Backup { anchor, objects }
    }
}

impl Backup {
    /// Writes the file.
    pub fn write(self, out: &mut impl Write) -> Result<(), WriteError> {
        let mut out = Summed::new(out);
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        put(&mut out, &Part::Head(self.anchor))?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for object in self.objects {
            let row = record::encode_row(&object)?;
            bytes += row.0.len() + row.1.len();
            rows.push(row);
            if bytes >= PART_BYTES {
                put(&mut out, &Part::Rows(std::mem::take(&mut rows)))?;
                bytes = 0;
            }
        }
        put(&mut out, &Part::Rows(rows))?;
        put(&mut out, &Part::End)?;
        let digest = out.sum.finalize();
        Ok(out.inner.write_all(&digest)?)
    }
}

fn put(out: &mut impl Write, part: &Part) -> Result<(), WriteError> {
    let body = postcard::to_allocvec(part)?;
    let length = u32::try_from(body.len()).ok();
    let length = length.filter(|_| body.len() <= PART_BYTES_MAX);
    let length = length.ok_or(WriteError::TooLong(body.len()))?;
    out.write_all(&length.to_le_bytes())?;
    Ok(out.write_all(&body)?)
}

/// Reads a file to its end, from anywhere: what a store would have that holds it, once all of it
/// has proved to be whole.
pub fn read(input: impl Read) -> Result<Opened, ReadError> {
    let mut input = Summed::new(input);
    let mut start = [0; 10];
    fill(&mut input, &mut start).map_err(|error| match error {
        ReadError::Damaged => ReadError::NoBackup,
        other => other,
    })?;
    let (magic, format) = start.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(ReadError::NoBackup);
    }
    match u16::from_le_bytes([format[0], format[1]]) {
        FORMAT => {}
        other => return Err(ReadError::Format(other)),
    }
    let Part::Head(anchor) = take(&mut input)? else {
        return Err(ReadError::Damaged);
    };
    let mut rows = Vec::new();
    loop {
        match take(&mut input)? {
            Part::Head(_) => return Err(ReadError::Damaged),
            Part::Rows(more) => rows.extend(more),
            Part::End => break,
        }
        if input.bytes > BACKUP_BYTES_MAX {
            return Err(ReadError::TooLong);
        }
    }
    let digest = input.sum.clone().finalize();
    let mut found = [0; DIGEST_BYTES];
    fill(&mut input.inner, &mut found)?;
    let is_at_end = input.inner.read(&mut [0])? == 0;
    match digest.as_slice() == found && is_at_end {
        true => Ok(Opened {
            log: Restored::from(anchor),
            rows,
        }),
        false => Err(ReadError::Damaged),
    }
}

fn take(input: &mut impl Read) -> Result<Part, ReadError> {
    let mut length = [0; 4];
    fill(input, &mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > PART_BYTES_MAX {
        return Err(ReadError::Damaged);
    }
    let mut body = vec![0; length];
    fill(input, &mut body)?;
    match postcard::take_from_bytes(&body) {
        Ok((part, [])) => Ok(part),
        Ok(_) | Err(_) => Err(ReadError::Damaged),
    }
}

fn fill(input: &mut impl Read, into: &mut [u8]) -> Result<(), ReadError> {
    input.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Damaged,
        _ => ReadError::Io(error),
    })
}

/// Something that is read or written, and the digest of what went through.
struct Summed<T> {
    inner: T,
    sum: Sha256,
    bytes: usize,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        let sum = Sha256::new();
        let bytes = 0;
        Self { inner, sum, bytes }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.sum.update(bytes);
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.add(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::manager::genesis::genesis;
    use crate::manager::tests::swarm::a_genesis;
    use crate::model::change::Batch;
    use crate::model::state::State;
    use crate::model::time::Time;

    fn state() -> State {
        let mut state = State::default();
        let changes = genesis(a_genesis(), Time(5));
        let at = Time(5);
        state.apply(1, &Batch { at, changes });
        state
    }

    fn written() -> Vec<u8> {
        let state = state();
        let objects = state.objects().filter_map(|id| state.object(id));
        let backup = Backup {
            anchor: Anchor::bootstrap(vec![1]),
            objects: objects.collect(),
        };
        let mut bytes = Vec::new();
        backup.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_state_comes_back_from_its_backup() {
        let opened = read(&written()[..]).unwrap();
        assert_eq!(opened.log, Restored::from(Anchor::bootstrap(vec![1])));
        let (restored, state) = (record::restore(1, opened.rows).unwrap(), state());
        assert!(restored.objects().eq(state.objects()));
        assert_eq!(restored.cluster(), state.cluster());
    }

    #[test]
    fn what_is_not_whole_is_no_backup() {
        let bytes = written();
        for length in 0..bytes.len() {
            read(&bytes[..length]).unwrap_err();
        }
        for place in 0..bytes.len() {
            let mut rotten = bytes.clone();
            rotten[place] ^= 1;
            assert!(read(&rotten[..]).is_err(), "byte {place}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer[..]), Err(ReadError::Damaged)));
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(
            read(&newer[..]).unwrap_err().to_string(),
            "the backup has format 2, and this version knows format 1: use a newer one"
        );
        assert!(matches!(
            read(&b"#!/bin/sh\nexit"[..]),
            Err(ReadError::NoBackup)
        ));
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_take_too_much() {
        let mut rng = Rng::from_seed(3);
        for _ in 0..2_000 {
            let length = usize::try_from(rng.below(60)).unwrap();
            let random = (0..length).map(|_| rng.next_u64().to_le_bytes()[0]);
            let bytes: Vec<u8> = MAGIC.iter().copied().chain([1, 0]).chain(random).collect();
            assert!(read(&bytes[..]).is_err());
        }
    }
}
