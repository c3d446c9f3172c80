//! A host of the fleet: a daemon in a network namespace, on directories of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use skep::host::clock::Stopwatch;
use skep::host::wait::{Started, start};

use crate::engine::pause;
use crate::fleet::lan::{self, Lan};
use crate::http;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Host {
    pub number: usize,
    pub dir: PathBuf,
    namespace: String,
    daemon: Option<Child>,
}

impl Host {
    /// A running daemon.
    pub fn start(number: usize, lan: &Lan) -> Self {
        let name = format!("skep-bench-fleet-{}-{number}", std::process::id());
        let mut host = Self {
            number,
            dir: std::env::temp_dir().join(name),
            namespace: lan.path(number),
            daemon: None,
        };
        std::fs::create_dir_all(&host.dir).expect("a directory");
        host.start_daemon();
        host
    }

    /// Gives the host the images of an archive.
    pub fn load(&self, archive: &[u8]) {
        let path = "/v1.41/images/load?quiet=1";
        let loaded = http::call(&self.socket(), "POST", path, archive).expect("an answer");
        assert_eq!(loaded.0, 200, "{}", String::from_utf8_lossy(&loaded.1));
    }

    pub fn name(&self) -> String {
        format!("host{}", self.number)
    }

    pub fn address(&self) -> String {
        lan::address(self.number)
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("skep.sock")
    }

    /// Starts the daemon, if it does not run, and waits until it answers.
    pub fn start_daemon(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"));
        // As root of its own network, under its own name, in this process's place.
        let script = "hostname \"$1\"; shift; exec \"$@\"";
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace))
            .args(["unshare", "--uts", "sh", "-c", script, "sh", &self.name()])
            .args([env!("CARGO_BIN_EXE_skep"), "daemon", "--state-dir"])
            .arg(self.dir.join("state"))
            .arg("--run-dir")
            .arg(self.dir.join("run"))
            .args(["-H", &format!("unix://{}", self.socket().display())])
            .stdin(Stdio::null())
            .stderr(log.expect("a log for the daemon"));
        self.daemon = Some(command.spawn().expect("the daemon starts"));
        seconds_until("the daemon answers", || {
            self.try_call("GET", "/_ping", &Value::Null).is_some()
        });
    }

    /// `kill -9`, as a crash would.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("the daemon is ours to kill");
            daemon.wait().expect("the daemon is ours to reap");
        }
    }

    /// What systemd does, also when the host shuts down.
    pub fn stop_daemon(&mut self) {
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
        let _ = kill_process(pid.expect("a process"), Signal::TERM);
        daemon.wait().expect("the daemon is ours to reap");
    }

    /// Calls the API; `None` if it did not answer with yes.
    pub fn try_call(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let text = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let (status, answer) = http::call(&self.socket(), method, path, &text).ok()?;
        let agreed = (200..300).contains(&status);
        agreed.then(|| serde_json::from_slice(&answer).unwrap_or_default())
    }

    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_call(method, path, body);
        answer.unwrap_or_else(|| panic!("{method} {path} failed; see {}/log", self.dir.display()))
    }

    pub fn list(&self, path: &str) -> Vec<Value> {
        let list = self.try_call("GET", path, &Value::Null);
        list.and_then(|list| list.as_array().cloned())
            .unwrap_or_default()
    }

    /// Begins to leave the swarm; the answer may come when the containers are gone.
    pub fn begin_to_leave(&self) -> Started<bool> {
        let socket = self.socket();
        start(move || http::call(&socket, "POST", "/v1.41/swarm/leave", b"").is_ok())
    }

    /// Takes the host into the swarm of a manager.
    pub fn join(&self, manager: &Self, role: &str) {
        let swarm = manager.call("GET", "/v1.41/swarm", &Value::Null);
        let order = json!({
            "ListenAddr": "0.0.0.0:2377",
            "RemoteAddrs": [format!("{}:2377", manager.address())],
            "JoinToken": swarm["JoinTokens"][role],
        });
        self.call("POST", "/v1.41/swarm/join", &order);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.daemon.is_none() && !std::thread::panicking() {
            self.start_daemon();
        }
        self.try_call("POST", "/v1.41/swarm/leave?force=1", &Value::Null);
        self.stop_daemon();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Waits until something holds, looking often; how long that was.
#[track_caller]
pub fn seconds_until(what: &str, mut holds: impl FnMut() -> bool) -> f64 {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(watch.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(Duration::from_millis(2));
    }
    watch.elapsed().as_secs_f64()
}
