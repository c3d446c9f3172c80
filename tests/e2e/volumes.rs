//! Volumes, from the command line to the files that containers share.

use std::path::Path;

use serde_json::Value;

use crate::host::Host;
use crate::tools;

#[test]
fn a_volume_outlives_its_services_updates_and_the_daemon_and_both_clis_show_it_alike() {
    let Some(mut host) = Host::swarm("volumes") else {
        return;
    };
    let made = host.skep(&["volume", "create", "--label", "use=db", "data"]);
    assert_eq!(made, "data\n");
    let anonymous = host.skep(&["volume", "create"]);
    assert_eq!(anonymous.trim().len(), 64);
    for cli in tools::docker_clis() {
        looks_alike(&host, cli);
    }
    let mounts = ["--mount", "source=data,target=/data"];
    let script = "trap exit TERM; echo start >> /data/log; sleep 1000 & wait";
    let program = ["bb:1", "sh", "-c", script];
    let flags = ["service", "create", "-d", "--name", "db"];
    host.skep(&[&flags[..], &mounts, &program].concat());
    let log = host.path("state/volumes/data/_data/log");
    let starts = |expect: usize| {
        host.until("the program has started", || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == expect)
        });
    };
    starts(1);
    let refused = host.try_skep(&["volume", "rm", "data"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("remove data: volume is in use - ["),
        "{error}"
    );
    host.skep(&["service", "update", "-d", "--force", "db"]);
    starts(2);

    host.kill_daemon();
    host.start_daemon();
    let pruned = host.skep(&["volume", "prune", "-f"]);
    let expect = format!("Deleted Volumes:\n{anonymous}\nTotal reclaimed space: 0B\n");
    assert_eq!(pruned, expect);
    host.skep(&["service", "rm", "db"]);
    host.until("its containers are gone", || {
        host.skep(&["ps", "-aq"]).is_empty()
    });
    let text = std::fs::read_to_string(&log).expect("the log is kept");
    assert_eq!(text.lines().count(), 2);
    let pruned = host.skep(&["volume", "prune", "-a", "-f", "--filter", "label!=use"]);
    assert_eq!(pruned, "Total reclaimed space: 0B\n");
    assert_eq!(host.skep(&["volume", "rm", "data"]), "data\n");
    let gone = host.try_skep(&["volume", "inspect", "data"]);
    let error = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(error.contains("get data: no such volume"), "{error}");
}

/// What `docker` prints, `skep` prints.
fn looks_alike(host: &Host, cli: &Path) {
    for args in [
        &["volume", "ls"][..],
        &["volume", "ls", "-q", "--filter", "label=use=db"],
        &[
            "volume",
            "ls",
            "--format",
            "{{.Name}} {{.Labels}} {{.Mountpoint}}",
            "-f",
            "name=dat",
        ],
    ] {
        assert_eq!(host.skep(args), host.docker(cli, args), "{args:?}");
    }
    let args = ["volume", "inspect", "data"];
    let parse = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    assert_eq!(parse(host.skep(&args)), parse(host.docker(cli, &args)));
}
