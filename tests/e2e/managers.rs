//! Several managers, end to end: they agree, and go on without those that are gone.

use std::process::Output;

use skep::host::clock::Stopwatch;

use crate::fleet::{Fleet, container_count};
use crate::host::Host;
use crate::tools;

const NO_LEADER: &str = "The swarm does not have a leader.";

impl Fleet {
    /// The manager status of each host, as one of them sees it.
    fn managers_at(&self, at: usize) -> Vec<String> {
        let hosts = 0..self.hosts.len();
        hosts
            .map(|number| self.node_at(at, number, "ManagerStatus"))
            .collect()
    }

    #[track_caller]
    fn until_managers(&self, at: usize, what: &str, expect: impl Fn(&[String]) -> bool) {
        self.hosts[at].until(what, || expect(&self.managers_at(at)));
    }

    #[track_caller]
    fn until_all_run(&self, at: usize, service: &str) {
        let everywhere = vec![1; self.hosts.len()];
        self.hosts[at].until("the tasks are spread", || {
            self.spread_at(at, service) == everywhere
        });
    }

    fn leader_at(&self, at: usize) -> usize {
        let managers = self.managers_at(at);
        let leader = managers.iter().position(|status| status == "Leader");
        leader.unwrap_or_else(|| panic!("no leader among {managers:?}"))
    }

    /// Creates a service as soon as the swarm takes one; how long that was.
    fn create_soon(&self, at: usize, name: &str) -> std::time::Duration {
        let watch = Stopwatch::start();
        self.hosts[at].until("a service is created", || {
            self.try_create_at(at, name, "1").status.success()
        });
        watch.elapsed()
    }
}

#[test]
fn managers_join_share_the_state_and_outlive_their_leader() {
    let Some(mut fleet) = Fleet::start_with("quorum", 5, 3) else {
        return;
    };
    let is_settled = |managers: &[String]| managers == ["Leader", "Reachable", "Reachable", "", ""];
    for at in 0..3 {
        fleet.until_managers(at, "all managers are there", is_settled);
    }
    if let Some(cli) = tools::docker_clis().first() {
        let format = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}";
        let nodes = fleet.hosts[1].docker(cli, &["node", "ls", "--format", format]);
        let mut nodes: Vec<_> = nodes.lines().map(str::trim_end).collect();
        nodes.sort_unstable();
        assert_eq!(
            nodes,
            [
                "host0 Ready Leader",
                "host1 Ready Reachable",
                "host2 Ready Reachable",
                "host3 Ready",
                "host4 Ready",
            ]
        );
    }
    let created = fleet.try_create_at(2, "web", "5");
    assert!(created.status.success(), "at a follower: {created:?}");
    fleet.until_all_run(1, "web");

    fleet.hosts[0].kill_daemon();
    let accepted = fleet.create_soon(1, "after");
    println!("a service was created {accepted:?} after the leader was killed");
    let led = fleet.leader_at(2);
    assert!(led == 1 || led == 2, "manager {led} leads");
    fleet.until_managers(1, "it is missed", |managers| managers[0] == "Unreachable");
    fleet.hosts[0].start_daemon();
    fleet.until_managers(0, "the old leader follows", |managers| {
        managers[0] == "Reachable"
    });
    fleet.hosts[0].until("it is ready", || fleet.node_at(0, 0, "Status") == "Ready");
    assert_eq!(fleet.spread_at(0, "web"), [1; 5]);
    assert_eq!(
        fleet.hosts[0].task_states("web").len(),
        5,
        "no task was replaced"
    );

    // An orderly stop of the leader hands the lead over and moves no task either.
    let led = fleet.leader_at(0);
    fleet.hosts[led].stop_daemon();
    let accepted = fleet.create_soon(0, "handed");
    println!("a service was created {accepted:?} after the leader was stopped");
    fleet.hosts[led].start_daemon();
    fleet.hosts[0].until("it is ready", || fleet.node_at(0, led, "Status") == "Ready");
    assert_eq!(fleet.hosts[0].task_states("web").len(), 5);
}

#[test]
fn nodes_are_promoted_and_demoted_and_managers_leave() {
    let Some(fleet) = Fleet::start_with("roles", 4, 2) else {
        return;
    };
    let [first, second, third, fourth] = &fleet.hosts[..] else {
        panic!("four hosts");
    };
    let created = fleet.try_create_at(0, "web", "4");
    assert!(created.status.success(), "{created:?}");
    fleet.until_all_run(0, "web");
    let refused = second.try_skep(&["swarm", "leave"]);
    assert_eq!(
        error(&refused),
        "Error response from daemon: You are attempting to leave the swarm on a node that is \
         participating as a manager. Removing this node leaves 1 managers out of 2. Without a \
         Raft quorum your swarm will be inaccessible. The only way to restore a swarm that has \
         lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to \
         suppress this message.\n"
    );

    let promoted = first.skep(&["node", "promote", "host2", "host3"]);
    assert_eq!(
        promoted,
        "Node host2 promoted to a manager in the swarm.\n\
         Node host3 promoted to a manager in the swarm.\n"
    );
    fleet.until_managers(0, "they are managers", |managers| {
        managers[2] == "Reachable" && managers[3] == "Reachable"
    });
    third.until("it says so", || is_manager(third));
    assert_eq!(fleet.leader_at(2), 0);

    // The leader goes; it must not take a task along.
    second.skep(&["node", "demote", "host0"]);
    first.until("it is a worker", || !is_manager(first));
    fleet.until_managers(1, "another one leads", |managers| {
        managers[0].is_empty() && managers.iter().any(|status| status == "Leader")
    });
    let refused = first.try_skep(&["node", "ls"]);
    assert!(error(&refused).contains("This node is not a swarm manager."));
    second.until("it is ready", || fleet.node_at(1, 0, "Status") == "Ready");
    assert_eq!(fleet.spread_at(1, "web"), [1; 4]);
    assert_eq!(second.task_states("web").len(), 4, "no task was replaced");

    fourth.skep(&["swarm", "leave", "--force"]);
    second.until("it is gone", || fleet.node_at(1, 3, "Status") == "Down");
    let refused = second.try_skep(&["node", "rm", "host3"]);
    assert!(
        error(&refused).contains("is a cluster manager and is a member of the raft cluster"),
        "{refused:?}"
    );
    second.skep(&["node", "demote", "host3"]);
    second.until("it is removed", || {
        second.try_skep(&["node", "rm", "host3"]).status.success()
    });
    let refused = third.try_skep(&["node", "demote", "host1", "host2"]);
    assert!(
        error(&refused).contains("attempting to demote the last manager of the swarm"),
        "{refused:?}"
    );
}

#[test]
fn without_a_quorum_nothing_is_written_and_everything_runs_on() {
    let Some(mut fleet) = Fleet::start_with("lost", 4, 3) else {
        return;
    };
    let created = fleet.try_create_at(0, "web", "4");
    assert!(created.status.success(), "{created:?}");
    fleet.until_all_run(0, "web");
    let led = fleet.leader_at(0);
    let left = (led + 1) % 3;
    let gone: Vec<_> = (0..3).filter(|manager| *manager != left).collect();
    gone.iter()
        .for_each(|host| fleet.hosts[*host].kill_daemon());

    // Those that come while there may be another leader soon are held up for a while.
    let mut took = Vec::new();
    for _ in 0..3 {
        let watch = Stopwatch::start();
        let refused = fleet.try_create_at(left, "lost", "1");
        assert!(error(&refused).contains(NO_LEADER), "{refused:?}");
        took.push(watch.elapsed());
    }
    println!("writes were refused after {took:?}");
    assert!(took[2].as_secs() < 1, "{took:?}");
    let services = fleet.hosts[left].skep(&["service", "ls", "--format", "{{.Name}}"]);
    assert_eq!(services, "web\n");
    assert_eq!(container_count(&fleet.hosts[left]), 1);
    assert_eq!(container_count(&fleet.hosts[3]), 1);

    fleet.hosts[gone[0]].start_daemon();
    let accepted = fleet.create_soon(left, "found");
    println!("a service was created {accepted:?} after a manager came back");
    assert_eq!(container_count(&fleet.hosts[left]), 1, "its task runs on");
    fleet.hosts[gone[1]].start_daemon();
    fleet.hosts[left].until("all are ready", || {
        (0..4).all(|number| fleet.node_at(left, number, "Status") == "Ready")
    });
}

fn is_manager(host: &Host) -> bool {
    host.skep(&["info"]).contains("Is Manager: true")
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "it was done");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_root_is_rotated_once_every_node_has_come_for_it() {
    let Some(mut fleet) = Fleet::start_with("root", 4, 2) else {
        return;
    };
    assert!(fleet.try_create_at(0, "web", "4").status.success());
    fleet.until_all_run(0, "web");
    let old = fleet.hosts[0].skep(&["swarm", "ca"]);
    fleet.hosts[3].stop_daemon();
    fleet.hosts[0].skep(&["swarm", "ca", "--rotate", "--detach"]);
    // What is created meanwhile runs, and those who are missed are named.
    assert!(fleet.try_create_at(1, "meanwhile", "1").status.success());
    let missed = "The root is being rotated; not there yet: host3\n";
    fleet.hosts[1].until("all but one are there", || {
        let shown = fleet.hosts[1].try_skep(&["swarm", "ca"]);
        String::from_utf8_lossy(&shown.stderr) == missed
    });
    let again = fleet.hosts[0].try_skep(&["swarm", "ca", "--rotate"]);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(why.contains("the root is being rotated already"), "{why}");
    fleet.hosts[3].start_daemon();
    fleet.hosts[0].until("the new root counts", || {
        fleet.hosts[0].try_skep(&["swarm", "ca"]).stderr.is_empty()
    });
    let new = fleet.hosts[0].skep(&["swarm", "ca"]);
    assert_ne!(new, old);
    assert_eq!(fleet.spread_at(0, "web"), [1; 4], "no task moved");

    // Tokens pin the new root, daemons that start again are known by it, and the lead can change.
    let worker = &fleet.hosts[3];
    worker.skep(&["swarm", "leave"]);
    fleet.join_as(worker, "worker");
    fleet.hosts[0].stop_daemon();
    fleet.hosts[0].start_daemon();
    fleet.until_managers(0, "both managers agree", |managers| {
        let both = &managers[..2];
        both == ["Leader", "Reachable"] || both == ["Reachable", "Leader"]
    });
    fleet.create_soon(0, "after");
}

#[test]
fn a_manager_that_has_lost_the_others_for_good_goes_on_alone_with_everything() {
    let Some(mut fleet) = Fleet::start_with("alone", 4, 3) else {
        return;
    };
    assert!(fleet.try_create_at(0, "web", "4").status.success());
    fleet.until_all_run(0, "web");
    let refused = fleet.hosts[3].try_skep(&["swarm", "init", "--force-new-cluster"]);
    assert!(error(&refused).contains("This node is not a swarm manager."));
    fleet.hosts[0].kill_daemon();
    fleet.hosts[1].kill_daemon();
    let left = &fleet.hosts[2];
    assert!(error(&fleet.try_create_at(2, "lost", "1")).contains(NO_LEADER));
    let containers = left.skep(&["container", "ls", "-q"]);
    let told = match tools::docker_clis().first() {
        Some(cli) => left.docker(cli, &["swarm", "init", "--force-new-cluster"]),
        None => left.skep(&["swarm", "init", "--force-new-cluster"]),
    };
    assert!(
        told.starts_with("Swarm initialized: current node ("),
        "{told}"
    );
    assert_eq!(fleet.managers_at(2), ["", "", "Leader", ""]);
    assert_eq!(
        left.skep(&["container", "ls", "-q"]),
        containers,
        "its task runs on"
    );
    // The tasks of those that are gone run on those that are left.
    assert!(fleet.try_create_at(2, "after", "1").status.success());
    left.until("what was lost is replaced", || {
        let spread = fleet.spread_at(2, "web");
        spread[..2] == [0, 0] && spread.iter().sum::<usize>() == 4
    });
    assert_eq!(fleet.node_at(2, 0, "Status"), "Down");

    // It stays so after a restart, and one of the others comes back as a worker.
    fleet.hosts[2].kill_daemon();
    fleet.hosts[2].start_daemon();
    fleet.until_managers(2, "it leads again", |managers| managers[2] == "Leader");
    fleet.hosts[0].start_daemon();
    fleet.hosts[2].until("it is a worker", || {
        fleet.node_at(2, 0, "Status") == "Ready" && !is_manager(&fleet.hosts[0])
    });
    fleet.hosts[2].skep(&["node", "promote", "host0"]);
    fleet.until_managers(2, "it is a manager again", |managers| {
        managers == ["Reachable", "", "Leader", ""]
    });
    fleet.create_soon(0, "again");
}

#[test]
fn a_manager_whose_address_changes_comes_back_by_its_id() {
    let Some(mut fleet) = Fleet::start_with("moved", 4, 3) else {
        return;
    };
    assert!(fleet.try_create_at(0, "web", "4").status.success());
    fleet.until_all_run(0, "web");
    let found_at = |fleet: &Fleet, host: &str| {
        let format = "{{.ManagerStatus.Addr}} {{.Status.Addr}}";
        let shown = fleet.hosts[2].skep(&["node", "inspect", host, "--format", format]);
        shown.trim().to_owned()
    };
    // The leader, while its daemon is off, and another one while it runs.
    fleet.hosts[0].kill_daemon();
    fleet.lan.renumber(0, "10.77.0.50");
    fleet.hosts[0].start_daemon();
    fleet.hosts[2].until("it is found where it is", || {
        found_at(&fleet, "host0") == "10.77.0.50:2377 10.77.0.50"
    });
    fleet.lan.renumber(1, "10.77.0.51");
    fleet.hosts[2].until("so is the other", || {
        found_at(&fleet, "host1") == "10.77.0.51:2377 10.77.0.51"
    });
    for at in 0..3 {
        fleet.until_managers(at, "all are there", |managers| {
            let led = managers.iter().filter(|status| *status == "Leader");
            let followed = managers.iter().filter(|status| *status == "Reachable");
            (led.count(), followed.count()) == (1, 2)
        });
        fleet.create_soon(at, &format!("after{at}"));
    }
    fleet.hosts[2].until("all nodes are ready", || {
        (0..4).all(|number| fleet.node_at(2, number, "Status") == "Ready")
    });
    // Who had its session at an address that is gone needs longer than it may be silent to notice.
    fleet.hosts[2].until("every task runs", || {
        fleet.spread_at(2, "web").iter().sum::<usize>() == 4
    });
}
