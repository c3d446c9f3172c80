//! The way to the other nodes, as it is now.

use std::net::SocketAddr;
use std::time::Duration;

use crate::api::context::Finding;
use crate::daemon::doctor::{fail, ok, warn};
use crate::daemon::networks::HostNetworks;
use crate::host::wait::sleep;
use crate::network::tunnel::hub::Heard;
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::dial::Caller;
use crate::wire::greeting::Purpose;

/// How long other nodes may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// A handshake that is so old is from before they were asked.
const LATELY: Duration = Duration::from_secs(6);
/// The longest packet of a link that has room for 1500 bytes.
const MTU_USUAL: u32 = 1420;

/// Calls every other manager that this node knows, and makes sure that it is one.
pub async fn managers(keyring: &Keyring, all: &[SocketAddr]) -> Vec<Finding> {
    const CHECK: &str = "managers";
    let caller = Caller::member(keyring);
    let mut found = Vec::new();
    for address in all {
        let port = address.port();
        // Nobody counts a session that says nothing.
        match caller.dial(*address, Purpose::Session).await {
            Ok(connection) => {
                connection.finish().await;
                found.push(ok(CHECK, format!("{address} answers")));
            }
            Err(error) => found.push(fail(
                CHECK,
                error.to_string(),
                format!("see that its daemon runs, and that {port}/tcp is let in there"),
            )),
        }
    }
    found
}

/// Has the nodes that tunnels lead to answer; the port that they are spoken to by, if there are
/// any.
pub async fn tunnels(networks: &HostNetworks) -> (Vec<Finding>, Option<u16>) {
    if !networks.knock().await {
        return (Vec::new(), None);
    }
    sleep(ANSWER_WITHIN).await;
    let Some((port, mtu, heard)) = networks.heard().await else {
        return (Vec::new(), None);
    };
    let mut found: Vec<_> = heard.iter().map(|peer| judge(peer, port)).collect();
    if !heard.is_empty() {
        found.push(longest(mtu));
    }
    (found, Some(port))
}

fn judge(peer: &Heard, port: u16) -> Finding {
    const CHECK: &str = "tunnels";
    let Heard {
        node,
        endpoint,
        ago,
    } = peer;
    match ago {
        Some(ago) if *ago < LATELY => ok(CHECK, format!("node {node} answers at {endpoint}")),
        _ => fail(
            CHECK,
            format!("node {node} does not answer at {endpoint}: its tasks cannot be reached"),
            format!("let {port}/udp in there and here"),
        ),
    }
}

fn longest(mtu: u32) -> Finding {
    const CHECK: &str = "packets";
    let found = format!("up to {mtu} bytes go through the tunnels");
    match mtu < MTU_USUAL {
        true => warn(
            CHECK,
            found,
            "none is needed; links with an MTU of 1500 are faster",
        ),
        false => ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::context::Outcome;
    use crate::model::id::NodeId;

    #[test]
    fn a_node_that_has_not_answered_lately_does_not_answer() {
        let judged = |ago: Option<u64>| {
            let peer = Heard {
                node: NodeId(7),
                endpoint: "192.0.2.7:4789".parse().unwrap(),
                ago: ago.map(Duration::from_secs),
            };
            judge(&peer, 4789).outcome
        };
        assert_eq!(judged(Some(2)), Outcome::Ok);
        assert_eq!(judged(Some(900)), Outcome::Failure);
        assert_eq!(judged(None), Outcome::Failure);
    }
}
