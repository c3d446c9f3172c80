//! Takes a container's output until it ends, and waits for its first process.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};

use crate::host::clock::{self, Stopwatch};
use crate::runtime::log::sink::Sink;
use crate::runtime::log::{DATA_BYTES_MAX, Stream};

/// How long what is left in the pipes may take once the first process has ended: something that
/// was handed the other end may keep it open.
const DRAIN: Duration = Duration::from_secs(2);

/// Copies output to the log until the process has ended, and then what is left of it.
pub fn run(pid: i32, mut ends: Vec<(OwnedFd, Stream)>, log: &mut Sink) -> io::Result<WaitStatus> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let mut buffer = vec![0; DATA_BYTES_MAX];
    let mut scratch = Vec::new();
    while !wait(&ends, Some(&ended), None)?.1 {
        take(&mut ends, log, &mut buffer, &mut scratch);
    }
    let drained = Stopwatch::start();
    while !ends.is_empty() {
        let Some(left) = DRAIN.checked_sub(drained.elapsed()) else {
            break;
        };
        wait(&ends, None, Some(left))?;
        take(&mut ends, log, &mut buffer, &mut scratch);
    }
    let status = rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
    status
        .map(|(_, status)| status)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Waits for output or for the end. Says whether there is output, and whether it has ended and
/// there is none.
fn wait(
    ends: &[(OwnedFd, Stream)],
    ended: Option<&OwnedFd>,
    timeout: Option<Duration>,
) -> io::Result<(bool, bool)> {
    let all = ends.iter().map(|(fd, _)| fd).chain(ended);
    let mut polled: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let output = polled
        .iter()
        .take(ends.len())
        .any(|fd| !fd.revents().is_empty());
    let end = polled
        .get(ends.len())
        .is_some_and(|fd| !fd.revents().is_empty());
    Ok((output, end && !output))
}

/// Reads once from each end that has something, and forgets the closed ones. The ends do not
/// block.
fn take(
    ends: &mut Vec<(OwnedFd, Stream)>,
    log: &mut Sink,
    buffer: &mut [u8],
    scratch: &mut Vec<u8>,
) {
    ends.retain(|(fd, stream)| match rustix::io::read(fd, &mut *buffer) {
        Ok(0) => false,
        Ok(length) => {
            // A full run directory costs output, not the container.
            let _ = log.append(*stream, clock::now(), &buffer[..length], scratch);
            true
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => true,
        // A terminal's last holder is gone.
        Err(_) => false,
    });
}
