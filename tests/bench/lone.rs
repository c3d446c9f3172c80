//! One container that runs `true`, from its creation until nothing of it is left: skep's shim as
//! the daemon uses it, beside Debian's runc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures_lite::future::block_on;
use serde_json::{Value, json};
use skep::runtime::containers::{Runtime, Settings};
use skep::runtime::plan::{Plan, ProcessPlan};

use crate::figures::{median, millis};

const RUNS: usize = 20;
const BUSYBOX: &str = "/bin/busybox";
const RUNC_PROGRAMS: [&str; 2] = ["/usr/sbin/runc", "/usr/bin/runc"];

/// Milliseconds of one container, medians: skep's, and runc's where it is installed. The two take
/// turns, so that a busy moment of the machine meets both.
pub fn measure() -> (f64, Option<f64>) {
    let name = format!("skep-bench-lone-{}", std::process::id());
    let dir = std::env::temp_dir().join(&name);
    make_root(&dir.join("rootfs"));
    let mut settings = Settings::new(dir.join("run"), PathBuf::from(name));
    settings.exe = PathBuf::from(env!("CARGO_BIN_EXE_skep"));
    let runtime = Runtime::open(settings).expect("a runtime");
    let program = RUNC_PROGRAMS.iter().find(|path| Path::new(path).exists());
    if let Some(program) = program {
        write_runc_config(program, &dir);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        ours.push(millis(|| with_skep(&runtime, &dir, run)));
        theirs.extend(program.map(|program| millis(|| with_runc(program, &dir))));
    }
    assert!(runtime.close(), "no group is left");
    fs::remove_dir_all(&dir).expect("the directory goes");
    (median(ours), program.map(|_| median(theirs)))
}

fn make_root(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys"] {
        fs::create_dir_all(root.join(dir)).expect("a folder");
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).expect("busybox is installed");
    symlink("busybox", root.join("bin/true")).expect("a link");
}

fn with_skep(runtime: &Runtime, dir: &Path, run: usize) {
    let id = format!("{run:064x}");
    let process = ProcessPlan {
        args: vec!["true".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        dir: "/".to_owned(),
        ..ProcessPlan::default()
    };
    let plan = Plan {
        id: id.clone(),
        layers: vec![dir.join("rootfs")],
        writable: dir.join("writable"),
        process,
        ..Plan::default()
    };
    block_on(async {
        runtime.prepare(plan).await.expect("it is prepared");
        runtime.start(&id).await.expect("it starts");
        let exit = runtime.wait(&id).await.expect("it ends");
        assert_eq!(exit.code, Some(0));
        runtime.remove(&id).await.expect("it is removed");
    });
}

/// What `runc spec` writes, with `true` in place of a shell in a terminal.
fn write_runc_config(program: &str, dir: &Path) {
    let path = dir.join("config.json");
    let status = Command::new(program)
        .arg("spec")
        .current_dir(dir)
        .status()
        .expect("runc runs");
    assert!(status.success(), "runc spec: {status}");
    let text = fs::read(&path).expect("runc's config");
    let mut config: Value = serde_json::from_slice(&text).expect("runc's config in JSON");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["true"]);
    fs::write(&path, config.to_string()).expect("runc's config can be written");
}

/// `run` creates, starts, awaits and deletes in one process, which is runc's fastest way.
fn with_runc(program: &str, dir: &Path) {
    let status = Command::new(program)
        .arg("--root")
        .arg(dir.join("runc"))
        .args(["run", "--bundle"])
        .arg(dir)
        .arg("skep-bench")
        .stdin(Stdio::null())
        .status()
        .expect("runc runs");
    assert!(status.success(), "runc run: {status}");
}
