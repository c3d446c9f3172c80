//! Bad input, from a user's hand or a host's own disk: one line that says what was wrong, and
//! nothing lost.

use std::fs;

use crate::host::Host;

#[test]
fn what_skep_cannot_honour_is_refused_by_name() {
    let Some(host) = Host::swarm("refused") else {
        return;
    };
    let refused = |args: &[&str], expected: &str| {
        let args = [&["service", "create", "-d"], args].concat();
        let output = host.try_skep(&args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{args:?} was taken");
        assert!(
            error.contains(expected) && error.trim().lines().count() == 1,
            "{args:?}: {error}"
        );
    };
    refused(&["--name", "bad name", "bb:1"], "name");
    refused(&["--network", "nosuch", "bb:1"], "nosuch");
    refused(&["--secret", "nosuch", "bb:1"], "nosuch");
    refused(
        &["--constraint", "node.role~manager", "bb:1"],
        "node.role~manager",
    );
    assert!(host.skep(&["service", "ls", "-q"]).is_empty());
}

#[test]
fn a_task_whose_image_is_unknown_is_rejected_and_says_so() {
    let Some(host) = Host::swarm("unknown") else {
        return;
    };
    host.skep(&["service", "create", "-d", "--name", "ghost", "nosuch:1"]);
    host.until("the task is rejected", || {
        let args = [
            "service",
            "ps",
            "ghost",
            "--no-trunc",
            "--format",
            "{{.Error}}",
        ];
        String::from_utf8_lossy(&host.try_skep(&args).stdout).contains("nosuch:1")
    });
}

#[test]
fn a_host_without_the_key_to_what_it_keeps_says_what_helps_and_that_does_help() {
    let Some(mut host) = Host::swarm("keyless") else {
        return;
    };
    let [vault, member] = ["state/vault", "state/member"].map(|name| host.path(name));
    host.stop_daemon();
    let whole = fs::read(&vault).expect("a vault");
    let refused = |expected: &str| {
        let output = host.daemon_command().output().expect("skep runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains(expected),
            "{error}"
        );
        let advice = "or remove";
        assert!(
            error.contains(advice) && error.contains("\"member\""),
            "{error}"
        );
    };

    fs::write(&vault, "not a vault").expect("a damaged vault");
    refused("state/vault is damaged");
    fs::remove_file(&vault).expect("no vault");
    refused("state/identity does not open with the file \"vault\" beside it");

    // The first piece of advice, and then, with the vault lost again, the other one.
    let state = |host: &Host| host.skep(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
    fs::write(&vault, whole).expect("the vault is back");
    host.start_daemon();
    assert_eq!(state(&host), "active\n");
    host.stop_daemon();
    for lost in [vault, member] {
        fs::remove_file(lost).expect("it was there");
    }
    host.start_daemon();
    assert_eq!(state(&host), "inactive\n");
    assert!(!host.path("state/identity").exists(), "it opens for nobody");
    host.skep(&["swarm", "init"]);
}
