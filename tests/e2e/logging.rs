//! Log drivers: where a container's output goes, and who can read it.

use crate::host::Host;

#[test]
fn a_log_driver_keeps_output_on_the_disk_in_memory_or_nowhere() {
    let Some(mut host) = Host::swarm("logging") else {
        return;
    };
    let create = ["service", "create", "-d", "--name"];
    let refused = host.try_skep(&[&create[..], &["web", "--log-driver=syslog", "bb:1"]].concat());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("\"syslog\": use ring, none, local or journald"),
        "{error}"
    );

    let program = ["bb:1", "sh", "-c", "seq 1 20000; sleep 1000"];
    let options = [
        "--log-driver=local",
        "--log-opt=max-size=64k",
        "--log-opt=max-file=2",
    ];
    host.skep(&[&create[..], &["disk"], &options, &program].concat());
    host.skep(&[&create[..], &["none", "--log-driver=none"], &program].concat());
    let last = |host: &Host| host.skep(&["service", "logs", "--raw", "--tail=1", "disk"]);
    host.until("the log is written", || last(&host) == "20000\n");
    let id = host.skep(&["ps", "-q", "--no-trunc", "--filter", "name=disk.1."]);
    let dir = host.path(&format!("state/layers/{}.log", id.trim()));
    let sizes = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .and_then(|entry| entry.metadata())
            .map_or(0, |about| about.len())
    };
    let entries = std::fs::read_dir(&dir).expect("the log is on the disk");
    let bytes: u64 = entries.map(sizes).sum();
    assert!((60_000..=128 << 10).contains(&bytes), "{bytes} bytes");

    host.until("the other runs", || host.running("none") == 1);
    let refused = host.try_skep(&["service", "logs", "none"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expect = "configured logging driver does not support reading";
    assert!(error.contains(expect), "{error}");

    host.stop_daemon();
    host.start_daemon();
    host.until("the log is there again", || last(&host) == "20000\n");
    host.skep(&["service", "rm", "disk", "none"]);
    host.until("the log goes with its container", || !dir.exists());
}
