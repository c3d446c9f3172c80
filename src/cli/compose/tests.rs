//! Compose files in words: what stands in them, and what becomes of it.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::compose::ComposeError;
use crate::cli::compose::convert;
use crate::cli::compose::load::{Project, Source, Surroundings, load};
use crate::cli::compose::resources::Stack;

fn variable(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/me".to_owned()),
        "TAG" => Some("7".to_owned()),
        "ON" => Some("yes".to_owned()),
        _ => None,
    }
}

fn env_file(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/dir/e.env") => Ok("A=file\nB=file\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn loaded(texts: &[&str]) -> Result<Project, ComposeError> {
    load(&sources(texts), around(false))
}

fn around(is_raw: bool) -> Surroundings<'static> {
    Surroundings {
        dir: Path::new("/dir"),
        lookup: &variable,
        is_raw,
        read: &env_file,
    }
}

fn sources(texts: &[&str]) -> Vec<Source> {
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| Source {
            name: format!("{at}.yml"),
            text: (*text).to_owned(),
        })
        .collect()
}

#[test]
fn raw_files_keep_their_variables_and_defaults() {
    let text = "services: {w: {image: \"${IMAGE:-i}:$TAG\", command: \"$$HOME\"}}";
    let project = load(&sources(&[text]), around(true)).unwrap_or_else(|error| panic!("{error}"));
    let service = &project.config["services"]["w"];
    assert_eq!(service["image"], "${IMAGE:-i}:$TAG");
    assert_eq!(service["command"], json!(["$$HOME"]));
    assert_eq!(project.warnings, Vec::<String>::new());
}

/// What becomes of a service whose fields are given, besides its image.
#[track_caller]
fn check(fields: &str, expect: Value) {
    let text = format!("services: {{web: {{image: i, {fields}}}}}");
    let project = loaded(&[&text]).unwrap_or_else(|error| panic!("{error}"));
    let mut service = project.config["services"]["web"].clone();
    service.as_object_mut().unwrap().remove("image");
    assert_eq!(service, expect, "{fields}");
}

#[track_caller]
fn check_fault(text: &str, expect: &str) {
    match loaded(&[text]) {
        Err(error) => assert_eq!(error.to_string(), expect),
        Ok(project) => panic!("it was understood: {:?}", project.config),
    }
}

/// The part of a service's spec that `pointer` names.
#[track_caller]
fn check_spec(text: &str, pointer: &str, expect: Value) {
    let spec = spec(text).unwrap_or_else(|why| panic!("{why}"));
    let found = spec.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(found, expect, "{text}");
}

#[track_caller]
fn check_refused(text: &str, expect: &str) {
    assert_eq!(spec(text).unwrap_err(), expect);
}

fn spec(text: &str) -> Result<Value, String> {
    let project = loaded(&[text]).map_err(|error| error.to_string())?;
    let stack = Stack {
        name: "st".to_owned(),
        config: project.config,
    };
    let (name, service) = stack.section("services").next().unwrap();
    let ids = |kind: &str, name: &str| Some(format!("{kind}/{name}"));
    convert::service(&stack, name, service, &ids)
}

#[test]
fn short_forms_become_long_ones() {
    check("command: a 'b c'", json!({"command": ["a", "b c"]}));
    check("entrypoint: [a, b c]", json!({"entrypoint": ["a", "b c"]}));
    check(
        "environment: [A=1, B=, HOME, C]",
        json!({"environment": {"A": "1", "B": "", "HOME": "/home/me", "C": null}}),
    );
    check(
        "environment: {A: 1, B: 0x10, C: 1.50, TAG: }",
        json!({"environment": {"A": "1", "B": "16", "C": "1.5", "TAG": "7"}}),
    );
    check(
        "env_file: e.env, environment: {B: here}",
        json!({"env_file": ["e.env"], "environment": {"A": "file", "B": "here"}}),
    );
    check(
        "labels: [a=b=c, d]",
        json!({"labels": {"a": "b=c", "d": ""}}),
    );
    check(
        "extra_hosts: {b: 1.1.1.1, a: ::1}",
        json!({"extra_hosts": ["a:::1", "b:1.1.1.1"]}),
    );
    check(
        "extra_hosts: [x=1.1.1.1]",
        json!({"extra_hosts": ["x:1.1.1.1"]}),
    );
    check("dns: 1.1.1.1", json!({"dns": ["1.1.1.1"]}));
    check("networks: [n]", json!({"networks": {"n": null}}));
    check("secrets: [s]", json!({"secrets": [{"source": "s"}]}));
    check(
        "depends_on: {db: {condition: service_healthy}}",
        json!({"depends_on": ["db"]}),
    );
    check(
        "ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}",
        json!({"ulimits": {"nproc": 5, "nofile": {"soft": 1, "hard": 2}}}),
    );
    check(
        "healthcheck: {test: a b, interval: 90s}",
        json!({"healthcheck": {"test": ["CMD-SHELL", "a b"], "interval": "1m30s"}}),
    );
    check(
        "ports: [80, {target: 5, published: 6, mode: host}]",
        json!({"ports": [{"mode": "ingress", "protocol": "tcp", "target": 80},
            {"mode": "host", "published": 6, "target": 5}]}),
    );
    check(
        "deploy: {resources: {limits: {cpus: 0.5, memory: 50M}}}",
        json!({"deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "52428800"}}}}),
    );
}

#[test]
fn paths_start_at_the_first_file_and_at_home() {
    let bind =
        |source: &str, target: &str| json!({"type": "bind", "source": source, "target": target});
    check(
        "volumes: [./a/../b:/x, ~/c:/y, /d:/z, ../e:/w]",
        json!({"volumes": [bind("/dir/b", "/x"), bind("/home/me/c", "/y"), bind("/d", "/z"),
            bind("/e", "/w")]}),
    );
    let project = loaded(&["secrets: {s: {file: ./s}}\nconfigs: {c: {file: ~/c}}"]).unwrap();
    assert_eq!(project.config["secrets"]["s"]["file"], "/dir/s");
    assert_eq!(project.config["configs"]["c"]["file"], "/home/me/c");
}

#[test]
fn variables_become_what_is_wanted_where_they_stand() {
    check(
        "tty: $ON, stdin_open: yes, deploy: {replicas: $TAG}",
        json!({"tty": true, "stdin_open": true, "deploy": {"replicas": 7}}),
    );
    check(
        "user: $TAG, labels: {a: $TAG}",
        json!({"user": "7", "labels": {"a": "7"}}),
    );
    let project = loaded(&["services: {a: {image: 'x${NO}y$$'}}"]).unwrap();
    assert_eq!(project.config["services"]["a"]["image"], "xy$");
    assert_eq!(
        project.warnings,
        ["The variable NO is not set; it is left blank"]
    );
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    check_fault(
        "services:\n  web:\n    image: 1\n    foo: x\n",
        "0.yml:3: services.web.image must be a string\n\
         0.yml:4: services.web Additional property foo is not allowed",
    );
    check_fault(
        "services:\n  web:\n\timage: a\n",
        "0.yml:3: tabs disallowed within this context (block indentation)",
    );
    check_fault(
        "services: {w: {deploy: {replicas: '3'}}}",
        "0.yml:1: services.w.deploy.replicas must be an integer",
    );
    check_fault(
        "services: {w: {ports: ['x:y', {published: 1}]}}",
        "0.yml:1: services.w.ports.0 is no port: invalid containerPort: y\n\
         0.yml:1: services.w.ports.1 target is required",
    );
    check_fault(
        "services: {w: {extends: b, mem_limit: 1g}}",
        "0.yml:1: services.w cannot have extends: Support for `extends` is not implemented yet.\n\
         0.yml:1: services.w cannot have mem_limit: Set resource limits using deploy.resources",
    );
    check_fault(
        "services: {w: {stop_grace_period: 5}}",
        "0.yml:1: services.w.stop_grace_period must be a duration, such as \"1m30s\"",
    );
    check_fault(
        "services: {w: {image: '${NO:?set it}'}}",
        "0.yml:1: invalid interpolation format for services.w.image: \"required variable NO is \
         missing a value: set it\"; you may need to escape any $ with another $",
    );
    check_fault(
        "services: {w: {deploy: {update_config: {order: x}}}}",
        "0.yml:1: services.w.deploy.update_config.order must be one of the following: \
         \"start-first\", \"stop-first\"",
    );
    check_fault(
        "services: {w: {command: \"a 'b\"}}",
        "0.yml:1: services.w.command cannot be split: EOF found when expecting closing quote",
    );
    check_fault("services: [a]", "0.yml:1: services must be a mapping");
    check_fault(
        "version: '2'",
        "0.yml:1: unsupported Compose file version: 2",
    );
    check_fault(
        "web: {image: a}",
        "0.yml:1: (root) Additional property web is not allowed",
    );
    check_fault("", "0.yml:1: there is nothing in the file");
    check_fault("- a", "0.yml:1: (root) must be a mapping");
    check_fault(
        "services: {w: {env_file: none}}",
        "0.yml:1: services.w.env_file: /dir/none: entity not found",
    );
    check_fault(
        "secrets: {s: {}}",
        "0.yml:1: secrets.s: file is required, unless it is external",
    );
    check_fault(
        "volumes: {v: {external: true, driver: x}}",
        "0.yml:1: volumes.v: what is external cannot have driver",
    );
}

#[test]
fn what_counts_for_nothing_is_said() {
    let text = "name: n\nservices: {w: {image: a, build: ., restart: always, expose: [80],
        networks: {n: {ipv4_address: 1.2.3.4}}}}\nnetworks: {n: }";
    let expect = [
        "services.w.networks.n: a swarm chooses the addresses itself",
        "Ignoring unsupported options: build",
        "Ignoring deprecated option expose: Exposing ports is unnecessary - services on the same \
         network can access each other's containers on any port.",
        "Ignoring name: a stack is named when it is deployed",
    ];
    assert_eq!(loaded(&[text]).unwrap().warnings, expect);
    let text = "services: {w: {image: a, restart: always, deploy: {restart_policy: {delay: 1s}}}}";
    assert_eq!(
        loaded(&[text]).unwrap().warnings,
        ["Ignoring unsupported options: restart"]
    );
}

#[test]
fn later_files_count_and_extensions_stay() {
    let (one, two) = (
        "x-a: {b: 1}\nservices: {w: {image: a, dns: [1.1.1.1], x-y: z}}",
        "version: '3.8'\nservices: {w: {image: b, dns: [9.9.9.9]}, v: {image: c}}",
    );
    let config = loaded(&[one, two]).unwrap().config;
    let expect = json!({
        "version": "3.8", "x-a": {"b": 1},
        "services": {
            "w": {"image": "b", "dns": ["1.1.1.1", "9.9.9.9"], "x-y": "z"},
            "v": {"image": "c"},
        },
    });
    assert_eq!(Value::Object(config), expect);
}

#[test]
fn things_have_names_in_the_swarm() {
    let text = "services: {w: {image: a, networks: [n, o, e], volumes: ['v:/v', 'x:/x', '/y'],
        secrets: [s, {source: t, target: f, uid: '1', mode: 0400}]}}
networks: {n: , o: {name: other}, e: {external: true}}
volumes: {v: {labels: [a=b], driver: d}, x: {external: {name: y}}}
secrets: {s: {file: s}, t: {external: true}}";
    check_spec(text, "/Name", json!("st_w"));
    check_spec(
        text,
        "/Labels",
        json!({"com.docker.stack.image": "a", "com.docker.stack.namespace": "st"}),
    );
    check_spec(
        text,
        "/TaskTemplate/Networks",
        json!([
        {"Target": "e", "Aliases": ["w"]}, {"Target": "other", "Aliases": ["w"]},
        {"Target": "st_n", "Aliases": ["w"]}]),
    );
    let labels = json!({"a": "b", "com.docker.stack.namespace": "st"});
    check_spec(
        text,
        "/TaskTemplate/ContainerSpec/Mounts",
        json!([
        {"Type": "volume", "Source": "st_v", "Target": "/v",
            "VolumeOptions": {"Labels": labels, "DriverConfig": {"Name": "d"}}},
        {"Type": "volume", "Source": "y", "Target": "/x"},
        {"Type": "volume", "Target": "/y"}]),
    );
    check_spec(
        text,
        "/TaskTemplate/ContainerSpec/Secrets",
        json!([
        {"SecretID": "secrets/st_s", "SecretName": "st_s",
            "File": {"Name": "s", "UID": "0", "GID": "0", "Mode": 0o444}},
        {"SecretID": "secrets/t", "SecretName": "t",
            "File": {"Name": "f", "UID": "1", "GID": "0", "Mode": 0o400}}]),
    );
}

#[test]
fn images_are_named_with_their_tags() {
    let image = "/TaskTemplate/ContainerSpec/Image";
    check_spec(
        "services: {w: {image: docker.io/library/a}}",
        image,
        json!("a:latest"),
    );
    check_spec("services: {w: {image: 'x.y/a:1'}}", image, json!("x.y/a:1"));
}

#[test]
fn services_become_what_the_api_wants() {
    let service = |fields: &str| format!("services: {{w: {{image: i, {fields}}}}}");
    check_spec(
        &service("command: a b, entrypoint: c"),
        "/TaskTemplate/ContainerSpec/Args",
        json!(["a", "b"]),
    );
    check_spec(
        &service("entrypoint: c"),
        "/TaskTemplate/ContainerSpec/Command",
        json!(["c"]),
    );
    check_spec(
        &service("environment: {B: b, A: }"),
        "/TaskTemplate/ContainerSpec/Env",
        json!(["A", "B=b"]),
    );
    check_spec(
        &service("healthcheck: {disable: true}"),
        "/TaskTemplate/ContainerSpec/Healthcheck",
        json!({"Test": ["NONE"]}),
    );
    check_spec(
        &service("restart: 'on-failure:3'"),
        "/TaskTemplate/RestartPolicy",
        json!({"Condition": "on-failure", "MaxAttempts": 3}),
    );
    check_spec(
        &service("deploy: {mode: global}"),
        "/Mode",
        json!({"Global": {}}),
    );
    check_spec(
        &service("deploy: {replicas: 0}"),
        "/Mode",
        json!({"Replicated": {"Replicas": 0}}),
    );
    check_spec(
        &service("deploy: {mode: replicated-job, replicas: 2}"),
        "/Mode",
        json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}),
    );
    check_spec(
        &service("deploy: {update_config: {delay: 1s}}"),
        "/UpdateConfig",
        json!({"Parallelism": 1, "Delay": 1_000_000_000}),
    );
    check_spec(
        &service("deploy: {resources: {limits: {cpus: '0.5', pids: 3}}}"),
        "/TaskTemplate/Resources",
        json!({"Limits": {"NanoCPUs": 500_000_000, "Pids": 3}}),
    );
    check_spec(
        &service("ports: ['8080:80', 53]"),
        "/EndpointSpec/Ports",
        json!([
        {"TargetPort": 53, "Protocol": "tcp", "PublishMode": "ingress"},
        {"TargetPort": 80, "Protocol": "tcp", "PublishedPort": 8080, "PublishMode": "ingress"}]),
    );
    check_spec(
        &service("ulimits: {core: 0, nofile: {soft: 1, hard: 2}}"),
        "/TaskTemplate/ContainerSpec/Ulimits",
        json!([{"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": 1, "Hard": 2}]),
    );
}

#[test]
fn devices_become_a_label_of_the_container() {
    let given = "devices: [/dev/gpiomem, '/dev/i2c-1:/dev/i2c:r'], labels: {a: b}";
    let labels = json!({
        "a": "b",
        "com.docker.stack.namespace": "st",
        "skep.devices": "/dev/gpiomem,/dev/i2c-1:/dev/i2c:r",
    });
    check_spec(
        &format!("services: {{w: {{image: i, {given}}}}}"),
        "/TaskTemplate/ContainerSpec/Labels",
        labels,
    );
}

#[test]
fn what_a_swarm_cannot_have_is_refused_by_name() {
    check_refused(
        "services: {w: {command: a}}",
        "services.w: no image specified",
    );
    check_refused(
        "services: {w: {image: a, networks: [n]}}",
        "services.w: undefined network \"n\"",
    );
    check_refused(
        "services: {w: {image: a, secrets: [s]}}",
        "services.w: undefined secret \"s\"",
    );
    check_refused(
        "services: {w: {image: a, volumes: ['v:/v']}}",
        "services.w: undefined volume \"v\"",
    );
    check_refused(
        "services: {w: {image: a, deploy: {mode: global, replicas: 1}}}",
        "services.w: deploy.replicas can only be used with replicated or replicated-job mode",
    );
    check_refused(
        "services: {w: {image: a, healthcheck: {disable: true, test: x}}}",
        "services.w: healthcheck: test and disable cannot be set at the same time",
    );
    check_refused(
        "services: {w: {image: a, restart: never}}",
        "services.w: invalid restart policy \"never\"",
    );
    check_refused(
        "services: {w: {image: a, volumes: [{type: npipe, source: a, target: b}]}}",
        "services.w: mounts of type npipe are not supported",
    );
}
