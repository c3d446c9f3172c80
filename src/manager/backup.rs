//! A backup: the whole state in one file, from which a host goes on with the swarm.
//!
//! ```text
//!  byte 0   "skepbkup", format u16, little endian: 1
//!  lock     length u16, little endian, and a key sealed under the swarm's unlock key; 0 if it has
//!           none
//!  parts    length u32, little endian, and a Part in postcard, sealed under the key of the lock:
//!             Head(where in the log the state is)   Rows(some of its rows) …   End
//!  32 bytes SHA-256 of everything before
//! ```
//!
//! The state has the root's key, the tokens and the secrets, so the file is worth as much as a
//! manager; in a swarm that locks its managers, it is locked as they are. Which node it was made on
//! is not in it: whoever restores becomes a node of its own, and no two hosts are ever one node.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::rng::{EntropyError, random};
use crate::identity::seal::{self, SealKey};
use crate::identity::unlock::UnlockKey;
use crate::manager::Manager;
use crate::model::record::{self, RecordError};
use crate::model::state::Object;
use crate::model::trust::UnlockSecret;
use crate::raft::record::{Anchor, Restored};
use crate::store::manager_store::Opened;

const MAGIC: &[u8; 8] = b"skepbkup";
const FORMAT: u16 = 1;
const DIGEST_BYTES: usize = 32;
/// No sealed key comes near this.
const LOCK_BYTES_MAX: usize = 256;
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
    lock: Option<UnlockSecret>,
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
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Seal(#[from] seal::TooLong),
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
    #[error("the backup is locked: give the unlock key that its swarm had then")]
    Locked,
    #[error("the backup could not be unlocked: invalid key provided")]
    WrongUnlockKey,
    #[error("the backup has more than {BACKUP_BYTES_MAX} bytes")]
    TooLong,
}

impl Manager {
    /// The state as it is.
    pub fn backup(&self) -> Backup {
        let objects = self.state.objects();
        let objects = objects.filter_map(|id| self.state.object(id)).collect();
        Backup {
            anchor: self.raft.anchor(),
            objects,
            lock: self
                .state
                .cluster()
                .and_then(|cluster| cluster.trust.unlock),
        }
    }
}

impl Backup {
    /// Writes the file.
    pub fn write(self, out: &mut impl Write) -> Result<(), WriteError> {
        let mut out = Summed::new(out);
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        let (mut seal, lock) = Seal::draw(self.lock)?;
        let length = u16::try_from(lock.len()).map_err(|_| WriteError::TooLong(lock.len()))?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&lock)?;
        let mut put = |part: &Part| seal.put(&mut out, part);
        put(&Part::Head(self.anchor))?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for object in self.objects {
            let row = record::encode_row(&object)?;
            bytes += row.0.len() + row.1.len();
            rows.push(row);
            if bytes >= PART_BYTES {
                put(&Part::Rows(std::mem::take(&mut rows)))?;
                bytes = 0;
            }
        }
        put(&Part::Rows(rows))?;
        put(&Part::End)?;
        let digest = out.sum.finalize();
        Ok(out.inner.write_all(&digest)?)
    }
}

/// What the parts are sealed under, if they are, and how many there were.
struct Seal {
    key: Option<SealKey>,
    parts: u64,
}

impl Seal {
    /// A new key, and the same for whoever has the unlock key.
    fn draw(lock: Option<UnlockSecret>) -> Result<(Self, Vec<u8>), WriteError> {
        let (mut key, mut lock_bytes) = (None, Vec::new());
        if let Some(UnlockSecret(unlock)) = lock {
            let drawn = SealKey::from_bytes(random()?);
            lock_bytes = UnlockKey::from_bytes(unlock).wrap(random()?, &drawn)?;
            key = Some(drawn);
        }
        Ok((Self { key, parts: 0 }, lock_bytes))
    }

    /// The key that a file's lock holds.
    fn unlock(lock: &[u8], unlock: Option<&UnlockKey>) -> Result<Self, ReadError> {
        let mut key = None;
        if !lock.is_empty() {
            let unlocked = unlock.ok_or(ReadError::Locked)?.unwrap(lock);
            key = Some(unlocked.map_err(|_| ReadError::WrongUnlockKey)?);
        }
        Ok(Self { key, parts: 0 })
    }

    /// What the next part is about: none may take the place of another.
    fn next(&mut self) -> Vec<u8> {
        self.parts += 1;
        [b"backup part", &self.parts.to_le_bytes()[..]].concat()
    }

    fn put(&mut self, out: &mut impl Write, part: &Part) -> Result<(), WriteError> {
        let mut body = postcard::to_allocvec(part)?;
        let about = self.next();
        if let Some(key) = &self.key {
            body = key.seal(random()?, &about, &body)?;
        }
        let length = u32::try_from(body.len()).ok();
        let length = length.filter(|_| body.len() <= PART_BYTES_MAX);
        let length = length.ok_or(WriteError::TooLong(body.len()))?;
        out.write_all(&length.to_le_bytes())?;
        Ok(out.write_all(&body)?)
    }

    fn take(&mut self, input: &mut impl Read) -> Result<Part, ReadError> {
        let mut length = [0; 4];
        fill(input, &mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > PART_BYTES_MAX {
            return Err(ReadError::Damaged);
        }
        let mut body = vec![0; length];
        fill(input, &mut body)?;
        let about = self.next();
        if let Some(key) = &self.key {
            let opened = key.open(&about, &body);
            body = std::mem::take(&mut *opened.map_err(|_| ReadError::Damaged)?);
        }
        match postcard::take_from_bytes(&body) {
            Ok((part, [])) => Ok(part),
            Ok(_) | Err(_) => Err(ReadError::Damaged),
        }
    }
}

/// Whether a file that starts so, with twelve bytes at least, wants an unlock key.
pub fn is_locked(start: &[u8]) -> bool {
    let lock = start.strip_prefix(MAGIC).and_then(|rest| rest.get(2..4));
    lock.is_some_and(|length| length != [0, 0])
}

/// Reads a file to its end, from anywhere: what a store would have that holds it, once all of it
/// has proved to be whole.
pub fn read(input: impl Read, unlock: Option<&UnlockKey>) -> Result<Opened, ReadError> {
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
    let mut seal = Seal::unlock(&lock(&mut input)?, unlock)?;
    let Part::Head(anchor) = seal.take(&mut input)? else {
        return Err(ReadError::Damaged);
    };
    let mut rows = Vec::new();
    loop {
        match seal.take(&mut input)? {
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

fn lock(input: &mut impl Read) -> Result<Vec<u8>, ReadError> {
    let mut length = [0; 2];
    fill(input, &mut length)?;
    let length = usize::from(u16::from_le_bytes(length));
    if length > LOCK_BYTES_MAX {
        return Err(ReadError::Damaged);
    }
    let mut lock = vec![0; length];
    fill(input, &mut lock)?;
    Ok(lock)
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

    fn written(lock: Option<UnlockSecret>) -> Vec<u8> {
        let state = state();
        let objects = state.objects().filter_map(|id| state.object(id));
        let backup = Backup {
            anchor: Anchor::bootstrap(vec![1]),
            objects: objects.collect(),
            lock,
        };
        let mut bytes = Vec::new();
        backup.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_state_comes_back_from_its_backup() {
        let opened = read(&written(None)[..], None).unwrap();
        assert_eq!(opened.log, Restored::from(Anchor::bootstrap(vec![1])));
        let (restored, state) = (record::restore(1, opened.rows).unwrap(), state());
        assert!(restored.objects().eq(state.objects()));
        assert_eq!(restored.cluster(), state.cluster());
    }

    #[test]
    fn a_locked_one_is_read_with_the_key_of_its_swarm_alone() {
        let bytes = written(Some(UnlockSecret([5; 32])));
        assert!(is_locked(&bytes) && !is_locked(&written(None)) && !is_locked(&bytes[..9]));
        let root = b"root";
        let shows = |bytes: &[u8]| bytes.windows(4).any(|part| part == root);
        assert!(shows(&written(None)) && !shows(&bytes));
        let [key, other] = [5, 6].map(|byte| UnlockKey::from_bytes([byte; 32]));
        let opened = read(&bytes[..], Some(&key)).unwrap();
        assert!(
            record::restore(1, opened.rows)
                .unwrap()
                .objects()
                .eq(state().objects())
        );
        let refused = [None, Some(&other)].map(|key| read(&bytes[..], key).unwrap_err());
        assert_eq!(
            refused.map(|error| error.to_string()),
            [
                "the backup is locked: give the unlock key that its swarm had then",
                "the backup could not be unlocked: invalid key provided",
            ]
        );
    }

    #[test]
    fn what_is_not_whole_is_no_backup() {
        let (secret, key) = ([5; 32], UnlockKey::from_bytes([5; 32]));
        for lock in [None, Some(UnlockSecret(secret))] {
            let bytes = written(lock);
            for length in 0..bytes.len() {
                read(&bytes[..length], Some(&key)).unwrap_err();
            }
            for place in 0..bytes.len() {
                let mut rotten = bytes.clone();
                rotten[place] ^= 1;
                assert!(read(&rotten[..], Some(&key)).is_err(), "byte {place}");
            }
        }
        let bytes = written(None);
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer[..], None), Err(ReadError::Damaged)));
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(
            read(&newer[..], None).unwrap_err().to_string(),
            "the backup has format 2, and this version knows format 1: use a newer one"
        );
        assert!(matches!(
            read(&b"#!/bin/sh\nexit"[..], None),
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
            assert!(read(&bytes[..], None).is_err());
        }
    }
}
