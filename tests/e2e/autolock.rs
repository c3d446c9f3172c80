//! Managers that start only with the swarm's unlock key.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fleet::{Fleet, container_count};
use crate::host::Host;
use crate::tools;

pub fn unlock(host: &Host, key: &str) -> Output {
    told(host, &["swarm", "unlock"], key)
}

/// Runs a command that asks for the key.
fn told(host: &Host, args: &[&str], key: &str) -> Output {
    told_to(host.skep_command(args), key)
}

fn told_to(mut command: Command, key: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut unlocking = command.stderr(Stdio::piped()).spawn().expect("skep runs");
    let mut input = unlocking.stdin.take().expect("its input is piped");
    writeln!(input, "{key}").expect("it reads");
    drop(input);
    unlocking.wait_with_output().expect("it ends")
}

pub fn key_of(host: &Host) -> String {
    let key = host.skep(&["swarm", "unlock-key", "-q"]);
    key.trim().to_owned()
}

fn state(host: &Host) -> String {
    let state = host.skep(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
    state.trim().to_owned()
}

#[track_caller]
fn check_fails(output: &Output, expect: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expect), "{said}");
}

/// Does what changes the lock of a host's manager, and waits until the host has it on its disk.
fn relock<T>(host: &Host, deed: impl FnOnce() -> T) -> T {
    let vault = || std::fs::read(host.path("state/vault")).unwrap_or_default();
    let before = vault();
    let done = deed();
    host.until("its lock has changed", || vault() != before);
    done
}

/// Whether some bytes lie in a file below a directory.
pub fn is_below(dir: &Path, wanted: &[u8]) -> bool {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries.flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => is_below(&path, wanted),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                bytes.windows(wanted.len()).any(|part| part == wanted)
            }
        }
    })
}

/// Two managers, the first of which holds a secret, and a worker, with a task each; and the key
/// under which they are locked.
fn locked(test: &str) -> Option<(Fleet, String)> {
    let fleet = Fleet::start_with(test, 3, 2)?;
    let data = fleet.hosts[0].path("password");
    std::fs::write(&data, "a tiger in the night").unwrap();
    let data = data.to_str().unwrap();
    fleet.hosts[0].skep(&["secret", "create", "password", data]);
    assert!(fleet.try_create_at(0, "web", "3").status.success());
    fleet.hosts[0].until("the tasks run", || fleet.spread("web") == [1, 1, 1]);
    let state_dir = fleet.hosts[0].path("state");
    assert!(!is_below(
        &state_dir.join("manager"),
        b"a tiger in the night"
    ));

    let said = relock(&fleet.hosts[0], || {
        fleet.hosts[1].skep(&["swarm", "update", "--autolock"])
    });
    let key = key_of(&fleet.hosts[0]);
    assert!(
        key.starts_with("SWMKEY-1-") && said.contains(&key),
        "{said}"
    );
    assert!(!is_below(&fleet.hosts[0].path("state"), key.as_bytes()));
    Some((fleet, key))
}

#[test]
fn locked_managers_wait_for_the_key_and_what_runs_goes_on() {
    let Some((mut fleet, key)) = locked("locked") else {
        return;
    };
    // The manager waits, what runs on its host runs on, and the worker is never asked.
    let containers = fleet.hosts[0].skep(&["container", "ls", "-q"]);
    for at in [0, 2] {
        fleet.hosts[at].kill_daemon();
        fleet.hosts[at].start_daemon();
    }
    let manager = &fleet.hosts[0];
    assert_eq!(state(manager), "locked");
    assert_eq!(state(&fleet.hosts[2]), "active");
    assert_eq!(manager.skep(&["container", "ls", "-q"]), containers);
    check_fails(
        &manager.try_skep(&["node", "ls"]),
        "Swarm is encrypted and needs to be unlocked",
    );
    check_fails(
        &manager.try_skep(&["swarm", "leave"]),
        "Swarm is encrypted and locked.",
    );
    let wrong = key.replacen(&key[20..23], "zzz", 1);
    for wrong in [&*wrong, "SWMKEY-1-", ""] {
        check_fails(
            &unlock(manager, wrong),
            "swarm could not be unlocked: invalid key provided",
        );
    }
    assert!(unlock(manager, &key).status.success());
    check_fails(&unlock(manager, &key), "swarm is not locked");
    manager.until("all are there", || {
        (0..3).all(|number| fleet.node(number, "Status") == "Ready")
    });
    assert_eq!(manager.skep(&["container", "ls", "-q"]), containers);
    manager.until("all tasks run", || {
        fleet.spread("web").iter().sum::<usize>() == 3
    });
}

#[test]
fn only_the_newest_key_opens_and_none_is_asked_for_without_a_lock() {
    let Some((mut fleet, key)) = locked("relock") else {
        return;
    };
    // Only the newest key opens; a manager whose lock is taken off starts by itself.
    relock(&fleet.hosts[0], || {
        fleet.hosts[0].skep(&["swarm", "unlock-key", "--rotate", "-q"])
    });
    let newer = key_of(&fleet.hosts[1]);
    assert_ne!(newer, key);
    fleet.hosts[0].stop_daemon();
    fleet.hosts[0].start_daemon();
    check_fails(&unlock(&fleet.hosts[0], &key), "invalid key provided");
    let unlocked = match tools::docker_clis().first() {
        Some(cli) => {
            let format = "{{.Swarm.LocalNodeState}}";
            let state = fleet.hosts[0].docker(cli, &["info", "--format", format]);
            assert_eq!(state, "locked\n");
            let command = fleet.hosts[0].docker_command(cli, &["swarm", "unlock"]);
            told_to(command, &newer)
        }
        None => unlock(&fleet.hosts[0], &newer),
    };
    assert!(unlocked.status.success(), "{unlocked:?}");
    relock(&fleet.hosts[0], || {
        fleet.hosts[0].until("it leads or follows", || {
            let update = fleet.hosts[0].try_skep(&["swarm", "update", "--autolock=false"]);
            update.status.success()
        });
    });
    check_fails(
        &fleet.hosts[1].try_skep(&["swarm", "unlock-key"]),
        "no unlock key is set",
    );
    fleet.hosts[0].stop_daemon();
    fleet.hosts[0].start_daemon();
    fleet.hosts[0].until("it starts by itself", || state(&fleet.hosts[0]) == "active");
}

#[test]
fn a_locked_host_can_leave_and_a_locked_backup_be_restored() {
    let Some((mut fleet, key)) = locked("lockout") else {
        return;
    };
    let backup = fleet.hosts[0].path("backup");
    let backup = backup.to_str().unwrap();
    fleet.hosts[0].skep(&["swarm", "backup", backup]);
    let backed_up = std::fs::read(backup).unwrap();
    assert!(!backed_up.windows(5).any(|part| part == b"tiger"));

    // A locked host can be taken out all the same, with everything that ran there.
    fleet.hosts[0].kill_daemon();
    fleet.hosts[0].start_daemon();
    assert_eq!(state(&fleet.hosts[0]), "locked");
    fleet.hosts[0].skep(&["swarm", "leave", "--force"]);
    assert_eq!(state(&fleet.hosts[0]), "inactive");
    assert_eq!(container_count(&fleet.hosts[0]), 0);

    // What was backed up while it was locked is restored with the key of then, and locked again.
    let restore = ["swarm", "restore", backup];
    check_fails(
        &told(&fleet.hosts[0], &restore, ""),
        "the backup could not be unlocked: invalid key provided",
    );
    let restored = told(&fleet.hosts[0], &restore, &key);
    assert!(restored.status.success(), "{restored:?}");
    let secrets = fleet.hosts[0].skep(&["secret", "ls", "--format", "{{.Name}}"]);
    assert_eq!(secrets, "password\n");
    fleet.hosts[0].stop_daemon();
    fleet.hosts[0].start_daemon();
    assert_eq!(state(&fleet.hosts[0]), "locked");
}
