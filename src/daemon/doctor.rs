//! `node doctor`: looks for what keeps this host from doing its part in a swarm, and says what
//! mends it. Nothing is changed.

mod clock;
mod kernel;
mod packets;
mod reach;
mod storage;

use std::path::PathBuf;

use crate::api::context::{Finding, Outcome};
use crate::daemon::doctor::packets::Ports;
use crate::daemon::member::Member;
use crate::daemon::networks::HostNetworks;
use crate::host::wait::blocking;
use crate::transport::tls::credentials::Keyring;

/// What is looked at.
#[derive(Debug)]
pub struct Patient {
    pub state_dir: PathBuf,
    /// Its part in a swarm, if it has one.
    pub part: Option<Part>,
}

/// A host's part in a swarm.
#[derive(Debug)]
pub struct Part {
    pub member: Member,
    pub networks: HostNetworks,
    pub keyring: Keyring,
}

/// Everything that can be said of a host.
pub async fn examine(patient: Patient) -> Vec<Finding> {
    let Patient { state_dir, part } = patient;
    let mut ports = Ports::default();
    let mut reached = Vec::new();
    if let Some(part) = part {
        let member = part.member;
        ports.manager = member.raft_id.map(|_| member.listen.port());
        reached.extend(reach::managers(&part.keyring, &member.managers).await);
        let (tunnels, port) = reach::tunnels(&part.networks).await;
        reached.extend(tunnels);
        ports.tunnel = port.unwrap_or(ports.tunnel);
    }
    let mut found = blocking(move || {
        let mut found = kernel::examine();
        found.extend(packets::examine(ports));
        found.extend(storage::examine(&state_dir));
        found.push(clock::examine());
        found
    })
    .await;
    found.extend(reached);
    found
}

/// Warns in the log of packet rules that may drop what this host needs.
pub async fn warn_of_rules(manager: Option<u16>) {
    let ports = Ports {
        manager,
        ..Ports::default()
    };
    let found = blocking(move || packets::examine(ports)).await;
    for bad in found.iter().filter(|found| found.outcome != Outcome::Ok) {
        tracing::warn!("{}: {}; {}", bad.check, bad.found, bad.mend);
    }
}

fn ok(check: &str, found: impl Into<String>) -> Finding {
    finding(Outcome::Ok, check, found, "")
}

fn warn(check: &str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
    finding(Outcome::Warning, check, found, mend)
}

fn fail(check: &str, found: impl Into<String>, mend: impl Into<String>) -> Finding {
    finding(Outcome::Failure, check, found, mend)
}

fn finding(
    outcome: Outcome,
    check: &str,
    found: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    Finding {
        check: check.to_owned(),
        outcome,
        found: found.into(),
        mend: mend.into(),
    }
}

/// An empty directory of a test.
#[cfg(test)]
fn scratch(line: u32) -> PathBuf {
    let name = format!("skep-doctor-{line}-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    dir
}
