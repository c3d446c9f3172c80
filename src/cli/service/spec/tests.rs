use std::ffi::OsString;

use super::*;
use crate::cli::flags::Args;
use crate::cli::service::options::CREATE;
use crate::cli::service::value::words;

fn parse(line: &str) -> Parsed {
    let words = words(line).unwrap().into_iter().map(OsString::from);
    Parsed::parse(words, CREATE, Args::Program(1)).unwrap()
}

#[track_caller]
fn check(line: &str, expect: Value) {
    assert_eq!(build(&parse(line)).unwrap(), expect, "{line}");
}

#[track_caller]
fn refuses(line: &str, expect: &str) {
    assert_eq!(
        build(&parse(line)).unwrap_err().to_string(),
        expect,
        "{line}"
    );
}

fn plain(mode: Value) -> Value {
    json!({
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "bb:1", "Init": false, "DNSConfig": {}},
            "Resources": {"Limits": {}, "Reservations": {}},
            "Placement": {},
            "ForceUpdate": 0,
        },
        "Mode": mode,
        "EndpointSpec": {"Mode": "vip"},
    })
}

#[test]
fn what_is_not_asked_for_is_left_out() {
    check("bb:1", plain(json!({"Replicated": {}})));
    check(
        "--replicas 3 bb:1",
        plain(json!({"Replicated": {"Replicas": 3}})),
    );
    check("--mode global bb:1", plain(json!({"Global": {}})));
    let job = json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}});
    check(
        "--mode replicated-job --replicas 5 --max-concurrent 2 bb:1",
        plain(job),
    );
}

#[test]
fn one_restart_flag_brings_docker_s_defaults_for_the_others() {
    let mut expect = plain(json!({"Global": {}}));
    expect["TaskTemplate"]["RestartPolicy"] =
        json!({"Condition": "none", "Delay": 5_000_000_000_i64, "MaxAttempts": 0});
    check("--mode global --restart-condition none bb:1", expect);
    let mut expect = plain(json!({"Replicated": {}}));
    expect["UpdateConfig"] = json!({
        "Parallelism": 3, "FailureAction": "pause", "Monitor": 5_000_000_000_i64,
        "MaxFailureRatio": 0.0, "Order": "stop-first",
    });
    check("--update-parallelism 3 bb:1", expect);
}

#[test]
fn the_container_is_described_as_docker_does() {
    let line = "--cap-add net_admin --cap-add ALL --cap-drop CHOWN --container-label a=b \
        --container-label c --dns 1.1.1.1 --dns-option ndots:2 --dns-search x.y \
        --entrypoint \"sh -c 'a b'\" -e A=1 -e A=2 --group wheel --health-cmd 'true x' \
        --health-interval 5s --health-retries 3 --host h:1.2.3.4 --hostname hh --init \
        --mount type=bind,src=/a,dst=/b,readonly --oom-score-adj 5 --read-only \
        --stop-grace-period 7s --stop-signal TERM --sysctl net.core.somaxconn=7 -t \
        --ulimit nofile=10:20 --ulimit nproc=5 -u 1:2 -w /w bb:1 sh -c 'x y'";
    let spec = build(&parse(line)).unwrap();
    let expect = json!({
        "Image": "bb:1",
        "Labels": {"a": "b", "c": ""},
        "Command": ["sh", "-c", "a b"],
        "Args": ["sh", "-c", "x y"],
        "Hostname": "hh",
        "Env": ["A=2"],
        "Dir": "/w",
        "User": "1:2",
        "Groups": ["wheel"],
        "Init": true,
        "StopSignal": "TERM",
        "TTY": true,
        "ReadOnly": true,
        "Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true}],
        "StopGracePeriod": 7_000_000_000_i64,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true x"], "Interval": 5_000_000_000_i64, "Retries": 3,
        },
        "Hosts": ["1.2.3.4 h"],
        "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["x.y"], "Options": ["ndots:2"]},
        "Sysctls": {"net.core.somaxconn": "7"},
        "CapabilityAdd": ["ALL"],
        "CapabilityDrop": ["CAP_CHOWN"],
        "Ulimits": [
            {"Name": "nofile", "Hard": 20, "Soft": 10}, {"Name": "nproc", "Hard": 5, "Soft": 5},
        ],
        "OomScoreAdj": 5,
    });
    assert_eq!(spec["TaskTemplate"]["ContainerSpec"], expect);
}

#[test]
fn resources_placement_ports_and_updates_are_described_as_docker_does() {
    let line = "--constraint node.role==manager --endpoint-mode dnsrr --generic-resource gpu=2 \
        --limit-cpu 1.5 --limit-memory 64m --limit-pids 5 --log-driver json-file \
        --log-opt max-size=1m --placement-pref spread=node.labels.z -p 8080:80 \
        --replicas-max-per-node 2 --reserve-memory 1m --restart-window 9s \
        --update-delay 1s --update-max-failure-ratio 0.1 bb:1";
    let spec = build(&parse(line)).unwrap();
    let task = &spec["TaskTemplate"];
    assert_eq!(
        task["Resources"],
        json!({
            "Limits": {"NanoCPUs": 1_500_000_000, "MemoryBytes": 67_108_864, "Pids": 5},
            "Reservations": {"MemoryBytes": 1_048_576, "GenericResources": [
                {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}},
            ]},
        })
    );
    assert_eq!(
        task["Placement"],
        json!({
            "Constraints": ["node.role==manager"],
            "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.z"}}],
            "MaxReplicas": 2,
        })
    );
    assert_eq!(task["RestartPolicy"]["Window"], 9_000_000_000_i64);
    assert_eq!(
        task["LogDriver"],
        json!({"Name": "json-file", "Options": {"max-size": "1m"}})
    );
    assert_eq!(spec["UpdateConfig"]["MaxFailureRatio"], 0.1);
    assert_eq!(spec["EndpointSpec"]["Mode"], "dnsrr");
    assert_eq!(spec["EndpointSpec"]["Ports"][0]["PublishedPort"], 8080);
}

#[test]
fn what_excludes_itself_is_refused() {
    refuses(
        "--mode global --replicas 2 bb:1",
        "replicas can only be used with replicated or replicated-job mode",
    );
    refuses(
        "--max-concurrent 2 bb:1",
        "max-concurrent can only be used with replicated-job mode",
    );
    refuses(
        "--no-healthcheck --health-cmd x bb:1",
        "--no-healthcheck conflicts with --health-* options",
    );
    refuses(
        "--mode x bb:1",
        "invalid mode \"x\": use replicated, global, replicated-job or global-job",
    );
    refuses(
        "--log-opt max-size=1m bb:1",
        "log-opt can only be used with log-driver",
    );
    refuses(
        "--mode global-job --update-delay 1s bb:1",
        "update and rollback configuration is not supported for jobs",
    );
}
