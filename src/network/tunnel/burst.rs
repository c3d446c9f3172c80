//! Bursts of datagrams: those for one place leave with one call, and come with one, where the
//! kernel knows how.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How many datagrams one call may send, and how long they may be together.
const COUNT_MAX: usize = 64;
const BYTES_MAX: usize = 65_000;
/// How long a datagram waits for room on its way out.
const SEND_WITHIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Datagrams for one place, of one length but for the last.
#[derive(Debug, Default)]
pub struct Burst {
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
    segment: usize,
    /// The kernel, or the link below, sends no bursts.
    is_refused: bool,
}

impl Burst {
    /// Takes a datagram, and sends what it cannot leave with.
    pub fn push(&mut self, socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
        let length = self.bytes.len() + datagram.len();
        let has_room = length <= BYTES_MAX && self.bytes.len() < COUNT_MAX * self.segment;
        if self.to != Some(to) || datagram.len() > self.segment || !has_room {
            self.flush(socket);
            (self.to, self.segment) = (Some(to), datagram.len());
        }
        self.bytes.extend_from_slice(datagram);
        if datagram.len() < self.segment {
            self.flush(socket);
        }
    }

    /// Sends what is left.
    pub fn flush(&mut self, socket: &UdpSocket) {
        let Some(to) = self.to.take().filter(|_| !self.bytes.is_empty()) else {
            return;
        };
        let is_one = self.bytes.len() <= self.segment;
        let sent = match is_one || self.is_refused {
            true => Err(ErrorKind::Unsupported.into()),
            false => patiently(socket, || send(socket, to, &self.bytes, self.segment)),
        };
        if let Err(error) = sent {
            self.is_refused |= error.raw_os_error() == Some(libc::EIO);
            for datagram in self.bytes.chunks(self.segment.max(1)) {
                // What cannot be sent is lost, as on any wire.
                let _ = patiently(socket, || socket.send_to(datagram, to).map(|_| ()));
            }
        }
        self.bytes.clear();
        self.segment = 0;
    }
}

/// Tries once more when there is room.
fn patiently(socket: &UdpSocket, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match send() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let mut wait = [PollFd::new(socket, PollFlags::OUT)];
            let _ = poll(&mut wait, Some(&SEND_WITHIN));
            send()
        }
        sent => sent,
    }
}

fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8], segment: usize) -> io::Result<()> {
    let segment = u16::try_from(segment).unwrap_or(u16::MAX);
    let segments = [ControlMessage::UdpGsoSegments(&segment)];
    let (parts, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(to));
    sendmsg(
        socket.as_raw_fd(),
        &parts,
        &segments,
        MsgFlags::empty(),
        Some(&to),
    )?;
    Ok(())
}

/// Lets datagrams come in bursts; where they cannot, they come one by one.
pub fn accept(socket: &UdpSocket) {
    let _ = setsockopt(socket, UdpGroSegment, &true);
}

/// What has come: from where, how many bytes, and how long each datagram of them is but the last.
#[derive(Clone, Copy, Debug)]
pub struct Come {
    pub from: SocketAddr,
    pub length: usize,
    pub segment: usize,
}

pub fn receive(socket: &UdpSocket, buffer: &mut [u8], control: &mut Vec<u8>) -> io::Result<Come> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let come = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(control), flags)?;
    let from = come.address.as_ref().and_then(place);
    let mut segment = come.bytes;
    for message in come.cmsgs()? {
        if let ControlMessageOwned::UdpGroSegments(own) = message {
            segment = usize::try_from(own).unwrap_or_default();
        }
    }
    Ok(Come {
        from: from.ok_or(ErrorKind::InvalidData)?,
        length: come.bytes,
        segment: segment.max(1),
    })
}

/// Room for what [`receive`] is told beside the bytes.
pub fn control() -> Vec<u8> {
    nix::cmsg_space!(i32)
}

fn place(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = address.as_sockaddr_in6() {
        return Some((address.ip().to_canonical(), address.port()).into());
    }
    let address = address.as_sockaddr_in()?;
    Some((address.ip(), address.port()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes when datagrams of these lengths are sent: the same, in order.
    fn carry(lengths: &[usize]) -> Vec<usize> {
        let [from, to] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        accept(&to);
        to.set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        let (at, mut burst) = (to.local_addr().unwrap(), Burst::default());
        for length in lengths {
            burst.push(&from, at, &vec![7; *length]);
        }
        burst.flush(&from);
        let (mut buffer, mut control) = (vec![0; 66 << 10], control());
        let mut come = Vec::new();
        while come.len() < lengths.len() {
            let burst = receive(&to, &mut buffer, &mut control).unwrap();
            assert_eq!(burst.from, from.local_addr().unwrap());
            let datagrams = buffer[..burst.length].chunks(burst.segment);
            come.extend(datagrams.map(<[u8]>::len));
        }
        come
    }

    #[test]
    fn datagrams_of_any_lengths_come_as_they_were_sent() {
        let many = [[500; 150].as_slice(), &[10]].concat();
        for lengths in [
            [100].as_slice(),
            &[100, 100, 100],
            &[100, 100, 20, 100],
            &[20, 100, 100],
            &[60_000, 60_000],
            &many,
        ] {
            assert_eq!(carry(lengths), lengths);
        }
    }
}
