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
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::runtime::cgroup::{Cgroup, CgroupError};
use crate::runtime::shim;
use crate::runtime::shim::terminal::receive;

const PATH_BYTES_MAX: usize = 4096;

/// Room for what a shim is shown as in lists of processes.
const NAME_BYTES: usize = 200;

/// The daemon's end: the process is started when it is first needed, and again if it died.
#[derive(Debug)]
pub struct Zygote {
    exe: PathBuf,
    /// Where shims live.
    group: Cgroup,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    socket: OwnedFd,
    process: Child,
}

/// A shim could not be forked.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    #[error("cannot start the shim: {0}")]
    Start(#[from] io::Error),
    #[error(transparent)]
    Group(#[from] CgroupError),
}

impl Zygote {
    /// None runs yet.
    pub fn new(exe: PathBuf, group: Cgroup) -> Self {
        Self {
            exe,
            group,
            running: Mutex::default(),
        }
    }

    /// Gets ready for a container that is about to start.
    ///
    /// Of moves between control groups the kernel lets the first wait for all processors, about ten
    /// milliseconds, and those that follow soon not at all (`cgroup_threadgroup_rwsem`, a
    /// percpu_rw_semaphore). This one changes nothing and waits in place of the container's.
    pub fn expect(&self) -> Result<(), ForkError> {
        let zygote = {
            let mut running = self.lock();
            self.started(&mut running)?.process.id()
        };
        Ok(self.group.add(zygote)?)
    }

    /// Forks a shim for the attempt in `dir`, with its standard input and output.
    pub fn fork(&self, dir: &Path, ends: [BorrowedFd<'_>; 2]) -> Result<(), ForkError> {
        let mut running = self.lock();
        let sent = send(self.started(&mut running)?, dir, ends);
        if !matches!(sent, Err(Errno::PIPE | Errno::CONNRESET)) {
            return Ok(sent.map_err(io::Error::from)?);
        }
        *running = None;
        let sent = send(self.started(&mut running)?, dir, ends);
        Ok(sent.map_err(io::Error::from)?)
    }

    /// Ends it, until it is needed again.
    pub fn end(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started<'a>(&self, running: &'a mut Option<Running>) -> Result<&'a Running, ForkError> {
        if let Some(running) = running {
            return Ok(running);
        }
        let started = Running::start(program(&self.exe))?;
        self.group.add(started.process.id())?;
        Ok(running.insert(started))
    }
}

/// The program itself, with nothing of the daemon's environment.
pub fn program(exe: &Path) -> Command {
    let mut command = Command::new(exe);
    command.env_clear().current_dir("/");
    command
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

fn send(zygote: &Running, dir: &Path, ends: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&ends));
    let bytes = [IoSlice::new(dir.as_os_str().as_bytes())];
    rustix::net::sendmsg(&zygote.socket, &bytes, &mut control, SendFlags::NOSIGNAL).map(drop)
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
