//! What the tests need beyond Rust: Debian's static busybox, and `docker` CLIs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Why a test does not run here, said once per test.
pub fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}

/// Whether this process may run containers; says why not.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("containers need root");
    }
    root
}

/// A statically linked busybox, installed if need be.
pub fn busybox() -> Option<&'static Path> {
    static BUSYBOX: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUSYBOX
        .get_or_init(|| {
            let path = PathBuf::from("/bin/busybox");
            (path.exists() || install("busybox-static")).then_some(path)
        })
        .as_deref()
}

/// Whether there is iproute2's `ip`, installed if need be.
pub fn iproute() -> bool {
    static IP: OnceLock<bool> = OnceLock::new();
    *IP.get_or_init(|| installed("ip").is_some() || install("iproute2"))
}

/// The `docker` CLIs to drive skep with: the machine's, and Debian's 20.10 if it can be had.
pub fn docker_clis() -> &'static [PathBuf] {
    static CLIS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    CLIS.get_or_init(|| {
        let mut clis: Vec<PathBuf> = installed("docker").into_iter().collect();
        clis.extend(unpacked("docker.io", "usr/bin/docker"));
        clis
    })
}

/// Debian's registry.
pub fn registry() -> Option<&'static Path> {
    static REGISTRY: OnceLock<Option<PathBuf>> = OnceLock::new();
    REGISTRY
        .get_or_init(|| unpacked("docker-registry", "usr/bin/docker-registry"))
        .as_deref()
}

/// Whether there is curl, installed if need be.
pub fn curl() -> bool {
    installed("curl").is_some() || install("curl")
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// A program of a Debian package, which is unpacked beside the test's build rather than installed.
fn unpacked(package: &str, program: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    let program = dir.join(program);
    if program.is_file() {
        return Some(program);
    }
    std::fs::create_dir_all(&dir).ok()?;
    let script = format!(
        "apt-get update -qq && apt-get download -qq {package} && dpkg -x {package}_*.deb ."
    );
    let done = quiet(Command::new("sh").args(["-c", &script]).current_dir(&dir));
    (done && program.is_file()).then_some(program)
}

fn install(package: &str) -> bool {
    let script = format!("apt-get update -qq && apt-get install -y -qq {package}");
    quiet(
        Command::new("sh")
            .args(["-c", &script])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn quiet(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
