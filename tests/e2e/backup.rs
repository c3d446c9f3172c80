//! The state of a swarm as one file, and a host that goes on from it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::fleet::Fleet;
use crate::host::Host;

#[test]
fn a_new_host_goes_on_with_a_swarm_from_its_backup() {
    let Some(mut fleet) = Fleet::start("backup", 3) else {
        return;
    };
    fleet.hosts[2].skep(&["swarm", "leave"]);
    let manager = &fleet.hosts[0];
    manager.until("it is forgotten", || {
        manager.try_skep(&["node", "rm", "host2"]).status.success()
    });
    let data = manager.path("password");
    std::fs::write(&data, "tiger").unwrap();
    manager.skep(&["secret", "create", "password", data.to_str().unwrap()]);
    create(manager);
    manager.until("it runs", || fleet.spread("web") == [2, 2, 0]);
    let token = manager.skep(&["swarm", "join-token", "-q", "manager"]);

    let file = manager.path("backup");
    let at = file.to_str().unwrap();
    let said = manager.skep(&["swarm", "backup", at]);
    assert!(said.contains("holds the swarm's keys, tokens and secrets"));
    // An older backup is replaced.
    manager.skep(&["swarm", "backup", at]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    check_refused(&fleet, &file);

    // The new host is found where the old one was.
    let address = fleet.lan.seat(0).address;
    fleet.hosts[0].kill_daemon();
    fleet.lan.address(0, &address, false);
    fleet.lan.address(2, &address, true);
    fleet.lan.forget_neighbours(1);
    let new = &fleet.hosts[2];
    let said = new.skep(&["swarm", "restore", "--advertise-addr", &address, at]);
    assert!(said.starts_with("Swarm restored: current node ("), "{said}");
    assert_eq!(new.skep(&["swarm", "join-token", "-q", "manager"]), token);
    assert_eq!(
        new.skep(&["secret", "ls", "--format", "{{.Name}}"]),
        "password\n"
    );
    new.until("the worker is back and the lost tasks are replaced", || {
        let worker = fleet.node_at(2, 1, "Status");
        let spread = fleet.spread_at(2, "web");
        worker == "Ready" && spread[0] == 0 && spread.iter().sum::<usize>() == 4
    });
    assert_eq!(fleet.node_at(2, 0, "Status"), "Down");
    assert_eq!(fleet.node_at(2, 2, "ManagerStatus"), "Leader");
    new.skep(&["node", "rm", "host0"]);
}

/// A service whose tasks have a secret.
fn create(manager: &Host) {
    let created = manager.try_skep(&[
        "service",
        "create",
        "--detach",
        "--name",
        "web",
        "--replicas",
        "4",
        "--secret",
        "password",
        "bb:1",
        "sh",
        "-c",
        "while true; do sleep 1; done",
    ]);
    assert!(created.status.success(), "{created:?}");
}

/// No backup where there is nothing to back up, and none restored where it must not or cannot be.
fn check_refused(fleet: &Fleet, file: &Path) {
    let rotten = fleet.hosts[0].path("rotten");
    let [at, rotten_at] = [file, &rotten].map(|path| path.to_str().unwrap());
    let refused = error(&fleet.hosts[1].try_skep(&["swarm", "backup", rotten_at]));
    assert!(
        refused.contains("This node is not a swarm manager."),
        "{refused}"
    );
    assert!(!rotten.exists());
    let refused = error(&fleet.hosts[1].try_skep(&["swarm", "restore", at]));
    assert!(
        refused.contains("This node is already part of a swarm."),
        "{refused}"
    );
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&rotten, bytes).unwrap();
    let refused = error(&fleet.hosts[2].try_skep(&["swarm", "restore", rotten_at]));
    assert_eq!(
        refused,
        "Error response from daemon: the backup is cut off or damaged\n"
    );
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "it was done");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
