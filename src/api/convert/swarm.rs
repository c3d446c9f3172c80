//! The swarm's own settings.

use crate::api::convert::task_spec::{read_driver, show_driver};
use crate::api::types::ObjectVersion;
use crate::api::types::node::TlsInfo;
use crate::api::types::swarm as json;
use crate::api::types::timestamp::rfc3339;
use crate::identity::certificate::Facts;
use crate::identity::text::{base64, certificate_pem};
use crate::identity::token::Token;
use crate::model::object::Cluster;
use crate::model::spec::cluster as model;
use crate::model::spec::node::Role;

/// The spec that a client gave. As in Docker, what it leaves at zero stays what it is in `now`.
pub fn read(given: json::SwarmSpec, now: &model::ClusterSpec) -> model::ClusterSpec {
    let history = given.orchestration.task_history_retention_limit;
    model::ClusterSpec {
        name: or(given.name, &now.name),
        labels: given.labels,
        orchestration: model::Orchestration {
            task_history_limit: history.or(now.orchestration.task_history_limit),
        },
        raft: model::RaftSettings {
            snapshot_interval: or(given.raft.snapshot_interval, &now.raft.snapshot_interval),
            keep_old_snapshots: given
                .raft
                .keep_old_snapshots
                .or(now.raft.keep_old_snapshots),
            log_entries_for_slow_followers: or(
                given.raft.log_entries_for_slow_followers,
                &now.raft.log_entries_for_slow_followers,
            ),
            election_tick: or(given.raft.election_tick, &now.raft.election_tick),
            heartbeat_tick: or(given.raft.heartbeat_tick, &now.raft.heartbeat_tick),
        },
        heartbeat_period_ns: or(given.dispatcher.heartbeat_period, &now.heartbeat_period_ns),
        ca: model::CaSettings {
            node_cert_expiry_ns: or(
                given.ca_config.node_cert_expiry,
                &now.ca.node_cert_expiry_ns,
            ),
            signing_ca_cert: or(given.ca_config.signing_ca_cert, &now.ca.signing_ca_cert),
            force_rotate: or(given.ca_config.force_rotate, &now.ca.force_rotate),
        },
        log_driver: given.task_defaults.log_driver.map(read_driver),
        autolock_managers: given.encryption_config.auto_lock_managers,
    }
}

/// The swarm with its join tokens, for who manages it.
pub fn show(cluster: &Cluster) -> json::Swarm {
    let token = |role| {
        let token = Token::new(&cluster.trust.root, cluster.trust.token(role).secret);
        token.text().to_string()
    };
    json::Swarm {
        join_tokens: json::JoinTokens {
            worker: token(Role::Worker),
            manager: token(Role::Manager),
        },
        ..show_openly(cluster)
    }
}

/// The swarm without what lets a node join it.
pub fn show_openly(cluster: &Cluster) -> json::Swarm {
    json::Swarm {
        id: cluster.id.to_string(),
        version: ObjectVersion {
            index: cluster.meta.version,
        },
        created_at: rfc3339(cluster.meta.created_at),
        updated_at: rfc3339(cluster.meta.updated_at),
        spec: show_spec(&cluster.spec),
        // While the root is being rotated, what nodes should have by its end.
        tls_info: show_root(cluster.trust.issuer().0),
        root_rotation_in_progress: cluster.trust.rotation.is_some(),
        default_addr_pool: cluster.address_pools.clone(),
        subnet_size: cluster.subnet_size,
        data_path_port: cluster.data_path_port.into(),
        ..json::Swarm::default()
    }
}

/// Docker's words on the root that certificates are issued by.
pub fn show_root(root: &[u8]) -> TlsInfo {
    let Ok(facts) = Facts::read(root) else {
        return TlsInfo::default();
    };
    TlsInfo {
        trust_root: certificate_pem(root),
        cert_issuer_subject: base64(&facts.subject),
        cert_issuer_public_key: base64(&facts.public),
    }
}

fn show_spec(spec: &model::ClusterSpec) -> json::SwarmSpec {
    json::SwarmSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        orchestration: json::OrchestrationConfig {
            task_history_retention_limit: spec.orchestration.task_history_limit,
        },
        raft: json::RaftConfig {
            snapshot_interval: spec.raft.snapshot_interval,
            keep_old_snapshots: spec.raft.keep_old_snapshots,
            log_entries_for_slow_followers: spec.raft.log_entries_for_slow_followers,
            election_tick: spec.raft.election_tick,
            heartbeat_tick: spec.raft.heartbeat_tick,
        },
        dispatcher: json::DispatcherConfig {
            heartbeat_period: spec.heartbeat_period_ns,
        },
        ca_config: json::CaConfig {
            node_cert_expiry: spec.ca.node_cert_expiry_ns,
            signing_ca_cert: spec.ca.signing_ca_cert.clone(),
            force_rotate: spec.ca.force_rotate,
        },
        task_defaults: json::TaskDefaults {
            log_driver: spec.log_driver.as_ref().map(show_driver),
        },
        encryption_config: json::EncryptionConfig {
            auto_lock_managers: spec.autolock_managers,
        },
    }
}

fn or<T: Default + PartialEq + Clone>(given: T, now: &T) -> T {
    match given == T::default() {
        true => now.clone(),
        false => given,
    }
}
