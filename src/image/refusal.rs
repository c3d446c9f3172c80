//! Why a layer is not unpacked, and the checks that refuse it.

use std::io;

use crate::image::header::{TarError, shown};

/// Why a layer was not unpacked. Nothing is kept of it.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("cannot create the layer's directory: {0}")]
    Create(io::Error),
    #[error("cannot {doing} \"{path}\": {source}")]
    Entry {
        doing: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("cannot write the layer's frames: {0}")]
    Frames(io::Error),
    #[error("no space left: the disk has {free} bytes free, of which {reserve} stay in reserve")]
    NoSpace { free: u64, reserve: u64 },
    #[error("\"{path}\" {problem}")]
    Refused { path: String, problem: &'static str },
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("the layer unpacks to more than {0} bytes")]
    TooLarge(u64),
}

impl UnpackError {
    /// Whether the disk is full, so that going on with other layers makes no sense.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Create(source) | Self::Entry { source, .. } | Self::Frames(source) => {
                use io::ErrorKind::{QuotaExceeded, StorageFull};
                matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            Self::Tar(TarError::Read(source)) => source.kind() == io::ErrorKind::StorageFull,
            Self::Refused { .. } | Self::Tar(_) | Self::TooLarge(_) => false,
        }
    }
}

/// A path as components below the layer's root, joined by single slashes.
pub fn inside(path: &[u8], bytes_max: usize) -> Result<Vec<u8>, UnpackError> {
    if path.len() > bytes_max {
        return refuse(path, "is too long a path");
    }
    if path.contains(&0) {
        return refuse(path, "is a path with a NUL in it");
    }
    let names = path.split(|b| *b == b'/');
    let names: Vec<&[u8]> = names.filter(|n| !n.is_empty() && *n != b".").collect();
    if names.contains(&&b".."[..]) {
        return refuse(path, "climbs out of the layer");
    }
    Ok(names.join(&b'/'))
}

/// Runs one step on the path of an entry.
pub fn attempt<T>(
    doing: &'static str,
    path: &[u8],
    run: impl FnOnce() -> io::Result<T>,
) -> Result<T, UnpackError> {
    run().map_err(|source| UnpackError::Entry {
        doing,
        path: shown(path),
        source,
    })
}

/// An entry that no layer may have.
pub fn refuse<T>(path: &[u8], problem: &'static str) -> Result<T, UnpackError> {
    let path = shown(path);
    Err(UnpackError::Refused { path, problem })
}

/// Whether the reserve is still free.
pub fn enough_space(
    space: rustix::io::Result<rustix::fs::StatVfs>,
    reserve: u64,
) -> Result<(), UnpackError> {
    let space = space.map_err(|e| UnpackError::Create(e.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < reserve {
        return Err(UnpackError::NoSpace { free, reserve });
    }
    Ok(())
}
