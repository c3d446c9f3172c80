//! The daemon's side of a container: prepared, started, waited for, signalled and removed.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, future};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::host::clock;
use crate::host::wait::{self, blocking, sleep};
use crate::runtime::attempt::{Attempt, Bundle, Exit, ProcessMark, RecordError, Running};
use crate::runtime::cgroup::devices::DeviceProgram;
use crate::runtime::cgroup::figures::Figures;
use crate::runtime::cgroup::{Cgroup, CgroupError, Hierarchy};
use crate::runtime::content::{Content, Contents};
use crate::runtime::log::reader::{LogError, Reader, Wanted};
use crate::runtime::making::Making;
use crate::runtime::plan::Plan;
use crate::runtime::shim::status::{REPORT_BYTES_MAX, Report};
use crate::runtime::signal::send;
use crate::runtime::zygote::{ForkError, Zygote, program};

/// Log kept for one attempt, and for all of a host together.
pub const LOG_BYTES: u32 = 256 << 10;
pub const LOG_BYTES_TOTAL: u32 = 16 << 20;

/// A start that takes longer hangs on something, a dead network volume for one.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long killed processes may take to be gone.
const KILL_TIMEOUT_MS: u64 = 5000;
const KILL_POLL: Duration = Duration::from_millis(2);

const ID_LEN: usize = 64;

/// Where a daemon's containers live; two daemons on one machine differ in both.
#[derive(Clone, Debug)]
pub struct Settings {
    pub run_dir: PathBuf,
    /// The control group above all of this daemon's containers.
    pub cgroup_parent: PathBuf,
    /// The program that runs as shim: this one.
    pub exe: PathBuf,
    pub log_bytes: u32,
    pub log_bytes_total: u32,
}

impl Settings {
    /// The usual ones, for a run directory and a control group of one's own.
    pub fn new(run_dir: PathBuf, cgroup_parent: PathBuf) -> Self {
        let exe = PathBuf::from("/proc/self/exe");
        Self {
            run_dir,
            cgroup_parent,
            exe,
            log_bytes: LOG_BYTES,
            log_bytes_total: LOG_BYTES_TOTAL,
        }
    }
}

/// The containers of this host.
#[derive(Debug)]
pub struct Runtime {
    pub(super) settings: Settings,
    pub(super) hierarchy: Hierarchy,
    /// Started processes that are to be reaped.
    children: Mutex<Vec<Child>>,
    contents: Contents,
    has_device_guard: bool,
    making: Making,
    zygote: Arc<Zygote>,
}

/// Something about a container could not be done. Users see this.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("no such container: {0}")]
    NotFound(String),
    #[error("{0:?} is not a container id")]
    Id(String),
    #[error("container {0} is there already")]
    Exists(String),
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("{0}")]
    Start(String),
    #[error("its shim ended without a word")]
    ShimEnded,
    #[error("it did not start within {} s", START_TIMEOUT.as_secs())]
    StartTimeout,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Fork(#[from] ForkError),
    #[error("cannot {what}: {source}")]
    Io {
        what: &'static str,
        source: io::Error,
    },
}

/// What could not be removed; everything else was.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove container {id}: {}", reasons(errors))]
pub struct RemoveError {
    pub id: String,
    pub errors: Vec<RuntimeError>,
}

impl Runtime {
    /// Makes the directories and groups. Containers that are there already are left to `adopt`.
    pub fn open(settings: Settings) -> Result<Self, RuntimeError> {
        let hierarchy = Hierarchy::detect()?;
        let dir = settings.run_dir.join("containers");
        make_private(&dir).map_err(failed("make the run directory"))?;
        let shims = hierarchy.group(settings.cgroup_parent.join("shims"));
        shims.create()?;
        let zygote = Zygote::new(settings.exe.clone(), shims);
        let has_device_guard = hierarchy.version() == 1 || DeviceProgram::load(&[]).is_ok();
        Ok(Self {
            settings,
            hierarchy,
            children: Mutex::default(),
            contents: Contents::default(),
            has_device_guard,
            making: Making::default(),
            zygote: Arc::new(zygote),
        })
    }

    /// 1 or 2, as `docker info` has it.
    pub fn cgroup_version(&self) -> u8 {
        self.hierarchy.version()
    }

    /// What this host cannot do, for `info`.
    pub fn warnings(&self) -> Vec<String> {
        let devices = "WARNING: No device rules: the kernel has no cgroup device programs; \
                       containers run without CAP_MKNOD";
        let missing = (!self.has_device_guard).then(|| devices.to_owned());
        missing.into_iter().collect()
    }

    /// Writes what a container will be, and keeps what its files will contain until it starts.
    pub async fn prepare_with(&self, plan: Plan, content: Content) -> Result<(), RuntimeError> {
        let id = plan.id.clone();
        self.prepare(plan).await?;
        self.contents.insert(id, content);
        Ok(())
    }

    /// Writes what a container without files will be.
    pub async fn prepare(&self, plan: Plan) -> Result<(), RuntimeError> {
        let attempt = self.new_attempt(&plan.id)?;
        let zygote = self.zygote.clone();
        // What fails now fails again, and is heard of, when the shim is forked.
        drop(wait::start(move || zygote.expect()));
        let count = u32::try_from(self.ids()?.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let log_bytes = self
            .settings
            .log_bytes
            .min(self.settings.log_bytes_total / count);
        let cgroup_parent = self.settings.cgroup_parent.clone();
        let bundle = Bundle {
            cgroup_parent,
            log_bytes,
            plan,
        };
        let id = bundle.plan.id.clone();
        let under_way = self.making.begin(&id);
        let made = blocking(move || {
            let _under_way = under_way;
            match fs::create_dir(&attempt.dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(RuntimeError::Exists(bundle.plan.id));
                }
                made => made.map_err(failed("make the container's directory"))?,
            }
            Ok(attempt.write_bundle(&bundle)?)
        })
        .await;
        self.making.end(&id);
        made
    }

    /// Starts a prepared container and waits until its program runs.
    pub async fn start(&self, id: &str) -> Result<Running, RuntimeError> {
        let attempt = self.attempt(id)?;
        let report = self.spawn_shim(id, &attempt.dir).await?;
        let report = async {
            read_report(report)
                .await
                .map_err(failed("hear from the shim"))
        };
        let timeout = async {
            sleep(START_TIMEOUT).await;
            Err(RuntimeError::StartTimeout)
        };
        let started = match future::or(report, timeout).await {
            Ok(Some(Report::Started(running))) => Ok(running),
            Ok(Some(Report::Failed(reason))) => Err(RuntimeError::Start(reason)),
            Ok(None) => Err(RuntimeError::ShimEnded),
            Err(error) => Err(error),
        };
        if started.is_err() {
            self.kill_all(id, &attempt).await;
        }
        started
    }

    /// Waits until a started container has ended and says how.
    pub async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        let attempt = self.attempt(id)?;
        if let Some(exit) = attempt.exit()? {
            return Ok(exit);
        }
        let running = attempt.running()?;
        let running = running.ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
        if let Some(shim) = open(running.shim) {
            let shim = Async::new_nonblocking(shim).map_err(failed("watch the shim"))?;
            shim.readable().await.map_err(failed("watch the shim"))?;
        }
        self.reap();
        match attempt.exit()? {
            Some(exit) => Ok(exit),
            None => self.unknown_exit(id, &attempt).await,
        }
    }

    /// Sends a container its stop signal, which it answers, and remembers when.
    pub fn stop(&self, id: &str) -> Result<i32, RuntimeError> {
        let attempt = self.attempt(id)?;
        let signal = attempt.bundle()?.plan.process.stop_signal;
        self.signal(id, signal)?;
        attempt.write_stopped(clock::now())?;
        Ok(signal)
    }

    /// Sends a signal to a container's first process.
    pub fn signal(&self, id: &str, number: i32) -> Result<(), RuntimeError> {
        let attempt = self.attempt(id)?;
        let init = attempt
            .running()?
            .and_then(|running| running.init)
            .and_then(open);
        let init = init.ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
        let sent = send(&init, number);
        sent.map_err(failed("send the signal"))
    }

    /// Kills every process of a container, what an exec started included.
    pub fn kill(&self, id: &str) -> Result<(), RuntimeError> {
        self.attempt(id)?;
        self.group(id).kill();
        Ok(())
    }

    /// Kills what is left of a container and removes every trace. Goes on after an error; removing
    /// what is gone is fine.
    pub async fn remove(&self, id: &str) -> Result<(), RemoveError> {
        self.making.over(id).await;
        self.contents.take(id);
        let Ok(attempt) = self.attempt(id) else {
            return Ok(());
        };
        let mut errors = Vec::new();
        let mut dirs = match attempt.bundle() {
            Ok(bundle) => bundle.plan.own_dirs(),
            Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Vec::new()
            }
            Err(error) => {
                errors.push(error.into());
                Vec::new()
            }
        };
        self.kill_all(id, &attempt).await;
        errors.extend(self.group(id).remove().err().map(RuntimeError::from));
        // Last: it leads to the others should this end here.
        dirs.push(attempt.dir);
        errors.extend(blocking(move || remove_dirs(dirs)).await);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(RemoveError {
                id: id.to_owned(),
                errors,
            })
        }
    }

    /// What a container was started with.
    pub fn bundle(&self, id: &str) -> Result<Bundle, RuntimeError> {
        Ok(self.attempt(id)?.bundle()?)
    }

    /// A container's output.
    pub fn logs(&self, id: &str, wanted: Wanted) -> Result<Reader, LogError> {
        Reader::open(&self.dir(id), wanted)
    }

    /// What a running container uses.
    pub fn figures(&self, id: &str) -> Result<Figures, RuntimeError> {
        self.attempt(id)?;
        Ok(self.group(id).figures())
    }

    /// Removes the daemon's groups if no container is left in them, and says whether they are gone.
    pub fn close(&self) -> bool {
        self.reap();
        self.zygote.end();
        let parent = &self.settings.cgroup_parent;
        let shims = self.hierarchy.group(parent.join("shims")).remove();
        shims
            .and_then(|()| self.hierarchy.group(parent).remove())
            .is_ok()
    }

    pub(super) fn dir(&self, id: &str) -> PathBuf {
        self.settings.run_dir.join("containers").join(id)
    }

    pub(super) fn group(&self, id: &str) -> Cgroup {
        self.hierarchy.group(self.settings.cgroup_parent.join(id))
    }

    pub(super) fn attempt(&self, id: &str) -> Result<Attempt, RuntimeError> {
        let dir = self.dir(id);
        let there = is_id(id) && dir.is_dir();
        if there {
            Ok(Attempt { dir })
        } else {
            Err(RuntimeError::NotFound(id.to_owned()))
        }
    }

    fn new_attempt(&self, id: &str) -> Result<Attempt, RuntimeError> {
        let named = is_id(id).then(|| Attempt { dir: self.dir(id) });
        named.ok_or_else(|| RuntimeError::Id(id.to_owned()))
    }

    /// The containers whose directories are there.
    pub fn ids(&self) -> Result<Vec<String>, RuntimeError> {
        let dir = self.settings.run_dir.join("containers");
        let entries = fs::read_dir(dir).map_err(failed("list the containers"))?;
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let mut ids: Vec<_> = entries
            .flatten()
            .filter_map(name)
            .filter(|id| is_id(id))
            .collect();
        ids.sort();
        Ok(ids)
    }

    async fn spawn_shim(&self, id: &str, dir: &Path) -> Result<OwnedFd, RuntimeError> {
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (read, write) = pipe.map_err(|error| failed("make a pipe")(error.into()))?;
        let content = self.contents.take(id).map(Content::into_file);
        let null = || fs::File::open("/dev/null");
        let input = content.map_or_else(null, Ok);
        let input = input.map_err(failed("open /dev/null"))?;
        // The first one starts the zygote, which takes a while.
        let (zygote, dir) = (self.zygote.clone(), dir.to_owned());
        blocking(move || zygote.fork(&dir, [input.as_fd(), write.as_fd()])).await?;
        Ok(read)
    }

    pub(super) fn command(&self) -> Command {
        program(&self.settings.exe)
    }

    pub(super) fn spawn(&self, command: &mut Command) -> Result<(), RuntimeError> {
        self.reap();
        let child = command.spawn().map_err(failed("start the shim"))?;
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
        Ok(())
    }

    /// Collects those of our processes that have ended.
    pub(super) fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// The shim was killed: what it ran is killed too, and nobody knows how it would have ended.
    pub(super) async fn unknown_exit(
        &self,
        id: &str,
        attempt: &Attempt,
    ) -> Result<Exit, RuntimeError> {
        self.kill_all(id, attempt).await;
        let exit = Exit {
            finished: clock::now(),
            ..Exit::default()
        };
        attempt.write_exit(&exit)?;
        Ok(exit)
    }

    /// Kills shim and container and waits until the group is empty, or it takes too long.
    async fn kill_all(&self, id: &str, attempt: &Attempt) {
        let group = self.group(id);
        let shim = attempt.running().ok().flatten().map(|running| running.shim);
        let began = clock::now();
        loop {
            let shim = shim.and_then(open);
            if let Some(shim) = &shim {
                // It may have ended since it was opened.
                let _ = send(shim, Signal::KILL.as_raw());
            }
            let left = group.processes();
            if shim.is_none() && left.is_empty() {
                break;
            }
            group.kill();
            if clock::now().since_ms(began) > KILL_TIMEOUT_MS {
                break;
            }
            sleep(KILL_POLL).await;
        }
        self.reap();
    }
}

/// A descriptor for the very process that was marked, if it lives.
pub(super) fn open(mark: ProcessMark) -> Option<OwnedFd> {
    let pid = Pid::from_raw(mark.pid)?;
    let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)
        .or_else(|_| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        .ok()?;
    // Looked at after opening: from now on the number cannot be another's.
    mark.is_there().then_some(fd)
}

async fn read_report(pipe: OwnedFd) -> io::Result<Option<Report>> {
    let pipe = Async::new(fs::File::from(pipe))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(REPORT_BYTES_MAX).unwrap_or(u64::MAX);
    pipe.take(limit).read_to_end(&mut bytes).await?;
    Ok(postcard::from_bytes(&bytes).ok())
}

/// Only root may look: what a container is given can be secret.
fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn remove_dirs(dirs: Vec<PathBuf>) -> Vec<RuntimeError> {
    let remove = |dir: PathBuf| match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some(error),
        _ => None,
    };
    dirs.into_iter()
        .filter_map(remove)
        .map(failed("remove its files"))
        .collect()
}

fn is_id(id: &str) -> bool {
    id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn reasons(errors: &[RuntimeError]) -> String {
    let reasons: Vec<_> = errors.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

pub(super) fn failed(what: &'static str) -> impl Fn(io::Error) -> RuntimeError {
    move |source| RuntimeError::Io { what, source }
}
