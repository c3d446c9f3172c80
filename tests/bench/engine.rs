//! The engines that are measured: skep's release binary, and Debian's Docker Engine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use skep::host::clock::Stopwatch;

use crate::{http, image};

const PATIENCE: Duration = Duration::from_secs(60);
const DISK_BYTES: u64 = 1 << 30;

/// What is measured of every engine.
pub trait Engine {
    fn disk(&self) -> &Disk;
    fn socket(&self) -> PathBuf;
    /// The engine's own processes that are always there.
    fn daemons(&self) -> Vec<u32>;
    /// Bytes of everything that must be installed.
    fn installed_bytes(&self) -> u64;

    /// Calls the engine, which must agree.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (status, answer) = http::call(&self.socket(), method, path, &text).expect("an answer");
        let shown = String::from_utf8_lossy(&answer);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {shown}"
        );
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// Makes the engine a swarm of one with the image `bb:1`.
    fn prepare(&self) {
        until("the engine answers", || {
            http::call(&self.socket(), "GET", "/_ping", b"").is_ok()
        });
        let init = json!({"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"});
        self.call("POST", "/v1.41/swarm/init", &init);
        let archive = self.disk().dir.join("bb.tar");
        image::busybox_archive(Path::new("/bin/busybox"), &archive, "bb:1", &image::plain());
        let bytes = std::fs::read(&archive).expect("the archive");
        let loaded = http::call(&self.socket(), "POST", "/v1.41/images/load?quiet=1", &bytes);
        assert_eq!(loaded.expect("an answer").0, 200);
    }
}

/// Waits until something holds, looking often: the figures are in milliseconds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Stopwatch::start();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(Duration::from_millis(2));
    }
}

pub fn pause(duration: Duration) {
    futures_lite::future::block_on(skep::host::wait::sleep(duration));
}

/// An ext4 filesystem on a loop device of its own.
#[derive(Debug)]
pub struct Disk {
    pub dir: PathBuf,
    image: PathBuf,
    device: String,
}

impl Disk {
    fn mount(name: &str) -> Self {
        let base = std::env::temp_dir().join(format!("skep-bench-{name}-{}", std::process::id()));
        let (image, dir) = (base.with_extension("img"), base);
        std::fs::create_dir_all(&dir).expect("a mount point");
        let file = std::fs::File::create(&image).expect("an image file");
        file.set_len(DISK_BYTES).expect("a sparse file");
        run("mkfs.ext4", &["-q", "-F", text(&image)]);
        run("mount", &["-o", "loop", text(&image), text(&dir)]);
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let line = mounts
            .lines()
            .find(|line| line.contains(text(&dir)))
            .expect("our mount");
        let device = line
            .split(' ')
            .next()
            .unwrap_or_default()
            .trim_start_matches("/dev/");
        Self {
            device: device.to_owned(),
            dir,
            image,
        }
    }

    /// Bytes that reached the device so far, what was still in memory included.
    pub fn flushed(&self) -> u64 {
        rustix::fs::sync();
        self.written()
    }

    /// Bytes that reached the device so far.
    pub fn written(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.device));
        let stat = stat.expect("the device's counters");
        let sectors: u64 = stat
            .split_whitespace()
            .nth(6)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        sectors * 512
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// skep's daemon.
#[derive(Debug)]
pub struct Skep {
    disk: Disk,
    run: PathBuf,
    daemon: Child,
}

impl Skep {
    pub fn start() -> Self {
        let disk = Disk::mount("skep");
        let run = disk.dir.with_extension("run");
        let socket = format!("unix://{}/skep.sock", run.display());
        std::fs::create_dir_all(&run).expect("a run directory");
        let daemon = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(["daemon", "--state-dir", text(&disk.dir.join("state"))])
            .args(["--run-dir", text(&run), "-H", &socket])
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let skep = Self { disk, run, daemon };
        skep.prepare();
        skep
    }
}

impl Engine for Skep {
    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn socket(&self) -> PathBuf {
        self.run.join("skep.sock")
    }

    fn daemons(&self) -> Vec<u32> {
        vec![self.daemon.id()]
    }

    fn installed_bytes(&self) -> u64 {
        bytes_of(&[env!("CARGO_BIN_EXE_skep")])
    }
}

impl Drop for Skep {
    fn drop(&mut self) {
        let _ = http::call(&self.socket(), "POST", "/v1.41/swarm/leave?force=1", b"");
        end(&mut self.daemon);
        let _ = std::fs::remove_dir_all(&self.run);
    }
}

/// Debian's Docker Engine, started by hand on directories of its own.
#[derive(Debug)]
pub struct Docker {
    disk: Disk,
    run: PathBuf,
    daemon: Child,
}

const DOCKER_PROGRAMS: [&str; 7] = [
    "/usr/sbin/dockerd",
    "/usr/bin/dockerd",
    "/usr/bin/containerd",
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/sbin/runc",
    "/usr/bin/docker-proxy",
    "/usr/sbin/docker-proxy",
];

impl Docker {
    pub fn start() -> Option<Self> {
        let program = DOCKER_PROGRAMS[..2]
            .iter()
            .find(|path| Path::new(path).exists())?;
        let disk = Disk::mount("docker");
        let run = disk.dir.with_extension("run");
        std::fs::create_dir_all(&run).ok()?;
        let daemon = Command::new(program)
            .args([
                "--data-root",
                text(&disk.dir.join("data")),
                "--exec-root",
                text(&run),
            ])
            .args(["-H", &format!("unix://{}/docker.sock", run.display())])
            .args([
                "-p",
                text(&run.join("docker.pid")),
                "--iptables=false",
                "--bridge=none",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let docker = Self { disk, run, daemon };
        docker.prepare();
        Some(docker)
    }
}

impl Engine for Docker {
    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    fn daemons(&self) -> Vec<u32> {
        let path = self.run.join("containerd/containerd.pid");
        let containerd = std::fs::read_to_string(path)
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        std::iter::once(self.daemon.id())
            .chain(containerd)
            .collect()
    }

    fn installed_bytes(&self) -> u64 {
        bytes_of(&DOCKER_PROGRAMS)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = http::call(&self.socket(), "POST", "/v1.41/swarm/leave?force=1", b"");
        end(&mut self.daemon);
        let _ = std::fs::remove_dir_all(&self.run);
    }
}

fn end(daemon: &mut Child) {
    let pid = i32::try_from(daemon.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = daemon.wait();
}

fn bytes_of(paths: &[&str]) -> u64 {
    paths
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|about| about.len())
        .sum()
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program)
        .args(args)
        .status()
        .expect("the program is there");
    assert!(status.success(), "{program} {}", args.join(" "));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
