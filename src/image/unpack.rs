//! Unpacks one layer's tar into a directory for overlayfs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps};
use rustix::io::Errno;

use crate::image::attributes::{self, mode, times};
use crate::image::digest::{Digest, Hashing};
use crate::image::disk;
use crate::image::frames::FrameWriter;
use crate::image::header::{Kind, Member, TarError};
use crate::image::limits::Limits;
use crate::image::refusal::{UnpackError, attempt, enough_space, inside, refuse};
use crate::image::tarball::{Framing, Tarball};
use crate::image::tree::{Present, Tree, child_directory, present, split};

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
const BUFFER_BYTES: usize = 64 << 10;
/// Free space is looked at again after so many bytes and so many entries.
const CHECK_BYTES: u64 = 4 << 20;
const CHECK_ENTRIES: u64 = 1 << 10;

/// What came of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The tar's length.
    pub tar_bytes: u64,
    /// The files' lengths together, which is what Docker calls a layer's size.
    pub file_bytes: u64,
}

/// Unpacks the plain tar `input` into `layer/fs`, beside which `layer/frames` and, if an entry
/// replaces another, `layer/gone` are made. The caller removes `layer` if this fails.
pub fn unpack(input: impl Read, layer: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let root = layer.join("fs");
    let create = || -> io::Result<Tree> {
        disk::may_go_on()?;
        std::fs::create_dir(layer)?;
        std::fs::create_dir(&root)?;
        // The root of a layer that does not speak of it is like Docker's.
        std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Tree::open(&root)
    };
    let tree = create().map_err(UnpackError::Create)?;
    let frames = FrameWriter::create(&layer.join("frames")).map_err(UnpackError::Frames)?;
    let mut unpacker = Unpacker {
        tar: Tarball::new(Hashing::new(input), frames, limits.entries_max, limits),
        tree,
        limits,
        gone: layer.join("gone"),
        replaced: 0,
        directories: Vec::new(),
        directory_bytes: 0,
        file_bytes: 0,
        claimed_bytes: 0,
        entries: 0,
        unchecked_bytes: 0,
    };
    unpacker.check_space(&root)?;
    while let Some(member) = unpacker.tar.next_member()? {
        unpacker.entry(&member)?;
        if unpacker.space_is_due() {
            unpacker.check_space(&root)?;
        }
    }
    unpacker.finish()
}

struct Unpacker<'a, R> {
    tar: Tarball<Hashing<R>, FrameWriter>,
    tree: Tree,
    limits: &'a Limits,
    gone: PathBuf,
    replaced: u32,
    /// Times of directories, set at the end because every new child changes them.
    directories: Vec<(Vec<u8>, Timestamps)>,
    directory_bytes: usize,
    file_bytes: u64,
    claimed_bytes: u64,
    entries: u64,
    unchecked_bytes: u64,
}

impl<R: Read> Unpacker<'_, R> {
    fn entry(&mut self, member: &Member) -> Result<(), UnpackError> {
        self.claim(member)?;
        let path = inside(&member.path, self.limits.path_bytes_max)?;
        let path = self.place(&path)?;
        let (parent, name) = split(&path);
        if name == WHITEOUT_OPAQUE {
            return self.opaque(parent);
        }
        // Notes of aufs to itself, which nobody needs.
        if path
            .split(|b| *b == b'/')
            .any(|name| name.starts_with(WHITEOUT_META))
        {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(&path, parent, hidden);
        }
        if name.is_empty() {
            return self.root(member);
        }
        match member.kind {
            Kind::Directory => self.directory(&path, member),
            Kind::File => self.file(&path, member),
            Kind::Link => self.link(&path, member),
            Kind::Symlink => self.symlink(&path, member),
            Kind::Block | Kind::Char | Kind::Fifo => self.special(&path, member),
            // A global header, as `git archive` writes it.
            Kind::Other(b'g') => Ok(()),
            Kind::Other(_) => refuse(&path, "is of a kind that no layer has"),
        }
    }

    /// Counts what a member will take before anything of it is written.
    fn claim(&mut self, member: &Member) -> Result<(), UnpackError> {
        let length = member.sparse.as_ref().map_or(member.size, |s| s.length);
        self.entries += 1;
        self.claimed_bytes = self
            .claimed_bytes
            .saturating_add(length)
            .saturating_add(512);
        if self.claimed_bytes > self.limits.layer_bytes_max {
            return Err(UnpackError::TooLarge(self.limits.layer_bytes_max));
        }
        Ok(())
    }

    /// Where an entry goes: links that this layer has on the way are followed within it.
    fn place(&mut self, path: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let place = attempt("find the place of", path, || self.tree.place(path))?;
        if place.len() > self.limits.path_bytes_max {
            return refuse(path, "leads to too long a path");
        }
        Ok(place)
    }

    fn opaque(&mut self, directory: &[u8]) -> Result<(), UnpackError> {
        attempt("make opaque", directory, || {
            let parent = self.tree.directory(directory, true)?;
            attributes::set_opaque(parent)
        })
    }

    /// Hides `hidden` of the layers below, unless this layer has something else there itself.
    fn whiteout(&mut self, path: &[u8], parent: &[u8], hidden: &[u8]) -> Result<(), UnpackError> {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return refuse(path, "hides something that cannot be");
        }
        attempt("hide", path, || {
            let parent = self.tree.directory(parent, true)?;
            match present(&parent, hidden)? {
                Present::Directory => attributes::set_opaque(child_directory(&parent, hidden)?),
                Present::Something | Present::Whiteout => Ok(()),
                Present::Nothing => {
                    let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                    let name = OsStr::from_bytes(hidden);
                    Ok(rustix::fs::mknodat(&parent, name, kind, mode, 0)?)
                }
            }
        })
    }

    fn root(&mut self, member: &Member) -> Result<(), UnpackError> {
        if member.kind != Kind::Directory {
            return refuse(&member.path, "would replace the layer itself");
        }
        attempt("set the attributes of", b".", || {
            let root = self.tree.directory(b"", false)?;
            attributes::set(root, member)
        })?;
        self.remember_times(b"", member)
    }

    fn directory(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        let was = self.make_room(path, true)?;
        attempt("create directory", path, || {
            let (parent, name) = split(path);
            let parent = self.tree.directory(parent, true)?;
            if was != Present::Directory {
                rustix::fs::mkdirat(&parent, OsStr::from_bytes(name), Mode::RWXU)?;
            }
            let fd = child_directory(&parent, name)?;
            if was == Present::Whiteout {
                attributes::set_opaque(&fd)?;
            }
            attributes::set(&fd, member)
        })?;
        self.remember_times(path, member)
    }

    fn remember_times(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        self.directory_bytes += path.len() + size_of::<(Vec<u8>, Timestamps)>();
        if self.directory_bytes > self.limits.directory_bytes_max {
            return refuse(path, "is one directory too many");
        }
        self.directories.push((path.to_vec(), times(member)));
        Ok(())
    }

    fn file(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        self.make_room(path, false)?;
        let file = attempt("create", path, || {
            let (parent, name) = split(path);
            let parent = self.tree.directory(parent, true)?;
            let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let flags = new | OFlags::WRONLY | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let fd = rustix::fs::openat(&parent, OsStr::from_bytes(name), flags, mode)?;
            Ok(File::from(fd))
        })?;
        if member.sparse.is_some() {
            self.sparse_contents(&file, path, member)?;
        } else {
            self.contents(&file, path, member)?;
        }
        attempt("set the attributes of", path, || {
            attributes::set(&file, member)?;
            Ok(rustix::fs::futimens(&file, &times(member))?)
        })
    }

    fn contents(&mut self, file: &File, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        if member.size == 0 {
            return Ok(());
        }
        let framing = self.tar.framing();
        framing
            .contents(path, member.size)
            .map_err(UnpackError::Frames)?;
        let mut buf = vec![0; BUFFER_BYTES];
        let mut offset = 0;
        loop {
            let n = self.tar.read_contents(&mut buf)?;
            if n == 0 {
                return Ok(());
            }
            attempt("write", path, || file.write_all_at(&buf[..n], offset))?;
            offset += n as u64;
            self.written(n, file)?;
        }
    }

    /// Pieces go where the map says; they are kept in the frames too, because the file alone does
    /// not tell which of its zeros were sent.
    fn sparse_contents(
        &mut self,
        file: &File,
        path: &[u8],
        member: &Member,
    ) -> Result<(), UnpackError> {
        let map = member.sparse.clone().unwrap_or_default();
        let mut buf = vec![0; BUFFER_BYTES];
        for (mut offset, mut left) in map.pieces {
            while left > 0 {
                let most = usize::try_from(left)
                    .unwrap_or(BUFFER_BYTES)
                    .min(BUFFER_BYTES);
                let n = self.tar.read_contents(&mut buf[..most])?;
                if n == 0 {
                    return Err(TarError::Truncated.into());
                }
                self.tar
                    .framing()
                    .frame(&buf[..n])
                    .map_err(UnpackError::Frames)?;
                attempt("write", path, || file.write_all_at(&buf[..n], offset))?;
                offset += n as u64;
                left -= n as u64;
                self.written(n, file)?;
            }
        }
        attempt("write", path, || file.set_len(map.length))
    }

    fn written(&mut self, n: usize, file: &File) -> Result<(), UnpackError> {
        self.file_bytes += n as u64;
        self.unchecked_bytes += n as u64;
        if self.unchecked_bytes < CHECK_BYTES {
            return Ok(());
        }
        self.unchecked_bytes = 0;
        enough_space(rustix::fs::fstatvfs(file), self.limits.reserve_bytes)
    }

    fn link(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        let target = inside(&member.link, self.limits.path_bytes_max)?;
        let target = self.place(&target)?;
        self.make_room(path, false)?;
        attempt("link", path, || {
            let (from, from_name) = split(&target);
            // The tree knows one way at a time.
            let from = self
                .tree
                .directory(from, false)?
                .as_fd()
                .try_clone_to_owned()?;
            let (parent, name) = split(path);
            let parent = self.tree.directory(parent, true)?;
            let (old, new) = (OsStr::from_bytes(from_name), OsStr::from_bytes(name));
            // Without SYMLINK_FOLLOW a link to a symbolic link is one to the link itself.
            Ok(rustix::fs::linkat(
                &from,
                old,
                &parent,
                new,
                AtFlags::empty(),
            )?)
        })
    }

    fn symlink(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        if member.link.len() > self.limits.path_bytes_max || member.link.contains(&0) {
            return refuse(path, "points to a path that cannot be");
        }
        self.make_room(path, false)?;
        attempt("create", path, || {
            let (parent, name) = split(path);
            let parent = self.tree.directory(parent, true)?;
            let name = OsStr::from_bytes(name);
            rustix::fs::symlinkat(OsStr::from_bytes(&member.link), &parent, name)?;
            attributes::own_and_date(parent, name, member)
        })
    }

    fn special(&mut self, path: &[u8], member: &Member) -> Result<(), UnpackError> {
        self.make_room(path, false)?;
        let kind = match member.kind {
            Kind::Block => FileType::BlockDevice,
            Kind::Char => FileType::CharacterDevice,
            _ => FileType::Fifo,
        };
        attempt("create", path, || {
            let (parent, name) = split(path);
            let parent = self.tree.directory(parent, true)?;
            let name = OsStr::from_bytes(name);
            let dev = rustix::fs::makedev(member.major, member.minor);
            rustix::fs::mknodat(&parent, name, kind, mode(member), dev)?;
            attributes::own_and_date(&parent, name, member)?;
            Ok(rustix::fs::chmodat(
                &parent,
                name,
                mode(member),
                AtFlags::empty(),
            )?)
        })
    }

    /// Moves away what this layer already has at `path`, but a directory if another is to come.
    fn make_room(&mut self, path: &[u8], for_directory: bool) -> Result<Present, UnpackError> {
        attempt("create", path, disk::may_go_on)?;
        let (parent, name) = split(path);
        let was = attempt("create", path, || {
            let parent = self.tree.directory(parent, true)?;
            let was = present(&parent, name)?;
            if was == Present::Whiteout {
                rustix::fs::unlinkat(&parent, OsStr::from_bytes(name), AtFlags::empty())?;
            }
            Ok(was)
        })?;
        match was {
            Present::Nothing | Present::Whiteout => Ok(was),
            Present::Directory if for_directory => Ok(was),
            Present::Directory | Present::Something => {
                self.replace(path)?;
                Ok(Present::Nothing)
            }
        }
    }

    fn replace(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        if u64::from(self.replaced) >= self.limits.replaced_max {
            return refuse(path, "is replaced, and so were too many others");
        }
        let k = self.replaced;
        self.replaced += 1;
        attempt("replace", path, || {
            if k == 0 {
                std::fs::create_dir(&self.gone)?;
            }
            let (parent, name) = split(path);
            let gone = File::open(&self.gone)?;
            let parent = self.tree.directory(parent, false)?;
            let new = k.to_string();
            Ok(rustix::fs::renameat(
                &parent,
                OsStr::from_bytes(name),
                &gone,
                new.as_str(),
            )?)
        })?;
        self.tree.forget();
        self.tar
            .framing()
            .replaced(path, k)
            .map_err(UnpackError::Frames)
    }

    fn space_is_due(&self) -> bool {
        self.entries.is_multiple_of(CHECK_ENTRIES)
    }

    fn check_space(&self, root: &Path) -> Result<(), UnpackError> {
        enough_space(rustix::fs::statvfs(root), self.limits.reserve_bytes)
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let directories = std::mem::take(&mut self.directories);
        for (path, times) in directories {
            attempt("set the time of", &path, || {
                match self.tree.directory(&path, false) {
                    // A later entry may have taken its place.
                    Err(error) if is_gone(&error) => Ok(()),
                    directory => Ok(rustix::fs::futimens(directory?, &times)?),
                }
            })?;
        }
        let (frames, hashing) = self.tar.finish()?;
        frames.finish().map_err(UnpackError::Frames)?;
        let (diff_id, tar_bytes) = hashing.finish().map_err(TarError::Read)?;
        Ok(Unpacked {
            diff_id,
            tar_bytes,
            file_bytes: self.file_bytes,
        })
    }
}

fn is_gone(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
