//! `skep exec-shim DIR NAME`: one short-lived process per exec. It starts a further process in a
//! running container, hands its ends to the daemon over a socket, and reports its exit code.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use serde::{Deserialize, Serialize};

use crate::runtime::attempt::{self, Attempt, Bundle, RecordError};
use crate::runtime::plan::ProcessPlan;
use crate::runtime::shim::executor::Program;
use crate::runtime::shim::root::Root;
use crate::runtime::shim::status::one_line;
use crate::runtime::shim::terminal::Console;
use crate::runtime::shim::users::{self, UserError};
use crate::runtime::shim::{ACCOUNTS_BYTES_MAX, STATE_NAME, spec};

/// What to run beside a container's first process; what is `None` is the container's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    pub args: Vec<String>,
    /// Added to the container's variables, or in their place.
    pub env: Vec<String>,
    pub dir: Option<String>,
    pub user: Option<String>,
    pub tty: bool,
    /// Whether the caller will write; without it the process reads nothing.
    pub stdin: bool,
    /// Rows and columns of the terminal.
    pub size: Option<(u16, u16)>,
    /// It is killed after this, with all it started.
    pub timeout_ms: Option<u64>,
}

/// What an exec-shim says, one message each; `Started` carries the ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecReport {
    /// With a terminal its master; else stdout, stderr and, if asked for, stdin.
    Started {
        pid: i32,
    },
    Failed(String),
    Exited {
        code: i32,
    },
    TimedOut,
}

/// Most bytes of a report.
pub const REPORT_BYTES_MAX: usize = 16 << 10;

/// The process could not be started in the container. Users see this.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the container is not running")]
    NotRunning,
    #[error(transparent)]
    User(#[from] UserError),
    #[error("cannot {what}: {source}")]
    Io {
        what: &'static str,
        source: io::Error,
    },
    #[error("cannot join the container")]
    Join(#[source] LibcontainerError),
    #[error("{0}")]
    Program(String),
}

/// A process, its ends, and how long it may take.
type Exec = (Pid, Vec<OwnedFd>, Option<u64>);

/// Runs the request stored under `name` in the attempt's folder to its end.
pub fn run(dir: &Path, name: &str) -> ExitCode {
    let Ok(socket) = take_socket() else {
        return ExitCode::FAILURE;
    };
    let attempt = Attempt {
        dir: dir.to_owned(),
    };
    match start(&attempt, name) {
        Ok((pid, ends, timeout_ms)) => {
            send(
                &socket,
                &ExecReport::Started {
                    pid: pid.as_raw_pid(),
                },
                &ends,
            );
            drop(ends);
            if timeout_ms.is_some_and(|ms| !ends_within(pid, ms)) {
                // It leads a session of its own.
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                send(&socket, &ExecReport::TimedOut, &[]);
            }
            let code = wait(pid);
            send(&socket, &ExecReport::Exited { code }, &[]);
            ExitCode::SUCCESS
        }
        Err(error) => {
            send(&socket, &ExecReport::Failed(one_line(&error)), &[]);
            ExitCode::FAILURE
        }
    }
}

fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(socket)
}

fn start(attempt: &Attempt, name: &str) -> Result<Exec, ExecError> {
    let path = attempt.dir.join(name);
    let request: ExecRequest = attempt::read(&path)?;
    let removed = fs::remove_file(&path);
    removed.map_err(failed("remove the request"))?;
    let bundle = attempt.bundle()?;
    let init = attempt.running()?.and_then(|running| running.init);
    let init = init
        .filter(|init| init.is_there())
        .ok_or(ExecError::NotRunning)?;
    let root = Root::open(Path::new(&format!("/proc/{}/root", init.pid)));
    let root = root.map_err(failed("open the container's root"))?;
    let process = process_of(&bundle, &request);
    let (pid, ends) = join(attempt, name, &bundle, process, &request, &root)?;
    Ok((pid, ends, request.timeout_ms))
}

/// The container's process with what the request changes.
fn process_of(bundle: &Bundle, request: &ExecRequest) -> ProcessPlan {
    let plan = &bundle.plan.process;
    let mut process = plan.clone();
    process.args = request.args.clone();
    process.init = false;
    process.tty = request.tty;
    process.dir = request.dir.clone().unwrap_or_else(|| plan.dir.clone());
    process.user = request.user.clone().unwrap_or_else(|| plan.user.clone());
    if request.tty && !plan.env.iter().any(|entry| entry.starts_with("TERM=")) {
        process.env.push("TERM=xterm".to_owned());
    }
    for entry in &request.env {
        let name = entry.split('=').next().unwrap_or("");
        process
            .env
            .retain(|old| old.split('=').next() != Some(name));
        process.env.push(entry.clone());
    }
    process
}

fn join(
    attempt: &Attempt,
    name: &str,
    bundle: &Bundle,
    mut process: ProcessPlan,
    request: &ExecRequest,
    root: &Root,
) -> Result<(Pid, Vec<OwnedFd>), ExecError> {
    let read = |path| {
        root.read(path, ACCOUNTS_BYTES_MAX)
            .map_err(failed("read the image's users"))
    };
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    let user = users::resolve(&process.user, &process.groups, &passwd, &group)?;
    if !process.env.iter().any(|entry| entry.starts_with("HOME=")) {
        process.env.push(format!("HOME={}", user.home));
    }
    let security = &bundle.plan.security;
    let file = attempt.dir.join(format!("{name}.json"));
    let text = spec::process(&process, security, &user).to_string();
    fs::write(&file, text).map_err(failed("write process.json"))?;

    let (failure, failing) = pipe()?;
    let program = Program::new(&process, security, failing.as_raw_fd());
    let program = program.in_terminal(request.size.filter(|_| request.tty));
    let builder = ContainerBuilder::new(STATE_NAME.to_owned(), SyscallType::default())
        .with_root_path(attempt.state())
        .map_err(ExecError::Join)?
        .with_executor(program);
    let (builder, open) = connect(attempt, name, builder, request)?;
    let tenant = builder
        .as_tenant()
        .with_process(Some(&file))
        .with_detach(true);
    let built = tenant.with_container_args(process.args.clone()).build();
    // A file that stays goes with the attempt.
    let _ = fs::remove_file(&file);
    drop(failing);
    let pid = built.map_err(|error| match why(failure) {
        Some(text) => ExecError::Program(text),
        None => ExecError::Join(error),
    })?;
    let pid = Pid::from_raw(pid.as_raw()).ok_or(ExecError::NotRunning)?;
    Ok((pid, ends(open)?))
}

/// Where the process's ends are, before it is started.
enum Open {
    Pipes(Vec<OwnedFd>),
    Terminal(Console),
}

fn connect(
    attempt: &Attempt,
    name: &str,
    builder: ContainerBuilder,
    request: &ExecRequest,
) -> Result<(ContainerBuilder, Open), ExecError> {
    if request.tty {
        let socket = attempt.dir.join(format!("{name}.tty"));
        let console = Console::listen(&socket).map_err(failed("make the terminal"))?;
        return Ok((
            builder.with_console_socket(Some(socket)),
            Open::Terminal(console),
        ));
    }
    let ((out, out_end), (err, err_end)) = (pipe()?, pipe()?);
    let mut ends = vec![out, err];
    let builder = builder.with_stdout(out_end).with_stderr(err_end);
    if !request.stdin {
        let null = fs::File::open("/dev/null").map_err(failed("open /dev/null"))?;
        return Ok((builder.with_stdin(null), Open::Pipes(ends)));
    }
    let (input_end, input) = pipe()?;
    ends.push(input);
    Ok((builder.with_stdin(input_end), Open::Pipes(ends)))
}

fn ends(open: Open) -> Result<Vec<OwnedFd>, ExecError> {
    match open {
        Open::Pipes(ends) => Ok(ends),
        Open::Terminal(console) => {
            let master = console.receive().map_err(failed("receive the terminal"))?;
            Ok(vec![master])
        }
    }
}

/// The program's own words about why it did not start.
fn why(failure: OwnedFd) -> Option<String> {
    let mut text = String::new();
    let read = io::Read::read_to_string(&mut fs::File::from(failure), &mut text);
    (read.is_ok() && !text.is_empty()).then_some(text)
}

/// Whether the process ends in time; it is not reaped.
fn ends_within(pid: Pid, timeout_ms: u64) -> bool {
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let seconds = i64::try_from(timeout_ms / 1000).unwrap_or(i64::MAX);
    let timeout = Timespec {
        tv_sec: seconds,
        tv_nsec: (timeout_ms % 1000 * 1_000_000) as _,
    };
    let mut ends = [PollFd::new(&process, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut ends, Some(&timeout)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}

fn wait(pid: Pid) -> i32 {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return status.exit_status().or(signal).unwrap_or(-1);
            }
            Err(rustix::io::Errno::INTR) | Ok(None) => {}
            Err(_) => return -1,
        }
    }
}

/// Sends a report. The daemon may be gone; the process goes on all the same.
fn send(socket: &OwnedFd, report: &ExecReport, ends: &[OwnedFd]) {
    let Ok(bytes) = postcard::to_stdvec(report) else {
        return;
    };
    let ends: Vec<BorrowedFd<'_>> = ends.iter().map(std::os::fd::AsFd::as_fd).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !ends.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&ends));
    }
    let parts = [io::IoSlice::new(&bytes)];
    let _ = rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL);
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ExecError> {
    let made = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    made.map_err(|error| failed("make a pipe")(error.into()))
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> ExecError {
    move |source| ExecError::Io { what, source }
}
