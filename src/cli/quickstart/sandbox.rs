//! A daemon of its own in a temporary directory, and how all of it goes away again.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::client::{Client, Error};
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::host::clock::Stopwatch;
use crate::host::wait::{blocking, sleep};

const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
const LOG_BYTES_SHOWN: usize = 2000;

/// The directory, and the daemon in it once it is started.
#[derive(Debug)]
pub struct Sandbox {
    dir: PathBuf,
    listen: SocketAddr,
    daemon: Option<Child>,
}

impl Sandbox {
    /// Makes the directory.
    pub fn create() -> Result<Self, Failure> {
        let dir = env::temp_dir().join(format!("skep-quickstart-{}", process::id()));
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|source| failed("make", &dir, source))?;
        Ok(Self {
            listen: free_address()?,
            dir,
            daemon: None,
        })
    }

    /// Where the daemon's API is.
    pub fn host(&self) -> Host {
        Host::Unix(self.dir.join("skep.sock"))
    }

    /// Where the daemon listens for other nodes.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Whether a daemon was started and has not ended.
    pub fn is_up(&mut self) -> bool {
        self.daemon.is_some() && self.check().is_ok()
    }

    /// Starts the daemon and waits until it answers.
    pub async fn start(&mut self, client: &Client) -> Result<(), Failure> {
        let own = env::current_exe().map_err(|source| failed("find", Path::new("skep"), source))?;
        let path = self.log();
        let log = File::create(&path).map_err(|source| failed("make", &path, source))?;
        let mut command = Command::new(&own);
        command
            .arg("daemon")
            .arg("--state-dir")
            .arg(self.dir.join("state"));
        command.arg("--run-dir").arg(self.dir.join("run"));
        command.arg("--listen").arg(self.listen.to_string());
        command.arg("-H").arg(self.host().to_string());
        // Ctrl-C is for this program, which then ends the daemon in order.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command
            .spawn()
            .map_err(|source| failed("start", &own, source))?;
        self.daemon = Some(child);
        let started = Stopwatch::start();
        loop {
            match client.version().await {
                Ok(_) => return Ok(()),
                Err(Error::NoDaemon { .. }) if started.elapsed() < START_MAX => self.check()?,
                Err(error) => return Err(error.into()),
            }
            sleep(LOOK).await;
        }
    }

    /// Fails with the end of its log if the daemon has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let Ok(Some(status)) = daemon.try_wait() else {
            return Ok(());
        };
        let log = fs::read(self.log()).unwrap_or_default();
        let end = &log[log.len().saturating_sub(LOG_BYTES_SHOWN)..];
        let log = String::from_utf8_lossy(end).trim().to_owned();
        Err(Failure::Reported(format!(
            "the daemon ended ({status}): {log}"
        )))
    }

    /// Asks the daemon to end, and ends it if it does not.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let stopping = Stopwatch::start();
        let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
        while let Ok(None) = daemon.try_wait() {
            if stopping.elapsed() > STOP_MAX {
                break;
            }
            if let Some(pid) = pid {
                // One that has just ended needs no signal.
                kill_process(pid, Signal::TERM).ok();
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Removes everything; names what could not be removed.
    pub async fn remove(mut self) -> Result<(), Failure> {
        if let Some(daemon) = &mut self.daemon {
            // Both fail only if it is gone already.
            daemon.kill().ok();
            daemon.wait().ok();
        }
        let dir = self.dir.clone();
        let removed = blocking(move || fs::remove_dir_all(dir)).await;
        removed.map_err(|source| failed("remove", &self.dir, source))
    }

    fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }
}

/// A port of this machine's own that nobody has.
fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Failure::Io {
            action: "find a free port",
            source,
        })
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File {
        action,
        path: path.display().to_string(),
        source,
    }
}
