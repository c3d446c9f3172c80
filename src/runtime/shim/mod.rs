//! `skep shim DIR`, forked from the zygote: one single-threaded process per container attempt. It
//! builds and starts the container with libcontainer, takes its output, waits for it and writes
//! down how it ended; it survives the daemon. Only this folder names libcontainer, which forks and
//! changes directory and so must never run in a process with threads.
//!
//! Memory is what a shim costs: it keeps two pipes, a log file and a buffer.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::Mode;
use rustix::pipe::PipeFlags;
use rustix::process::{WaitOptions, WaitStatus};

use crate::host::clock;
use crate::runtime::attempt::{
    Attempt, Bundle, Exit, ProcessMark, RecordError, Running, TAIL_BYTES,
};
use crate::runtime::cgroup::devices::{DeviceProgram, is_tun};
use crate::runtime::cgroup::{Cgroup, CgroupError, Hierarchy};
use crate::runtime::log::Stream;
use crate::runtime::log::{ring, sink::Sink};
use crate::runtime::plan::{MountKind, MountPlan, Network, Plan};
use crate::runtime::shim::devices::{Device, DeviceError};
use executor::Program;
use root::{Root, RootError};
use spec::Places;
use status::{Report, Status, one_line};
use terminal::Console;
use users::{User, UserError};

mod root;
#[cfg(test)]
mod paths;
mod users;
mod etc;
mod files;
mod devices;
mod volume;
mod loopback;
mod spec;
mod executor;
pub mod terminal;
mod output;
mod memory;
pub mod status;
pub mod tenant;

/// Most bytes read of an image's /etc/passwd and /etc/group.
const ACCOUNTS_BYTES_MAX: u64 = 1 << 20;

/// The shim is the last to be killed for memory.
const SHIM_OOM_SCORE: &str = "-999";

/// The name of the container under `state/`; there is one.
const STATE_NAME: &str = "c";

/// The container could not be started. Users see this.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("cannot {what}: {source}")]
    Io {
        what: &'static str,
        source: io::Error,
    },
    #[error("bind source path does not exist: {}", .0.display())]
    NoSource(PathBuf),
    #[error("cannot prepare the mount at {target}: {source}")]
    Source { target: String, source: io::Error },
    #[error("cannot make working directory {dir}: {source}")]
    WorkingDir { dir: String, source: io::Error },
    #[error("cannot create the container")]
    Create(#[source] LibcontainerError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("this kernel cannot keep a device from being read or written: it has no device rules")]
    NoDeviceRules,
    #[error("cannot open the log of log driver {driver}: {source}")]
    Log {
        driver: &'static str,
        source: io::Error,
    },
    #[error("{0}")]
    Program(String),
    #[error("the container's first process is gone")]
    Vanished,
}

/// A started container.
struct Contained {
    running: Running,
    log: Sink,
    ends: Ends,
    /// Kept as long as the container, so that its standard input stays open.
    _input: Option<OwnedFd>,
}

/// Runs the attempt in `dir` to its end.
pub fn run(dir: &Path) -> ExitCode {
    let Ok(status) = Status::take() else {
        return ExitCode::FAILURE;
    };
    let attempt = Attempt {
        dir: dir.to_owned(),
    };
    // Already a session's leader if started by hand.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let started = attempt
        .bundle()
        .map_err(ShimError::from)
        .and_then(|bundle| {
            let group = Hierarchy::detect()?.group(bundle.cgroup_parent.join(&bundle.plan.id));
            start(&attempt, bundle, &group)
                .inspect_err(|_| clean_up(&attempt, &group))
                .map(|contained| (contained, group))
        });
    match started {
        Ok((contained, group)) => {
            status.report(&Report::Started(contained.running));
            memory::release();
            end(&attempt, &group, contained)
        }
        Err(error) => {
            status.report(&Report::Failed(one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

fn start(attempt: &Attempt, bundle: Bundle, group: &Cgroup) -> Result<Contained, ShimError> {
    let shim = std::process::id().try_into().ok().and_then(ProcessMark::of);
    let shim = shim.ok_or(ShimError::Vanished)?;
    let mut running = Running {
        shim,
        init: None,
        started: clock::now(),
    };
    attempt.write_running(&running)?;
    let mut plan = bundle.plan;
    let log = open_log(attempt, &plan, bundle.log_bytes)?;
    group.create()?;
    group.limit(&plan.limits)?;
    let devices = devices::find(&plan.devices)?;
    let program = device_program(group, &mut plan, &devices)?;
    let init = plan.process.init.then(root::own_program).transpose()?;
    root::own_mounts()?;
    root::mount(attempt, &plan)?;
    init.map_or(Ok(()), |init| root::place(&init, &attempt.init()))?;
    let user = prepare_root(attempt, &mut plan)?;
    write_config(attempt, &plan, &user, group, &devices)?;

    let (failure, failing) = pipe(PipeFlags::CLOEXEC)?;
    let (stdin, _input) = input(&plan)?;
    let (mut container, ends) = build(attempt, &plan, stdin, failing)?;
    let init = container.pid().ok_or(ShimError::Vanished)?.as_raw();
    protect(&plan, group, (&devices, program.as_ref()), init)?;
    running.init = Some(ProcessMark::of(init).ok_or(ShimError::Vanished)?);
    running.started = clock::now();
    attempt.write_running(&running)?;
    container.start().map_err(ShimError::Create)?;
    await_program(failure)?;
    Ok(Contained {
        running,
        log,
        ends,
        _input,
    })
}

fn open_log(attempt: &Attempt, plan: &Plan, bytes: u32) -> Result<Sink, ShimError> {
    let opened = Sink::open(plan, &attempt.dir, bytes);
    opened.map_err(|source| ShimError::Log {
        driver: plan.log.name(),
        source,
    })
}

/// Version 2's guard. Where the kernel has none, nodes cannot be made instead: the root is mounted
/// without devices, so that those of an image do not open either.
fn device_program(
    group: &Cgroup,
    plan: &mut Plan,
    devices: &[Device],
) -> Result<Option<DeviceProgram>, ShimError> {
    if group.device_dir().is_none() {
        return Ok(None);
    }
    let rules: Vec<_> = devices.iter().map(|device| device.rule.clone()).collect();
    match DeviceProgram::load(&rules) {
        Ok(program) => Ok(Some(program)),
        Err(_) if devices.iter().any(|device| device.rule.access != "rwm") => {
            Err(ShimError::NoDeviceRules)
        }
        Err(_) => {
            let capabilities = &mut plan.security.capabilities;
            capabilities.retain(|name| name != "CAP_MKNOD");
            Ok(None)
        }
    }
}

/// What the container finds in its root: who it is, its working directory, its files under /etc
/// and its volumes.
fn prepare_root(attempt: &Attempt, plan: &mut Plan) -> Result<User, ShimError> {
    let root = Root::open(&attempt.root()).map_err(failed("open the root"))?;
    let user = find_user(&root, plan)?;
    if !plan
        .process
        .env
        .iter()
        .any(|entry| entry.starts_with("HOME="))
    {
        plan.process.env.push(format!("HOME={}", user.home));
    }
    let dir = plan.process.dir.clone();
    root.make_dir(&dir)
        .map_err(|source| ShimError::WorkingDir { dir, source })?;
    plan.mounts
        .iter()
        .try_for_each(|mount| prepare_source(&root, plan, mount))?;
    write_etc(attempt, plan).map_err(failed("write the files of /etc"))?;
    files::place(plan, &attempt.files()).map_err(failed("write the secrets and configs"))?;
    Ok(user)
}

/// Sources that the container's start may make or fill.
fn prepare_source(root: &Root, plan: &Plan, mount: &MountPlan) -> Result<(), ShimError> {
    let unusable = |source: io::Error| ShimError::Source {
        target: mount.target.clone(),
        source,
    };
    match &mount.kind {
        MountKind::Bind {
            source,
            create: true,
            ..
        } => fs::create_dir_all(source).map_err(unusable),
        MountKind::Bind { source, .. } if !source.exists() => {
            Err(ShimError::NoSource(source.clone()))
        }
        MountKind::Volume { source, copy } => {
            if plan.is_own(source) {
                fs::create_dir_all(source).map_err(unusable)?;
            }
            if *copy {
                volume::fill(root, &mount.target, source).map_err(unusable)
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

fn find_user(root: &Root, plan: &Plan) -> Result<User, ShimError> {
    let read = |path| {
        root.read(path, ACCOUNTS_BYTES_MAX)
            .map_err(failed("read the image's users"))
    };
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    Ok(users::resolve(
        &plan.process.user,
        &plan.process.groups,
        &passwd,
        &group,
    )?)
}

fn write_etc(attempt: &Attempt, plan: &Plan) -> io::Result<()> {
    let host = |path| fs::read_to_string(path).unwrap_or_default();
    fs::create_dir_all(attempt.etc())?;
    let put = |name, text: String| fs::write(attempt.etc().join(name), text);
    put("hosts", etc::hosts(plan, &host("/etc/hosts")))?;
    put("hostname", etc::hostname(plan))?;
    put(
        "resolv.conf",
        etc::resolv_conf(plan, &host("/etc/resolv.conf")),
    )
}

fn write_config(
    attempt: &Attempt,
    plan: &Plan,
    user: &User,
    group: &Cgroup,
    devices: &[Device],
) -> Result<(), ShimError> {
    let (root, etc, files) = (attempt.root(), attempt.etc(), attempt.files());
    let init = attempt.init();
    let places = Places {
        root: &root,
        etc: &etc,
        files: &files,
        init: plan.process.init.then_some(init.as_path()),
        group,
        devices,
    };
    let config = spec::config(plan, user, places).to_string();
    fs::write(attempt.dir.join("config.json"), config).map_err(failed("write config.json"))
}

/// Builds the container: its first process waits to be told to start.
fn build(
    attempt: &Attempt,
    plan: &Plan,
    stdin: OwnedFd,
    failing: OwnedFd,
) -> Result<(Container, Ends), ShimError> {
    let mut process = plan.process.clone();
    if process.init {
        let head = [spec::INIT_TARGET, "init", "--"].map(str::to_owned);
        process.args.splice(0..0, head);
    }
    let program = Program::new(&process, &plan.security, failing.as_raw_fd());
    let builder = ContainerBuilder::new(STATE_NAME.to_owned(), SyscallType::default())
        .with_root_path(attempt.state())
        .map_err(ShimError::Create)?
        .with_executor(program);
    let (builder, open) = if process.tty {
        let socket = attempt.dir.join("console");
        let console = Console::listen(&socket).map_err(failed("make the console"))?;
        (
            builder.with_console_socket(Some(socket)),
            Open::Terminal(console),
        )
    } else {
        let ((out, out_end), (err, err_end)) = (output_pipe()?, output_pipe()?);
        let builder = builder
            .with_stdin(stdin)
            .with_stdout(out_end)
            .with_stderr(err_end);
        (
            builder,
            Open::Pipes(vec![(out, Stream::Stdout), (err, Stream::Stderr)]),
        )
    };
    let container = builder
        .as_init(&attempt.dir)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(ShimError::Create)?;
    let ends = match open {
        Open::Pipes(ends) => ends,
        Open::Terminal(console) => {
            let master = console.receive().map_err(failed("receive the terminal"))?;
            do_not_block(&master)?;
            vec![(master, Stream::Stdout)]
        }
    };
    Ok((container, ends))
}

/// Where a container's output comes from.
type Ends = Vec<(OwnedFd, Stream)>;

/// Where it will come from, before the container is built.
enum Open {
    Pipes(Ends),
    Terminal(Console),
}

/// What only holds once the first process is there, and must before it runs its program.
fn protect(
    plan: &Plan,
    group: &Cgroup,
    (devices, program): (&[Device], Option<&DeviceProgram>),
    init: i32,
) -> Result<(), ShimError> {
    if let (Some(program), Some(dir)) = (program, group.device_dir()) {
        program.attach(&dir).map_err(failed("restrict devices"))?;
    }
    if !devices.iter().any(|device| is_tun(&device.rule)) {
        group.deny_tun()?;
    }
    if plan.network == Network::Own {
        loopback::bring_up(init).map_err(failed("bring up the loopback interface"))?;
    }
    // libcontainer has given the container's score to this process too. Where the right to lower
    // it is missing, the container's stays.
    let _ = fs::write("/proc/self/oom_score_adj", SHIM_OOM_SCORE);
    Ok(())
}

/// The program closes the pipe by starting; words in it are why it did not.
fn await_program(failure: OwnedFd) -> Result<(), ShimError> {
    let mut text = String::new();
    let mut failure = fs::File::from(failure);
    io::Read::read_to_string(&mut failure, &mut text).map_err(failed("wait for the program"))?;
    if text.is_empty() {
        Ok(())
    } else {
        Err(ShimError::Program(text))
    }
}

/// Waits for the end, writes it down and leaves nothing behind but what the daemon reads.
fn end(attempt: &Attempt, group: &Cgroup, mut contained: Contained) -> ExitCode {
    let init = contained.running.init.map_or(0, |init| init.pid);
    let status = output::run(init, contained.ends, &mut contained.log);
    let exit = match status {
        Ok(status) => exit_of(attempt, group, status),
        Err(_) => Exit {
            finished: clock::now(),
            ..Exit::default()
        },
    };
    let written = attempt.write_exit(&exit);
    clean_up(attempt, group);
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn exit_of(attempt: &Attempt, group: &Cgroup, status: WaitStatus) -> Exit {
    let signal = status.terminating_signal();
    let code = status
        .exit_status()
        .or_else(|| signal.map(|signal| 128 + signal));
    let failed = code != Some(0);
    let tail = if failed {
        ring::tail(&attempt.dir, TAIL_BYTES)
    } else {
        Vec::new()
    };
    let oom_killed = failed && group.oom_kills() > 0;
    Exit {
        code,
        signal,
        oom_killed,
        finished: clock::now(),
        tail,
    }
}

/// Errors are left to the daemon, which removes the attempt and reports what it cannot.
fn clean_up(attempt: &Attempt, group: &Cgroup) {
    group.kill();
    // A first process that never ran its program is this process's child; others are reaped by
    // their own parents.
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
    let _ = group.remove();
    let _ = root::unmount(attempt);
}

/// What the program reads, and what keeps it from ending: a service's containers have nobody who
/// types.
fn input(plan: &Plan) -> Result<(OwnedFd, Option<OwnedFd>), ShimError> {
    if plan.process.open_stdin {
        let (read, write) = pipe(PipeFlags::CLOEXEC)?;
        return Ok((read, Some(write)));
    }
    let null = fs::File::open("/dev/null").map_err(failed("open /dev/null"))?;
    Ok((null.into(), None))
}

fn output_pipe() -> Result<(OwnedFd, OwnedFd), ShimError> {
    let (read, write) = pipe(PipeFlags::CLOEXEC)?;
    // Only the shim's end: programs expect theirs to block.
    do_not_block(&read)?;
    Ok((read, write))
}

fn do_not_block(fd: &OwnedFd) -> Result<(), ShimError> {
    let set = rustix::io::ioctl_fionbio(fd, true);
    set.map_err(|error| failed("set up the container's output")(error.into()))
}

fn pipe(flags: PipeFlags) -> Result<(OwnedFd, OwnedFd), ShimError> {
    rustix::pipe::pipe_with(flags).map_err(|error| failed("make a pipe")(error.into()))
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> ShimError {
    move |source| ShimError::Io { what, source }
}
