//! Terminals of containers: made inside, by the container's own devpts, and handed out.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

/// The socket that libcontainer sends a terminal's master to.
#[derive(Debug)]
pub struct Console(UnixListener);

impl Console {
    /// Listens at a path whose length does not matter: libcontainer links to it by a short name.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let (dir, name) = path
            .parent()
            .zip(path.file_name())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let back = std::env::current_dir()?;
        std::env::set_current_dir(dir)?;
        let listener = UnixListener::bind(name);
        std::env::set_current_dir(back)?;
        Ok(Self(listener?))
    }

    /// The master, after the container was built.
    pub fn receive(self) -> io::Result<OwnedFd> {
        let (socket, _) = self.0.accept()?;
        let mut bytes = [0; 256];
        let (_, mut fds) = receive(socket.as_fd(), &mut bytes)?;
        fds.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Receives one message and the descriptors that came with it.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [io::IoSliceMut::new(bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut into, &mut control, flags)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}
