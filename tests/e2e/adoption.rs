//! What is killed comes back, and what runs goes on: containers, shims and the daemon itself.

use rustix::process::Signal;

use crate::host::{Host, signal};

const CLOCK: &str = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 1; done";

#[test]
fn a_killed_container_is_replaced() {
    let Some(host) = Host::swarm("replaced") else {
        return;
    };
    create(&host, "web", "2", "exec sleep 1000");
    let pid = container_pids(&host)[0];
    signal(pid, Signal::KILL);
    host.until("the task failed and another took its slot", || {
        let states = host.task_states("web");
        host.running("web") == 2 && states.iter().any(|state| state.starts_with("Failed"))
    });
    let errors = host.skep(&[
        "service",
        "ps",
        "web",
        "--no-trunc",
        "--format",
        "{{.Error}}",
    ]);
    assert!(errors.contains("task: non-zero exit (137)"), "{errors}");
}

#[test]
fn a_killed_shim_fails_its_task_and_leaves_nothing() {
    let Some(host) = Host::swarm("shim") else {
        return;
    };
    create(&host, "web", "1", "exec sleep 1000");
    let pid = container_pids(&host)[0];
    signal(parent(pid), Signal::KILL);
    host.until("the task failed and another took its slot", || {
        let states = host.task_states("web");
        host.running("web") == 1 && states.iter().any(|state| state.starts_with("Failed"))
    });
    let errors = host.skep(&[
        "service",
        "ps",
        "web",
        "--no-trunc",
        "--format",
        "{{.Error}}",
    ]);
    assert!(errors.contains("exit unknown"), "{errors}");
    assert!(!alive(pid), "the container of the dead shim still runs");
}

#[test]
fn containers_go_on_while_the_daemon_is_killed_and_started_again() {
    let Some(mut host) = Host::swarm("kill") else {
        return;
    };
    create(&host, "clock", "3", CLOCK);
    let before = container_pids(&host);
    host.kill_daemon();
    assert!(before.iter().all(|pid| alive(*pid)));
    host.start_daemon();
    host.until("the tasks run again", || host.running("clock") == 3);
    assert_eq!(container_pids(&host), before, "the same processes go on");
    assert_eq!(host.task_states("clock").len(), 3, "no task was replaced");
}

#[test]
fn what_ended_while_the_daemon_was_away_is_reported_with_its_exit_code() {
    let Some(mut host) = Host::swarm("ended") else {
        return;
    };
    let go = host.path("go");
    let mount = format!("type=bind,source={},target=/go", go.display());
    std::fs::create_dir(&go).expect("a folder for the signal");
    let wait = "until [ -e /go/now ]; do sleep 0.1; done; exit 23";
    host.skep(&[
        "service",
        "create",
        "-q",
        "--name",
        "web",
        "--restart-condition",
        "none",
        "--mount",
        &mount,
        "bb:1",
        "sh",
        "-c",
        wait,
    ]);
    let pid = container_pids(&host)[0];
    host.kill_daemon();
    std::fs::write(go.join("now"), "").expect("the signal");
    host.until("the container ended", || !alive(pid));
    host.start_daemon();
    host.until("its exit code is known", || {
        let args = [
            "service",
            "ps",
            "web",
            "--no-trunc",
            "--format",
            "{{.Error}}",
        ];
        String::from_utf8_lossy(&host.try_skep(&args).stdout).contains("non-zero exit (23)")
    });
}

#[test]
fn an_end_of_the_daemons_whole_cgroup_and_a_start_leave_containers_running() {
    let Some(mut host) = Host::swarm("cgroup") else {
        return;
    };
    create(&host, "clock", "2", CLOCK);
    let before = container_pids(&host);
    let daemon = host.pid();
    // systemd's KillMode=control-group would end what is in the daemon's cgroups: nothing of a
    // container may be there.
    let home = cgroups(daemon);
    for pid in before.iter().flat_map(|pid| [*pid, parent(*pid)]) {
        let shared: Vec<_> = cgroups(pid)
            .into_iter()
            .filter(|group| home.contains(group))
            .collect();
        assert!(
            shared.is_empty(),
            "process {pid} shares {shared:?} with the daemon"
        );
    }
    host.stop_daemon();
    host.start_daemon();
    host.until("the tasks run again", || host.running("clock") == 2);
    assert_eq!(container_pids(&host), before, "the same processes go on");
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let Some(host) = Host::swarm("second") else {
        return;
    };
    let second = host.daemon_command().output().expect("skep runs");
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && error.trim().lines().count() == 1,
        "{error}"
    );
    assert!(
        error.contains("state") && error.contains("another"),
        "{error}"
    );
    host.skep(&["info"]);
}

#[test]
fn a_container_that_writes_nothing_has_an_empty_writable_layer_and_a_start_sweeps_strays() {
    let Some(mut host) = Host::swarm("layers") else {
        return;
    };
    create(&host, "web", "1", "exec sleep 1000");
    let layers = host.path("state/layers");
    let id = host.skep(&["ps", "-q", "--no-trunc"]).trim().to_owned();
    let written = std::fs::read_dir(layers.join(&id)).expect("a writable layer");
    assert_eq!(written.count(), 0, "the card pays for what is there");
    host.kill_daemon();
    for stray in ["0".repeat(64), format!("{}.work", "0".repeat(64))] {
        std::fs::create_dir(layers.join(stray)).expect("a stray");
    }
    host.start_daemon();
    host.until("the strays are gone", || names(&layers).len() == 2);
    assert_eq!(names(&layers), [id.clone(), format!("{id}.work")]);
    host.skep(&["service", "rm", "web"]);
    host.until("nothing is left", || names(&layers).is_empty());
}

/// What lies in a folder, in order.
fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn create(host: &Host, name: &str, replicas: &str, script: &str) {
    host.skep(&[
        "service",
        "create",
        "-q",
        "--name",
        name,
        "--replicas",
        replicas,
        "--restart-delay",
        "0s",
        "--stop-grace-period",
        "1s",
        "bb:1",
        "sh",
        "-c",
        script,
    ]);
}

/// The processes of this host's containers, in order.
fn container_pids(host: &Host) -> Vec<u32> {
    let ids = host.skep(&["ps", "-q", "--no-trunc"]);
    let mut pids: Vec<u32> = ids
        .lines()
        .map(|id| host.skep(&["inspect", "--format", "{{.State.Pid}}", id]))
        .map(|pid| pid.trim().parse().expect("a process id"))
        .collect();
    pids.sort_unstable();
    pids
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let (_, rest) = stat.rsplit_once(") ").expect("a line of stat");
    rest.split(' ')
        .nth(1)
        .and_then(|pid| pid.parse().ok())
        .expect("the parent's id")
}

/// The control groups of a process, but for the root of each hierarchy.
fn cgroups(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines()
        .filter(|line| !line.ends_with(":/"))
        .map(str::to_owned)
        .collect()
}
