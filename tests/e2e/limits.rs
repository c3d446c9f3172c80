//! Limits and confinement, seen from inside the container.

use crate::host::Host;

#[test]
fn a_service_that_takes_more_memory_than_its_limit_fails_for_that_reason() {
    let Some(host) = Host::swarm("oom") else {
        return;
    };
    // tail keeps what it may have to print.
    let hungry = "exec tail -c 200000000 /dev/zero";
    host.skep(&[
        "service",
        "create",
        "-d",
        "--name",
        "hungry",
        "--limit-memory",
        "64M",
        "--restart-condition",
        "none",
        "bb:1",
        "sh",
        "-c",
        hungry,
    ]);
    host.until("the task failed for want of memory", || {
        let args = [
            "service",
            "ps",
            "hungry",
            "--no-trunc",
            "--format",
            "{{.Error}}",
        ];
        String::from_utf8_lossy(&host.try_skep(&args).stdout).contains("out of memory")
    });
}

#[test]
fn limits_are_seen_from_inside() {
    let Some(host) = Host::swarm("limits") else {
        return;
    };
    let flood = "for i in $(seq 40); do sleep 5 & done 2>&1 | head -n 1; echo end; exec sleep 1000";
    host.skep(&[
        "service",
        "create",
        "-q",
        "--name",
        "flood",
        "--limit-pids",
        "20",
        "bb:1",
        "sh",
        "-c",
        flood,
    ]);
    let fork = "fork: Resource temporarily unavailable";
    host.until("a fork failed", || {
        host.skep(&["service", "logs", "flood"]).contains(fork)
    });
    let spin = "t=$(date +%s); while [ $(($(date +%s)-t)) -lt 3 ]; do :; done; \
        cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null; exec sleep 1000";
    host.skep(&[
        "service",
        "create",
        "-q",
        "--name",
        "spin",
        "--limit-cpu",
        "0.2",
        "bb:1",
        "sh",
        "-c",
        spin,
    ]);
    host.until("the container was throttled", || {
        let log = host.skep(&["service", "logs", "--raw", "spin"]);
        log.lines().any(|line| {
            line.strip_prefix("nr_throttled ")
                .is_some_and(|count| count.trim() != "0")
        })
    });
}

#[test]
fn a_container_is_confined_as_dockers_are() {
    let Some(host) = Host::swarm("confined") else {
        return;
    };
    let look = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status; echo end; \
        exec sleep 1000";
    host.skep(&[
        "service", "create", "-q", "--name", "plain", "bb:1", "sh", "-c", look,
    ]);
    host.until("it looked", || {
        host.skep(&["service", "logs", "plain"]).contains("end")
    });
    let log = host.skep(&["service", "logs", "--raw", "plain"]);
    for line in ["CapEff:\t00000000a80425fb", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(log.contains(line), "{line} is missing:\n{log}");
    }
}
