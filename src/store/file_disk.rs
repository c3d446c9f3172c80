//! A directory of the host as a [`Disk`], for one process at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use crate::store::disk::{Disk, DiskFile};

const LOCK_NAME: &str = "lock";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another skep daemon uses {}", .0.display())]
    Taken(PathBuf),
    #[error("cannot use {}: {source}", .directory.display())]
    Io {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The right to use a directory, until it is dropped or the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Creates the directory if need be, readable by its owner only, and takes it.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io {
            directory: directory.to_owned(),
            source,
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(io)?;
        let file = options().create(true).open(directory.join(LOCK_NAME));
        let file = file.map_err(io)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Taken(directory.to_owned())),
            Err(errno) => Err(io(errno.into())),
        }
    }
}

/// A locked directory.
#[derive(Debug)]
pub struct FileDisk {
    directory: PathBuf,
    _lock: DirectoryLock,
}

impl FileDisk {
    /// Takes a directory.
    pub fn open(directory: &Path) -> Result<Self, LockError> {
        Ok(Self {
            _lock: DirectoryLock::take(directory)?,
            directory: directory.to_owned(),
        })
    }
}

impl Disk for FileDisk {
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = options().open(self.directory.join(name))?;
        Ok(Box::new(HostFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = options()
            .create(true)
            .truncate(true)
            .open(self.directory.join(name))?;
        Ok(Box::new(HostFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| name != LOCK_NAME));
        }
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn describe(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

#[derive(Debug)]
struct HostFile(File);

impl DiskFile for HostFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let old = self.length()?;
        if length <= old {
            return self.0.set_len(length);
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), old, length - old) {
            // Some filesystems cannot reserve; there a full disk shows at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(length),
            done => Ok(done?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}
