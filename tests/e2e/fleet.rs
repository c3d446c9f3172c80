//! A fleet: hosts on a network of their own, one manager and its workers.

use std::process::Output;
use std::time::Duration;

use skep::host::clock::Stopwatch;

use crate::host::Host;
use crate::lan::Lan;
use crate::tools;

const CLOCK: &str = "echo \"I am $(hostname)\"; while true; do sleep 1; done";

/// A manager, the first, and hosts that have joined it, each with the image `bb:1`.
pub struct Fleet {
    pub hosts: Vec<Host>,
    pub lan: Lan,
}

impl Fleet {
    /// Hosts of which only the first is a manager.
    pub fn start(test: &str, count: usize) -> Option<Self> {
        Self::start_with(test, count, 1)
    }

    /// Hosts of which the first so many are managers.
    pub fn start_with(test: &str, count: usize, managers: usize) -> Option<Self> {
        if !tools::root() {
            return None;
        }
        let Some(busybox) = tools::busybox() else {
            tools::skipped("no static busybox, and it could not be installed");
            return None;
        };
        let lan = Lan::make(test, count)?;
        let host = |number| Host::at(&format!("{test}{number}"), lan.seat(number));
        let hosts: Vec<Host> = (0..count).map(host).collect();
        hosts.iter().for_each(|host| host.load(busybox));
        hosts[0].skep(&["swarm", "init"]);
        let fleet = Self { hosts, lan };
        for (number, host) in fleet.hosts.iter().enumerate().skip(1) {
            fleet.join_as(
                host,
                if number < managers {
                    "manager"
                } else {
                    "worker"
                },
            );
        }
        fleet.until_ready(count);
        Some(fleet)
    }

    pub fn manager(&self) -> &Host {
        &self.hosts[0]
    }

    fn token(&self) -> String {
        self.token_of("worker")
    }

    fn token_of(&self, role: &str) -> String {
        let token = self.manager().skep(&["swarm", "join-token", "-q", role]);
        token.trim().to_owned()
    }

    fn join(&self, host: &Host) {
        self.join_as(host, "worker");
    }

    pub fn join_as(&self, host: &Host, role: &str) {
        let at = format!("{}:2377", self.lan.seat(0).address);
        let joined = host.skep(&["swarm", "join", "--token", &self.token_of(role), &at]);
        assert_eq!(joined, format!("This node joined a swarm as a {role}.\n"));
    }

    /// What a column of `node ls` says of a host.
    pub fn node(&self, number: usize, column: &str) -> String {
        self.node_at(0, number, column)
    }

    /// The same, as a host sees it.
    pub fn node_at(&self, at: usize, number: usize, column: &str) -> String {
        let format = format!("{{{{.Hostname}}}} {{{{.{column}}}}}");
        let nodes = self.hosts[at].skep(&["node", "ls", "--format", &format]);
        let start = format!("{} ", self.lan.seat(number).hostname);
        let found = nodes.lines().find_map(|line| line.strip_prefix(&start));
        found.unwrap_or("absent").trim().to_owned()
    }

    #[track_caller]
    pub fn until_ready(&self, count: usize) {
        self.manager().until("all nodes are ready", || {
            (0..count).all(|number| self.node(number, "Status") == "Ready")
        });
    }

    /// Creates a service of tasks that go on until they are stopped.
    fn create(&self, name: &str, replicas: &str) {
        let created = self.try_create_at(0, name, replicas);
        assert!(created.status.success(), "{created:?}");
    }

    /// The same at any host, which may fail.
    pub fn try_create_at(&self, at: usize, name: &str, replicas: &str) -> Output {
        self.hosts[at].try_skep(&[
            "service",
            "create",
            "--detach",
            "--name",
            name,
            "--replicas",
            replicas,
            "--stop-grace-period",
            "1s",
            "bb:1",
            "sh",
            "-c",
            CLOCK,
        ])
    }

    /// How many tasks of a service a host shall run and does, as another one sees it.
    fn running_on_at(&self, at: usize, number: usize, service: &str) -> usize {
        let format = "{{.Node}} {{.DesiredState}} {{.CurrentState}}";
        let tasks = self.hosts[at].skep(&["service", "ps", service, "--format", format]);
        let start = format!("{} Running Running", self.lan.seat(number).hostname);
        tasks
            .lines()
            .filter(|line| line.starts_with(&start))
            .count()
    }

    pub fn spread(&self, service: &str) -> Vec<usize> {
        self.spread_at(0, service)
    }

    pub fn spread_at(&self, at: usize, service: &str) -> Vec<usize> {
        let hosts = 0..self.hosts.len();
        let running = hosts.map(|number| self.running_on_at(at, number, service));
        running.collect()
    }

    fn tasks(&self, service: &str) -> usize {
        self.manager().task_states(service).len()
    }
}

#[test]
fn hosts_join_by_token_and_share_the_work() {
    let Some(fleet) = Fleet::start("join", 3) else {
        return;
    };
    let (manager, worker) = (fleet.manager(), &fleet.hosts[1]);
    fleet.create("web", "6");
    manager.until("the tasks are spread", || fleet.spread("web") == [2, 2, 2]);
    assert_eq!(container_count(worker), 2);

    let refused = worker.try_skep(&["node", "ls"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("This node is not a swarm manager."),
        "{error}"
    );
    let info = worker.skep(&["info"]);
    for line in ["Swarm: active", "Is Manager: false", "   10.77.0.1:2377"] {
        assert!(info.contains(line), "{line} is missing:\n{info}");
    }

    let node = fleet.lan.seat(2).hostname;
    manager.skep(&["node", "update", "--availability", "drain", &node]);
    manager.until("the tasks have moved", || fleet.spread("web") == [3, 3, 0]);
    fleet.hosts[2].until("they ended", || container_count(&fleet.hosts[2]) == 0);
    assert_eq!(fleet.node(2, "Availability"), "Drain");
}

#[test]
fn only_the_right_token_and_the_right_manager_will_do() {
    let Some(fleet) = Fleet::start("token", 2) else {
        return;
    };
    let (manager, worker) = (fleet.manager(), &fleet.hosts[1]);
    worker.skep(&["swarm", "leave"]);
    manager.until("it is down", || fleet.node(1, "Status") == "Down");
    let at = format!("{}:2377", fleet.lan.seat(0).address);
    let refusal = |token: &str| {
        let refused = worker.try_skep(&["swarm", "join", "--token", token, &at]);
        assert!(!refused.status.success());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let token = fleet.token();
    let (root, _) = token.rsplit_once('-').expect("a token has parts");
    let wrong = refusal(&format!("{root}-{}", "0".repeat(25)));
    assert!(
        wrong.contains("the join token is not this swarm's"),
        "{wrong}"
    );
    let secret = &token[token.len() - 26..];
    let other = refusal(&format!("SWMTKN-1-{}{secret}", "0".repeat(50)));
    assert!(
        other.contains("it shows no root with the token's digest"),
        "{other}"
    );
    manager.skep(&["swarm", "join-token", "--rotate", "-q", "worker"]);
    let rotated = refusal(&token);
    assert!(rotated.contains("or was rotated"), "{rotated}");

    fleet.join(worker);
    let nodes = manager.skep(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
    let mut nodes: Vec<_> = nodes.lines().collect();
    nodes.sort_unstable();
    assert_eq!(
        nodes[..2],
        ["host0 Ready", "host1 Down"],
        "the old node stays"
    );
    let old = manager.skep(&["node", "ls", "-q", "--filter", "name=host1"]);
    for node in old.lines() {
        let _ = manager.try_skep(&["node", "rm", node]);
    }
    manager.until("one is left, and ready", || {
        fleet.node(1, "Status") == "Ready"
    });
}

#[test]
fn a_node_that_was_removed_is_not_let_in_again() {
    let Some(fleet) = Fleet::start("removed", 2) else {
        return;
    };
    let (manager, worker) = (fleet.manager(), &fleet.hosts[1]);
    let node = fleet.lan.seat(1).hostname;
    let refused = manager.try_skep(&["node", "rm", &node]);
    assert!(!refused.status.success(), "it is up");
    manager.skep(&["node", "rm", "--force", &node]);
    worker.until("it is told", || {
        worker.log().contains("is not part of this swarm")
    });
    assert_eq!(fleet.node(1, "Status"), "absent");
    worker.skep(&["swarm", "leave"]);
    fleet.join(worker);
    fleet.until_ready(2);
}

#[test]
fn a_node_that_is_gone_is_missed_and_its_tasks_are_replaced() {
    let Some(mut fleet) = Fleet::start("gone", 3) else {
        return;
    };
    fleet.create("web", "6");
    fleet
        .manager()
        .until("the tasks are spread", || fleet.spread("web") == [2, 2, 2]);

    fleet.hosts[2].kill_daemon();
    let gone = skep::host::clock::Stopwatch::start();
    let manager = &fleet.hosts[0];
    manager.until("it is missed", || fleet.node(2, "Status") == "Down");
    let missed = gone.elapsed();
    manager.until("its tasks are replaced", || {
        fleet.spread("web") == [3, 3, 0]
    });
    println!(
        "missed after {missed:?}, replaced after {:?}",
        gone.elapsed()
    );
    assert!((4..9).contains(&missed.as_secs()), "{missed:?}");

    fleet.hosts[2].start_daemon();
    fleet.until_ready(3);
    let back = &fleet.hosts[2];
    back.until("its old containers end", || container_count(back) == 0);
}

#[test]
fn daemons_that_come_back_soon_keep_their_tasks() {
    let Some(mut fleet) = Fleet::start("back", 2) else {
        return;
    };
    fleet.create("web", "4");
    let is_spread = |fleet: &Fleet| fleet.spread("web") == [2, 2];
    fleet
        .manager()
        .until("the tasks are spread", || is_spread(&fleet));
    let restarts: [fn(&mut Fleet); 4] = [
        |fleet| fleet.hosts[1].kill_daemon(),
        |fleet| fleet.hosts[1].stop_daemon(),
        |fleet| fleet.hosts[0].kill_daemon(),
        |fleet| fleet.hosts[0].stop_daemon(),
    ];
    for (number, stop) in restarts.into_iter().enumerate() {
        stop(&mut fleet);
        let stopped = if number < 2 { 1 } else { 0 };
        fleet.hosts[stopped].start_daemon();
        fleet.until_ready(2);
        // New tasks start everywhere, so every session stands.
        let probe = format!("probe{number}");
        fleet.create(&probe, "2");
        let manager = fleet.manager();
        manager.until("the probe runs", || fleet.spread(&probe) == [1, 1]);
        manager.skep(&["service", "rm", &probe]);
        assert!(is_spread(&fleet), "{:?}", fleet.spread("web"));
        assert_eq!(fleet.tasks("web"), 4, "no task was replaced");
    }
}

#[test]
fn tasks_of_a_host_that_is_switched_off_run_elsewhere_at_once_and_of_a_daemon_alone_not() {
    let Some(mut fleet) = Fleet::start("off", 3) else {
        return;
    };
    fleet.create("web", "3");
    fleet
        .manager()
        .until("they run", || fleet.spread("web") == [1, 1, 1]);
    for (at, says) in [(1, "running"), (2, "stopping")] {
        fleet.hosts[at].fake_systemd(says);
        fleet.hosts[at].stop_daemon();
        fleet.hosts[at].start_daemon();
    }
    fleet.until_ready(3);
    let gone = Stopwatch::start();
    fleet.hosts[2].stop_daemon();
    fleet.manager().until("its task runs elsewhere", || {
        let spread = fleet.spread("web");
        spread[2] == 0 && spread.iter().sum::<usize>() == 3
    });
    assert!(gone.elapsed() < Duration::from_secs(20));
    // A daemon that comes back is waited for, for a minute.
    let before = fleet.spread("web");
    fleet.hosts[1].stop_daemon();
    assert_eq!(fleet.node(1, "Status"), "Ready");
    assert_eq!(fleet.spread("web"), before);
}

#[test]
fn a_host_whose_cable_was_out_comes_back_by_itself() {
    let Some(fleet) = Fleet::start("cable", 2) else {
        return;
    };
    fleet.create("web", "2");
    let manager = fleet.manager();
    manager.until("the tasks are spread", || fleet.spread("web") == [1, 1]);
    fleet.lan.plug(1, false);
    manager.until("it is missed", || fleet.node(1, "Status") == "Down");
    manager.until("its task is replaced", || fleet.spread("web") == [2, 0]);
    fleet.lan.plug(1, true);
    fleet.until_ready(2);
    let worker = &fleet.hosts[1];
    worker.until("its old container ends", || container_count(worker) == 0);
}

/// How many containers run on a host.
pub fn container_count(host: &Host) -> usize {
    host.skep(&["container", "ls", "-q"]).lines().count()
}
