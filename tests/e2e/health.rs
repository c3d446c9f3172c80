//! Health checks, from the command line to the processes that they run.

use std::path::Path;

use serde_json::Value;

use crate::host::Host;
use crate::{image, tools};

/// A program that ends well when it is asked to.
const PROGRAM: [&str; 4] = ["bb:1", "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"];
const CHECK: [&str; 10] = [
    "--health-cmd",
    "grep ok /tmp/state",
    "--health-interval",
    "100ms",
    "--health-retries",
    "2",
    "--health-start-period",
    "60s",
    "--health-start-interval",
    "100ms",
];

fn create(host: &Host, name: &str, flags: &[&str], program: &[&str]) {
    let args = ["service", "create", "-d", "--name", name];
    host.skep(&[&args, flags, program].concat());
}

/// The id of the running container of a service.
fn container(host: &Host, service: &str) -> String {
    let filter = format!("name={service}.1.");
    let args = ["ps", "-q", "--filter", &filter];
    host.until("the container is there", || !host.skep(&args).is_empty());
    host.skep(&args).trim().to_owned()
}

fn inspect(host: &Host, id: &str, field: &str) -> Value {
    let format = format!("{{{{json {field}}}}}");
    let text = host.skep(&["inspect", "-f", &format, id]);
    serde_json::from_str(&text).expect("JSON")
}

fn write_state(host: &Host, id: &str, state: &str) {
    let script = format!("echo {state} > /tmp/state");
    host.skep(&["exec", id, "sh", "-c", &script]);
}

fn status(host: &Host, id: &str) -> String {
    let filter = format!("id={id}");
    host.skep(&["ps", "--format", "{{.Status}}", "--filter", &filter])
}

fn errors(host: &Host, service: &str) -> String {
    let args = [
        "service",
        "ps",
        service,
        "--no-trunc",
        "--format",
        "{{.Error}}",
    ];
    host.skep(&args)
}

#[test]
fn a_task_runs_while_it_is_healthy_and_an_unhealthy_one_fails_and_is_replaced() {
    let Some(mut host) = Host::swarm("health") else {
        return;
    };
    create(&host, "web", &CHECK, &PROGRAM);
    let first = container(&host, "web");
    host.until("a check has failed", || {
        let log = inspect(&host, &first, ".State.Health.Log");
        log[0].is_object() && log[0]["ExitCode"] != 0
    });
    assert!(status(&host, &first).contains("(health: starting)"));
    assert_eq!(host.running("web"), 0);

    write_state(&host, &first, "ok");
    host.until("the task runs", || host.running("web") == 1);
    assert!(status(&host, &first).contains("(healthy)"));
    let filter = ["ps", "-q", "--filter", "health=healthy"];
    assert_eq!(host.skep(&filter).trim(), first);
    let log = inspect(&host, &first, ".State.Health.Log");
    let last = log.as_array().and_then(|log| log.last()).expect("a result");
    assert_eq!(
        (&last["ExitCode"], &last["Output"]),
        (&0.into(), &"ok\n".into())
    );

    host.kill_daemon();
    host.start_daemon();
    assert_eq!(inspect(&host, &first, ".State.Health.Status"), "healthy");
    host.until("the task runs on", || host.running("web") == 1);
    write_state(&host, &first, "bad");
    host.until("the task has failed", || {
        errors(&host, "web").contains("task: unhealthy container")
    });
    let second = container(&host, "web");
    assert_ne!(second, first);
    assert!(status(&host, &second).contains("(health: starting)"));
    for cli in tools::docker_clis() {
        shows_as_much(&host, cli, &second);
    }
    let events = host.skep(&["events", "--since", "10m", "--until", "0s"]);
    assert!(
        events.contains("container health_status: unhealthy"),
        "{events}"
    );
    write_state(&host, &second, "ok");
    host.until("the new one runs", || host.running("web") == 1);
    an_update_to_what_is_never_well_is_paused(&host);
}

fn shows_as_much(host: &Host, cli: &Path, id: &str) {
    assert!(host.docker(cli, &["ps"]).contains("(health: starting)"));
    for field in [".State.Health.Status", ".Config.Healthcheck.Test"] {
        let format = format!("{{{{json {field}}}}}");
        let text = host.docker(cli, &["inspect", "-f", &format, id]);
        let shown: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(shown, inspect(host, id, field));
    }
}

/// The new task is no success before it is healthy, and a failure once it is not.
fn an_update_to_what_is_never_well_is_paused(host: &Host) {
    let flags = [
        "--health-cmd",
        "echo sick; false",
        "--health-start-period",
        "1ms",
    ];
    host.skep(&[&["service", "update", "-d"], &flags[..], &["web"]].concat());
    host.until("the update is paused", || {
        let args = ["service", "inspect", "-f", "{{json .UpdateStatus}}", "web"];
        host.skep(&args).contains("\"paused\"")
    });
    assert_eq!(host.running("web"), 0);
}

#[test]
fn images_bring_checks_of_their_own_and_a_check_that_hangs_is_ended() {
    let Some(host) = Host::swarm("image-health") else {
        return;
    };
    let mut config = image::plain();
    config["Healthcheck"] = serde_json::json!({
        "Test": ["CMD", "false"], "Interval": 3_600_000_000_000_i64,
    });
    let busybox = tools::busybox().expect("the swarm has it");
    host.load_as(busybox, "bb:checked", &config);
    let program = ["bb:checked", "sleep", "1000"];
    create(&host, "checked", &["--health-retries", "7"], &program);
    let id = container(&host, "checked");
    let check = inspect(&host, &id, ".Config.Healthcheck");
    let (test, retries) = (&check["Test"], &check["Retries"]);
    assert_eq!(
        (test, retries),
        (&serde_json::json!(["CMD", "false"]), &7.into())
    );
    create(&host, "unchecked", &["--no-healthcheck"], &program);
    host.until("it runs", || host.running("unchecked") == 1);
    let id = container(&host, "unchecked");
    assert_eq!(inspect(&host, &id, ".State.Health"), Value::Null);
    assert_eq!(host.running("checked"), 0);

    let flags = [
        "--health-cmd",
        "echo hangs; sleep 1001 & sleep 1002",
        "--health-timeout",
        "200ms",
        "--health-interval",
        "1h",
        "--health-start-interval",
        "100ms",
        "--health-start-period",
        "200ms",
    ];
    create(&host, "hangs", &flags, &["bb:1", "sleep", "1000"]);
    let id = container(&host, "hangs");
    host.until("the check was ended", || {
        let log = inspect(&host, &id, ".State.Health.Log");
        log[0]["Output"] == "Health check exceeded timeout (200ms): hangs\n"
    });
    let processes = host.skep(&["exec", &id, "ps"]);
    assert!(processes.contains("sleep 1000"), "{processes}");
    let left = ["1001", "1002"].map(|time| processes.contains(time));
    assert_eq!(left, [false, false], "{processes}");
}
