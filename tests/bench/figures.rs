//! The figures of one engine.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use skep::host::clock::Stopwatch;

use crate::engine::{Engine, pause, until};

const RUNS: usize = 5;
const MANY: usize = 30;

/// How long an engine rests before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// What was measured; times in milliseconds, medians of the runs.
#[derive(Debug, Default)]
pub struct Figures {
    idle_rss_kb: f64,
    private_kb_per_container: f64,
    threads_per_container: f64,
    one_running_ms: f64,
    many_running_ms: f64,
    crash_replaced_ms: f64,
    many_removed_ms: f64,
    written_per_task_kb: f64,
    written_per_create_kb: f64,
    flushed_per_create_kb: f64,
    idle_written_kb: f64,
    installed_mb: f64,
}

impl Figures {
    /// Name, unit and value, in the order of the table.
    pub fn rows(&self) -> Vec<(&'static str, &'static str, f64)> {
        vec![
            ("idle daemon, resident", "MB", self.idle_rss_kb / 1024.0),
            (
                "private memory per container",
                "kB",
                self.private_kb_per_container,
            ),
            ("threads per container", "", self.threads_per_container),
            ("create to 1 running", "ms", self.one_running_ms),
            ("create to 30 running", "ms", self.many_running_ms),
            (
                "kill -9 of a container to replaced",
                "ms",
                self.crash_replaced_ms,
            ),
            ("remove 30 until all are gone", "ms", self.many_removed_ms),
            ("written per task started", "kB", self.written_per_task_kb),
            (
                "written when a created service's task runs",
                "kB",
                self.written_per_create_kb,
            ),
            (
                "the same, all that was in memory flushed",
                "kB",
                self.flushed_per_create_kb,
            ),
            ("written in 2 idle seconds", "kB", self.idle_written_kb),
            ("installed programs", "MB", self.installed_mb),
        ]
    }
}

/// Measures an engine that is a swarm of one with the image `bb:1`.
pub fn measure(engine: &mut dyn Engine) -> Figures {
    pause(REST);
    let mut figures = Figures {
        idle_rss_kb: engine
            .daemons()
            .iter()
            .map(|pid| status_field(*pid, "VmRSS:"))
            .sum(),
        installed_mb: engine.installed_bytes() as f64 / 1e6,
        idle_written_kb: flushed_kb(engine, || pause(REST)),
        ..Figures::default()
    };
    one_task(engine, &mut figures);
    many_tasks(engine, &mut figures);
    figures
}

fn one_task(engine: &dyn Engine, figures: &mut Figures) {
    let (mut created, mut crashed) = (Vec::new(), Vec::new());
    let (mut written, mut flushed) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // Each by itself: skep writes down at most ten outcomes a second, after a few in a row.
        pause(REST);
        flushed.push(flushed_kb(engine, || {
            let before = engine.disk().written();
            created.push(millis(|| create(engine, 1)));
            written.push((engine.disk().written() - before) as f64 / 1e3);
        }));
        pause(REST);
        crashed.push(crash(engine));
        remove(engine);
    }
    figures.one_running_ms = median(created);
    figures.crash_replaced_ms = median(crashed);
    figures.written_per_create_kb = median(written);
    figures.flushed_per_create_kb = median(flushed);
}

fn many_tasks(engine: &dyn Engine, figures: &mut Figures) {
    let (mut created, mut removed, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        pause(REST);
        let kb = flushed_kb(engine, || created.push(millis(|| create(engine, MANY))));
        written.push(kb / MANY as f64);
        memory(engine, figures);
        removed.push(millis(|| remove(engine)));
    }
    figures.many_running_ms = median(created);
    figures.many_removed_ms = median(removed);
    figures.written_per_task_kb = median(written);
}

fn create(engine: &dyn Engine, replicas: usize) {
    let spec = json!({
        "Name": "bench",
        "TaskTemplate": {
            "ContainerSpec": {"Image": "bb:1", "Command": ["sleep"], "Args": ["1000"],
                "StopSignal": "SIGKILL"},
            "RestartPolicy": {"Condition": "any", "Delay": 0},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    });
    engine.call("POST", "/v1.41/services/create", &spec);
    until("the tasks run", || running(engine).len() == replicas);
}

fn crash(engine: &dyn Engine) -> f64 {
    let before = running(engine);
    let pid = container_pids(engine)[0];
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    millis(|| {
        rustix::process::kill_process(pid.expect("a process"), rustix::process::Signal::KILL)
            .expect("the container's process is there");
        until("another task runs", || {
            running(engine).difference(&before).next().is_some()
        });
    })
}

fn remove(engine: &dyn Engine) {
    engine.call("DELETE", "/v1.41/services/bench", &Value::Null);
    until("no container is left", || containers(engine).is_empty());
}

/// Memory and threads of what keeps a container: its first process' parent.
fn memory(engine: &dyn Engine, figures: &mut Figures) {
    pause(REST);
    let keepers: BTreeSet<u32> = container_pids(engine)
        .iter()
        .map(|pid| parent(*pid))
        .collect();
    let count = keepers.len().max(1) as f64;
    figures.private_kb_per_container =
        keepers.iter().map(|pid| private_kb(*pid)).sum::<f64>() / count;
    figures.threads_per_container = keepers
        .iter()
        .map(|pid| status_field(*pid, "Threads:"))
        .sum::<f64>()
        / count;
}

/// The ids of the running tasks.
fn running(engine: &dyn Engine) -> BTreeSet<String> {
    let path = "/v1.41/tasks?filters=%7B%22desired-state%22%3A%7B%22running%22%3Atrue%7D%7D";
    let tasks = engine.call("GET", path, &Value::Null);
    let tasks = tasks.as_array().cloned().unwrap_or_default();
    let running = tasks
        .iter()
        .filter(|task| task["Status"]["State"] == "running");
    running
        .filter_map(|task| task["ID"].as_str().map(str::to_owned))
        .collect()
}

fn containers(engine: &dyn Engine) -> Vec<Value> {
    let list = engine.call("GET", "/v1.41/containers/json", &Value::Null);
    list.as_array().cloned().unwrap_or_default()
}

fn container_pids(engine: &dyn Engine) -> Vec<u32> {
    let inspect = |container: &Value| {
        let id = container["Id"].as_str().unwrap_or_default();
        let found = engine.call("GET", &format!("/v1.41/containers/{id}/json"), &Value::Null);
        found["State"]["Pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
    };
    containers(engine).iter().filter_map(inspect).collect()
}

fn flushed_kb(engine: &dyn Engine, work: impl FnOnce()) -> f64 {
    let before = engine.disk().flushed();
    work();
    (engine.disk().flushed() - before) as f64 / 1e3
}

fn private_kb(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:")
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|pid| pid.trim().parse().ok()).unwrap_or(0)
}

fn status_field(pid: u32, name: &str) -> f64 {
    field(
        &std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(),
        name,
    )
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

pub fn millis(work: impl FnOnce()) -> f64 {
    let start = Stopwatch::start();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
