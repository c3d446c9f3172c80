//! A host of its own: a daemon on fresh directories, and the CLIs that talk to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use skep::host::clock::Stopwatch;

use crate::lan::Seat;
use crate::{image, tools};

pub const SKEP: &str = env!("CARGO_BIN_EXE_skep");

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a test looks away before it looks again.
const GLANCE: Duration = Duration::from_millis(20);

/// A daemon under test.
#[derive(Debug)]
pub struct Host {
    dir: PathBuf,
    daemon: Option<Child>,
    seat: Option<Seat>,
    /// What the daemon is told beside.
    flags: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Host {
    /// A running daemon on fresh directories.
    pub fn start(test: &str) -> Self {
        Self::begin(test, None, &[])
    }

    /// The same, in a network of the test.
    pub fn at(test: &str, seat: Seat) -> Self {
        Self::begin(test, Some(seat), &[])
    }

    fn begin(test: &str, seat: Option<Seat>, flags: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("skep-e2e-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the test");
        let mut host = Self {
            dir,
            daemon: None,
            seat,
            environment: Vec::new(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        host.start_daemon();
        host
    }

    /// A running daemon that is a swarm of one and has the image `bb:1`; `None`, with the reason
    /// said, where the machine cannot run it.
    pub fn swarm(test: &str) -> Option<Self> {
        Self::swarm_with(test, &[])
    }

    /// The same, of a daemon that is told more.
    pub fn swarm_with(test: &str, flags: &[&str]) -> Option<Self> {
        if !tools::root() {
            return None;
        }
        let Some(busybox) = tools::busybox() else {
            tools::skipped("no static busybox, and it could not be installed");
            return None;
        };
        let host = Self::begin(test, None, flags);
        host.skep(&["swarm", "init"]);
        host.load(busybox);
        Some(host)
    }

    /// Gives the host the image `bb:1`.
    pub fn load(&self, busybox: &Path) {
        self.load_as(busybox, "bb:1", &image::plain());
    }

    /// Gives the host busybox under another name, with a config of its own.
    pub fn load_as(&self, busybox: &Path, tag: &str, config: &serde_json::Value) {
        let archive = self.path("bb.tar");
        image::busybox_archive(busybox, &archive, tag, config);
        let archive = archive.to_str().unwrap_or_default();
        self.skep(&["image", "load", "-q", "-i", archive]);
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn socket(&self) -> String {
        format!("unix://{}", self.path("skep.sock").display())
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon was started").id()
    }

    /// The daemon's command line, for a test that starts one by itself.
    pub fn daemon_command(&self) -> Command {
        let mut command = match &self.seat {
            None => Command::new(SKEP),
            Some(seat) => {
                // As root of its own network, under its own name, in this process's place.
                let script = "hostname \"$1\"; shift; exec \"$@\"";
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net=/run/netns/{}", seat.namespace))
                    .args(["unshare", "--uts", "sh", "-c", script, "sh"])
                    .args([&seat.hostname, SKEP]);
                command
            }
        };
        command
            .arg("daemon")
            .arg("--state-dir")
            .arg(self.path("state"));
        command
            .arg("--run-dir")
            .arg(self.path("run"))
            .args(["-H", &self.socket()]);
        command.args(&self.flags);
        command.envs(self.environment.iter().cloned());
        // It trusts nobody but whom a test names.
        command.env("SSL_CERT_FILE", self.path("roots.crt"));
        command.env_remove("SSL_CERT_DIR");
        if self.seat.is_none() {
            // Other hosts of the machine's own network have taken the usual port.
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"));
        let child = self
            .daemon_command()
            .stdin(Stdio::null())
            .stderr(log.expect("a log for the daemon"))
            .spawn()
            .expect("the daemon starts");
        self.daemon = Some(child);
        self.until("the daemon answers", || {
            self.try_skep(&["version"]).status.success()
        });
    }

    /// Lets its daemon, from its next start on, see a systemd that says this of the host.
    pub fn fake_systemd(&mut self, says: &str) {
        use std::os::unix::fs::PermissionsExt;
        let dir = self.path("bin");
        std::fs::create_dir_all(&dir).expect("a directory for systemctl");
        let script = dir.join("systemctl");
        std::fs::write(&script, format!("#!/bin/sh\necho {says}\n")).expect("a systemctl");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("a program");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", dir.display());
        self.environment = vec![
            ("PATH".to_owned(), path),
            ("INVOCATION_ID".to_owned(), "1".to_owned()),
        ];
    }

    /// Flags that its daemon gets from its next start on.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// `kill -9`, as a crash would.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("the daemon is ours to kill");
            daemon.wait().expect("the daemon is ours to reap");
        }
    }

    /// An orderly stop, as systemd asks for one.
    pub fn stop_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            signal(daemon.id(), rustix::process::Signal::TERM);
            daemon.wait().expect("the daemon is ours to reap");
        }
    }

    /// Runs `skep` against this host and gives its output, which must be a success.
    #[track_caller]
    pub fn skep(&self, args: &[&str]) -> String {
        success("skep", args, &self.try_skep(args))
    }

    pub fn try_skep(&self, args: &[&str]) -> Output {
        self.skep_command(args).output().expect("skep runs")
    }

    pub fn skep_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SKEP);
        command
            .args(["-H", &self.socket()])
            .args(args)
            .env("DOCKER_CONFIG", self.path("docker-config"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the `docker` CLI against this host and gives its output, which must be a success.
    #[track_caller]
    pub fn docker(&self, cli: &Path, args: &[&str]) -> String {
        success("docker", args, &self.try_docker(cli, args))
    }

    pub fn try_docker(&self, cli: &Path, args: &[&str]) -> Output {
        self.docker_command(cli, args)
            .output()
            .expect("docker runs")
    }

    pub fn docker_command(&self, cli: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(cli);
        command
            .args(args)
            .env("DOCKER_HOST", self.socket())
            .stdin(Stdio::null());
        command.env("DOCKER_CONFIG", self.path("docker-config"));
        command
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let (_keep, never): (_, Receiver<()>) = mpsc::channel();
        let start = Stopwatch::start();
        while !holds() {
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain until {what}; the daemon said:\n{}",
                self.log()
            );
            let _ = never.recv_timeout(GLANCE);
        }
    }

    /// The states of a service's tasks, newest first, as `service ps` shows them.
    pub fn task_states(&self, service: &str) -> Vec<String> {
        let args = ["service", "ps", service, "--format", "{{.CurrentState}}"];
        let states = self.try_skep(&args);
        String::from_utf8_lossy(&states.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// How many tasks of a service run.
    pub fn running(&self, service: &str) -> usize {
        self.task_states(service)
            .iter()
            .filter(|state| state.starts_with("Running"))
            .count()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.daemon.is_none() {
            self.start_daemon();
        }
        let _ = self.try_skep(&["swarm", "leave", "--force"]);
        self.stop_daemon();
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.dir)
                .expect("nothing is mounted in the directory any more");
        }
    }
}

/// A process of the test whose lines are read as they come.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    lines: Receiver<String>,
}

impl Lines {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test reads a pipe beside its own work"
    )]
    pub fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line.
    #[track_caller]
    pub fn next(&self, what: &str) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no line came: {what}"))
    }

    /// Skips lines until one contains `text`.
    #[track_caller]
    pub fn until(&self, text: &str) -> String {
        loop {
            let line = self.next(text);
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that the test started, or that runs in a container of its daemon.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::kill_process(pid.expect("a process id"), signal);
}

#[track_caller]
fn success(program: &str, args: &[&str], output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {}\n{text}{error}",
        args.join(" "),
        output.status
    );
    text
}
