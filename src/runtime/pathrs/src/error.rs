//! What went wrong, on which path.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A call that failed.
#[derive(Debug)]
pub struct Error {
    doing: &'static str,
    path: PathBuf,
    source: Errno,
}

impl Error {
    pub(crate) fn new(doing: &'static str, path: &Path, source: Errno) -> Self {
        Self {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.source)
    }
}

impl std::error::Error for Error {}
