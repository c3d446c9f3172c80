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
use crate::network::tunnel::hub::{Hub, Out};

/// How many of one kind are carried before the other has its turn.
const AT_ONCE: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;
/// How often keys and signs of life are looked at while packets flow, and otherwise.
const TICK: Duration = Duration::from_millis(250);
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Packets flow until there was none for this long.
const IDLE_AFTER: Duration = Duration::from_secs(15);
/// How long a datagram waits for room on its way out.
const SEND_WITHIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

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

impl Out for &Carrier {
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        for _ in 0..2 {
            match self.socket.send_to(bytes, to) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut wait = [PollFd::new(&self.socket, PollFlags::OUT)];
                    let _ = poll(&mut wait, Some(&SEND_WITHIN));
                }
                // What cannot be sent is lost, as on any wire.
                _ => return,
            }
        }
    }

    fn packet(&mut self, bytes: &[u8]) {
        // The same holds for what the host does not take.
        let _ = (&self.link).write(bytes);
    }
}

/// Carries until it is told to stop, or the link is taken away.
pub fn carry(carrier: &Carrier, shared: &Arc<Shared>) {
    let mut buffer = vec![0; BUFFER_BYTES];
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
            receive(&mut hub, carrier, &mut buffer);
        }
        if ready[1] {
            send(&mut hub, carrier, &mut buffer);
        }
        if ready[0] || ready[1] {
            carried = Stopwatch::start();
        }
        if ticked.elapsed() >= tick {
            hub.tick(&mut &*carrier);
            ticked = Stopwatch::start();
        }
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

fn receive(hub: &mut Hub, mut carrier: &Carrier, buffer: &mut [u8]) {
    for _ in 0..AT_ONCE {
        match carrier.socket.recv_from(buffer) {
            Ok((length, from)) => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                hub.receive(from, &buffer[..length], &mut carrier);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // What became of an earlier datagram.
            Err(_) => {}
        }
    }
}

fn send(hub: &mut Hub, mut carrier: &Carrier, buffer: &mut [u8]) {
    for _ in 0..AT_ONCE {
        match (&carrier.link).read(buffer) {
            Ok(length) => hub.send(&buffer[..length], &mut carrier),
            Err(_) => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
