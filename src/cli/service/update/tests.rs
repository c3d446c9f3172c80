use std::ffi::OsString;

use serde_json::{Value, json};

use crate::cli::flags::{Args, Parsed};
use crate::cli::service::options::{CREATE, UPDATE};
use crate::cli::service::spec;
use crate::cli::service::update::edit::apply;
use crate::cli::service::value::words;

fn parse(line: &str, flags: &'static [crate::cli::flags::Flag], args: Args) -> Parsed {
    let words = words(line).unwrap().into_iter().map(OsString::from);
    Parsed::parse(words, flags, args).unwrap()
}

/// The spec that is left when a service was made and updated so.
fn updated(create: &str, update: &str) -> Result<Value, String> {
    let mut spec = spec::build(&parse(create, CREATE, Args::Program(1))).unwrap();
    let update = parse(&format!("{update} web"), UPDATE, Args::Exactly(1));
    match apply(&update, &mut spec) {
        Ok(()) => Ok(spec),
        Err(failure) => Err(failure.to_string()),
    }
}

#[track_caller]
fn check(create: &str, update: &str, pointer: &str, expect: Value) {
    let spec = updated(create, update).unwrap();
    let found = spec.pointer(pointer).unwrap_or(&Value::Null);
    assert_eq!(*found, expect, "{create} | {update} | {pointer}");
}

#[track_caller]
fn check_container(create: &str, update: &str, field: &str, expect: Value) {
    let pointer = format!("/TaskTemplate/ContainerSpec/{field}");
    check(&format!("{create} bb:1"), update, &pointer, expect);
}

#[track_caller]
fn refuses(create: &str, update: &str, expect: &str) {
    assert_eq!(updated(create, update), Err(expect.to_owned()), "{update}");
}

/// The API reads what is null as what is absent.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

/// What docker 28 does with the same words.
#[test]
fn what_is_both_removed_and_added_is_gone_unless_it_has_a_new_value() {
    let both = "--env-rm A --env-add A=2 --group-rm g --group-add g";
    check_container("--env A=1 --group g", both, "Env", json!(["A=2"]));
    check_container("--env A=1 --group g", both, "Groups", json!([]));
    let both = "--mount-rm /m --mount-add type=volume,src=w,dst=/m";
    check_container(
        "--mount type=volume,src=v,dst=/m",
        both,
        "Mounts",
        json!([]),
    );
    let constraint = "node.role==manager";
    check(
        &format!("--constraint {constraint} bb:1"),
        &format!("--constraint-rm {constraint} --constraint-add {constraint}"),
        "/TaskTemplate/Placement/Constraints",
        json!([]),
    );
}

#[test]
fn what_is_not_named_stays_as_it_is() {
    let line = "--name web -e A=1 --label a=b --mount type=volume,src=d,dst=/d --dns 1.1.1.1 \
        --constraint node.role==worker --limit-cpu 1 --restart-condition none --replicas 3 \
        --update-delay 2s --health-cmd x --ulimit nofile=5 bb:1 sleep 9";
    let before = spec::build(&parse(line, CREATE, Args::Program(1))).unwrap();
    let mut after = updated(line, "-d").unwrap();
    drop_nulls(&mut after);
    assert_eq!(after, before);
}

#[test]
fn single_values_are_replaced_and_may_be_emptied() {
    check_container("", "--image bb:2", "Image", json!("bb:2"));
    check_container("-u 1", "--user ''", "User", json!(""));
    check_container("--init", "--init=false", "Init", json!(false));
    check_container("", "--args 'a \"b c\"'", "Args", json!(["a", "b c"]));
    check_container("--entrypoint x", "--entrypoint ''", "Command", json!([]));
    let second = json!(1_000_000_000_i64);
    check_container("", "--stop-grace-period 1s", "StopGracePeriod", second);
    check(
        "--limit-cpu 1 --limit-memory 8m bb:1",
        "--limit-cpu 0 --limit-pids 7",
        "/TaskTemplate/Resources/Limits",
        json!({"NanoCPUs": 0, "MemoryBytes": 8 << 20, "Pids": 7}),
    );
    check(
        "--replicas 3 bb:1",
        "--replicas 0",
        "/Mode/Replicated/Replicas",
        json!(0),
    );
    check(
        "bb:1",
        "--replicas-max-per-node 2",
        "/TaskTemplate/Placement/MaxReplicas",
        json!(2),
    );
    check(
        "bb:1",
        "--endpoint-mode DNSRR",
        "/EndpointSpec/Mode",
        json!("dnsrr"),
    );
    let driver = json!({"Name": "local", "Options": {"a": "b"}});
    check(
        "bb:1",
        "--log-driver local --log-opt a=b",
        "/TaskTemplate/LogDriver",
        driver,
    );
}

#[test]
fn force_counts_up() {
    check("bb:1", "--force", "/TaskTemplate/ForceUpdate", json!(1));
    check(
        "bb:1",
        "--force=false",
        "/TaskTemplate/ForceUpdate",
        json!(0),
    );
}

#[test]
fn pairs_are_added_replaced_and_removed_in_their_place() {
    let given = "-e A=1 -e B=2 -e C=3";
    check_container(
        given,
        "--env-add B=5 --env-rm A --env-add D=4",
        "Env",
        json!(["B=5", "C=3", "D=4"]),
    );
    check(
        "--label a=1 --label b=2 bb:1",
        "--label-rm a --label-add c=3",
        "/Labels",
        json!({"b": "2", "c": "3"}),
    );
    check_container(
        "--container-label a=1",
        "--container-label-rm a",
        "Labels",
        json!({}),
    );
    check_container(
        "--sysctl net.a=1",
        "--sysctl-add net.a=2",
        "Sysctls",
        json!({"net.a": "2"}),
    );
    check_container(
        "--group a --group b",
        "--group-rm a --group-add b",
        "Groups",
        json!(["b"]),
    );
    check(
        "--constraint node.role==worker bb:1",
        "--constraint-rm node.role==worker --constraint-add node.id!=x",
        "/TaskTemplate/Placement/Constraints",
        json!(["node.id!=x"]),
    );
    check(
        "--placement-pref spread=node.labels.a bb:1",
        "--placement-pref-rm spread=node.labels.a --placement-pref-add spread=node.labels.b",
        "/TaskTemplate/Placement/Preferences",
        json!([{"Spread": {"SpreadDescriptor": "node.labels.b"}}]),
    );
    let dns = json!({"Nameservers": ["::1", "9.9.9.9"], "Search": [], "Options": ["ndots:2"]});
    check_container(
        "--dns 0:0::1 --dns-search x.y",
        "--dns-add 9.9.9.9 --dns-add ::1 --dns-search-rm x.y --dns-option-add ndots:2",
        "DNSConfig",
        dns,
    );
}

#[test]
fn mounts_go_by_their_target_and_limits_by_their_name() {
    check_container(
        "--mount type=bind,src=/a,dst=/a --mount type=bind,src=/b,dst=/b",
        "--mount-rm /a --mount-add type=tmpfs,dst=/b",
        "Mounts",
        json!([{"Type": "tmpfs", "Target": "/b"}]),
    );
    check_container(
        "--ulimit nofile=5 --ulimit nproc=6",
        "--ulimit-rm nproc --ulimit-add nofile=7:8",
        "Ulimits",
        json!([{"Name": "nofile", "Soft": 7, "Hard": 8}]),
    );
}

#[test]
fn hosts_are_removed_by_name_or_by_name_and_address() {
    let given = "--host a:1.1.1.1 --host b:1.1.1.1 --host a:2.2.2.2";
    check_container(given, "--host-rm a", "Hosts", json!(["1.1.1.1 b"]));
    check_container(
        given,
        "--host-rm a:2.2.2.2 --host-add c:3.3.3.3",
        "Hosts",
        json!(["1.1.1.1 a", "1.1.1.1 b", "3.3.3.3 c"]),
    );
}

#[test]
fn a_capability_that_was_dropped_and_is_added_is_neither() {
    let pair = |create: &str, update: &str, add: Value, drop: Value| {
        check_container(create, update, "CapabilityAdd", add);
        check_container(create, update, "CapabilityDrop", drop);
    };
    pair("--cap-drop CHOWN", "--cap-add CHOWN", json!([]), json!([]));
    pair("", "--cap-add CHOWN", json!(["CAP_CHOWN"]), json!([]));
    pair("--cap-add CHOWN", "--cap-drop CHOWN", json!([]), json!([]));
    pair(
        "",
        "--cap-add KILL --cap-drop KILL",
        json!(["CAP_KILL"]),
        json!([]),
    );
    pair(
        "--cap-add KILL",
        "--cap-add RESET --cap-add CHOWN",
        json!(["CAP_CHOWN"]),
        json!([]),
    );
}

#[test]
fn ports_are_removed_by_the_port_of_the_container() {
    let given = "-p 8080:80 -p 53:53/udp bb:1";
    check(
        given,
        "--publish-rm 80 --publish-rm 53",
        "/EndpointSpec/Ports",
        json!([{
            "Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress",
        }]),
    );
    let ports = updated(given, "--publish-add 8080:80 --publish-add 81:81").unwrap();
    assert_eq!(ports["EndpointSpec"]["Ports"].as_array().unwrap().len(), 3);
}

#[test]
fn resources_by_kind_are_replaced_and_must_be_there_to_be_removed() {
    let generic = "/TaskTemplate/Resources/Reservations/GenericResources";
    check(
        "--generic-resource gpu=1 --generic-resource fpga=2 bb:1",
        "--generic-resource-add gpu=3 --generic-resource-rm fpga",
        generic,
        json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 3}}]),
    );
    refuses(
        "bb:1",
        "--generic-resource-rm gpu",
        "could not find generic-resource `gpu` to remove it",
    );
}

#[test]
fn a_first_setting_of_updates_and_restarts_brings_docker_s_defaults_for_the_others() {
    let expect = json!({
        "Parallelism": 0, "FailureAction": "pause", "Monitor": 5_000_000_000_i64,
        "MaxFailureRatio": 0.0, "Order": "stop-first",
    });
    check("bb:1", "--update-parallelism 0", "/UpdateConfig", expect);
    check(
        "bb:1",
        "--update-parallelism 0",
        "/RollbackConfig",
        Value::Null,
    );
    check(
        "--update-delay 1s bb:1",
        "--update-order start-first",
        "/UpdateConfig/Delay",
        json!(1_000_000_000_i64),
    );
    check(
        "bb:1",
        "--restart-condition none",
        "/TaskTemplate/RestartPolicy",
        json!({"Condition": "none", "Delay": 5_000_000_000_i64, "MaxAttempts": 0}),
    );
}

#[test]
fn health_checks_are_changed_piece_by_piece_switched_off_and_on_again() {
    let given = "--health-cmd x --health-retries 3";
    check_container(
        given,
        "--health-retries 5",
        "Healthcheck",
        json!({"Test": ["CMD-SHELL", "x"], "Retries": 5}),
    );
    let off = json!({"Test": ["NONE"]});
    check_container(given, "--no-healthcheck", "Healthcheck", off);
    check_container(
        "--no-healthcheck",
        "--health-start-interval 1s",
        "Healthcheck",
        json!({"Test": [], "StartInterval": 1_000_000_000_i64}),
    );
    refuses(
        "bb:1",
        "--no-healthcheck --health-cmd x",
        "--no-healthcheck conflicts with --health-* options",
    );
}

#[test]
fn numbers_of_tasks_must_fit_the_mode() {
    let job = "--mode replicated-job --replicas 5 bb:1";
    check(
        job,
        "--replicas 7 --max-concurrent 2",
        "/Mode/ReplicatedJob",
        json!({"MaxConcurrent": 2, "TotalCompletions": 7}),
    );
    refuses(
        "--mode global bb:1",
        "--replicas 2",
        "replicas can only be used with replicated or replicated-job mode",
    );
    refuses(
        "bb:1",
        "--max-concurrent 2",
        "max-concurrent can only be used with replicated-job mode",
    );
}
