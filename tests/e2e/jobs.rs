//! Jobs of real containers, with our CLI and with docker's.

use std::path::Path;

use crate::host::Host;
use crate::tools;

#[test]
fn jobs_complete_and_are_executed_again() {
    let Some(host) = Host::swarm("jobs") else {
        return;
    };
    let create = "service create --name sum --mode replicated-job --replicas 3 \
                  --max-concurrent 2 bb:1 true";
    let said = host.skep(&words(create));
    assert!(said.contains("job progress: 3 out of 3 complete"), "{said}");
    assert!(said.ends_with("job complete\n"), "{said}");
    assert!(listed(&host, "sum").contains("0/2 (3/3 completed)"));
    // The task that fails is made again until all have completed.
    let script = "test -e /seen/it && exit 0; echo > /seen/it; exit 3";
    let mut words = words("service create -q --name again --mode global-job --restart-delay 0s");
    words.extend([
        "--mount",
        "type=volume,src=seen,dst=/seen",
        "bb:1",
        "sh",
        "-c",
        script,
    ]);
    host.skep(&words);
    let states = host.task_states("again");
    assert!(states[0].starts_with("Complete"), "{states:?}");
    assert!(states[1].starts_with("Failed"), "{states:?}");
    for (number, cli) in tools::docker_clis().iter().enumerate() {
        docker_runs_jobs(&host, cli, &format!("job{number}"));
    }
}

fn docker_runs_jobs(host: &Host, cli: &Path, name: &str) {
    let job = "--mode replicated-job --replicas 2 --max-concurrent 1 bb:1 true";
    let said = host.docker(cli, &words(&format!("service create --name {name} {job}")));
    assert!(said.contains("job complete"), "{said}");
    let said = host.docker(cli, &words(&format!("service update --force {name}")));
    assert!(said.contains("job complete"), "{said}");
    let list = host.docker(cli, &words("service ls"));
    assert!(list.contains("0/1 (2/2 completed)"), "{list}");
    let tasks = host.docker(cli, &words(&format!("service ps {name}")));
    assert_eq!(tasks.matches("Complete ").count(), 6, "{tasks}");
    host.docker(cli, &words(&format!("service rm {name}")));
}

fn listed(host: &Host, name: &str) -> String {
    let list = host.skep(&words("service ls"));
    let line = list.lines().find(|line| line.contains(name));
    line.unwrap_or_default().to_owned()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
