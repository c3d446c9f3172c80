use super::*;
use crate::model::spec::container::{Privileges, SeccompOptions, Ulimit};
use crate::model::spec::mount::{BindOptions, Mount, MountKind as Kind, TmpfsOptions};
use crate::model::spec::task::{Limits as SpecLimits, Reservations};
use crate::runtime::plan::{LogPlan, MountKind};

fn image() -> ImageDefaults {
    ImageDefaults {
        entrypoint: words("/entry"),
        cmd: words("serve now"),
        env: words("PATH=/bin A=image B=image"),
        dir: "/srv".into(),
        user: "web".into(),
        volumes: vec!["/var/data".into()],
        stop_signal: "SIGQUIT".into(),
        ..ImageDefaults::default()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn planned(spec: &ContainerSpec) -> Result<Plan, Refused> {
    planned_on(spec, None, Network::Own)
}

fn planned_on(
    spec: &ContainerSpec,
    resources: Option<&Resources>,
    network: Network,
) -> Result<Plan, Refused> {
    plan(ContainerRequest {
        id: "",
        spec,
        resources,
        image: &image(),
        layers: Vec::new(),
        writable: "/w".into(),
        hostname: "web-1",
        network,
        origin: Origin::default(),
        labels: Labels::new(),
        env: words("NODE=pi"),
        volumes: [("data".to_owned(), PathBuf::from("/volumes/data"))].into(),
        joined: None,
        devices: Vec::new(),
        log: LogPlan::default(),
        files: Vec::new(),
    })
}

#[track_caller]
fn refused(spec: ContainerSpec, expect: &str) {
    let reason = planned(&spec).unwrap_err().to_string();
    assert_eq!(reason, expect);
    assert!(
        check(&spec, None).is_err(),
        "refused when planned, but not when asked for"
    );
}

#[test]
fn command_and_arguments_merge_as_dockers_do() {
    let args = |command, args| {
        let spec = ContainerSpec {
            command: words(command),
            args: words(args),
            ..Default::default()
        };
        planned(&spec).unwrap().process.args.join(" ")
    };
    assert_eq!(args("", ""), "/entry serve now");
    assert_eq!(args("", "other"), "/entry other");
    assert_eq!(args("sh", ""), "sh");
    assert_eq!(args("sh", "-c true"), "sh -c true");
}

#[test]
fn variables_of_the_spec_win_and_a_bare_name_takes_one_away() {
    let spec = ContainerSpec {
        env: words("A=spec B NODE=mine"),
        ..Default::default()
    };
    let env = planned(&spec).unwrap().process.env.join(" ");
    assert_eq!(env, "PATH=/bin HOSTNAME=web-1 NODE=mine A=spec");
}

#[test]
fn capabilities_are_dockers_with_additions_and_drops() {
    let held = |add: &str, drop: &str| {
        let (capability_add, capability_drop) = (words(add), words(drop));
        let spec = ContainerSpec {
            capability_add,
            capability_drop,
            ..Default::default()
        };
        planned(&spec).unwrap().security.capabilities
    };
    assert_eq!(held("", "").len(), 14);
    assert_eq!(held("NET_ADMIN", "").len(), 15);
    assert_eq!(
        held("cap_net_admin chown", "ALL"),
        ["CAP_CHOWN", "CAP_NET_ADMIN"]
    );
    assert_eq!(held("ALL", "SYS_ADMIN").len(), 40);
    let wrong = ContainerSpec {
        capability_add: words("FLY"),
        ..Default::default()
    };
    refused(wrong, "capability \"FLY\" is not valid");
}

#[test]
fn privileges_stay_off_until_a_label_says_otherwise() {
    let mut spec = ContainerSpec::default();
    assert!(planned(&spec).unwrap().security.no_new_privileges);
    spec.labels
        .insert(NO_NEW_PRIVILEGES_LABEL.into(), "false".into());
    assert!(!planned(&spec).unwrap().security.no_new_privileges);
    spec.privileges = Some(Privileges {
        no_new_privileges: true,
        ..Default::default()
    });
    assert!(planned(&spec).unwrap().security.no_new_privileges);
}

#[test]
fn isolation_that_cannot_be_given_is_refused_by_name() {
    let seccomp = SeccompOptions {
        mode: "custom".into(),
        profile: b"{}".to_vec(),
    };
    let privileges = Some(Privileges {
        seccomp: Some(seccomp),
        ..Default::default()
    });
    refused(
        ContainerSpec {
            privileges,
            ..Default::default()
        },
        "seccomp mode custom is not supported",
    );
    let privileges = Some(Privileges {
        selinux: Some(Default::default()),
        ..Default::default()
    });
    refused(
        ContainerSpec {
            privileges,
            ..Default::default()
        },
        "an SELinux label is not supported",
    );
    let isolation = "hyperv".to_owned();
    refused(
        ContainerSpec {
            isolation,
            ..Default::default()
        },
        "isolation hyperv is not supported",
    );
    let sysctls: Labels = [("kernel.panic".to_owned(), "1".to_owned())].into();
    refused(
        ContainerSpec {
            sysctls,
            ..Default::default()
        },
        "sysctl kernel.panic is not supported",
    );
}

#[test]
fn network_settings_need_a_network_of_ones_own() {
    let sysctls: Labels = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into();
    let spec = ContainerSpec {
        sysctls,
        ..Default::default()
    };
    assert_eq!(planned(&spec).unwrap().sysctls.len(), 1);
    assert!(planned_on(&spec, None, Network::Host).is_err());
}

#[test]
fn mounts_find_their_sources_and_their_defaults() {
    let mount = |kind, source: &str, target: &str| Mount {
        kind,
        source: source.into(),
        target: target.into(),
        ..Default::default()
    };
    let mounts = vec![
        mount(Kind::Bind, "/etc", "/host"),
        mount(Kind::Volume, "data", "/data"),
        mount(Kind::Tmpfs, "", "/tmp"),
    ];
    let spec = ContainerSpec {
        mounts,
        read_only: true,
        ..Default::default()
    };
    let kinds: Vec<_> = planned(&spec)
        .unwrap()
        .mounts
        .into_iter()
        .map(|m| m.kind)
        .collect();
    let volume = |source: &str| MountKind::Volume {
        source: source.into(),
        copy: true,
    };
    assert!(matches!(
        &kinds[0],
        MountKind::Bind {
            recursive: true,
            slave: false,
            ..
        }
    ));
    assert_eq!(kinds[1], volume("/volumes/data"));
    assert_eq!(
        kinds[2],
        MountKind::Tmpfs {
            size_bytes: 0,
            mode: 0o1777
        }
    );
    assert_eq!(kinds[3], volume("/w.volume-0"));
    let absent = vec![mount(Kind::Volume, "other", "/data")];
    let spec = ContainerSpec {
        mounts: absent,
        ..Default::default()
    };
    assert_eq!(planned(&spec), Err(Refused::NoVolume("other".into())));
}

#[test]
fn odd_mounts_are_refused() {
    let with = |mount: Mount| ContainerSpec {
        mounts: vec![mount],
        ..Default::default()
    };
    let bind = Mount {
        source: "/x".into(),
        target: "/x".into(),
        ..Default::default()
    };
    for target in ["", "/", "x", "/a/../../etc"] {
        let mount = Mount {
            target: target.into(),
            ..bind.clone()
        };
        refused(
            with(mount),
            &format!("mount target {target:?} is not valid"),
        );
    }
    let shared = BindOptions {
        propagation: "rshared".into(),
        ..Default::default()
    };
    let mount = Mount {
        bind: Some(shared),
        ..bind.clone()
    };
    refused(with(mount), "bind propagation rshared is not supported");
    let mount = Mount {
        kind: Kind::Other("npipe".into()),
        ..bind.clone()
    };
    refused(with(mount), "mount type npipe is not supported");
    let options = TmpfsOptions {
        options: vec![vec!["exec".into()]],
        ..Default::default()
    };
    let mount = Mount {
        kind: Kind::Tmpfs,
        tmpfs: Some(options),
        ..bind
    };
    refused(
        with(mount),
        "options of a tmpfs beyond its size and mode is not supported",
    );
}

#[test]
fn limits_follow_dockers_rules_for_swap() {
    let limits = |memory_bytes, swap_bytes| {
        let limits = SpecLimits {
            memory_bytes,
            ..Default::default()
        };
        let reservations = Some(Reservations {
            memory_bytes: 5,
            ..Default::default()
        });
        let resources = Resources {
            limits: Some(limits),
            reservations,
            swap_bytes,
            ..Default::default()
        };
        planned_on(&ContainerSpec::default(), Some(&resources), Network::Own)
            .map(|plan| (plan.limits.memory_bytes, plan.limits.swap_bytes))
    };
    assert_eq!(limits(0, None), Ok((None, None)));
    assert_eq!(limits(100, None), Ok((Some(100), Some(100))));
    assert_eq!(limits(100, Some(0)), Ok((Some(100), Some(0))));
    assert_eq!(limits(100, Some(7)), Ok((Some(100), Some(7))));
    assert!(limits(0, Some(7)).is_err() && limits(-1, None).is_err());
}

#[test]
fn ulimits_signals_and_hosts_are_checked() {
    let ulimit = |name: &str, soft, hard| ContainerSpec {
        ulimits: vec![Ulimit {
            name: name.into(),
            soft,
            hard,
        }],
        ..Default::default()
    };
    let plan = planned(&ulimit("nofile", 10, -1)).unwrap();
    assert_eq!(
        (plan.process.ulimits[0].soft, plan.process.ulimits[0].hard),
        (10, u64::MAX)
    );
    refused(ulimit("nofile", 11, 10), "ulimit \"nofile\" is not valid");
    refused(ulimit("files", 1, 1), "ulimit \"files\" is not valid");
    let stop_signal = "SIGNOPE".to_owned();
    refused(
        ContainerSpec {
            stop_signal,
            ..Default::default()
        },
        "stop signal \"SIGNOPE\" is not valid",
    );
    let spec = ContainerSpec {
        hosts: vec!["10.0.0.1 db db2".into()],
        ..Default::default()
    };
    let hosts = planned(&spec).unwrap().resolver.hosts;
    assert_eq!(hosts, [("10.0.0.1".to_owned(), "db db2".to_owned())]);
    let spec = ContainerSpec {
        hosts: vec!["db:10.0.0.1".into()],
        ..Default::default()
    };
    assert!(planned(&spec).is_err());
}
