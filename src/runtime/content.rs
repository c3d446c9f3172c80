//! The content of files that a container is handed, in memory only, until its shim takes it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags};

/// The bytes of the files of a plan, one after another.
pub struct Content(File);

/// What prepared containers are handed when they start.
#[derive(Debug, Default)]
pub struct Contents(Mutex<BTreeMap<String, Content>>);

impl Content {
    /// Takes the bytes in; nobody can change them any more.
    pub fn new<'a>(files: impl Iterator<Item = &'a [u8]>) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut memory = File::from(rustix::fs::memfd_create("files", flags)?);
        for bytes in files {
            memory.write_all(bytes)?;
        }
        memory.rewind()?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memory, seals)?;
        Ok(Self(memory))
    }

    /// What a shim reads it from.
    pub fn into_file(self) -> File {
        self.0
    }
}

impl Contents {
    pub fn insert(&self, id: String, content: Content) {
        self.all().insert(id, content);
    }

    /// A container is handed its content once.
    pub fn take(&self, id: &str) -> Option<Content> {
        self.all().remove(id)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Content>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn content_is_read_from_its_start_and_cannot_be_changed() {
        let content = Content::new([&b"one"[..], b"two"].into_iter()).unwrap();
        let mut file = content.into_file();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "onetwo");
        assert!(file.write_all(b"three").is_err());
    }
}
