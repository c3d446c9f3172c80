//! Hosts that no manager can reach.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use skep::daemon::networks;
use skep::host::clock::Stopwatch;
use skep::host::wait::apart;
use skep::network::netlink::Socket;
use skep::network::netlink::nftables::Batch;

use crate::autolock::{is_below, key_of, unlock};
use crate::fleet::{Fleet, container_count};
use crate::host::{Host, signal};
use crate::lan::Seat;
use crate::networks::{ASK, at};
use crate::tools;

/// A daemon that starts without a manager waits for ten seconds.
const LONGER_THAN_IT_WAITS: Duration = Duration::from_secs(14);

/// The only container of a host, and its first process.
fn container(host: &Host) -> (String, u32) {
    let id = host.skep(&["container", "ls", "-q", "--no-trunc"]);
    let id = id.trim().to_owned();
    let pid = host.skep(&["inspect", "--format", "{{.State.Pid}}", &id]);
    (id, pid.trim().parse().expect("a number"))
}

/// The power of a host fails, and of what ran only its disk knows.
fn reboot(host: &mut Host) {
    let (_, pid) = container(host);
    host.kill_daemon();
    signal(pid, Signal::KILL);
    std::fs::remove_dir_all(host.path("run/records")).expect("the records");
    host.start_daemon();
}

/// The kernel of a host forgets its packet rules, as it does when its power fails.
fn forget_rules(host: &Host, seat: &Seat) {
    let run_dir = host.path("run").canonicalize().expect("a directory");
    let (table, _) = networks::name(&run_dir, "/run/skep".as_ref());
    let namespace = std::fs::File::open(format!("/run/netns/{}", seat.namespace));
    let namespace = namespace.expect("the namespace of the host");
    apart(|| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("the host");
        let batch = Batch::remove(&table).finish().expect("a batch");
        let mut socket = Socket::netfilter().expect("a socket");
        socket.commit(&batch).expect("the rules go");
    })
    .expect("a thread");
}

#[test]
fn a_worker_that_boots_alone_is_reached_at_its_published_ports_and_by_its_names() {
    let Some(mut fleet) = Fleet::start("bootsalone", 3) else {
        return;
    };
    let manager = &fleet.hosts[0];
    manager.skep(&["network", "create", "-d", "overlay", "front"]);
    let create = [
        "service create -q --name web --network front --publish 80:8080",
        "--constraint node.role==worker --mode global bb:1 sh -c",
    ];
    let create = create.join(" ");
    let mut create: Vec<_> = create.split(' ').collect();
    create.push("hostname > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp");
    manager.skep(&create);
    let names = |host: &Host| {
        let (id, _) = container(host);
        let lookup = ["nslookup", "-type=a", "tasks.web"];
        let said = host.skep(&[&["exec", &id, "busybox"], &lookup[..]].concat());
        let lines = said.lines().skip_while(|line| !line.starts_with("Name:"));
        lines.filter(|line| line.starts_with("Address: ")).count()
    };
    let seat = fleet.lan.seat(1);
    let busybox = tools::busybox().expect("busybox is there").display();
    let page = format!("{ASK} ask {busybox} {} 80", seat.address);
    let seen = |fleet: &Fleet| at(&fleet.lan.seat(2), &["sh", "-c", &page]);
    fleet.hosts[1].until("both are named", || names(&fleet.hosts[1]) == 2);

    fleet.hosts[0].kill_daemon();
    reboot(&mut fleet.hosts[1]);
    forget_rules(&fleet.hosts[1], &seat);
    assert_eq!(seen(&fleet), "", "nothing is there yet");
    let worker = &fleet.hosts[1];
    worker.until("it runs again", || container_count(worker) == 1);
    worker.until("only its own task is named", || names(worker) == 1);
    let (id, _) = container(worker);
    let own = format!("{}\n", &id[..12]);
    for _ in 0..5 {
        assert_eq!(seen(&fleet), own);
    }

    fleet.hosts[0].start_daemon();
    let worker = &fleet.hosts[1];
    worker.until("both are named again", || names(worker) == 2);
}

#[test]
fn a_worker_that_boots_alone_has_its_secrets_sealed_on_its_disk_unless_the_swarm_is_locked() {
    let Some(mut fleet) = Fleet::start("atrest", 2) else {
        return;
    };
    let data = fleet.hosts[0].path("password");
    std::fs::write(&data, "a tiger in the night").expect("the password");
    fleet.hosts[0].skep(&[
        "secret",
        "create",
        "password",
        data.to_str().expect("UTF-8"),
    ]);
    let create = [
        "service", "create", "-d", "--name", "web", "--secret", "password",
    ];
    let create = [&create[..], &["--constraint", "node.role==worker"]].concat();
    fleet.hosts[0].skep(&[&create[..], &["bb:1", "sleep", "1000"]].concat());
    let worker = &fleet.hosts[1];
    worker.until("it runs", || container_count(worker) == 1);
    let told = |host: &Host| {
        let (id, _) = container(host);
        host.skep(&["exec", &id, "cat", "/run/secrets/password"])
    };
    fleet.hosts[0].kill_daemon();
    reboot(&mut fleet.hosts[1]);
    let worker = &fleet.hosts[1];
    worker.until("it runs again", || container_count(worker) == 1);
    assert_eq!(told(worker), "a tiger in the night");
    assert!(
        worker
            .skep(&["info", "--format", "{{.Warnings}}"])
            .contains("Secrets of tasks lie")
    );
    assert!(!is_below(&worker.path("state"), b"a tiger in the night"));

    fleet.hosts[0].start_daemon();
    fleet.until_ready(2);
    let store = || std::fs::read(fleet.hosts[1].path("state/agent/rows-0")).expect("a store");
    let before = store();
    fleet.hosts[0].skep(&["swarm", "update", "--autolock"]);
    fleet.hosts[1].until("it has forgotten the secret", || store() != before);
    fleet.hosts[0].kill_daemon();
    reboot(&mut fleet.hosts[1]);
    let worker = &fleet.hosts[1];
    let booted = Stopwatch::start();
    worker.until("it waits", || booted.elapsed() > LONGER_THAN_IT_WAITS);
    assert_eq!(container_count(worker), 0);
    assert!(
        !worker
            .skep(&["info", "--format", "{{.Warnings}}"])
            .contains("Secrets of tasks lie")
    );
}

#[test]
fn what_ends_on_hosts_that_no_manager_can_reach_runs_again_and_is_not_replaced() {
    let Some(mut fleet) = Fleet::start("alone", 2) else {
        return;
    };
    assert!(fleet.try_create_at(0, "web", "2").status.success());
    fleet.hosts[0].until("the tasks run", || fleet.spread("web") == [1, 1]);
    fleet.hosts[0].skep(&["swarm", "update", "--autolock"]);
    let key = key_of(&fleet.hosts[0]);
    let tasks = |fleet: &Fleet| {
        let args = ["service", "ps", "-q", "--no-trunc", "web"];
        fleet.manager().skep(&args)
    };
    let before = tasks(&fleet);

    // The manager waits for its key. It is a host too, whose agent goes on without it.
    fleet.hosts[0].kill_daemon();
    fleet.hosts[0].start_daemon();
    let ended = [0, 1].map(|at| {
        let (id, pid) = container(&fleet.hosts[at]);
        signal(pid, Signal::KILL);
        id
    });
    for at in [1, 0] {
        let host = &fleet.hosts[at];
        host.until("it has ended", || container_count(host) == 0);
    }
    let run = |host: &Host| {
        host.until("it runs again", || container_count(host) == 1);
        container(host).0
    };
    let again = [0, 1].map(|at| run(&fleet.hosts[at]));
    assert!(again.iter().all(|id| !ended.contains(id)));

    fleet.hosts.iter_mut().for_each(reboot);
    let ended = again;
    let again = [0, 1].map(|at| run(&fleet.hosts[at]));
    assert!(again.iter().all(|id| !ended.contains(id)));

    assert!(unlock(&fleet.hosts[0], &key).status.success());
    fleet.hosts[0].until("the manager knows", || {
        let id = |at: usize| {
            let ids = tasks(&fleet);
            let format = "{{.Status.ContainerStatus.ContainerID}}";
            let id = ids.lines().nth(at).expect("two tasks").to_owned();
            fleet.manager().skep(&["inspect", "--format", format, &id])
        };
        let known = [id(0), id(1)].concat();
        again.iter().all(|id| known.contains(id))
    });
    assert_eq!(tasks(&fleet), before);
    assert_eq!(fleet.spread("web"), [1, 1]);
    assert_eq!([0, 1].map(|at| container(&fleet.hosts[at]).0), again);
}
