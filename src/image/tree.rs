//! A directory tree that is walked by file descriptors and never left.
//!
//! **Invariant:** no path is ever given to the kernel in one piece: each component is opened below
//! its parent's descriptor with `O_NOFOLLOW`, so neither `..` nor a symbolic link, put there by
//! whatever archive, leads out. Where links count, [`Tree::place`] reads them and says where they
//! lead within the tree; the path that it gives is then walked as any other.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// As many links may be followed on the way to one place as the kernel follows.
const LINKS_MAX: usize = 40;
/// Descriptors of directories kept open, counted from the root; deeper ones are opened each time.
const OPEN_MAX: usize = 32;
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// A tree below one directory. It remembers the way to the last directory it visited.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    way: Vec<(Vec<u8>, OwnedFd)>,
}

/// What lies at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    Directory,
    Nothing,
    Something,
    /// A character device 0:0: overlayfs hides what lower layers have there.
    Whiteout,
}

/// A directory of the tree, for as long as the tree is not asked for another.
#[derive(Debug)]
pub enum Place<'a> {
    Deep(OwnedFd),
    Kept(BorrowedFd<'a>),
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Deep(fd) => fd.as_fd(),
            Self::Kept(fd) => *fd,
        }
    }
}

impl Tree {
    /// The tree below `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir, flags, Mode::empty())?;
        Ok(Self {
            root,
            way: Vec::new(),
        })
    }

    /// The directory at `path`, components joined by single slashes; empty is the root. With
    /// `create`, directories that are missing are made, as root's and with mode 0755.
    pub fn directory(&mut self, path: &[u8], create: bool) -> io::Result<Place<'_>> {
        let names: Vec<&[u8]> = names(path).collect();
        let known = self.way.iter().zip(&names);
        let known = known.take_while(|((kept, _), name)| kept == *name).count();
        self.way.truncate(known);
        let mut deep: Option<OwnedFd> = None;
        for name in &names[known..] {
            let parent = match &deep {
                Some(fd) => fd.as_fd(),
                None => self.last(),
            };
            let fd = descend(parent, name, create)?;
            if deep.is_none() && self.way.len() < OPEN_MAX {
                self.way.push((name.to_vec(), fd));
            } else {
                deep = Some(fd);
            }
        }
        Ok(match deep {
            Some(fd) => Place::Deep(fd),
            None => Place::Kept(self.last()),
        })
    }

    /// The path at which an entry for `path` belongs: links on the way to it, but not at it, are
    /// followed as if the tree's root were that of the file system. What is not there leads on by
    /// its name.
    pub fn place(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (parent, name) = split(path);
        match self.directory(parent, false) {
            Err(error) if is_link(&error) => {}
            // Without a link on it the way is the path itself, as far as it goes.
            _ => return Ok(path.to_vec()),
        }
        let mut place: Vec<Vec<u8>> = Vec::new();
        let mut todo: Vec<Vec<u8>> = names(parent).rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(next) = todo.pop() {
            match &next[..] {
                b"." => {}
                b".." => drop(place.pop()),
                _ => match self.link(&place.join(&b'/'), &next)? {
                    None => place.push(next),
                    Some(target) => {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(Errno::LOOP.into());
                        }
                        if target.starts_with(b"/") {
                            place.clear();
                        }
                        todo.extend(names(&target).rev().map(<[u8]>::to_vec));
                    }
                },
            }
        }
        place.push(name.to_vec());
        Ok(place.join(&b'/'))
    }

    /// Where the link of this name leads; nothing if it is something else or not there.
    fn link(&mut self, parent: &[u8], name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let parent = match self.directory(parent, false) {
            Err(error) if is_missing(&error) => return Ok(None),
            parent => parent?,
        };
        match rustix::fs::readlinkat(&parent, OsStr::from_bytes(name), Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets the way, which must be done when a directory is taken out of the tree.
    pub fn forget(&mut self) {
        self.way.clear();
    }

    /// Opens the plain file at `path` for reading.
    pub fn open_file(&mut self, path: &[u8]) -> io::Result<File> {
        let (parent, name) = split(path);
        let parent = self.directory(parent, false)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, OsStr::from_bytes(name), flags, Mode::empty())?;
        if !FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode).is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(File::from(fd))
    }

    fn last(&self) -> BorrowedFd<'_> {
        self.way
            .last()
            .map_or_else(|| self.root.as_fd(), |(_, fd)| fd.as_fd())
    }
}

/// Parent and last name of a path.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// What is at `name` in a directory.
pub fn present(parent: impl AsFd, name: &[u8]) -> io::Result<Present> {
    let name = OsStr::from_bytes(name);
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Present::Nothing),
        Err(error) => return Err(error.into()),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Present::Directory,
        FileType::CharacterDevice if stat.st_rdev == 0 => Present::Whiteout,
        _ => Present::Something,
    })
}

/// Opens a directory that is a direct child, as itself and for reading its attributes.
pub fn child_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(
        parent,
        OsStr::from_bytes(name),
        flags,
        Mode::empty(),
    )?)
}

fn is_link(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::NOTDIR | Errno::LOOP))
}

/// Whether nothing is there, or nothing that has children.
fn is_missing(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::NOENT | Errno::NOTDIR))
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|name| !name.is_empty())
}

fn descend(parent: BorrowedFd<'_>, name: &[u8], create: bool) -> io::Result<OwnedFd> {
    if name == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match child_directory(parent, name) {
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
            rustix::fs::mkdirat(parent, OsStr::from_bytes(name), DIRECTORY_MODE)?;
            child_directory(parent, name)
        }
        found => found,
    }
}
