//! One table: a change to a good spec, and the problem that it makes.

use super::*;
use crate::model::spec::Driver;
use crate::model::spec::container::{
    ConfigReference, FileTarget, Healthcheck, SecretReference, Ulimit,
};
use crate::model::spec::mount::{Mount, MountKind};
use crate::model::spec::network::{IpamPool, NetworkSpec};
use crate::model::spec::service::{
    EndpointMode, EndpointSpec, PortConfig, PublishMode, ServiceMode,
};
use crate::model::spec::task::{
    Limits, NetworkAttachment, Placement, Preference, Resources, RestartPolicy,
};

fn good() -> ServiceSpec {
    let mut spec = ServiceSpec {
        name: "web".into(),
        ..ServiceSpec::default()
    };
    spec.task.container.image = "hello".into();
    spec
}

/// Checks that a change makes exactly one problem, which begins so.
#[track_caller]
fn check(change: impl FnOnce(&mut ServiceSpec), problem: &str) {
    let mut spec = good();
    change(&mut spec);
    let problems = service(&spec);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with(problem), "{problems:?}");
}

#[track_caller]
fn check_fine(change: impl FnOnce(&mut ServiceSpec)) {
    let mut spec = good();
    change(&mut spec);
    assert_eq!(service(&spec), Vec::<String>::new());
}

fn bind(source: &str, target: &str) -> Mount {
    Mount {
        source: source.into(),
        target: target.into(),
        ..Mount::default()
    }
}

#[test]
fn names_are_docker_names() {
    for name in ["web", "a", "web-1_x", "0"] {
        check_fine(|s| s.name = name.into());
    }
    check(|s| s.name = String::new(), "Name: name must be provided");
    for name in ["-web", "web-", "we b", "wéb", "a.b"] {
        let problem = format!("Name: {name:?}: name must be valid as a DNS name component");
        check(|s| s.name = name.into(), &problem);
    }
    check(|s| s.name = "x".repeat(64), "Name: \"xxx");
}

#[test]
fn all_problems_are_told_at_once() {
    let mut spec = good();
    spec.name = "-".into();
    spec.task.container.image = String::new();
    spec.task.container.tty = true;
    assert_eq!(service(&spec).len(), 3);
}

#[test]
fn ports_make_sense_together() {
    let with = |mode, ports: &[(u16, u16, PublishMode)]| {
        let ports = ports.iter().map(|(published, target, publish)| PortConfig {
            published_port: *published,
            target_port: *target,
            publish_mode: *publish,
            ..PortConfig::default()
        });
        let ports = ports.collect();
        Some(EndpointSpec { mode, ports })
    };
    let (ingress, host) = (PublishMode::Ingress, PublishMode::Host);
    let round = Some(EndpointMode::DnsRoundRobin);
    check_fine(|s| s.endpoint = with(None, &[(80, 80, ingress), (0, 80, ingress), (0, 81, host)]));
    check_fine(|s| s.endpoint = with(round, &[(80, 80, host)]));
    check(
        |s| s.endpoint = with(None, &[(80, 0, ingress)]),
        "EndpointSpec.Ports: TargetPort",
    );
    check(
        |s| s.endpoint = with(None, &[(80, 80, ingress), (80, 81, ingress)]),
        "EndpointSpec: duplicate published ports provided",
    );
    check(
        |s| s.endpoint = with(round, &[(80, 80, ingress)]),
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
    );
    check(
        |s| {
            s.endpoint = with(None, &[(80, 80, ingress)]);
            s.task.networks = on("host");
        },
        "EndpointSpec.Ports: the network \"host\"",
    );
}

#[test]
fn modes_ask_for_numbers_that_can_be() {
    check_fine(|s| s.mode = ServiceMode::Global);
    check_fine(|s| s.mode = ServiceMode::GlobalJob);
    let job = |max_concurrent, total_completions| ServiceMode::ReplicatedJob {
        max_concurrent,
        total_completions,
    };
    check_fine(|s| s.mode = job(None, None));
    check_fine(|s| s.mode = job(Some(2), Some(0)));
    check(
        |s| s.mode = job(Some(0), Some(2)),
        "Mode.ReplicatedJob.MaxConcurrent: 0: must be at least 1",
    );
    check(
        |s| s.mode = job(None, Some(2_000_000)),
        "Mode.ReplicatedJob.TotalCompletions: 2000000: at most",
    );
    let replicas = Some(2_000_000);
    check(
        |s| s.mode = ServiceMode::Replicated { replicas },
        "Mode.Replicated.Replicas: 2000000: at most",
    );
}

#[test]
fn what_the_agent_cannot_do_yet_is_refused_by_name() {
    let part = |name: &str| format!("TaskTemplate.ContainerSpec.{name}: not supported yet");
    check(|s| s.task.container.tty = true, &part("TTY"));
    check_fine(|s| s.task.container.open_stdin = true);
    let driver = Driver {
        name: "syslog".into(),
        ..Driver::default()
    };
    check(
        |s| s.task.log_driver = Some(driver),
        "TaskTemplate.LogDriver.Name: \"syslog\": use ring, none, local or journald",
    );
}

fn on(target: &str) -> Vec<NetworkAttachment> {
    vec![NetworkAttachment {
        target: target.into(),
        ..NetworkAttachment::default()
    }]
}

#[test]
fn networks_are_the_swarms_or_the_hosts_or_none() {
    let host = crate::model::spec::network::HOST.0.to_string();
    for target in ["host", "none", &host, "mine"] {
        check_fine(|s| s.task.networks = on(target));
    }
    check(
        |s| s.task.networks = on("bridge"),
        "TaskTemplate.Networks: \"bridge\": not",
    );
    check(
        |s| s.task.networks = [on("host"), on("mine")].concat(),
        "TaskTemplate.Networks: \"host\" and \"none\" go",
    );
    let mut named = on("mine");
    named[0].aliases = vec!["db".into(), "my_db.local".into()];
    check_fine(|s| s.task.networks = named);
    let mut odd = on("mine");
    odd[0].aliases = vec!["no name".into()];
    check(
        |s| s.task.networks = odd,
        "TaskTemplate.Networks.Aliases: \"no name\"",
    );
    check(|s| s.networks = on("host"), "Networks: deprecated");
}

#[test]
fn mounts_are_bind_volume_or_tmpfs_on_absolute_paths() {
    let mounts = |mount: Mount| move |s: &mut ServiceSpec| s.task.container.mounts = vec![mount];
    check_fine(mounts(bind("/srv", "/data")));
    check(
        mounts(bind("srv", "/data")),
        "TaskTemplate.ContainerSpec.Mounts.Source: \"srv\"",
    );
    check(
        mounts(bind("/srv", "data")),
        "TaskTemplate.ContainerSpec.Mounts.Target: \"data\"",
    );
    let volume = |source: &str| Mount {
        kind: MountKind::Volume,
        ..bind(source, "/data")
    };
    check_fine(mounts(volume("db-data")));
    check_fine(mounts(volume("")));
    check(
        mounts(volume("../etc")),
        "TaskTemplate.ContainerSpec.Mounts.Source: \"../etc\"",
    );
    let pipe = Mount {
        kind: MountKind::Other("npipe".into()),
        ..bind("/a", "/b")
    };
    check(
        mounts(pipe),
        "TaskTemplate.ContainerSpec.Mounts.Type: \"npipe\"",
    );
    check(
        |s| s.task.container.mounts = vec![bind("/a", "/x"), bind("/b", "/x")],
        "TaskTemplate.ContainerSpec.Mounts: duplicate mount point: /x",
    );
}

#[test]
fn amounts_are_within_their_bounds() {
    let memory = |memory_bytes: i64| Resources {
        limits: Some(Limits {
            memory_bytes,
            ..Limits::default()
        }),
        ..Resources::default()
    };
    check_fine(|s| s.task.resources = Some(memory(64 << 20)));
    check(
        |s| s.task.resources = Some(memory(1)),
        "TaskTemplate.Resources.Limits.MemoryBytes: 1: invalid memory value",
    );
    let swap = Resources {
        swap_bytes: Some(1),
        ..Resources::default()
    };
    check(
        |s| s.task.resources = Some(swap),
        "TaskTemplate.Resources.SwapBytes: not",
    );
    let policy = RestartPolicy {
        delay_ns: Some(-1),
        ..RestartPolicy::default()
    };
    check(
        |s| s.task.restart = Some(policy),
        "TaskTemplate.RestartPolicy.Delay: -1",
    );
    let limit = Ulimit {
        name: "nofile".into(),
        soft: -1,
        hard: 5,
    };
    check(
        |s| s.task.container.ulimits = vec![limit],
        "TaskTemplate.ContainerSpec.Ulimits: nofile",
    );
}

#[test]
fn constraints_and_sysctls_are_known_ones() {
    let on = |text: &str| Placement {
        constraints: vec![text.into()],
        ..Placement::default()
    };
    check_fine(|s| s.task.placement = Some(on("node.role == manager")));
    check(
        |s| s.task.placement = Some(on("node.role")),
        "TaskTemplate.Placement.Constraints: \"node.role\": constraint expected one operator",
    );
    let over = |text: &str| Placement {
        preferences: vec![Preference::Spread(text.into())],
        ..Placement::default()
    };
    check_fine(|s| s.task.placement = Some(over("node.labels.rack")));
    check(
        |s| s.task.placement = Some(over("rack")),
        "TaskTemplate.Placement.Preferences: \"rack\": spread over node.labels.*",
    );
    let many = Placement {
        preferences: vec![Preference::Spread("node.id".into()); 9],
        ..Placement::default()
    };
    check(
        |s| s.task.placement = Some(many),
        "TaskTemplate.Placement.Preferences: 9 preferences: at most 8",
    );
    let sysctl = |key: &str| [(key.to_owned(), "1".to_owned())].into();
    check_fine(|s| s.task.container.sysctls = sysctl("net.ipv4.ip_forward"));
    check(
        |s| s.task.container.sysctls = sysctl("vm.swappiness"),
        "TaskTemplate.ContainerSpec.Sysctls: \"vm.swappiness\"",
    );
}

#[test]
fn settings_of_the_swarm_are_checked() {
    let mut spec = ClusterSpec::default();
    assert_eq!(cluster(&spec), Vec::<String>::new());
    spec.heartbeat_period_ns = 1;
    spec.ca.node_cert_expiry_ns = 3_599_999_999_999;
    spec.ca.signing_ca_cert = "PEM".into();
    assert_eq!(cluster(&spec).len(), 3);
    let ticks = |heartbeat_tick, election_tick| {
        let mut spec = ClusterSpec::default();
        spec.raft.heartbeat_tick = heartbeat_tick;
        spec.raft.election_tick = election_tick;
        cluster(&spec).len()
    };
    assert_eq!([ticks(0, 10), ticks(10, 10), ticks(1, 99_999)], [1, 1, 1]);
    assert_eq!([ticks(1, 2), ticks(50, 600)], [0, 0]);
}

#[track_caller]
fn check_network(change: impl FnOnce(&mut NetworkSpec, &mut IpamPool), problem: &str) {
    let mut pool = IpamPool {
        subnet: "10.1.0.0/24".into(),
        ..IpamPool::default()
    };
    let mut spec = NetworkSpec {
        name: "net".into(),
        ..NetworkSpec::default()
    };
    change(&mut spec, &mut pool);
    spec.ipam.get_or_insert_default().pools.push(pool);
    let problems = network(&spec);
    match problem.is_empty() {
        true => assert_eq!(problems, Vec::<String>::new()),
        false => assert!(
            problems.len() == 1 && problems[0].starts_with(problem),
            "{problems:?}"
        ),
    }
}

#[test]
fn networks_span_the_swarm() {
    check_network(|_, _| {}, "");
    check_network(|n, _| n.driver.name = "overlay".into(), "");
    check_network(
        |n, _| n.driver.name = "bridge".into(),
        "Driver: \"bridge\": only",
    );
    check_network(|n, _| n.name = "a.b".into(), "Name: \"a.b\"");
    check_network(|n, _| n.ipv6 = true, "EnableIPv6: not supported yet");
    let option = |key: &str| [(key.to_owned(), String::new())].into();
    check_network(|n, _| n.driver.options = option("encrypted"), "");
    check_network(|n, _| n.driver.options = option("mtu"), "Options: \"mtu\"");
    let mesh = |n: &mut NetworkSpec| (n.ingress, n.internal) = (true, true);
    check_network(|n, _| mesh(n), "Internal: the ingress network");
}

#[test]
fn subnets_have_room_and_hold_their_gateway() {
    let subnet =
        |text: &'static str| move |_: &mut NetworkSpec, p: &mut IpamPool| p.subnet = text.into();
    check_network(subnet("10.1.0.0/29"), "");
    check_network(
        subnet("10.1.0.0/30"),
        "IPAM.Config.Subnet: 10.1.0.0/30: must be from /8",
    );
    check_network(
        subnet("127.1.0.0/24"),
        "IPAM.Config.Subnet: 127.1.0.0/24: these addresses",
    );
    check_network(
        subnet("here"),
        "IPAM.Config.Subnet: \"here\" is not a subnet",
    );
    check_network(|_, p| p.gateway = "10.1.0.9".into(), "");
    for address in ["10.2.0.1", "10.1.0.0", "10.1.0.255", "x"] {
        let problem = format!("IPAM.Config.Gateway: {address:?}: is not an address of 10.1.0.0/24");
        check_network(|_, p| p.gateway = address.into(), &problem);
    }
    check_network(|_, p| p.ip_range = "10.1.0.128/25".into(), "");
    check_network(
        |_, p| p.ip_range = "10.0.0.0/8".into(),
        "IPAM.Config.IPRange: 10.0.0.0/8",
    );
    let alone = |p: &mut IpamPool| (p.subnet, p.gateway) = (String::new(), "10.1.0.1".into());
    check_network(|_, p| alone(p), "IPAM.Config: a range, a gateway");
}

#[test]
fn references_to_secrets_name_an_object_and_a_file_of_their_own() {
    let reference = |name: &str| SecretReference {
        file: Some(FileTarget {
            name: name.into(),
            mode: 0o444,
            ..FileTarget::default()
        }),
        secret_id: "id".into(),
        secret_name: "token".into(),
    };
    check_fine(|s| s.task.container.secrets = vec![reference("a/b"), reference("/etc/c")]);
    let bad = |change: fn(&mut SecretReference), problem: &str| {
        let mut one = reference("a");
        change(&mut one);
        let problem = format!("TaskTemplate.ContainerSpec.Secrets{problem}");
        check(|s| s.task.container.secrets = vec![one], &problem);
    };
    bad(|r| r.secret_id.clear(), ": malformed secret reference");
    bad(
        |r| r.file = None,
        ": malformed secret reference \"token\", no target",
    );
    bad(
        |r| r.file.as_mut().unwrap().uid = "root".into(),
        ".File.UID: \"root\": must be a",
    );
    bad(
        |r| r.file.as_mut().unwrap().mode = 0o10_000,
        ".File.Mode: 10000: at most 7777",
    );
    for name in ["", "/", "../a", "a/..", "a/", "a\0b"] {
        let one = reference(name);
        let problem = "TaskTemplate.ContainerSpec.Secrets.File.Name: ";
        check(|s| s.task.container.secrets = vec![one], problem);
    }
    let twice = vec![reference("a"), reference("a")];
    let problem = "TaskTemplate.ContainerSpec.Secrets: secret references 'token' and 'token' have";
    check(|s| s.task.container.secrets = twice, problem);
    let runtime = ConfigReference {
        runtime: true,
        ..ConfigReference::default()
    };
    let problem = "TaskTemplate.ContainerSpec.Configs.Runtime: only";
    check(|s| s.task.container.configs = vec![runtime], problem);
}

#[test]
fn health_checks_have_a_command_and_times_that_can_be_kept() {
    let health = |test: &[&str], interval_ns, retries| {
        let test = test.iter().map(|&word| word.to_owned()).collect();
        Some(Healthcheck {
            test,
            interval_ns,
            retries,
            ..Healthcheck::default()
        })
    };
    for test in [&["NONE"][..], &[], &["CMD", "a"], &["CMD-SHELL", "a | b"]] {
        check_fine(|s| s.task.container.healthcheck = health(test, 1_000_000, 3));
    }
    let bad = |wrong, problem: &str| {
        let problem = format!("TaskTemplate.ContainerSpec.Healthcheck.{problem}");
        check(|s| s.task.container.healthcheck = wrong, &problem);
    };
    bad(health(&["CMD"], 0, 0), "Test: [\"CMD\"]: must be NONE");
    bad(health(&["curl"], 0, 0), "Test: [\"curl\"]: must be NONE");
    bad(
        health(&[], 999_999, 0),
        "Interval: 999999: cannot be less than 1ms",
    );
    bad(health(&[], 0, -1), "Retries: -1: cannot be negative");
}
