//! What is asked of a manager about the tasks of other nodes.

use crate::docker_cli::terminal;
use crate::fleet::{Fleet, container_count};
use crate::host::Host;
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
