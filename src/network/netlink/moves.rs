//! Word from the kernel that the addresses or routes of this host have changed.

use std::io;
use std::os::fd::OwnedFd;

use async_io::Async;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// The groups whose changes are told.
const GROUPS: libc::c_int = libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE;
/// What has changed is not read: only that something has.
const SCRAP_BYTES: usize = 64;

/// Listens in the network namespace it was opened in.
#[derive(Debug)]
pub struct Moves(Async<OwnedFd>);

impl Moves {
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let fd = rustix::net::socket_with(family, kind, flags, None)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, GROUPS.cast_unsigned()))?;
        Ok(Self(Async::new_nonblocking(fd)?))
    }

    /// Waits for a change; many at once are one.
    pub async fn next(&self) -> io::Result<()> {
        self.0.readable().await?;
        let mut scrap = [0; SCRAP_BYTES];
        loop {
            match rustix::net::recv(&self.0, &mut scrap[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // Some changes were lost, which is a change.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
