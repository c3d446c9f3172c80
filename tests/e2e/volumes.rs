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

#[test]
fn a_volume_with_options_is_mounted_while_containers_use_it() {
    let Some(mut host) = Host::swarm("volume-options") else {
        return;
    };
    let folder = host.path("folder");
    std::fs::create_dir(&folder).expect("a folder of the host");
    std::fs::write(folder.join("mine"), "kept").expect("a file in it");
    for (options, expect) in [
        (&["-o", "size=1g"][..], "invalid option: \"size\""),
        (&["-o", "type=tmpfs"], "missing required option: \"device\""),
    ] {
        let refused = host.try_skep(&[&["volume", "create"], options].concat());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains(expect), "{error}");
    }
    let device = format!("device={}", folder.display());
    let options = ["-o", "type=none", "-o", "o=bind,ro", "-o", &device];
    host.skep(&[&["volume", "create"], &options[..], &["bound"]].concat());
    for cli in tools::docker_clis() {
        let args = ["volume", "inspect", "bound", "-f", "{{.Options.o}}"];
        assert_eq!(host.docker(cli, &args), "bind,ro\n");
    }
    let scratch = "source=scratch,target=/scratch,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\
                   \"volume-opt=o=size=64k,mode=700\"";
    let script = "cat /bound/mine; touch /bound/x 2>/dev/null || echo read-only; \
                  stat -f -c %T /scratch; stat -c %a /scratch; echo; trap exit TERM; \
                  sleep 1000 & wait";
    host.skep(&[
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--replicas",
        "2",
        "--mount",
        "source=bound,target=/bound",
        "--mount",
        scratch,
        "--mount",
        "target=/own",
        "bb:1",
        "sh",
        "-c",
        script,
    ]);
    host.until("both have looked around", || {
        // One after the other: together their pieces come in the order of time.
        let ids = host.skep(&["service", "ps", "-q", "web"]);
        let logs = ids
            .lines()
            .map(|id| host.skep(&["service", "logs", "--raw", id]));
        logs.filter(|log| log.starts_with("keptread-only\ntmpfs\n700\n"))
            .count()
            == 2
    });
    assert_eq!(mounted(&host), 2, "both containers share the mounts");
    host.kill_daemon();
    host.start_daemon();
    host.until("both are there", || host.running("web") == 2);
    host.skep(&["service", "rm", "web"]);
    host.until("nothing is mounted any more", || mounted(&host) == 0);
    host.skep(&["volume", "rm", "bound", "scratch"]);
    let kept = std::fs::read_to_string(folder.join("mine")).expect("the folder is the host's");
    assert_eq!(kept, "kept");
}

/// How many volumes of the host are mounts of their own at the moment.
fn mounted(host: &Host) -> usize {
    let volumes = host.path("state/volumes").to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("Linux has it");
    mounts.matches(&volumes).count()
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
