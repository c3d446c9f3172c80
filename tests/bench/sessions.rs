//! What one manager carries: thousands of agents, each with a key, a certificate and a TLS session
//! of its own. They are real agents that have no containers, all in this process, which has joined
//! each of them as a host joins. The manager is a daemon in a network namespace, and they call from
//! there.

mod agents;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_executor::LocalExecutor;
use futures_lite::future::block_on;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use skep::host::clock::Stopwatch;
use skep::host::wait::{blocking, sleep};
use skep::network::namespace::Namespace;

use crate::fleet::host::Host;
use crate::fleet::lan::Lan;
use crate::http;
use crate::process::{cpu_seconds, resident_mib};
use agents::Agents;

const FLEETS: [usize; 2] = [1_000, 10_000];

/// Descriptors that this process and the daemon may have.
const DESCRIPTORS: u64 = 100_000;

/// How long a fleet rests before anything is read, and how long its processors are watched.
const REST: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(30);

/// How often it is looked whether all are there.
const GLANCE: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(600);

/// What was measured of one fleet.
#[derive(Debug, Default)]
struct Figures {
    joins_per_second: f64,
    ready_s: f64,
    empty_mib: f64,
    full_mib: f64,
    cpu_percent: f64,
    agents_cpu_percent: f64,
    answering_s: f64,
    sessions_again_s: f64,
    ready_again_s: f64,
    dials: usize,
    changed: usize,
    again_mib: f64,
}

pub fn measure() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: sessions are measured as root");
        return;
    }
    let hard = getrlimit(Resource::Nofile).maximum;
    let whole = |most| Rlimit {
        current: most,
        maximum: most,
    };
    // More than the hard limit takes a capability that not every root has; the daemon inherits it.
    if setrlimit(Resource::Nofile, whole(Some(DESCRIPTORS))).is_err() {
        setrlimit(Resource::Nofile, whole(hard)).expect("the hard limit may be used");
    }
    for count in FLEETS {
        let lan = Lan::make(1);
        let host = Host::start(0, &lan);
        let namespace = Namespace::at(Path::new(&lan.path(0))).expect("the namespace");
        let measured = namespace.within(|| {
            let executor = LocalExecutor::new();
            block_on(executor.run(one(&executor, host, count)))
        });
        print(count, &measured.expect("a thread"));
    }
}

fn print(count: usize, figures: &Figures) {
    let kib = (figures.full_mib - figures.empty_mib) * 1024.0 / count as f64;
    println!("{:<64} {count:>10}", "agents on one manager");
    for (name, value) in [
        (
            "joins, with a certificate each, per second",
            figures.joins_per_second,
        ),
        ("sessions of all until all are ready, s", figures.ready_s),
        ("manager without them, resident, MiB", figures.empty_mib),
        (
            "manager with them, resident, MiB (goal: 10,000 below 1 GB)",
            figures.full_mib,
        ),
        ("the same per agent, KiB", kib),
        ("manager, idle, % of a core", figures.cpu_percent),
        ("all agents, idle, % of a core", figures.agents_cpu_percent),
        (
            "manager killed and restarted, until its API answers, s",
            figures.answering_s,
        ),
        (
            "the same, until all sessions stand, s",
            figures.sessions_again_s,
        ),
        ("the same, until all are ready, s", figures.ready_again_s),
        ("calls of agents for that", figures.dials as f64),
        (
            "nodes whose state changed meanwhile: down, and ready again",
            figures.changed as f64,
        ),
        ("manager after that, resident, MiB", figures.again_mib),
    ] {
        println!("{name:<64} {value:>10.2}");
    }
}

async fn one(executor: &LocalExecutor<'_>, mut host: Host, count: usize) -> Figures {
    let init = json!({"ListenAddr": "0.0.0.0:2377"});
    host.call("POST", "/v1.41/swarm/init", &init);
    let swarm = host.call("GET", "/v1.41/swarm", &Value::Null);
    let token = swarm["JoinTokens"]["Worker"].as_str().expect("a token");
    sleep(REST).await;
    let mut figures = Figures {
        empty_mib: resident_mib(host.pid()),
        ..Figures::default()
    };

    let agents = Agents::new(token.parse().expect("a token"), &host.address());
    let watch = Stopwatch::start();
    let joined = agents.join(executor, count).await;
    figures.joins_per_second = count as f64 / watch.elapsed().as_secs_f64();

    let watch = Stopwatch::start();
    agents.start(executor, joined);
    until(|| agents.up() == count).await;
    until_ready(&host, count).await;
    figures.ready_s = watch.elapsed().as_secs_f64();
    sleep(REST).await;
    figures.full_mib = resident_mib(host.pid());

    let (manager, own) = (cpu_seconds(host.pid()), cpu_seconds(std::process::id()));
    sleep(WATCHED).await;
    let percent = |from: f64, to: f64| (to - from) / WATCHED.as_secs_f64() * 100.0;
    figures.cpu_percent = percent(manager, cpu_seconds(host.pid()));
    figures.agents_cpu_percent = percent(own, cpu_seconds(std::process::id()));

    let (_, before) = nodes(&host).await;
    let watch = Stopwatch::start();
    host.kill_daemon();
    agents.lose_all();
    // Beside this thread, on which the agents find out that it is gone.
    host = blocking(move || {
        host.start_daemon();
        host
    })
    .await;
    figures.answering_s = watch.elapsed().as_secs_f64();
    until(|| agents.up() == count).await;
    figures.sessions_again_s = watch.elapsed().as_secs_f64();
    let after = until_ready(&host, count).await;
    figures.ready_again_s = watch.elapsed().as_secs_f64();
    figures.dials = agents.dials();
    figures.changed = after
        .iter()
        .filter(|(id, at)| before.get(*id) != Some(*at))
        .count();
    sleep(REST).await;
    figures.again_mib = resident_mib(host.pid());
    figures
}

async fn until(mut holds: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(
            watch.elapsed() < PATIENCE,
            "not all agents are there in time"
        );
        sleep(GLANCE).await;
    }
}

/// When a node last changed, by its id.
type Changes = BTreeMap<String, String>;

/// Waits until all agents' nodes are ready, and the manager's own; when each became what it is.
async fn until_ready(host: &Host, count: usize) -> Changes {
    let watch = Stopwatch::start();
    loop {
        let (ready, changes) = nodes(host).await;
        if ready == count + 1 {
            return changes;
        }
        assert!(
            watch.elapsed() < PATIENCE,
            "{ready} nodes are ready in time"
        );
        sleep(LOOK).await;
    }
}

/// How many nodes are ready, and when each changed.
async fn nodes(host: &Host) -> (usize, Changes) {
    let socket = host.socket();
    blocking(move || {
        let called = http::call(&socket, "GET", "/v1.41/nodes", b"");
        let (status, body) = called.expect("an answer");
        assert_eq!(status, 200);
        let nodes: Vec<Value> = serde_json::from_slice(&body).expect("nodes in JSON");
        let is_ready = |node: &&Value| node["Status"]["State"] == "ready";
        let ready = nodes.iter().filter(is_ready).count();
        let change = |node: &Value| (node["ID"].to_string(), node["UpdatedAt"].to_string());
        (ready, nodes.iter().map(change).collect())
    })
    .await
}
