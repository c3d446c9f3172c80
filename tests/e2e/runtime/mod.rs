//! Containers through `skep shim`, without a daemon.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_lite::future::block_on;
use skep::runtime::attempt::Exit;
use skep::runtime::containers::{Runtime, RuntimeError, Settings};
use skep::runtime::log::reader::Wanted;
use skep::runtime::plan::{Plan, ProcessPlan};

mod life;
mod inside;
mod mounts;
mod programs;
mod tenants;

const BUSYBOX: &str = "/bin/busybox";

/// A daemon's side of the runtime with directories and groups of its own, all gone in the end.
pub struct Host {
    pub dir: PathBuf,
    pub runtime: Runtime,
    name: String,
}

/// None, with a printed reason, where containers cannot run.
pub fn host(name: &str) -> Option<Host> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: containers need root");
        return None;
    }
    if !Path::new(BUSYBOX).exists() {
        eprintln!("skipped: {BUSYBOX} is not installed");
        return None;
    }
    let name = format!("skep-test-{name}-{}", std::process::id());
    let dir = std::env::temp_dir().join(&name);
    make_layer(&dir.join("layer"));
    let runtime = open(&dir, &name);
    Some(Host { dir, runtime, name })
}

fn open(dir: &Path, name: &str) -> Runtime {
    let mut settings = Settings::new(dir.join("run"), PathBuf::from(name));
    // On a machine of its own (cross/boot) the program lies elsewhere than where it was built.
    let exe = std::env::var_os("SKEP_EXE").unwrap_or_else(|| env!("CARGO_BIN_EXE_skep").into());
    settings.exe = PathBuf::from(exe);
    Runtime::open(settings).unwrap()
}

fn make_layer(layer: &Path) {
    for dir in ["bin", "etc", "tmp", "data"] {
        fs::create_dir_all(layer.join(dir)).unwrap();
    }
    fs::copy(BUSYBOX, layer.join("bin/busybox")).unwrap();
    let list = Command::new(BUSYBOX).arg("--list").output().unwrap();
    for name in String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", layer.join("bin").join(name)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:100:101::/srv:/bin/sh\n";
    fs::write(layer.join("etc/passwd"), passwd).unwrap();
    fs::write(
        layer.join("etc/group"),
        "root:x:0:\nwww:x:101:\nwheel:x:10:root,web\n",
    )
    .unwrap();
    fs::write(layer.join("data/file"), "from the image\n").unwrap();
}

/// A container id that `letter` tells from others.
pub fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

impl Host {
    /// A plan that runs a shell script.
    pub fn plan(&self, letter: char, script: &str) -> Plan {
        let process = ProcessPlan {
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["PATH=/bin".to_owned(), "GREETING=hello".to_owned()],
            dir: "/".to_owned(),
            ..ProcessPlan::default()
        };
        Plan {
            id: id(letter),
            layers: vec![self.dir.join("layer")],
            writable: self.dir.join(format!("writable-{letter}")),
            process,
            hostname: "box".to_owned(),
            ..Plan::default()
        }
    }

    pub fn start(&self, plan: Plan) -> Result<String, RuntimeError> {
        let id = plan.id.clone();
        block_on(self.runtime.prepare(plan))?;
        block_on(self.runtime.start(&id))?;
        Ok(id)
    }

    /// Runs a plan to its end and removes it.
    pub fn run(&self, plan: Plan) -> (Exit, String) {
        let id = self.start(plan).unwrap();
        let exit = block_on(self.runtime.wait(&id)).unwrap();
        let output = self.output(&id);
        block_on(self.runtime.remove(&id)).unwrap();
        (exit, output)
    }

    pub fn output(&self, id: &str) -> String {
        let mut reader = self.runtime.logs(id, Wanted::default()).unwrap();
        let mut all = Vec::new();
        while let Some(record) = block_on(reader.next()).unwrap() {
            all.extend(record.data);
        }
        String::from_utf8(all).unwrap()
    }

    /// Waits until the container has written a line.
    pub fn await_line(&self, id: &str, line: &str) {
        let wanted = Wanted {
            follow: true,
            ..Wanted::default()
        };
        let mut reader = self.runtime.logs(id, wanted).unwrap();
        while let Some(record) = block_on(reader.next()).unwrap() {
            if record.data == format!("{line}\n").as_bytes() {
                return;
            }
        }
        panic!("{line:?} was not written: {}", self.output(id));
    }

    /// A new daemon on the same directories.
    pub fn restart(&mut self) {
        self.runtime = open(&self.dir, &self.name);
    }

    /// What is left of containers on this machine.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.to_str().unwrap();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(dir))
                .map(str::to_owned),
        );
        let find = Command::new("find")
            .args([
                "/sys/fs/cgroup",
                "-type",
                "d",
                "-path",
                &format!("*{}/*", self.name),
            ])
            .args(["-not", "-name", "shims"])
            .output()
            .unwrap();
        left.extend(
            String::from_utf8(find.stdout)
                .unwrap()
                .lines()
                .map(str::to_owned),
        );
        for entry in fs::read_dir(self.dir.join("run/containers")).unwrap() {
            left.push(entry.unwrap().path().display().to_string());
        }
        for entry in fs::read_dir(&self.dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            left.extend(name.starts_with("writable").then_some(name));
        }
        left
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let ids: Vec<_> = fs::read_dir(self.dir.join("run/containers"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        for id in ids {
            let removed = block_on(self.runtime.remove(&id));
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
        let closed = self.runtime.close();
        assert!(closed || std::thread::panicking(), "groups are left");
        fs::remove_dir_all(&self.dir).unwrap();
    }
}
