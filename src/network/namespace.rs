//! Network namespaces: made by a thread that is gone when they are there, and held open by a
//! descriptor as long as no process is in them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::host::wait::apart;

/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A new one, with nothing in it but loopback, which is down.
    pub fn create() -> io::Result<Self> {
        apart(|| {
            // SAFETY: the thread shares no memory by way of its network namespace, and ends here.
            #[allow(unsafe_code)]
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
            Ok(Self(File::open(OWN)?.into()))
        })?
    }

    /// The one that a path leads to.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?.into()))
    }

    /// Does something in it: sockets that are opened there stay there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        apart(|| {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        })?
    }

    /// A path to it for other processes, as long as this one holds it.
    pub fn path(&self) -> PathBuf {
        let fd = self.0.as_raw_fd();
        format!("/proc/{}/fd/{fd}", std::process::id()).into()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
