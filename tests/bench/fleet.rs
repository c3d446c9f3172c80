//! What a fleet does when hosts come and go: three managers and two workers, each a network
//! namespace of this machine with a daemon of its own. Every run has a fleet of its own.

mod failures;
pub mod host;
pub mod lan;
mod quiet;
mod report;
mod thin;

use std::path::Path;

use serde_json::{Value, json};

use crate::image;
use host::{Host, seconds_until};
use lan::Lan;
use report::Report;

const BUSYBOX: &str = "/bin/busybox";
const RUNS: usize = 5;
const HOSTS: usize = 5;
const MANAGERS: usize = 3;

/// Tasks of a host when a service is spread.
const TASKS_PER_HOST: usize = 3;

pub fn measure() {
    if !rustix::process::geteuid().is_root() || !std::fs::exists(BUSYBOX).unwrap_or(false) {
        println!("SKIPPED: a fleet is measured as root, with a static busybox");
        return;
    }
    let mut report = Report::default();
    for run in 0..RUNS {
        let mut fleet = Fleet::start(&mut report);
        if run == 0 {
            thin::measure(&fleet, &mut report);
            quiet::measure(&fleet, &mut report);
        }
        failures::measure(&mut fleet, &mut report, run == 0);
        println!("run {} of {RUNS} is over", run + 1);
    }
    report.print();
}

/// Hosts that are one swarm; the first three are its managers.
struct Fleet {
    hosts: Vec<Host>,
    lan: Lan,
}

impl Fleet {
    /// Makes the hosts a swarm, one after another.
    fn start(report: &mut Report) -> Self {
        let lan = Lan::make(HOSTS);
        let archive = archive_of(Path::new(BUSYBOX), "bb:1", &image::plain());
        let start = |number| Host::start(number, &lan);
        let hosts: Vec<_> = (0..HOSTS).map(start).collect();
        hosts.iter().for_each(|host| host.load(&archive));
        let fleet = Self { hosts, lan };
        let first = &fleet.hosts[0];
        let init = json!({"ListenAddr": "0.0.0.0:2377"});
        let seconds = fleet.seconds_until_ready(0, || {
            first.call("POST", "/v1.41/swarm/init", &init);
        });
        report.note("swarm init until ready, s", 0.05, seconds);
        for (number, host) in fleet.hosts.iter().enumerate().skip(1) {
            let is_manager = number < MANAGERS;
            let role = if is_manager { "Manager" } else { "Worker" };
            let seconds = fleet.seconds_until_ready(number, || host.join(first, role));
            match is_manager {
                true => report.note("manager joins until ready and reachable, s", 0.3, seconds),
                false => report.note("worker joins until ready, s", 0.05, seconds),
            }
        }
        fleet
    }

    fn seconds_until_ready(&self, number: usize, begin: impl FnOnce()) -> f64 {
        let watch = skep::host::clock::Stopwatch::start();
        begin();
        seconds_until("the host is ready", || self.is_ready(0, number));
        watch.elapsed().as_secs_f64()
    }

    /// Whether a manager sees a host as ready, and as reachable if it is a manager.
    fn is_ready(&self, at: usize, number: usize) -> bool {
        let node = self.node(at, number);
        let reachable = node["ManagerStatus"]["Reachability"] == "reachable";
        node["Status"]["State"] == "ready" && (reachable || number >= MANAGERS)
    }

    /// What a manager knows of a host.
    fn node(&self, at: usize, number: usize) -> Value {
        let nodes = self.hosts[at].list("/v1.41/nodes");
        let name = self.hosts[number].name();
        let node = nodes
            .into_iter()
            .find(|node| node["Description"]["Hostname"] == name.as_str());
        node.unwrap_or_default()
    }

    fn until_all_ready(&self, at: usize) {
        seconds_until("all hosts are ready", || {
            (0..HOSTS).all(|number| self.is_ready(at, number))
        });
    }

    /// The host of the leader.
    fn leader(&self) -> usize {
        let leads = |number: &usize| self.node(*number, *number)["ManagerStatus"]["Leader"] == true;
        (0..MANAGERS)
            .find(leads)
            .expect("one of the managers leads")
    }

    /// Creates a service that has as many tasks on each host, and waits until they run.
    fn spread(&self, at: usize, tasks_per_host: usize) {
        let spec = service("bench", "bb:1", tasks_per_host * HOSTS);
        self.hosts[at].call("POST", "/v1.41/services/create", &spec);
        seconds_until("the tasks are spread", || {
            let tasks = self.running(at);
            (0..HOSTS).all(|number| {
                let id = &self.node(at, number)["ID"];
                tasks.iter().filter(|task| task["NodeID"] == *id).count() == tasks_per_host
            })
        });
    }

    /// The tasks of the service that shall run and do.
    fn running(&self, at: usize) -> Vec<Value> {
        let path = "/v1.41/tasks?filters=%7B%22desired-state%22%3A%7B%22running%22%3Atrue%7D%7D";
        let mut tasks = self.hosts[at].list(path);
        tasks.retain(|task| task["Status"]["State"] == "running");
        tasks
    }

    fn remove(&self, at: usize, name: &str) {
        let path = format!("/v1.41/services/{name}");
        self.hosts[at].call("DELETE", &path, &Value::Null);
        seconds_until("no container is left", || {
            let containers = |host: &Host| host.list("/v1.41/containers/json").len();
            self.hosts.iter().map(containers).sum::<usize>() == 0
        });
    }
}

fn service(name: &str, image: &str, replicas: usize) -> Value {
    json!({
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Command": ["sleep"], "Args": ["10000"],
                "StopSignal": "SIGKILL"},
            "RestartPolicy": {"Condition": "any", "Delay": 0},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    })
}

/// A program as an image in which it is busybox.
fn archive_of(busybox: &Path, tag: &str, config: &Value) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("skep-bench-{}.tar", std::process::id()));
    image::busybox_archive(busybox, &file, tag, config);
    let archive = std::fs::read(&file).expect("the archive");
    std::fs::remove_file(&file).expect("the archive goes");
    archive
}
