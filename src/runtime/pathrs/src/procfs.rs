//! Files of procfs, and of nothing that someone put in its place.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, open};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::error::Error;
use crate::flags::OpenFlags;
use crate::look_up;

/// The inode of procfs' own root; a directory of it that is bound over /proc has another.
const ROOT_INODE: u64 = 1;

/// Where a path begins.
#[derive(Clone, Copy, Debug)]
pub enum ProcfsBase {
    ProcRoot,
    ProcSelf,
}

/// The root of a procfs.
#[derive(Debug)]
pub struct ProcfsHandle(OwnedFd);

/// Chooses a procfs.
#[derive(Debug, Default)]
pub struct ProcfsHandleBuilder {
    unmasked: bool,
}

impl ProcfsHandleBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// One that nothing was mounted over.
    pub fn unmasked(mut self) -> Self {
        self.unmasked = true;
        self
    }

    pub fn build(self) -> Result<ProcfsHandle, Error> {
        // Who may not mount makes do with what is there.
        let own = self.unmasked.then(mounted).and_then(Result::ok);
        own.map_or_else(ProcfsHandle::new, |root| Ok(ProcfsHandle(root)))
    }
}

impl ProcfsHandle {
    /// The procfs at /proc, or an own one where there is none.
    pub fn new() -> Result<Self, Error> {
        let root = there().or_else(|_| mounted());
        root.map(Self).map_err(|source| Error::new("open", Path::new("/proc"), source))
    }

    /// Opens a file; a path that a mount lies over is refused, and so are links like those of `fd`.
    pub fn open(
        &self,
        base: ProcfsBase,
        path: impl AsRef<Path>,
        flags: OpenFlags,
    ) -> Result<File, Error> {
        let path = match base {
            ProcfsBase::ProcRoot => PathBuf::from(path.as_ref()),
            ProcfsBase::ProcSelf => Path::new("self").join(path),
        };
        let flags = flags.0 | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let opened = look_up(&self.0, &path, flags, resolve);
        let failed = |source| Error::new("open", &Path::new("/proc").join(&path), source);
        opened.map(File::from).map_err(failed)
    }
}

fn there() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = open("/proc", flags, Mode::empty())?;
    let is_procfs = fstatfs(&root)?.f_type == PROC_SUPER_MAGIC;
    match is_procfs && fstat(&root)?.st_ino == ROOT_INODE {
        true => Ok(root),
        false => Err(Errno::XDEV),
    }
}

/// A procfs that is mounted nowhere.
fn mounted() -> Result<OwnedFd, Errno> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
