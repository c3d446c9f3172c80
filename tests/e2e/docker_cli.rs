//! The unmodified `docker` CLI drives a host: what it prints is what Docker's own daemon makes it
//! print.

use std::path::Path;

use crate::host::{Host, Lines};
use crate::image;
use crate::tools;

const CLOCK: &str = "while true; do date +%s; sleep 1; done";

#[test]
fn every_docker_cli_deploys_scales_watches_and_removes_a_service() {
    if !tools::root() {
        return;
    }
    let Some(busybox) = tools::busybox() else {
        return tools::skipped("no static busybox, and it could not be installed");
    };
    if tools::docker_clis().is_empty() {
        tools::skipped("no docker CLI, and none could be installed");
    }
    for (number, cli) in tools::docker_clis().iter().enumerate() {
        let host = Host::start(&format!("cli{number}"));
        let archive = host.path("bb.tar");
        image::busybox_archive(busybox, &archive, "bb:1", &image::plain());
        println!("{}", host.docker(cli, &["--version"]).trim());
        swarm_begins(&host, cli);
        image_arrives(&host, cli, &archive);
        service_runs(&host, cli);
        service_is_inspected(&host, cli);
        containers_answer(&host, cli);
        logs_follow(&host, cli);
        service_scales_and_goes(&host, cli);
    }
}

fn swarm_begins(host: &Host, cli: &Path) {
    assert!(host.docker(cli, &["info"]).contains("Swarm: inactive"));
    let refused = host.try_docker(cli, &["service", "ls"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("This node is not a swarm manager."),
        "{error}"
    );
    let init = host.docker(cli, &["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    assert!(
        init.starts_with("Swarm initialized: current node ("),
        "{init}"
    );
    let info = host.docker(cli, &["info"]);
    for line in [
        "Swarm: active",
        "Is Manager: true",
        "Managers: 1",
        "Nodes: 1",
    ] {
        assert!(info.contains(line), "{line} is missing:\n{info}");
    }
    let nodes = host.docker(cli, &["node", "ls"]);
    columns(
        &nodes,
        "ID HOSTNAME STATUS AVAILABILITY MANAGER STATUS ENGINE VERSION",
    );
    assert!(nodes.contains("Ready") && nodes.contains("Active") && nodes.contains("Leader"));
    let node = host.docker(cli, &["node", "inspect", "self", "--pretty"]);
    for part in [
        "ID:",
        "Hostname:",
        "Status:",
        "State:",
        "Ready",
        "Availability:",
        "Platform:",
    ] {
        assert!(node.contains(part), "{part} is missing:\n{node}");
    }
    let node = host.docker(
        cli,
        &["node", "inspect", "self", "--format", "{{.Spec.Role}}"],
    );
    assert_eq!(node.trim(), "manager");
}

fn image_arrives(host: &Host, cli: &Path, archive: &Path) {
    let archive = archive.to_str().unwrap_or_default();
    let loaded = host.docker(cli, &["image", "load", "-i", archive]);
    assert!(loaded.contains("Loaded image: bb:1"), "{loaded}");
    let images = host.docker(cli, &["images"]);
    assert!(
        images.contains("bb") && images.contains("REPOSITORY"),
        "{images}"
    );
    let inspected = host.docker(cli, &["image", "inspect", "bb:1", "-f", "{{.Os}} {{.Id}}"]);
    assert!(inspected.starts_with("linux sha256:"), "{inspected}");
}

fn service_runs(host: &Host, cli: &Path) {
    let id = host.docker(
        cli,
        &[
            "service",
            "create",
            "--name",
            "web",
            "--replicas",
            "3",
            "--label",
            "k=v",
            "--env",
            "A=1",
            "--limit-memory",
            "64M",
            "--limit-pids",
            "50",
            "--restart-delay",
            "0s",
            "bb:1",
            "sh",
            "-c",
            CLOCK,
        ],
    );
    assert!(
        id.contains("Service converged") || id.contains("overall progress"),
        "{id}"
    );
    let list = host.docker(cli, &["service", "ls"]);
    columns(&list, "ID NAME MODE REPLICAS IMAGE PORTS");
    assert!(
        list.contains("web") && list.contains("replicated") && list.contains("3/3"),
        "{list}"
    );
    let tasks = host.docker(cli, &["service", "ps", "web"]);
    columns(
        &tasks,
        "ID NAME IMAGE NODE DESIRED STATE CURRENT STATE ERROR PORTS",
    );
    for name in ["web.1", "web.2", "web.3"] {
        assert!(tasks.contains(name), "{name} is missing:\n{tasks}");
    }
    assert_eq!(tasks.matches("Running ").count(), 6, "{tasks}");
    let again = host.try_docker(cli, &["service", "create", "-d", "--name", "web", "bb:1"]);
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && error.contains("name conflicts"),
        "{error}"
    );
}

fn service_is_inspected(host: &Host, cli: &Path) {
    let pretty = host.docker(cli, &["service", "inspect", "--pretty", "web"]);
    for line in [
        "Name:\t\tweb",
        " k=v",
        "Service Mode:\tReplicated",
        " Replicas:\t3",
        "ContainerSpec:",
        " Image:\t\tbb:1",
        " Env:\t\tA=1",
        "Limits:",
        "64MiB",
        "Endpoint Mode:\tvip",
    ] {
        assert!(pretty.contains(line), "{line:?} is missing:\n{pretty}");
    }
    let json = host.docker(cli, &["service", "inspect", "web"]);
    let services: serde_json::Value = serde_json::from_str(&json).expect("inspect prints JSON");
    let container = &services[0]["Spec"]["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Args"], serde_json::json!(["sh", "-c", CLOCK]));
    assert_eq!(
        services[0]["Spec"]["TaskTemplate"]["Resources"]["Limits"]["Pids"],
        50
    );
    let node = host.docker(cli, &["node", "ps"]);
    assert!(node.contains("web.1"), "{node}");
}

fn containers_answer(host: &Host, cli: &Path) {
    let list = host.docker(
        cli,
        &[
            "ps",
            "--format",
            "{{.ID}} {{.Names}} {{.Image}} {{.Status}}",
        ],
    );
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(
        list.contains("web.1.") && list.contains("bb:1") && list.contains("Up "),
        "{list}"
    );
    let id = list.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(host.docker(cli, &["exec", &id, "echo", "hi"]).trim(), "hi");
    let code = host
        .try_docker(cli, &["exec", &id, "sh", "-c", "exit 7"])
        .status
        .code();
    assert_eq!(code, Some(7));
    let missing = host.try_docker(cli, &["exec", &id, "nosuch"]).status.code();
    assert!(matches!(missing, Some(126 | 127)), "{missing:?}");
    let tty = terminal(&host.docker_command(cli, &["exec", "-it", &id, "tty"]));
    assert!(tty.contains("/dev/pts/"), "{tty}");
    let stats = host.docker(
        cli,
        &[
            "stats",
            "--no-stream",
            "--format",
            "{{.Name}} {{.MemUsage}}",
        ],
    );
    assert!(
        stats.contains("web.1.") && stats.contains("/ 64MiB"),
        "{stats}"
    );
    let run = host.try_docker(cli, &["run", "--rm", "bb:1", "true"]);
    let error = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        !run.status.success() && error.contains("service create"),
        "{error}"
    );
}

/// Runs a command under a terminal of its own and gives what it shows.
pub fn terminal(command: &std::process::Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]);
    script.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = script
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn logs_follow(host: &Host, cli: &Path) {
    let lines = Lines::of(host.docker_command(cli, &["service", "logs", "-f", "web"]));
    for _ in 0..8 {
        let line = lines.next("a line of the clock");
        assert!(
            line.starts_with("web.") && line.contains('@') && line.contains("| "),
            "{line}"
        );
    }
    let tail = host.docker(
        cli,
        &["service", "logs", "--tail", "1", "--timestamps", "web"],
    );
    assert_eq!(tail.lines().count(), 3, "{tail}");
}

fn service_scales_and_goes(host: &Host, cli: &Path) {
    let events = host.docker_command(
        cli,
        &[
            "events",
            "--filter",
            "type=service",
            "--format",
            "{{.Action}} {{.Actor.Attributes.name}}",
        ],
    );
    let events = Lines::of(events);
    for replicas in ["10", "1"] {
        let scaled = host.docker(cli, &["service", "scale", &format!("web={replicas}")]);
        assert!(
            scaled.contains(&format!("web scaled to {replicas}")),
            "{scaled}"
        );
        let list = host.docker(cli, &["service", "ls"]);
        assert!(list.contains(&format!("{replicas}/{replicas}")), "{list}");
    }
    events.until("update web");
    assert_eq!(host.docker(cli, &["service", "rm", "web"]).trim(), "web");
    events.until("remove web");
    host.until("no container is left", || {
        host.docker(cli, &["ps", "-q"]).trim().is_empty()
    });
    let left = host.docker(cli, &["service", "ls", "-q"]);
    assert!(left.is_empty(), "{left}");
}

#[track_caller]
fn columns(table: &str, expected: &str) {
    let head: Vec<_> = table
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(head.join(" "), expected);
}
