//! Updates of real containers: one that succeeds, one that goes back by itself, one that pauses and
//! is rolled back by hand; with our CLI and with docker's.

use std::path::Path;

use crate::host::Host;
use crate::tools;

const STATUS: &str = "{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}";
const ARGS: &str = "{{.Spec.TaskTemplate.ContainerSpec.Args}}";

#[test]
fn an_update_succeeds_goes_back_by_itself_or_pauses_and_is_rolled_back() {
    let Some(host) = Host::swarm("updates") else {
        return;
    };
    let create = "service create -q --name web --replicas 2 --stop-signal KILL \
                  --update-monitor 500ms --rollback-monitor 500ms bb:1 sleep 1000";
    host.skep(&words(create));
    succeeds(&host);
    goes_back(&host);
    pauses(&host);
    for cli in tools::docker_clis() {
        docker_does_the_same(&host, cli);
    }
}

fn succeeds(host: &Host) {
    let before = containers(host);
    let said = host.skep(&words("service update --env-add A=1 web"));
    assert!(said.starts_with("web\n"), "{said}");
    assert!(
        said.contains("overall progress: 2 out of 2 tasks"),
        "{said}"
    );
    assert!(said.contains("verify: Service "), "{said}");
    let after = containers(host);
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(before.iter().all(|old| !after.contains(old)), "{after:?}");
    assert_eq!(inspect(host, STATUS), "completed: update completed");
}

fn goes_back(host: &Host) {
    let line = "service update --update-failure-action rollback --args 'false' web";
    let said = host.skep(&words(line));
    let because = "rollback: update rolled back due to failure or early termination of task ";
    assert!(said.contains(because), "{said}");
    assert!(
        said.contains("rolling back update: 2 out of 2 tasks"),
        "{said}"
    );
    assert_eq!(
        inspect(host, STATUS),
        "rollback_completed: rollback completed"
    );
    assert_eq!(inspect(host, ARGS), "[sleep 1000]");
    assert_eq!(host.running("web"), 2);
}

fn pauses(host: &Host) {
    let output = host.try_skep(&words("service update --args 'false' web"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let because = "service update paused: update paused due to failure or early termination";
    assert!(
        !output.status.success() && error.starts_with(because),
        "{error}"
    );
    let said = host.skep(&words("service rollback web"));
    assert!(
        said.contains("rollback: manually requested rollback"),
        "{said}"
    );
    assert_eq!(
        inspect(host, STATUS),
        "rollback_completed: rollback completed"
    );
    assert_eq!(inspect(host, ARGS), "[sleep 1000]");
}

fn docker_does_the_same(host: &Host, cli: &Path) {
    let said = host.docker(
        cli,
        &words("service update --args 'sleep 2000' --force web"),
    );
    assert!(said.contains("onverged"), "{said}");
    assert_eq!(inspect(host, ARGS), "[sleep 2000]");
    let output = host.try_docker(cli, &words("service update --args 'false' web"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && error.contains("update paused"),
        "{error}"
    );
    let said = host.docker(cli, &words("service rollback web"));
    assert!(said.contains("onverged"), "{said}");
    let pretty = host.docker(cli, &["service", "inspect", "--pretty", "web"]);
    assert!(pretty.contains("rollback_completed"), "{pretty}");
    assert_eq!(inspect(host, ARGS), "[sleep 2000]");
    host.docker(cli, &words("service update -q --args 'sleep 1000' web"));
}

fn inspect(host: &Host, format: &str) -> String {
    let said = host.skep(&["service", "inspect", "--format", format, "web"]);
    said.trim().to_owned()
}

fn containers(host: &Host) -> Vec<String> {
    host.skep(&["ps", "-q"])
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The words of a line, of which some are quoted.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect()
}
