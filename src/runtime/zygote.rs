//! `skep zygote`: the process that all shims are forked from, as Android's and Chromium's zygotes.
//!
//! A shim that executed the program for itself would hold a copy of everything that is relocated at
//! start, 600 kB of which it uses next to nothing; forked shims share these pages. The zygote has
//! done nothing but start: it has one thread, one socket and an empty environment. It ends when the
//! daemon closes the socket; its children go on.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::runtime::shim;
use crate::runtime::shim::terminal::receive;

const PATH_BYTES_MAX: usize = 4096;

/// Room for what a shim is shown as in lists of processes.
const NAME_BYTES: usize = 200;

/// The daemon's end: the process is started when it is first needed, and again if it died.
#[derive(Debug, Default)]
pub struct Zygote(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    socket: OwnedFd,
    process: Child,
}

impl Zygote {
    /// Forks a shim for the attempt in `dir`, with its standard input and output.
    pub fn fork(&self, program: Command, dir: &Path, ends: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zygote) = &*running {
            match send(zygote.socket.as_fd(), dir, ends) {
                Err(Errno::PIPE | Errno::CONNRESET) => *running = None,
                sent => return Ok(sent?),
            }
        }
        let zygote = running.insert(Running::start(program)?);
        Ok(send(zygote.socket.as_fd(), dir, ends)?)
    }
}

impl Running {
    fn start(mut program: Command) -> io::Result<Self> {
        let (socket, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let process = program
            .arg("zygote")
            .arg(" ".repeat(NAME_BYTES))
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { socket, process })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is lost with it, and nothing of it shall be left when the daemon has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn send(socket: BorrowedFd<'_>, dir: &Path, ends: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&ends));
    let bytes = [IoSlice::new(dir.as_os_str().as_bytes())];
    rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Forks shims as it is told, until nobody can tell it any more.
pub fn run() -> ExitCode {
    let Ok(socket) = take_socket() else {
        return ExitCode::FAILURE;
    };
    // Whoever waits for a shim watches the process itself.
    on_child_end(libc::SIG_IGN);
    let mut bytes = [0; PATH_BYTES_MAX];
    loop {
        let (dir, ends) = match receive(&socket, &mut bytes) {
            Ok((0, _)) => return ExitCode::SUCCESS,
            Ok((length, ends)) => (&bytes[..length], ends),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return ExitCode::FAILURE,
        };
        // SAFETY: this process has a single thread, so the child can go on as if it were alone.
        #[allow(unsafe_code)]
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            drop(socket);
            return become_shim(dir, ends);
        }
        // The daemon reads the end of a shim that could not be forked.
    }
}

/// The socket that came as standard input.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

fn become_shim(dir: &[u8], ends: Vec<OwnedFd>) -> ExitCode {
    on_child_end(libc::SIG_DFL);
    let placed = <[OwnedFd; 2]>::try_from(ends).is_ok_and(|[input, output]| {
        rustix::stdio::dup2_stdin(input).is_ok() && rustix::stdio::dup2_stdout(output).is_ok()
    });
    if !placed {
        return ExitCode::FAILURE;
    }
    show_as([b"skep", b"shim", dir]);
    shim::run(Path::new(OsStr::from_bytes(dir)))
}

fn on_child_end(disposition: libc::sighandler_t) {
    // SAFETY: no handler is installed, only one of the kernel's two dispositions.
    #[allow(unsafe_code)]
    unsafe {
        libc::signal(libc::SIGCHLD, disposition);
    }
}

/// What lists of processes show for this one, as far as the zygote's arguments leave room.
fn show_as(words: [&[u8]; 3]) {
    let _ = rustix::thread::set_name(c"skep");
    let Some(room) = arguments() else { return };
    let mut line = words.join(&0);
    line.resize(room.len(), 0);
    // SAFETY: the kernel says that the arguments lie there, which nothing of a shim reads, and the
    // line is as long as they are.
    #[allow(unsafe_code)]
    unsafe {
        std::ptr::copy_nonoverlapping(line.as_ptr(), room.start as *mut u8, line.len());
    }
}

/// The addresses of this process's arguments: fields 48 and 49 of proc_pid_stat(5).
fn arguments() -> Option<Range<usize>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(45);
    let mut address = || fields.next()?.parse().ok();
    Some(address()?..address()?)
}
