//! The kernel's own interface to its links, addresses, routes and packet rules, spoken directly: no
//! program of the host is run. Calls block, for as long as the kernel takes.

pub mod message;
pub mod link;
pub mod connections;
pub mod moves;
pub mod nftables;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};

use crate::network::netlink::message::{
    ACK, DONE, DUMP, DUMP_INTERRUPTED, Message, Messages, Received, TooLong,
};

/// The kernel answers at once; one that does not is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 64 << 10;
/// What a batch may need on its way, beyond what the system allows by itself.
const SEND_BYTES_MIN: usize = 1 << 20;
/// A list that changes while it is read is read again, so often.
const DUMP_TRIES: u32 = 10;

/// A conversation with one part of the kernel, in the network namespace it was begun in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What the kernel refused, in its own words where it has some.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("{}", complain(*code, complaint))]
    Refused { code: i32, complaint: String },
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("cannot talk to the kernel: {0}")]
    Io(#[from] io::Error),
    #[error("the kernel's answer cannot be understood")]
    Answer,
    #[error("the list changes all the time")]
    Restless,
}

impl NetlinkError {
    /// Whether the thing is there already.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == libc::EEXIST)
    }

    /// Whether the thing is not there (any more).
    pub fn is_gone(&self) -> bool {
        let gone = [libc::ENODEV, libc::ENOENT, libc::ESRCH, libc::EADDRNOTAVAIL];
        matches!(self, Self::Refused { code, .. } if gone.contains(code))
    }
}

fn complain(code: i32, complaint: &str) -> String {
    let error = io::Error::from_raw_os_error(code);
    match complaint {
        "" => error.to_string(),
        complaint => format!("{complaint} ({error})"),
    }
}

impl Socket {
    /// For links, addresses, routes, neighbours and rules.
    pub fn route() -> Result<Self, NetlinkError> {
        // Its number is 0, which is the default.
        Self::open(None)
    }

    /// For packet rules and connections.
    pub fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let fd = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol);
        let fd = fd.map_err(io::Error::from)?;
        let timeout =
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT));
        timeout.map_err(io::Error::from)?;
        ask_for_words(&fd);
        Ok(Self {
            fd,
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        })
    }

    /// Has one thing done and waits until it is.
    pub fn act(&mut self, mut message: Message) -> Result<(), NetlinkError> {
        message.set_flags(ACK);
        let sequence = self.send(message)?;
        loop {
            self.receive(RecvFlags::empty())?;
            for received in Messages(&self.buffer).filter(|m| m.sequence == sequence) {
                if let Some(code) = received.error() {
                    return outcome(code, &received);
                }
            }
        }
    }

    /// Looks one thing up.
    pub fn get<T>(
        &mut self,
        message: Message,
        read: impl Fn(&Received<'_>) -> Option<T>,
    ) -> Result<T, NetlinkError> {
        let sequence = self.send(message)?;
        loop {
            self.receive(RecvFlags::empty())?;
            for received in Messages(&self.buffer).filter(|m| m.sequence == sequence) {
                match received.error() {
                    Some(code) => outcome(code, &received)?,
                    None => return read(&received).ok_or(NetlinkError::Answer),
                }
            }
        }
    }

    /// Lists what there is, one message for each.
    pub fn list<T>(
        &mut self,
        message: &Message,
        read: impl Fn(&Received<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            if let Some(all) = self.list_once(message.clone(), &read)? {
                return Ok(all);
            }
        }
        Err(NetlinkError::Restless)
    }

    /// `None` if the list changed in between.
    fn list_once<T>(
        &mut self,
        mut message: Message,
        read: impl Fn(&Received<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        message.set_flags(DUMP);
        let sequence = self.send(message)?;
        let (mut all, mut is_whole) = (Vec::new(), true);
        loop {
            self.receive(RecvFlags::empty())?;
            for received in Messages(&self.buffer).filter(|m| m.sequence == sequence) {
                is_whole &= received.flags & DUMP_INTERRUPTED == 0;
                match received.error() {
                    Some(code) => outcome(code, &received)?,
                    None if received.kind == DONE => return Ok(is_whole.then_some(all)),
                    None => all.extend(read(&received)),
                }
            }
        }
    }

    /// Has a whole batch done, or nothing of it. Its refusals are there when it has been sent.
    pub fn commit(&mut self, batch: &[u8]) -> Result<(), NetlinkError> {
        let room = batch.len().saturating_mul(2).max(SEND_BYTES_MIN);
        // Only the privileged may; without it small batches still pass.
        let _ = sockopt::set_socket_send_buffer_size_force(&self.fd, room);
        self.send_bytes(batch)?;
        let mut result = Ok(());
        while self.receive(RecvFlags::DONTWAIT)? {
            for received in Messages(&self.buffer) {
                let code = received.error().unwrap_or(0);
                // The first refusal is the cause, what follows are its consequences.
                if result.is_ok() {
                    result = outcome(code, &received);
                }
            }
        }
        result
    }

    fn send(&mut self, message: Message) -> Result<u32, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence)?;
        self.send_bytes(&bytes)?;
        Ok(self.sequence)
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        let kernel = SocketAddrNetlink::new(0, 0);
        let sent = rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel);
        sent.map_err(io::Error::from)?;
        Ok(())
    }

    /// Fills the buffer with what came at once; false if nothing did and that is fine.
    fn receive(&mut self, flags: RecvFlags) -> Result<bool, NetlinkError> {
        self.buffer.clear();
        self.buffer.resize(BUFFER_BYTES, 0);
        loop {
            match rustix::net::recv(&self.fd, &mut self.buffer[..], flags) {
                Ok((_, length)) => {
                    self.buffer.truncate(length);
                    return if length > 0 {
                        Ok(true)
                    } else {
                        Err(NetlinkError::Answer)
                    };
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) if flags.contains(RecvFlags::DONTWAIT) => {
                    return Ok(false);
                }
                Err(error) => return Err(NetlinkError::Io(error.into())),
            }
        }
    }
}

fn outcome(code: i32, received: &Received<'_>) -> Result<(), NetlinkError> {
    match code {
        0 => Ok(()),
        code => Err(NetlinkError::Refused {
            code,
            complaint: received.complaint().unwrap_or_default().to_owned(),
        }),
    }
}

/// Asks the kernel to say in words what it refuses; older ones do not.
fn ask_for_words(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default();
    // SAFETY: the option is an int, which `on` is and which outlives the call.
    #[allow(unsafe_code)]
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            std::ptr::from_ref(&on).cast(),
            length,
        );
    }
}
