//! A further process in a running container, and what of it the daemon holds.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_io::Async;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::termios::Winsize;

use crate::host::wait::blocking;
use crate::runtime::attempt;
use crate::runtime::containers::{Runtime, RuntimeError, failed, open};
use crate::runtime::shim::tenant::{ExecReport, ExecRequest, REPORT_BYTES_MAX};
use crate::runtime::shim::terminal;

/// Tells the requests of one daemon apart.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A started exec.
#[derive(Debug)]
pub struct ExecSession {
    /// As the host numbers it.
    pub pid: i32,
    pub streams: Streams,
    control: Async<OwnedFd>,
}

/// How an exec's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code, or 128 and the signal.
    Exited(i32),
    /// It took longer than it might, and was killed.
    TimedOut,
}

/// The ends of an exec's process. The process goes on if they are dropped.
#[derive(Clone, Debug)]
pub enum Streams {
    /// Both directions of a terminal's master.
    Terminal(Arc<Async<File>>),
    Pipes {
        /// Dropping every copy is the end of the process's input.
        stdin: Option<Arc<Async<File>>>,
        stdout: Arc<Async<File>>,
        stderr: Arc<Async<File>>,
    },
}

impl Runtime {
    /// Starts a process in a running container.
    pub async fn exec(&self, id: &str, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        let attempt = self.attempt(id)?;
        let init = attempt
            .running()?
            .and_then(|running| running.init)
            .and_then(open);
        if init.is_none() {
            return Err(RuntimeError::NotRunning(id.to_owned()));
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("exec-{}-{count}", std::process::id());
        let (dir, path, tty) = (attempt.dir.clone(), attempt.dir.join(&name), request.tty);
        blocking(move || attempt::write(&path, &request)).await?;
        let (control, end) = socket_pair().map_err(failed("make a socket"))?;
        let mut command = self.command();
        command.arg("exec-shim").arg(dir).arg(name);
        command
            .stdin(end)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.spawn(&mut command)?;
        drop(command);
        let (report, ends) = receive(&control)
            .await
            .map_err(failed("hear from the shim"))?;
        match report {
            ExecReport::Started { pid } => {
                let streams = streams(ends, tty).map_err(failed("take the streams"))?;
                Ok(ExecSession {
                    pid,
                    streams,
                    control,
                })
            }
            ExecReport::Failed(reason) => Err(RuntimeError::Start(reason)),
            ExecReport::Exited { .. } | ExecReport::TimedOut => Err(RuntimeError::ShimEnded),
        }
    }
}

impl ExecSession {
    /// Waits for the process to end.
    pub async fn end(&self) -> Result<Ended, RuntimeError> {
        match receive(&self.control).await {
            Ok((ExecReport::Exited { code }, _)) => Ok(Ended::Exited(code)),
            Ok((ExecReport::TimedOut, _)) => Ok(Ended::TimedOut),
            Ok((ExecReport::Failed(reason), _)) => Err(RuntimeError::Start(reason)),
            Ok((ExecReport::Started { .. }, _)) => Err(RuntimeError::ShimEnded),
            Err(error) => Err(failed("hear from the shim")(error)),
        }
    }
}

impl Streams {
    /// Sizes the terminal; without one there is nothing to size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), RuntimeError> {
        let Self::Terminal(master) = self else {
            return Ok(());
        };
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let set = rustix::termios::tcsetwinsize(master, size);
        set.map_err(|error| failed("size the terminal")(error.into()))
    }
}

/// Messages keep their bounds, and the other end's death is seen.
fn socket_pair() -> io::Result<(Async<OwnedFd>, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
    Ok((Async::new(ours)?, theirs))
}

async fn receive(control: &Async<OwnedFd>) -> io::Result<(ExecReport, Vec<OwnedFd>)> {
    let mut bytes = vec![0; REPORT_BYTES_MAX];
    let (length, ends) = control
        .read_with(|fd| terminal::receive(fd, &mut bytes))
        .await?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let report = postcard::from_bytes(&bytes[..length]);
    Ok((report.map_err(|_| io::ErrorKind::InvalidData)?, ends))
}

fn streams(ends: Vec<OwnedFd>, tty: bool) -> io::Result<Streams> {
    let mut ends = ends
        .into_iter()
        .map(|end| Async::new(File::from(end)).map(Arc::new));
    let mut next = || ends.next().transpose();
    let first = next()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if tty {
        return Ok(Streams::Terminal(first));
    }
    let stderr = next()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Streams::Pipes {
        stdin: next()?,
        stdout: first,
        stderr,
    })
}
