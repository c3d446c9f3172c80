//! What is asked of a manager about the tasks of other nodes.

use std::collections::BTreeSet;

use crate::docker_cli::terminal;
use crate::fleet::{Fleet, container_count};
use crate::host::{Host, Lines};
use crate::tools;

/// The name of the container of a service's task on a host.
fn container_on(fleet: &Fleet, service: &str, number: usize) -> String {
    let format = "{{.Name}}.{{.ID}} {{.Node}} {{.CurrentState}}";
    let args = ["service", "ps", service, "--no-trunc", "--format", format];
    let tasks = fleet.manager().skep(&args);
    let end = format!(" {} Running", fleet.lan.seat(number).hostname);
    let found = tasks.lines().find(|line| line.contains(&end));
    let found = found.unwrap_or_else(|| panic!("no task on host {number}:\n{tasks}"));
    found.split(' ').next().unwrap_or_default().to_owned()
}

fn code(host: &Host, args: &[&str]) -> Option<i32> {
    host.try_skep(args).status.code()
}

#[test]
fn commands_run_in_tasks_of_other_nodes_from_any_manager() {
    // The sessions of the workers end at either of the managers.
    let Some(mut fleet) = Fleet::start_with("remote", 4, 2) else {
        return;
    };
    let created = fleet.try_create_at(0, "web", "4");
    assert!(created.status.success(), "{created:?}");
    let manager = &fleet.hosts[0];
    manager.until("the tasks are spread", || fleet.spread("web") == [1; 4]);
    for number in 0..4 {
        let name = container_on(&fleet, "web", number);
        let hostname = |at: usize, name: &str| {
            let host = &fleet.hosts[at];
            host.skep(&["exec", name, "sh", "-c", "echo $HOSTNAME; exit 0"])
        };
        let own = hostname(number, &name);
        assert_eq!(hostname(0, &name), own);
        assert_eq!(hostname(1, &name), own);
        let task = name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        assert_eq!(hostname(1, &task), own, "by its task's name");
        assert_eq!(
            code(manager, &["exec", &name, "sh", "-c", "exit 7"]),
            Some(7)
        );
        assert_eq!(code(manager, &["exec", &name, "nosuch"]), Some(127));
    }
    let worker = container_on(&fleet, "web", 3);
    let big = manager.skep(&["exec", &worker, "sh", "-c", "head -c 3000000 /dev/zero"]);
    assert_eq!(big.len(), 3_000_000);
    let stats = manager.skep(&["stats", "--no-stream", "--format", "{{.Name}}", &worker]);
    assert_eq!(stats.trim(), worker);
    assert_eq!(
        code(&fleet.hosts[2], &["exec", &worker, "true"]),
        Some(1),
        "a worker's own alone"
    );
    for cli in tools::docker_clis() {
        let run = |args: &[&str]| manager.try_docker(cli, args);
        assert_eq!(
            run(&["exec", &worker, "sh", "-c", "exit 7"]).status.code(),
            Some(7)
        );
        assert_eq!(
            manager.docker(cli, &["exec", &worker, "echo", "hi"]),
            "hi\n"
        );
        let tty = terminal(&manager.docker_command(cli, &["exec", "-it", &worker, "tty"]));
        assert!(tty.contains("/dev/pts/"), "{tty}");
    }
    assert_eq!(container_count(&fleet.hosts[3]), 1);

    fleet.lan.plug(3, false);
    let cut = fleet.hosts[0].try_skep(&["exec", &worker, "true"]);
    let error = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(error.contains("node host3 is not available"), "{error}");
    fleet.lan.plug(3, true);
    fleet.hosts[3].kill_daemon();
    let manager = &fleet.hosts[0];
    manager.until("it is down", || fleet.node_at(0, 3, "Status") == "Down");
    let down = manager.try_skep(&["exec", &worker, "true"]);
    let error = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(
        error.contains("node host3 is not available: it is down"),
        "{error}"
    );
}

/// How many hosts' tasks have said who they are.
fn speakers(log: &str) -> usize {
    let said = log.lines().filter(|line| line.contains("I am "));
    said.collect::<BTreeSet<_>>().len()
}

#[test]
fn logs_of_a_service_come_from_all_nodes_and_a_missing_one_is_named() {
    let Some(mut fleet) = Fleet::start("logs", 3) else {
        return;
    };
    let created = fleet.try_create_at(0, "web", "3");
    assert!(created.status.success(), "{created:?}");
    let manager = &fleet.hosts[0];
    manager.until("the tasks are spread", || fleet.spread("web") == [1; 3]);
    let raw = || manager.skep(&["service", "logs", "--raw", "web"]);
    manager.until("all have spoken", || speakers(&raw()) == 3);
    let named = manager.skep(&["service", "logs", "--timestamps", "--tail=1", "web"]);
    for number in 0..3 {
        let host = format!("@{} ", fleet.lan.seat(number).hostname);
        assert_eq!(named.matches(&host).count(), 1, "{named}");
    }
    let mut stamps: Vec<_> = named
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let as_they_came = stamps.clone();
    stamps.sort_unstable();
    assert_eq!(stamps, as_they_came);
    let task = container_on(&fleet, "web", 2);
    let task = task.rsplit('.').next().unwrap_or_default();
    assert_eq!(
        speakers(&manager.skep(&["service", "logs", "--raw", task])),
        1
    );
    for cli in tools::docker_clis() {
        assert_eq!(
            speakers(&manager.docker(cli, &["service", "logs", "--raw", "web"])),
            3
        );
    }

    let followed = Lines::of(manager.skep_command(&["service", "logs", "-f", "--raw", "web"]));
    (0..3).for_each(|_| drop(followed.until("I am ")));
    manager.skep(&["service", "scale", "--detach", "web=6"]);
    (0..3).for_each(|_| drop(followed.until("I am ")));

    fleet.hosts[2].kill_daemon();
    let manager = &fleet.hosts[0];
    manager.until("it is down", || fleet.node_at(0, 2, "Status") == "Down");
    let rest = manager.try_skep(&["service", "logs", "--raw", "web"]);
    let error = String::from_utf8_lossy(&rest.stderr).into_owned();
    assert!(error.contains("incomplete log stream"), "{error}");
    assert!(error.contains("node host2 is not available"), "{error}");
    assert_eq!(rest.status.code(), Some(1));
    assert!(speakers(&String::from_utf8_lossy(&rest.stdout)) >= 4);
    for cli in tools::docker_clis() {
        let rest = manager.try_docker(cli, &["service", "logs", "--raw", "web"]);
        let error = String::from_utf8_lossy(&rest.stderr).into_owned();
        assert!(error.contains("node host2 is not available"), "{error}");
    }
    // Its tasks run elsewhere, and are part of what is followed.
    (0..2).for_each(|_| drop(followed.until("I am ")));
    fleet.hosts[2].start_daemon();
    fleet.until_ready(3);
    drop(followed);
}
