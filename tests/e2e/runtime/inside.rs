//! What a container sees of itself: who and where it is, what it may use and do.

use skep::runtime::plan::{Limits, Network, Security, UlimitPlan};

use super::*;

#[track_caller]
fn check(host: &Host, plan: Plan, expect: &[&str]) {
    let (exit, output) = host.run(plan);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines, expect, "exit {exit:?}");
}

#[test]
fn identity_is_what_the_plan_and_the_image_say() {
    let Some(host) = host("identity") else { return };
    let script = "id -u; id -g; id -G; pwd; echo $HOME $GREETING; hostname; cat /etc/hostname; \
                  grep -c localhost /etc/hosts; echo $$; ls /proc/self/fd | wc -l; umask";
    let mut plan = host.plan('a', script);
    plan.process.user = "web".to_owned();
    plan.process.dir = "/made/for/it".to_owned();
    let expect = [
        "100",
        "101",
        "101 10",
        "/made/for/it",
        "/srv hello",
        "box",
        "box",
        "2",
        "1",
        "4",
        "0022",
    ];
    check(&host, plan, &expect);

    let mut plan = host.plan('b', "id -u; id -g; id -G");
    plan.process.user = "7:8".to_owned();
    plan.process.groups = vec!["wheel".to_owned(), "9".to_owned()];
    check(&host, plan, &["7", "8", "8 9 10"]);
}

#[test]
fn a_container_has_namespaces_of_its_own_and_a_loopback() {
    let Some(host) = host("namespaces") else {
        return;
    };
    let script = "ps >/all; wc -l </all; ip -o addr | wc -l; \
                  ping -c1 -W1 127.0.0.1 >/dev/null && echo pong; \
                  cat /proc/sys/net/ipv4/ip_unprivileged_port_start \
                  /proc/sys/net/ipv4/ping_group_range";
    check(
        &host,
        host.plan('a', script),
        &["3", "2", "pong", "0", "0\t2147483647"],
    );

    let mut plan = host.plan('b', "readlink /proc/self/ns/net");
    plan.network = Network::Host;
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    check(&host, plan, &[own.to_str().unwrap()]);
}

#[test]
fn the_default_profile_and_capabilities_hold() {
    let Some(host) = host("security") else { return };
    let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; \
                  unshare -U true 2>/dev/null || echo no userns; \
                  mount -t tmpfs x /tmp 2>/dev/null || echo no mount; \
                  touch /proc/sys/kernel/x 2>/dev/null || echo no sysctl; \
                  cat /proc/keys 2>/dev/null | wc -c; ls /sys/firmware | wc -l";
    let expect = [
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "no userns",
        "no mount",
        "no sysctl",
        "0",
        "0",
    ];
    check(&host, host.plan('a', script), &expect);

    let mut plan = host.plan(
        'b',
        "grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status",
    );
    plan.process.user = "web".to_owned();
    let none = "0000000000000000";
    let expect = [
        &format!("CapPrm:\t{none}"),
        &format!("CapEff:\t{none}"),
        "NoNewPrivs:\t1",
    ];
    check(&host, plan, &expect);
}

/// As `sudo` needs it: the filter is installed without `no_new_privs`, by a right that is gone
/// when the program runs.
#[test]
fn privileges_can_be_gained_with_the_label_and_the_filter_still_holds() {
    let Some(host) = host("gain") else { return };
    let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; \
                  unshare -U true 2>/dev/null || echo no userns; \
                  mount -t tmpfs x /tmp 2>/dev/null || echo no mount";
    let allowed = Security {
        no_new_privileges: false,
        ..Security::default()
    };
    let caps = "00000000a80425fb";
    let expect = [
        &format!("CapEff:\t{caps}"),
        &format!("CapBnd:\t{caps}"),
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        "no userns",
        "no mount",
    ];
    check(
        &host,
        Plan {
            security: allowed.clone(),
            ..host.plan('a', script)
        },
        &expect,
    );

    let setuid = host.dir.join("layer/bin/busybox-gain");
    fs::copy(BUSYBOX, &setuid).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).unwrap();
    // Without privileges busybox may not open the raw socket that its ping needs.
    let with = |letter, security| {
        let script =
            "/bin/busybox-gain ping -c1 -W1 127.0.0.1 >/dev/null 2>&1 && echo pong || echo denied";
        let mut plan = Plan {
            security,
            ..host.plan(letter, script)
        };
        plan.process.user = "web".to_owned();
        host.run(plan).1
    };
    assert_eq!(with('b', allowed), "pong\n");
    assert_eq!(with('c', Security::default()), "denied\n");
}

#[test]
fn limits_are_enforced_and_seen_from_inside() {
    let Some(host) = host("limits") else { return };
    let script = "ulimit -n; i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>&1 | \
                  grep -qi 'resource' && echo no more processes";
    let mut plan = host.plan('a', &format!("{script}; exit 0"));
    plan.limits = Limits {
        pids: Some(20),
        nano_cpus: Some(500_000_000),
        memory_bytes: Some(64 << 20),
        memory_reserved_bytes: Some(16 << 20),
        ..Limits::default()
    };
    plan.process.ulimits = vec![UlimitPlan {
        name: "nofile".to_owned(),
        soft: 99,
        hard: 100,
    }];
    let (_, output) = host.run(plan.clone());
    assert!(output.starts_with("99\n"), "{output}");

    plan.process.args[2] = "cd /sys/fs/cgroup; cat pids/pids.max pids.max; \
                            cat cpu/cpu.cfs_quota_us cpu.max; \
                            cat memory/memory.limit_in_bytes memory.max"
        .to_owned();
    let (_, output) = host.run(plan);
    let found: Vec<_> = output
        .lines()
        .filter(|line| !line.starts_with("cat:"))
        .collect();
    let quota = if host.runtime.cgroup_version() == 2 {
        "50000 100000"
    } else {
        "50000"
    };
    assert_eq!(found, ["20", quota, "67108864"]);
}

#[test]
fn a_container_cannot_raise_its_own_limits() {
    let Some(host) = host("raise") else { return };
    let tries = "cd /sys/fs/cgroup; for file in pids/pids.max pids.max \
                 memory/memory.limit_in_bytes memory.max; do \
                 [ ! -e $file ] || { echo 1g >$file && echo raised $file; }; done; echo tried";
    let (_, output) = host.run(host.plan('a', tries));
    assert!(output.contains("tried\n"), "{output}");
    assert!(!output.contains("raised"), "{output}");
    assert_eq!(output.matches("Read-only").count(), 2, "{output}");
}

#[test]
fn running_out_of_memory_is_told_from_other_ends() {
    let Some(host) = host("oom") else { return };
    let mut plan = host.plan('a', "echo begin; tail /dev/zero; echo not reached");
    plan.process.args[2] = "echo begin; exec tail /dev/zero".to_owned();
    plan.limits.memory_bytes = Some(64 << 20);
    let (exit, output) = host.run(plan);
    assert!(exit.oom_killed, "{exit:?} {output}");
    assert_eq!(
        (exit.code, exit.tail.as_slice()),
        (Some(137), &b"begin\n"[..])
    );
}

#[test]
fn a_device_node_of_the_image_does_not_open() {
    let Some(host) = host("devices") else { return };
    let node = host.dir.join("layer/disk");
    let made = Command::new("mknod")
        .arg(&node)
        .args(["b", "8", "0"])
        .status()
        .unwrap();
    assert!(made.success());
    let script = "reads() { head -c1 $1 >/dev/null 2>&1; }; reads /disk || echo image node shut; \
                  mknod /tmp/disk b 8 0 && reads /tmp/disk || echo own node shut; \
                  mknod /dev/msg c 1 11 && { reads /dev/msg || echo log shut; }; \
                  mknod /dev/tap c 10 200 && { cat /dev/tap 2>&1 | grep -o permitted; }; \
                  head -c1 /dev/zero | wc -c; echo x > /dev/null && echo null";
    let expect = [
        "image node shut",
        "own node shut",
        "log shut",
        "permitted",
        "1",
        "null",
    ];
    check(&host, host.plan('a', script), &expect);
}

#[test]
fn many_layers_make_one_root() {
    let Some(host) = host("layers") else { return };
    let mut plan = host.plan('a', "cat /number /first; ls / | grep -c layer-");
    for number in 0..120 {
        let layer = host
            .dir
            .join(format!("{}-{number}", "a-layer-with-a-long-name".repeat(4)));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join("number"), format!("{number}\n")).unwrap();
        fs::write(layer.join(format!("layer-{number}")), "").unwrap();
        plan.layers.push(layer);
    }
    fs::write(host.dir.join("layer/first"), "first\n").unwrap();
    check(&host, plan, &["119", "first", "120"]);
}

#[test]
fn the_small_pid_1_reaps_and_passes_signals_on() {
    let Some(host) = host("init") else { return };
    let mut plan = host.plan('a', "exec true");
    plan.process.init = true;
    plan.process.args[2] = "trap 'echo bye; exit 4' TERM; (sleep 0.01 & exec true); sleep 0.05; \
                            grep -l 'State:.Z' /proc/[0-9]*/status | wc -l; \
                            cat /proc/1/comm; echo ready; while :; do sleep 0.01; done"
        .to_owned();
    let id = host.start(plan).unwrap();
    host.await_line(&id, "ready");
    host.runtime.signal(&id, 15).unwrap();
    let exit = block_on(host.runtime.wait(&id)).unwrap();
    assert_eq!(exit.code, Some(4));
    assert_eq!(host.output(&id), "0\ndocker-init\nready\nbye\n");
}

#[test]
fn a_terminal_is_one_and_its_output_is_logged() {
    let Some(host) = host("terminal") else { return };
    let mut plan = host.plan(
        'a',
        "tty; test -t 0 && echo in; test -t 2 && echo err; ls /dev/console",
    );
    plan.process.tty = true;
    let (exit, output) = host.run(plan);
    assert_eq!(
        output, "/dev/pts/0\r\nin\r\nerr\r\n/dev/console\r\n",
        "{exit:?}"
    );
}
