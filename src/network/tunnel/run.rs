//! The loop that carries packets and datagrams between a link and a socket, on a thread of its own.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::clock::Stopwatch;
use crate::network::tunnel::burst::{self, Burst};
use crate::network::tunnel::hub::{Hub, Out};
use crate::network::tunnel::segments::{self, Joiner};

/// How many of one kind are carried before the other has its turn; each may be many packets.
const AT_ONCE: usize = 16;
/// The longest packet, and its header.
const BUFFER_BYTES: usize = (64 << 10) + segments::HEADER_BYTES;
/// How often keys and signs of life are looked at while packets flow, and otherwise.
const TICK: Duration = Duration::from_millis(250);
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Packets flow until there was none for this long.
const IDLE_AFTER: Duration = Duration::from_secs(15);

/// What the loop and those who change its peers share.
#[derive(Debug)]
pub struct Shared {
    pub hub: Mutex<Hub>,
    /// Says that there is something to look at beside packets.
    pub bell: OwnedFd,
    pub stopping: AtomicBool,
}

impl Shared {
    pub fn ring(&self) {
        // A full counter rings as well.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// A link and a socket.
#[derive(Debug)]
pub struct Carrier {
    pub link: File,
    pub socket: UdpSocket,
}

/// What is on its way out, and may leave together with more.
struct Outbox<'a> {
    carrier: &'a Carrier,
    burst: Burst,
    joiner: Joiner,
}

impl Out for Outbox<'_> {
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.burst.push(&self.carrier.socket, to, bytes);
    }

    fn packet(&mut self, bytes: &[u8]) {
        let carrier = self.carrier;
        self.joiner.push(bytes, |bytes| carrier.write(bytes));
    }
}

impl Outbox<'_> {
    fn flush(&mut self) {
        self.burst.flush(&self.carrier.socket);
        let carrier = self.carrier;
        self.joiner.flush(|bytes| carrier.write(bytes));
    }
}

impl Carrier {
    fn write(&self, bytes: &[u8]) {
        // What the host does not take is lost, as on any wire.
        let _ = (&self.link).write(bytes);
    }
}

/// Where what comes is put.
struct Room {
    bytes: Vec<u8>,
    control: Vec<u8>,
    /// One packet of a long one.
    piece: Vec<u8>,
}

/// Carries until it is told to stop, or the link is taken away.
pub fn carry(carrier: &Carrier, shared: &Arc<Shared>) {
    let mut room = Room {
        bytes: vec![0; BUFFER_BYTES],
        control: burst::control(),
        piece: Vec::new(),
    };
    let mut out = Outbox {
        carrier,
        burst: Burst::default(),
        joiner: Joiner::default(),
    };
    let (mut ticked, mut carried) = (Stopwatch::start(), Stopwatch::start());
    while !shared.stopping.load(Ordering::Acquire) {
        let tick = match carried.elapsed() < IDLE_AFTER {
            true => TICK,
            false => IDLE_TICK,
        };
        let rest = tick.saturating_sub(ticked.elapsed());
        let is_idle = lock(&shared.hub).is_idle();
        let Some(ready) = wait(carrier, &shared.bell, (!is_idle).then_some(rest)) else {
            return;
        };
        let mut hub = lock(&shared.hub);
        if ready[0] {
            receive(&mut hub, &mut out, &mut room);
        }
        if ready[1] {
            send(&mut hub, &mut out, &mut room);
        }
        if ready[0] || ready[1] {
            carried = Stopwatch::start();
        }
        if ticked.elapsed() >= tick {
            hub.tick(&mut out);
            ticked = Stopwatch::start();
        }
        out.flush();
    }
}

/// Waits for datagrams, for packets or for the bell; `None` when there is no link any more.
fn wait(carrier: &Carrier, bell: &OwnedFd, limit: Option<Duration>) -> Option<[bool; 2]> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut fds = [
        PollFd::new(&carrier.socket, PollFlags::IN),
        PollFd::new(&carrier.link, PollFlags::IN),
        PollFd::new(bell, PollFlags::IN),
    ];
    // Interrupted, or none: either way it is looked again.
    if poll(&mut fds, limit.as_ref()).is_err() {
        return Some([false; 2]);
    }
    let [socket, link, rung] = fds.each_ref().map(PollFd::revents);
    if rung.contains(PollFlags::IN) {
        let _ = rustix::io::read(bell.as_fd(), &mut [0; 8]);
    }
    let is_gone = link.intersects(PollFlags::ERR | PollFlags::NVAL);
    (!is_gone).then(|| [!socket.is_empty(), link.contains(PollFlags::IN)])
}

fn receive(hub: &mut Hub, out: &mut Outbox<'_>, room: &mut Room) {
    for _ in 0..AT_ONCE {
        match burst::receive(&out.carrier.socket, &mut room.bytes, &mut room.control) {
            Ok(come) => {
                for datagram in room.bytes[..come.length].chunks(come.segment) {
                    hub.receive(come.from, datagram, out);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // What became of an earlier datagram.
            Err(_) => {}
        }
    }
}

fn send(hub: &mut Hub, out: &mut Outbox<'_>, room: &mut Room) {
    for _ in 0..AT_ONCE {
        let Ok(length) = (&out.carrier.link).read(&mut room.bytes) else {
            return;
        };
        segments::cut(&mut room.bytes[..length], &mut room.piece, |packet| {
            hub.send(packet, out);
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
