//! Bad input from a user's hand: one line that says what was wrong, and nothing lost.

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
