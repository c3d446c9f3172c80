//! What can go wrong with a store, and whether one may go on after it.

use std::io;

/// A store operation that failed. Unless [`StoreError::is_passing`], the process must end: what is
/// on the disk is no longer known, and an fsync is never tried twice.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is full: cannot write {file}")]
    Full {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} cannot take {bytes} bytes at once, at most {bytes_max}")]
    TooLarge {
        file: String,
        bytes: usize,
        bytes_max: usize,
    },
    #[error("cannot sync {file}: {source}; what it holds is unknown until a restart")]
    Sync {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {action} {file}: {source}")]
    Io {
        action: &'static str,
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} is damaged: {what}")]
    Damaged { file: String, what: Damage },
    #[error("{file} has format {found}; this skep reads format {known}")]
    Format {
        file: String,
        found: u32,
        known: u32,
    },
    #[error("{file} is missing, though the rest of the store is there")]
    Missing { file: String },
    #[error("the store in {place} failed before; the daemon has to start again")]
    Failed { place: String },
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("it is none of skep's files")]
    Magic,
    #[error("no record at byte {at} but one at byte {later}")]
    Hole { at: u64, later: u64 },
    #[error("it has no complete record")]
    Empty,
    #[error("the record at byte {at} does not decode")]
    Record { at: u64 },
    #[error("the record at byte {at} goes on with entry {index} after entry {last}")]
    Gap { at: u64, index: u64, last: u64 },
    #[error("it ends at entry {last}, but the checkpoint has applied {applied}")]
    Short { last: u64, applied: u64 },
    #[error("its log has another entry {index} than the checkpoint")]
    Fork { index: u64 },
    #[error("its anchor does not decode")]
    Anchor,
    #[error("entry {index} does not open: the key is not its own, or it was changed")]
    SealedEntry { index: u64 },
    #[error("a row does not open: the key is not its own, or it was changed")]
    SealedRow,
    #[error("redb: {0}")]
    Redb(Box<redb::Error>),
}

impl StoreError {
    /// Whether nothing has changed and the same call may be made again, once there is room.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::TooLarge { .. })
    }

    /// A failed write or read, told from a full disk.
    pub(super) fn io(action: &'static str, file: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { file, source }
            }
            _ => Self::Io {
                action,
                file,
                source,
            },
        }
    }
}
