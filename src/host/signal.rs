//! Signals that ask a program to end, as values.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use async_io::Async;
use futures_lite::AsyncReadExt;

/// Where the handler writes; it stays open for as long as the process lives.
static NOTES: AtomicI32 = AtomicI32::new(-1);

/// Hears of SIGINT, SIGTERM and SIGHUP instead of being ended by them. Programs started from here
/// are ended by them as always: handlers do not outlive `exec`.
#[derive(Debug)]
pub struct Endings {
    notes: Async<UnixStream>,
}

impl Endings {
    /// Takes the signals over; once in a process.
    pub fn listen() -> io::Result<Self> {
        let (notes, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        let taken =
            NOTES.compare_exchange(-1, writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst);
        if taken.is_err() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // The handler needs it from now on, so nothing may close it.
        let _ = writer.into_raw_fd();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: the handler only reads an atomic and writes to a socket that stays open.
            #[allow(unsafe_code)]
            let before = unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
            if before == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self {
            notes: Async::new(notes)?,
        })
    }

    /// Waits for the next of the signals.
    pub async fn next(&mut self) -> io::Result<()> {
        self.notes.read_exact(&mut [0]).await
    }
}

extern "C" fn note(_: libc::c_int) {
    // SAFETY: errno belongs to this thread, and the interrupted code wants its own back; write is
    // async-signal-safe and its one byte outlives it. A full socket has notes enough.
    #[allow(unsafe_code)]
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(NOTES.load(Ordering::SeqCst), [1_u8].as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_and_ends_nothing() {
        let mut endings = Endings::listen().unwrap();
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
        futures_lite::future::block_on(endings.next()).unwrap();
        assert!(Endings::listen().is_err(), "only one may listen");
    }
}
