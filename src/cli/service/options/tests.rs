//! Every flag of `service create` and `service update`: what it makes of a spec, and whether skep
//! honours that or refuses it by the name of its field. Nothing is ignored.

use std::ffi::OsString;

use serde_json::Value;

use super::*;
use crate::api::convert::service::read;
use crate::api::types::service::ServiceSpec;
use crate::cli::flags::{Args, Parsed};
use crate::cli::service::spec;
use crate::cli::service::update::edit;
use crate::model::validate;

/// Flags that say how to go about it and change nothing of a spec.
const NO_PART_OF_A_SPEC: &[&str] = &[
    "detach",
    "no-resolve-image",
    "quiet",
    "rollback",
    "with-registry-auth",
];

/// Flags whose values the daemon is asked about first; the stories have them.
const ASKED_ABOUT: &[&str] = &[
    "config",
    "config-add",
    "config-rm",
    "network",
    "network-add",
    "network-rm",
    "secret",
    "secret-add",
    "secret-rm",
];

/// What a flag with a value leads to: nothing, so it is honoured, or a refusal by name.
type Row = (&'static str, &'static str, &'static str);

/// Flags that both commands have.
const OF_BOTH: &[Row] = &[
    ("cap-add", "CHOWN", ""),
    ("cap-drop", "CHOWN", ""),
    ("credential-spec", "file://x", "Privileges.CredentialSpec"),
    ("endpoint-mode", "dnsrr", ""),
    ("entrypoint", "sh -c", ""),
    ("health-cmd", "true", "?Healthcheck"),
    ("health-interval", "1s", "?Healthcheck"),
    ("health-retries", "2", "?Healthcheck"),
    ("health-start-interval", "1s", "?Healthcheck"),
    ("health-start-period", "1s", "?Healthcheck"),
    ("health-timeout", "1s", "?Healthcheck"),
    ("hostname", "h", ""),
    ("init", "", ""),
    ("isolation", "hyperv", "Isolation"),
    ("limit-cpu", "1", ""),
    ("limit-memory", "64m", ""),
    ("limit-pids", "5", ""),
    ("log-driver", "journald", "?LogDriver"),
    ("no-healthcheck", "", ""),
    ("oom-score-adj", "5", ""),
    ("read-only", "", ""),
    ("replicas", "3", ""),
    ("replicas-max-per-node", "2", ""),
    ("reserve-cpu", "1", ""),
    ("reserve-memory", "64m", ""),
    ("restart-condition", "none", ""),
    ("restart-delay", "1s", ""),
    ("restart-max-attempts", "2", ""),
    ("restart-window", "1s", ""),
    ("rollback-delay", "1s", ""),
    ("rollback-failure-action", "continue", ""),
    ("rollback-max-failure-ratio", "0.1", ""),
    ("rollback-monitor", "1s", ""),
    ("rollback-order", "start-first", ""),
    ("rollback-parallelism", "2", ""),
    ("stop-grace-period", "1s", ""),
    ("stop-signal", "TERM", ""),
    ("tty", "", "?TTY"),
    ("update-delay", "1s", ""),
    ("update-failure-action", "rollback", ""),
    ("update-max-failure-ratio", "0.1", ""),
    ("update-monitor", "1s", ""),
    ("update-order", "start-first", ""),
    ("update-parallelism", "2", ""),
    ("user", "1", ""),
    ("workdir", "/w", ""),
];

const OF_CREATE: &[Row] = &[
    ("constraint", "node.role==worker", ""),
    ("container-label", "a=b", ""),
    ("device", "/dev/null:/dev/a:r", ""),
    ("dns", "1.1.1.1", ""),
    ("dns-option", "ndots:2", ""),
    ("dns-search", "x.y", ""),
    ("env", "A=1", ""),
    ("generic-resource", "gpu=1", ""),
    ("group", "wheel", ""),
    ("host", "h:1.2.3.4", ""),
    ("label", "a=b", ""),
    ("mode", "global", ""),
    ("mount", "type=tmpfs,dst=/t", ""),
    ("name", "other", ""),
    ("placement-pref", "spread=node.labels.a", ""),
    ("publish", "80:80", "?EndpointSpec.Ports"),
    ("sysctl", "net.core.somaxconn=7", ""),
    ("ulimit", "nofile=5", ""),
];

const OF_UPDATE: &[Row] = &[
    ("args", "sleep 5", ""),
    ("constraint-add", "node.role==worker", ""),
    ("constraint-rm", "node.role==manager", ""),
    ("container-label-add", "c=d", ""),
    ("container-label-rm", "a", ""),
    ("device-add", "/dev/null", ""),
    ("device-rm", "/dev/a", ""),
    ("dns-add", "1.1.1.1", ""),
    ("dns-option-add", "ndots:2", ""),
    ("dns-option-rm", "debug", ""),
    ("dns-rm", "9.9.9.9", ""),
    ("dns-search-add", "x.y", ""),
    ("dns-search-rm", "a.b", ""),
    ("env-add", "A=1", ""),
    ("env-rm", "B", ""),
    ("force", "", ""),
    ("generic-resource-add", "gpu=1", ""),
    ("generic-resource-rm", "fpga", ""),
    ("group-add", "wheel", ""),
    ("group-rm", "audio", ""),
    ("host-add", "h:1.2.3.4", ""),
    ("host-rm", "g", ""),
    ("image", "bb:2", ""),
    ("label-add", "c=d", ""),
    ("label-rm", "a", ""),
    ("mount-add", "type=tmpfs,dst=/t", ""),
    ("mount-rm", "/v", ""),
    ("placement-pref-add", "spread=node.labels.a", ""),
    ("placement-pref-rm", "spread=node.labels.b", ""),
    ("publish-add", "80:80", "?EndpointSpec.Ports"),
    ("publish-rm", "53/udp", "?EndpointSpec.Ports"),
    ("sysctl-add", "net.core.somaxconn=7", ""),
    ("sysctl-rm", "net.ipv4.ip_forward", ""),
    ("ulimit-add", "nofile=5", ""),
    ("ulimit-rm", "nproc", ""),
];

/// A service from which everything can be removed.
const FULL: &[&str] = &[
    "--name=web",
    "--constraint=node.role==manager",
    "--container-label=a=b",
    "--device=/dev/zero:/dev/a",
    "--dns=9.9.9.9",
    "--dns-option=debug",
    "--dns-search=a.b",
    "--env=B=2",
    "--generic-resource=fpga=1",
    "--group=audio",
    "--host=g:1.1.1.1",
    "--label=a=b",
    "--mount=type=volume,src=v,dst=/v",
    "--placement-pref=spread=node.labels.b",
    "--publish=53:53/udp",
    "--publish=54:54/udp",
    "--sysctl=net.ipv4.ip_forward=1",
    "--ulimit=nproc=5",
    "bb:1",
];

fn parse(words: &[String], flags: &'static [Flag], args: Args) -> Parsed {
    let words = words.iter().map(OsString::from);
    Parsed::parse(words, flags, args).unwrap_or_else(|mistake| panic!("{mistake}"))
}

fn created(words: &[&str]) -> Value {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    spec::build(&parse(&words, CREATE, Args::Program(1))).unwrap()
}

fn given(flag: &str, value: &str) -> Vec<String> {
    let flag = format!("--{flag}");
    match value {
        "" => vec![flag],
        value => vec![format!("{flag}={value}")],
    }
}

/// What the daemon would say of a spec.
fn refusal(spec: Value) -> String {
    let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
    match read(spec) {
        Ok(spec) => validate::service(&spec).join("; "),
        Err(problems) => problems.to_string(),
    }
}

/// A row that begins with `?` is honoured, or else refused by that name.
#[track_caller]
fn check((flag, value, expect): Row, before: &Value, after: Value) {
    assert_ne!(*before, after, "--{flag} {value} changes nothing");
    let (said, known) = (refusal(after), refusal(before.clone()));
    match expect.strip_prefix('?') {
        None if expect.is_empty() => assert_eq!(said, known, "--{flag} {value}"),
        None => assert!(said.contains(expect), "--{flag} {value}: {said:?}"),
        Some(name) => {
            let fine = said == known || said.contains(name);
            assert!(fine, "--{flag} {value}: {said:?}");
        }
    }
}

#[track_caller]
fn check_all_are_there(flags: &[Flag], rows: &[&[Row]], with_a_mode: &[&str]) {
    let rows = || rows.iter().copied().flatten().map(|row| row.0);
    for flag in flags.iter().map(|flag| flag.long) {
        let elsewhere = [NO_PART_OF_A_SPEC, ASKED_ABOUT, with_a_mode].concat();
        let times = rows().filter(|row| *row == flag).count();
        let times = times + elsewhere.iter().filter(|other| **other == flag).count();
        assert_eq!(times, 1, "--{flag} stands {times} times in the table");
    }
    for row in rows() {
        let is_flag = flags.iter().any(|flag| flag.long == row);
        assert!(is_flag, "there is no --{row}");
    }
}

#[test]
fn every_flag_of_create_is_honoured_or_refused_by_name() {
    let plain = created(&["--name=web", "bb:1"]);
    for row in OF_BOTH.iter().chain(OF_CREATE) {
        let words = given(row.0, row.1);
        let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
        all.insert(0, "--name=web");
        all.push("bb:1");
        check(*row, &plain, created(&all));
    }
    let job = [
        "--name=web",
        "--mode=replicated-job",
        "--replicas=5",
        "bb:1",
    ];
    let mut fewer = vec!["--max-concurrent=2"];
    fewer.extend(job);
    check(("max-concurrent", "2", ""), &created(&job), created(&fewer));
    let driver = ["--name=web", "--log-driver=local", "bb:1"];
    let mut options = vec!["--log-opt=a=b"];
    options.extend(driver);
    check(
        ("log-opt", "a=b", "?LogDriver"),
        &created(&driver),
        created(&options),
    );
    let rows = [OF_BOTH, OF_CREATE];
    check_all_are_there(CREATE, &rows, &["env-file", "log-opt", "max-concurrent"]);
}

#[test]
fn every_flag_of_update_is_honoured_or_refused_by_name() {
    let update = |before: &Value, flag: &str, value: &str| {
        let mut words = given(flag, value);
        words.push("web".to_owned());
        let mut after = before.clone();
        edit::apply(&parse(&words, UPDATE, Args::Exactly(1)), &mut after).unwrap();
        drop_nulls(&mut after);
        after
    };
    let full = created(FULL);
    let unpublished = created(&["--name=web", "bb:1"]);
    for row in OF_BOTH.iter().chain(OF_UPDATE) {
        // Published ports want a virtual address.
        let before = match row.0 {
            "endpoint-mode" => &unpublished,
            _ => &full,
        };
        check(*row, before, update(before, row.0, row.1));
    }
    let job = created(&[
        "--name=web",
        "--mode=replicated-job",
        "--replicas=5",
        "bb:1",
    ]);
    let fewer = update(&job, "max-concurrent", "2");
    check(("max-concurrent", "2", ""), &job, fewer);
    check_all_are_there(
        UPDATE,
        &[OF_BOTH, OF_UPDATE],
        &["log-opt", "max-concurrent"],
    );
}

/// As the API reads them.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}
