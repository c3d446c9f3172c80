//! `node doctor`: nodes say what keeps them from doing their part.

use crate::fleet::Fleet;
use crate::host::Host;
use crate::networks::at;

/// What it prints of a node, and whether all is well.
fn asked(host: &Host, node: &str) -> (String, bool) {
    let output = host.try_skep(&["node", "doctor", node]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.success())
}

#[test]
fn a_manager_asks_any_node_what_it_lacks_and_whom_it_cannot_reach() {
    let Some(fleet) = Fleet::start("doctor", 3) else {
        return;
    };
    let manager = &fleet.hosts[0];
    manager.skep(&["network", "create", "-d", "overlay", "front"]);
    let create = "service create -q --name web --mode global --network front bb:1 sleep 1000";
    manager.skep(&create.split(' ').collect::<Vec<_>>());
    let worker = fleet.lan.seat(1).hostname;
    manager.until("every node answers every other", || {
        let (said, is_well) = asked(manager, &worker);
        let count = |text: &str| said.lines().filter(|line| line.contains(text)).count();
        is_well && count("answers at") == 2 && count(":2377 answers") == 1
    });
    let (said, _) = asked(manager, &worker);
    for check in [
        "control groups",
        "overlayfs",
        "packet rules",
        "firewall",
        "disk",
        "clock",
    ] {
        assert!(said.contains(&format!("  {check}  ")), "{check}: {said}");
    }

    // As behind a firewall: the managers reach the third node, the second does not.
    let third = fleet.lan.seat(2).address.to_string();
    at(
        &fleet.lan.seat(1),
        &["ip", "route", "add", "blackhole", &third],
    );
    let (said, is_well) = asked(manager, &worker);
    assert!(
        !is_well && said.contains("tunnels: let 4789/udp in"),
        "{said}"
    );
    assert!(asked(manager, "self").1);
    let json = manager.try_skep(&["node", "doctor", "--format", "json"]);
    assert!(String::from_utf8_lossy(&json.stdout).starts_with("{\"Check\":"));
}
