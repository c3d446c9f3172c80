//! Stacks: Compose files as people have them, read and deployed by both CLIs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use skep::cli::compose::emit;
use skep::cli::compose::read::Reader;
use skep::cli::compose::shapes::Shape;
use skep::cli::compose::yaml::Node;

use crate::host::Host;
use crate::tools;

const FIXTURES: [&str; 3] = ["voting", "web", "monitoring"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/compose/{name}.yml"))
}

/// What a CLI makes of files.
fn config(cli: &Path, files: &[&Path]) -> Value {
    let mut command = Command::new(cli);
    command.args(["stack", "config"]);
    for file in files {
        command.arg("-c").arg(file);
    }
    let output = command.output().expect("the CLI runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = Node::parse(&text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
    Reader::default().read(&tree, Shape::Anything, "")
}

#[test]
fn files_mean_to_skep_what_they_mean_to_docker() {
    // The older one has no such command.
    let Some(docker) = tools::docker_clis().iter().find(|cli| {
        let help = Command::new(cli)
            .args(["stack", "config", "--help"])
            .output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("final config"))
    }) else {
        return tools::skipped("no docker CLI that shows what it reads, and none could be had");
    };
    let skep = Path::new(env!("CARGO_BIN_EXE_skep"));
    for name in FIXTURES {
        let file = fixture(name);
        let (ours, theirs) = (config(skep, &[&file]), config(docker, &[&file]));
        assert_eq!(ours, theirs, "{name}");
    }
    let files = [fixture("voting"), fixture("voting-more")];
    let files = files.each_ref().map(PathBuf::as_path);
    assert_eq!(config(skep, &files), config(docker, &files));
}

/// The specs of a stack's services, by name.
fn specs(host: &Host, stack: &str) -> Vec<(String, Value)> {
    let names = host.skep(&["stack", "services", "--format", "{{.Name}}", stack]);
    let names = names.lines().map(|name| {
        let json = host.skep(&["service", "inspect", name]);
        let mut service: Value = serde_json::from_str(&json).expect("inspect prints JSON");
        (name.to_owned(), service[0]["Spec"].take())
    });
    names.collect()
}

/// A fixture as both CLIs and the daemon take it, as a file of its own, and how many services it
/// has.
fn deployable(host: &Host, name: &str) -> (PathBuf, usize) {
    let mut read = config(Path::new(env!("CARGO_BIN_EXE_skep")), &[&fixture(name)]);
    let services = read["services"].as_object_mut();
    let services = services.expect("the file has services");
    let count = services.len();
    for service in services.values_mut() {
        // Nothing is to run: no node has the label.
        service["deploy"]["placement"]["constraints"] = json!(["node.labels.no == 1"]);
        let fields = service.as_object_mut().expect("a service is a mapping");
        // It lies beside the fixture, and was read.
        fields.remove("env_file");
        // Docker drops it without a word.
        fields.remove("tmpfs");
        // These, templates and volumes' options the daemon refuses by name until it has them.
        fields.remove("logging");
        fields.remove("hostname");
        if let Some(variables) = fields.get_mut("environment").and_then(Value::as_object_mut) {
            variables.retain(|_, value| !value.to_string().contains("{{"));
        }
    }
    let volumes = read["volumes"].as_object_mut().into_iter().flatten();
    for (_, volume) in volumes {
        volume
            .as_object_mut()
            .map(|fields| fields.remove("driver_opts"));
    }
    let read = read.as_object().expect("the file is a mapping");
    let file = host.path("stack.yml");
    std::fs::write(&file, emit::yaml(read).replace('$', "$$")).expect("a file for the test");
    (file, count)
}

#[test]
fn stacks_of_one_cli_are_those_of_the_other() {
    let Some(host) = Host::swarm("stacks") else {
        return;
    };
    let Some(docker) = tools::docker_clis().first() else {
        return tools::skipped("no docker CLI, and none could be installed");
    };
    for name in FIXTURES {
        let (file, count) = deployable(&host, name);
        let deploy = format!(
            "stack deploy --resolve-image never -c {} {name}",
            file.display()
        );
        let deploy: Vec<&str> = deploy.split(' ').collect();
        host.docker(docker, &deploy);
        let theirs = specs(&host, name);
        assert_eq!(theirs.len(), count);
        let said = host.skep(&deploy);
        assert!(
            said.contains("Updating service") && !said.contains("Creating"),
            "{said}"
        );
        for ((name, theirs), (_, ours)) in theirs.iter().zip(specs(&host, name)) {
            assert_eq!(ours, *theirs, "{name}");
        }
        let listed = host.docker(docker, &["stack", "ls"]);
        assert!(listed.contains(name), "{listed}");
        assert_eq!(
            host.skep(&["stack", "ls", "--format", "{{.Name}}"]).trim(),
            name
        );

        // And the other way round.
        let removed = host.skep(&["stack", "rm", name]);
        assert!(removed.contains("Removing service"), "{removed}");
        let said = host.skep(&deploy);
        assert!(said.contains("Creating service"), "{said}");
        let ours = without_ids(specs(&host, name));
        assert_eq!(ours.len(), count);
        for (ours, theirs) in ours.iter().zip(&without_ids(theirs)) {
            assert_eq!(ours, theirs);
        }
        host.docker(docker, &["stack", "rm", name]);
        for kind in ["service", "secret", "config"] {
            assert_eq!(host.skep(&[kind, "ls", "-q"]), "", "{kind}");
        }
    }
}

/// Secrets and configs that were made anew have other ids.
fn without_ids(mut specs: Vec<(String, Value)>) -> Vec<(String, Value)> {
    for (_, spec) in &mut specs {
        for (kind, id) in [("Secrets", "SecretID"), ("Configs", "ConfigID")] {
            let files = spec["TaskTemplate"]["ContainerSpec"].get_mut(kind);
            for file in files.and_then(Value::as_array_mut).into_iter().flatten() {
                file[id] = Value::Null;
            }
        }
    }
    specs
}

const FIRST: &str = "
services:
  web:
    image: bb:${TAG:-1}
    command: sh -c 'cat /run/secrets/word /note; exec sleep 1000'
    stop_grace_period: 1s
    networks: [host]
    secrets: [word]
    configs: [{source: note, target: /note}]
    volumes: [data:/data]
    deploy: {replicas: 2}
  old:
    image: bb:1
    command: sleep 1000
    stop_grace_period: 1s
    networks: [host]
networks:
  host: {external: true, name: host}
volumes: {data: }
secrets: {word: {file: ./word}}
configs: {note: {file: ./note}}
";

const SECOND: &str = "
services:
  web: {image: 'bb:1', networks: [host], command: sleep 500, stop_grace_period: 1s}
networks:
  host: {external: true, name: host}
";

const FILES: [(&str, &str); 4] = [
    ("first", FIRST),
    ("second", SECOND),
    ("word", "secret\n"),
    ("note", "noted\n"),
];

#[test]
fn a_stack_is_deployed_changed_pruned_and_removed() {
    let Some(host) = Host::swarm("stack") else {
        return;
    };
    for (name, text) in FILES {
        std::fs::write(host.path(name), text).expect("a file for the test");
    }
    let deploy = |file: &str, more: &[&str]| {
        let file = host.path(file).display().to_string();
        let args = ["stack", "deploy", "--detach=false", "-q", "-c", &file];
        host.skep(&[&args[..], more, &["app"]].concat())
    };
    let said = deploy("first", &[]);
    for line in [
        "Creating secret app_word",
        "Creating config app_note",
        "Creating service app_old",
        "Creating service app_web",
    ] {
        assert!(said.contains(line), "{line} is missing:\n{said}");
    }
    assert_eq!((host.running("app_web"), host.running("app_old")), (2, 1));
    host.until("the files were read", || {
        let log = host.skep(&["service", "logs", "--raw", "app_web"]);
        // The lines of two tasks come as they were written.
        ["secret\n", "noted\n"].map(|line| log.matches(line).count()) == [2, 2]
    });
    let services = host.skep(&["stack", "services", "app"]);
    assert!(
        services.contains("app_web") && services.contains("2/2"),
        "{services}"
    );
    let tasks = host.skep(&["stack", "ps", "app"]);
    assert_eq!(tasks.matches("Running ").count(), 6, "{tasks}");
    let tasks = host.task_states("app_web").len();
    deploy("first", &[]);
    assert_eq!(
        host.task_states("app_web").len(),
        tasks,
        "nothing has changed"
    );

    let said = deploy("second", &["--prune"]);
    assert!(said.contains("Removing service app_old"), "{said}");
    assert!(said.contains("Updating service app_web (id: "), "{said}");
    assert_eq!(host.running("app_web"), 1);

    let said = host.skep(&["stack", "rm", "--detach=false", "app"]);
    for line in [
        "Removing service app_web",
        "Removing secret app_word",
        "Removing config app_note",
    ] {
        assert!(said.contains(line), "{line} is missing:\n{said}");
    }
    assert_eq!(
        host.skep(&["stack", "rm", "app"]),
        "Nothing found in stack: app\n"
    );
    let nothing = host.try_skep(&["stack", "ps", "app"]);
    let error = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(error.contains("nothing found in stack: app"), "{error}");
    for kind in ["service", "secret", "config"] {
        assert_eq!(host.skep(&[kind, "ls", "-q"]), "", "{kind}");
    }
}
