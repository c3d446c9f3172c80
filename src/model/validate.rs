//! Specs are checked once, at the door, and everything behind it may rely on them. All problems of
//! a spec are found at once; each line names the field as Docker's JSON does, the value, and what
//! would be right. What skep cannot honour yet is a problem too: nothing is ignored.

mod container;
mod network;
mod resource;
mod service;
mod volume;

use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::container::ContainerSpec;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::NodeSpec;
use crate::model::spec::service::ServiceSpec;
use crate::model::spec::{ConfigSpec, Labels, SecretSpec};

/// The longest label or option, key or value.
const TEXT_BYTES_MAX: usize = 64 << 10;
const HEARTBEAT_NS_MIN: i64 = 500_000_000;
const HEARTBEAT_NS_MAX: i64 = 3_600_000_000_000;
const ELECTION_TICK_MAX: u32 = 36_000;
const CERT_EXPIRY_NS_MIN: i64 = 3_600_000_000_000;

/// Collects what is wrong with a spec.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// Notes `problem` unless `fine`.
    fn check(&mut self, fine: bool, problem: impl FnOnce() -> String) {
        if !fine {
            self.0.push(problem());
        }
    }

    /// Notes a field that skep does not honour yet, unless it is `absent`.
    fn unsupported(&mut self, absent: bool, field: &str, instead: &str) {
        self.check(absent, || format!("{field}: not supported yet; {instead}"));
    }
}

/// What is wrong with a service's spec.
pub fn service(spec: &ServiceSpec) -> Vec<String> {
    let mut problems = Problems::default();
    service::check(spec, &mut problems);
    problems.0
}

/// What is wrong with a container.
pub fn container(spec: &ContainerSpec) -> Vec<String> {
    let mut problems = Problems::default();
    container::check(spec, &mut problems);
    problems.0
}

/// What is wrong with the options of a volume of the `local` driver.
pub fn volume_options(options: &Labels) -> Vec<String> {
    let mut problems = Problems::default();
    volume::check_options(options, &mut problems);
    problems.0
}

/// What is wrong with a secret.
pub fn secret(spec: &SecretSpec) -> Vec<String> {
    let mut problems = Problems::default();
    resource::check_secret(spec, &mut problems);
    problems.0
}

/// What is wrong with a config.
pub fn config(spec: &ConfigSpec) -> Vec<String> {
    let mut problems = Problems::default();
    resource::check_config(spec, &mut problems);
    problems.0
}

/// What is wrong with a network's spec.
pub fn network(spec: &NetworkSpec) -> Vec<String> {
    let mut problems = Problems::default();
    network::check(spec, &mut problems);
    problems.0
}

/// What is wrong with a node's spec.
pub fn node(spec: &NodeSpec) -> Vec<String> {
    let mut problems = Problems::default();
    problems.unsupported(spec.name.is_empty(), "Name", "leave it out");
    for (key, value) in &spec.labels {
        check_label("Labels", key, value, &mut problems);
    }
    problems.0
}

/// What is wrong with a swarm's settings.
pub fn cluster(spec: &ClusterSpec) -> Vec<String> {
    let mut problems = Problems::default();
    let name = &spec.name;
    problems.check(name == "default", || {
        format!("Name: {name:?}: swarm spec must be named \"default\"")
    });
    let period = spec.heartbeat_period_ns;
    problems.check(
        (HEARTBEAT_NS_MIN..=HEARTBEAT_NS_MAX).contains(&period),
        || format!("Dispatcher.HeartbeatPeriod: {period} ns: must be between 500ms and 1h"),
    );
    let (heartbeat, election) = (spec.raft.heartbeat_tick, spec.raft.election_tick);
    problems.check((1..election).contains(&heartbeat), || {
        format!("Raft.ElectionTick: {election}: must be greater than HeartbeatTick ({heartbeat})")
    });
    problems.check(election <= ELECTION_TICK_MAX, || {
        format!("Raft.ElectionTick: {election}: must be at most {ELECTION_TICK_MAX} (an hour)")
    });
    let expiry = spec.ca.node_cert_expiry_ns;
    problems.check(expiry >= CERT_EXPIRY_NS_MIN, || {
        format!("CAConfig.NodeCertExpiry: {expiry} ns: must be at least 1h")
    });
    problems.unsupported(
        spec.ca.signing_ca_cert.is_empty(),
        "CAConfig.SigningCACert",
        "leave it out",
    );
    problems.unsupported(
        spec.log_driver.as_ref().is_none_or(|d| d.name.is_empty()),
        "TaskDefaults.LogDriver",
        "leave it out",
    );
    problems.0
}

/// Docker's rule for the names of services and networks.
fn check_name(name: &str, problems: &mut Problems) {
    let bytes = name.as_bytes();
    let ends_fine = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let middle_fine = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    if bytes.is_empty() {
        problems.add("Name: name must be provided");
    } else if bytes.len() > 63 {
        problems.add(format!(
            "Name: {name:?}: name must be 63 characters or fewer"
        ));
    } else if !(ends_fine(bytes.first())
        && ends_fine(bytes.last())
        && bytes.iter().all(middle_fine))
    {
        problems.add(format!(
            "Name: {name:?}: name must be valid as a DNS name component"
        ));
    }
}

fn check_label(field: &str, key: &str, value: &str, problems: &mut Problems) {
    problems.check(!key.is_empty(), || {
        format!("{field}: a label must have a name")
    });
    let fits = key.len().max(value.len()) <= TEXT_BYTES_MAX;
    problems.check(fits, || {
        let start: String = key.chars().take(32).collect();
        format!("{field}: {start:?}: longer than {TEXT_BYTES_MAX} bytes")
    });
}

#[cfg(test)]
mod tests;
