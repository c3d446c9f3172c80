//! The container's root file system: an overlay of the image's layers and a writable one, and safe
//! ways into it. An image is hostile: its links never lead out, and its device nodes do not open.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::runtime::attempt::Attempt;
use crate::runtime::plan::Plan;

/// The root could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the image has no layers")]
    NoLayers,
}

/// Gives the shim a mount namespace of its own. Whatever is mounted from here on ends with the
/// shim and its container, however they end; what the host mounts later still arrives.
pub fn own_mounts() -> Result<(), RootError> {
    let failed = |source: rustix::io::Errno| RootError::Io {
        what: "make private the mounts under",
        path: "/".into(),
        source: source.into(),
    };
    // SAFETY: a mount namespace is no memory that the process shares; and it has one thread.
    #[allow(unsafe_code)]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed)?;
    let slaves = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slaves).map_err(failed)
}

/// Mounts the overlay. The mount call has one page for its options, so layers go by short names:
/// links in a folder that is the current one while it looks them up.
pub fn mount(attempt: &Attempt, plan: &Plan) -> Result<(), RootError> {
    if plan.layers.is_empty() {
        return Err(RootError::NoLayers);
    }
    let links = attempt.layers();
    for dir in [&attempt.root(), &links, &plan.writable, &plan.work()] {
        fs::create_dir_all(dir).map_err(failed("make", dir))?;
    }
    let mut named = vec![("u".to_owned(), plan.writable.clone())];
    named.push(("w".to_owned(), plan.work()));
    let lower = plan.layers.iter().rev().enumerate();
    named.extend(lower.map(|(number, layer)| (number.to_string(), layer.clone())));
    for (name, target) in &named {
        let link = links.join(name);
        symlink(target, &link).map_err(failed("link", &link))?;
    }
    let lower: Vec<_> = (0..plan.layers.len())
        .map(|number| number.to_string())
        .collect();
    let options = format!("lowerdir={},upperdir=u,workdir=w", lower.join(":"));
    let back = std::env::current_dir().map_err(failed("find", "."))?;
    std::env::set_current_dir(&links).map_err(failed("enter", &links))?;
    let mounted = mount_overlay(&attempt.root(), &options);
    std::env::set_current_dir(&back).map_err(failed("enter", &back))?;
    mounted.map_err(failed("mount the layers on", attempt.root()))
}

/// This very binary as a mount to be placed. It is taken before the shim has mounts of its own, and
/// not by its path: the daemon's file may have been replaced meanwhile.
pub fn own_program() -> Result<OwnedFd, RootError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let taken = rustix::mount::open_tree(rustix::fs::CWD, "/proc/self/exe", flags);
    taken.map_err(|error| failed("take", "/proc/self/exe")(error.into()))
}

/// Places a taken mount on a new file.
pub fn place(taken: &OwnedFd, path: &Path) -> Result<(), RootError> {
    File::create(path).map_err(failed("make", path))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let placed = rustix::mount::move_mount(taken, "", rustix::fs::CWD, path, flags);
    placed.map_err(|error| failed("mount", path)(error.into()))
}

/// Undoes `mount` for what still runs in the shim's namespace.
pub fn unmount(attempt: &Attempt) -> io::Result<()> {
    Ok(rustix::mount::unmount(
        attempt.root(),
        UnmountFlags::DETACH,
    )?)
}

/// `volatile` spares the card: without it each unmount writes the whole file system out, and a
/// writable layer does not outlive a reboot anyway. Older kernels do not know it.
fn mount_overlay(root: &Path, options: &str) -> io::Result<()> {
    let mount = |options: &str| {
        let data = std::ffi::CString::new(options).map_err(|_| rustix::io::Errno::INVAL)?;
        rustix::mount::mount(
            "overlay",
            root,
            "overlay",
            MountFlags::NODEV,
            Some(data.as_c_str()),
        )
    };
    match mount(&format!("{options},volatile")) {
        Err(rustix::io::Errno::INVAL) => Ok(mount(options)?),
        result => Ok(result?),
    }
}

/// A folder that paths are resolved in, as if it were `/`.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens what is at `path`, links followed but never out.
    pub fn open_at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        Ok(rustix::fs::openat2(
            &self.0,
            path,
            flags,
            Mode::empty(),
            resolve,
        )?)
    }

    /// Reads a file, cut to `bytes_max`; empty if there is none.
    pub fn read(&self, path: &str, bytes_max: u64) -> io::Result<String> {
        // Without NONBLOCK a named pipe in the image would hold the shim up for ever.
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            other => other?,
        };
        let mut bytes = Vec::new();
        File::from(fd).take(bytes_max).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes a folder and those above it; those that are there stay as they are.
    pub fn make_dir(&self, path: &str) -> io::Result<OwnedFd> {
        let dir = OFlags::PATH | OFlags::DIRECTORY;
        let mut at = self.open_at("/", dir)?;
        let mut reached = PathBuf::from("/");
        for part in Path::new(path).components() {
            let Component::Normal(name) = part else {
                continue;
            };
            reached.push(name);
            let reached = reached.to_str().ok_or(io::ErrorKind::InvalidInput)?;
            at = match self.open_at(reached, dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
                    self.open_at(reached, dir)?
                }
                other => other?,
            };
        }
        Ok(at)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn failed(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> RootError {
    let path = path.into();
    move |source| RootError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, test: impl FnOnce(&Path, Root)) {
        let dir = std::env::temp_dir().join(format!("skep-root-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("in/etc")).unwrap();
        fs::write(dir.join("secret"), "outside").unwrap();
        test(&dir, Root::open(&dir.join("in")).unwrap());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn links_of_an_image_do_not_lead_out() {
        check("links", |dir, root| {
            symlink(dir.join("secret"), dir.join("in/etc/passwd")).unwrap();
            symlink("../../secret", dir.join("in/etc/group")).unwrap();
            symlink("../..", dir.join("in/etc/up")).unwrap();
            for path in ["/etc/passwd", "/etc/group", "/etc/up/secret", "../secret"] {
                assert_eq!(root.read(path, 100).unwrap(), "", "{path}");
            }
        });
    }

    #[test]
    fn files_are_cut_to_the_limit() {
        check("cut", |dir, root| {
            fs::write(dir.join("in/etc/passwd"), "0123456789").unwrap();
            assert_eq!(root.read("/etc/passwd", 4).unwrap(), "0123");
        });
    }

    #[test]
    fn folders_are_made_inside_through_the_images_own_links() {
        check("folders", |dir, root| {
            symlink("/etc", dir.join("in/config")).unwrap();
            root.make_dir("/config/a/b").unwrap();
            assert!(dir.join("in/etc/a/b").is_dir());
            root.make_dir("../../x").unwrap();
            assert!(dir.join("in/x").is_dir());
        });
    }
}
