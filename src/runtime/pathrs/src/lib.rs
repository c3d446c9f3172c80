//! Stands in for the `pathrs` crate, of which libcontainer and libcgroups use a few calls: paths
//! are looked up within a container's root, and files of procfs where nothing lies over them. It
//! stands on openat2(2), which is older than the calls by which libcontainer mounts.

pub mod error;
pub mod flags;
pub mod procfs;

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2};
use rustix::io::Errno;

use crate::error::Error;
use crate::flags::OpenFlags;

/// The kernel gives up a lookup when something is renamed meanwhile.
const TRIES_MAX: usize = 128;

/// A container's root. No path leads out of it, whatever links there are.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// Something that a path led to.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

impl Root {
    /// The root at a path of the host.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(path, flags, Mode::empty());
        opened.map(Self).map_err(|source| Error::new("open", path, source))
    }

    /// Follows all links, as one that had changed its root would.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Handle, Error> {
        let path = path.as_ref();
        let found = self.lookup(path, OFlags::empty());
        found.map_err(|source| Error::new("resolve", path, source))
    }

    /// Makes the directories of a path that are not there.
    pub fn mkdir_all(
        &self,
        path: impl AsRef<Path>,
        permissions: &Permissions,
    ) -> Result<Handle, Error> {
        let path = path.as_ref();
        let made = self.make_dirs(path, permissions);
        made.map_err(|source| Error::new("create the directory", path, source))
    }

    /// Makes a file in a directory that is there; `flags` say whether it may be there too.
    pub fn create_file(
        &self,
        path: impl AsRef<Path>,
        flags: OpenFlags,
        permissions: &Permissions,
    ) -> Result<File, Error> {
        let path = path.as_ref();
        let create = || {
            let name = path.file_name().ok_or(Errno::ISDIR)?;
            let parent = path.parent().unwrap_or(Path::new("."));
            let parent = self.lookup(parent, OFlags::DIRECTORY)?;
            let flags = flags.0 | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(parent.0, name, flags, mode(permissions))
        };
        let file = create().map_err(|source| Error::new("create", path, source))?;
        Ok(file.into())
    }

    fn make_dirs(&self, path: &Path, permissions: &Permissions) -> Result<Handle, Errno> {
        let parts: Vec<&OsStr> = path.components().filter_map(part).collect();
        let (there, mut dir) = self.longest(&parts)?;
        for part in &parts[there..] {
            // What is not there has no parent.
            if *part == ".." {
                return Err(Errno::NOENT);
            }
            match mkdirat(&dir.0, *part, mode(permissions)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            dir = Handle(openat(&dir.0, *part, flags, Mode::empty())?);
        }
        Ok(dir)
    }

    /// As many parts of a path as are there, and the directory that they lead to.
    fn longest(&self, parts: &[&OsStr]) -> Result<(usize, Handle), Errno> {
        let mut count = parts.len();
        loop {
            let path: PathBuf = parts[..count].iter().collect();
            match self.lookup(&Path::new(".").join(path), OFlags::DIRECTORY) {
                Ok(dir) => return Ok((count, dir)),
                Err(Errno::NOENT) if count > 0 => count -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn lookup(&self, path: &Path, flags: OFlags) -> Result<Handle, Errno> {
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        look_up(&self.0, path, flags | OFlags::PATH, within).map(Handle)
    }
}

fn look_up(
    dir: impl AsFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        let flags = flags | OFlags::CLOEXEC;
        match openat2(dir.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

fn part<'a>(component: Component<'a>) -> Option<&'a OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    }
}

fn mode(permissions: &Permissions) -> Mode {
    Mode::from_raw_mode(permissions.mode() & 0o7777)
}
