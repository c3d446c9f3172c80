//! Whether a worker stays ready while its thin link is full of something else: first the layer of
//! an image that it gets from a manager, then what a program in its container says to a client
//! there. A tenth of the 50 MB that the goal names, as those take 400 s each way.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use skep::host::clock::Stopwatch;
use skep::host::wait::start;

use crate::engine::pause;
use crate::fleet::report::Report;
use crate::fleet::{Fleet, HOSTS, archive_of, service};
use crate::image;

const WORKER: usize = HOSTS - 1;
const KBIT: u32 = 1_000;
const FREE_KBIT: u32 = 10_000_000;
const BYTES: u32 = 5_000_000;
const GLANCE: Duration = Duration::from_millis(20);

pub fn measure(fleet: &Fleet, report: &mut Report) {
    if !fleet.lan.thin(WORKER, KBIT) {
        println!("SKIPPED: no thin link, as this kernel has no token bucket (sch_tbf)");
        return;
    }
    let manager = &fleet.hosts[0];
    manager.load(&large_image());
    let mut spec = service("thin", "thin:1", 1);
    let place = format!("node.hostname=={}", fleet.hosts[WORKER].name());
    spec["TaskTemplate"]["Placement"] = json!({"Constraints": [place]});
    let create = || drop(manager.call("POST", "/v1.41/services/create", &spec));
    let (away, took) = watch(fleet, create, || !fleet.running(0).is_empty());
    report.note("worker gets 5 MB over 1 Mb/s: not ready for, s", 0.0, away);
    report.tell("the same: until the task with that image runs, s", took);

    let task = &fleet.running(0)[0];
    let container = &task["Status"]["ContainerStatus"]["ContainerID"];
    let mut exec = Command::new(env!("CARGO_BIN_EXE_skep"));
    exec.arg("-H")
        .arg(format!("unix://{}", manager.socket().display()))
        .args(["exec", container.as_str().unwrap_or_default()])
        .args(["head", "-c", &BYTES.to_string(), "/dev/urandom"]);
    let (heard_in, heard) = std::sync::mpsc::channel();
    let stream = || drop(start(move || heard_in.send(exec.output())));
    let mut output = None;
    let (away, took) = watch(fleet, stream, || {
        output = heard.try_recv().ok();
        output.is_some()
    });
    let output = output.and_then(Result::ok).expect("skep runs");
    let (bytes, error) = (output.stdout.len(), String::from_utf8_lossy(&output.stderr));
    assert!(bytes == BYTES as usize, "{bytes} of {BYTES} bytes: {error}");
    report.note("worker sends 5 MB over 1 Mb/s: not ready for, s", 0.0, away);
    report.tell("the same: until all was heard, s", took);
    fleet.lan.thin(WORKER, FREE_KBIT);
    fleet.remove(0, "thin");
}

/// For how long the worker was not ready while something went on, and how long that took.
fn watch(fleet: &Fleet, begin: impl FnOnce(), mut over: impl FnMut() -> bool) -> (f64, f64) {
    let watch = Stopwatch::start();
    let mut away = Duration::ZERO;
    begin();
    while !over() {
        let glance = Stopwatch::start();
        pause(GLANCE);
        if fleet.node(0, WORKER)["Status"]["State"] != "ready" {
            away += glance.elapsed();
        }
        assert!(
            watch.elapsed() < Duration::from_secs(300),
            "it takes too long"
        );
    }
    (away.as_secs_f64(), watch.elapsed().as_secs_f64())
}

/// Busybox with something behind it that nothing makes shorter.
fn large_image() -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("skep-bench-{}.large", std::process::id()));
    std::fs::copy("/bin/busybox", &file).expect("busybox is copied");
    let random = std::fs::File::open("/dev/urandom").expect("there is chance");
    let mut random = random.take(BYTES.into());
    let large = std::fs::File::options().append(true).open(&file);
    let mut large = large.expect("the copy opens");
    std::io::copy(&mut random, &mut large).expect("the copy grows");
    large.flush().expect("the copy is whole");
    let archive = archive_of(Path::new(&file), "thin:1", &image::plain());
    std::fs::remove_file(&file).expect("the copy goes");
    archive
}
