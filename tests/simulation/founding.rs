//! What every story begins with.

use skep::host::rng::Rng;
use skep::manager::genesis::{Genesis, genesis};
use skep::model::change::{Batch, Change, NewNode};
use skep::model::id::{ClusterId, NodeId, SecretId};
use skep::model::object::{ManagerMember, NodeStatus};
use skep::model::spec::SecretSpec;
use skep::model::spec::cluster::ClusterSpec;
use skep::model::spec::container::{FileTarget, SecretReference};
use skep::model::spec::node::{Availability, NodeDescription, NodeSpec, Role};
use skep::model::time::Time;
use skep::model::trust::{JoinToken, TokenSecret, Trust};

use crate::world::address_of;

const START: Time = Time(1_800_000_000_000);
/// Secrets that services may name.
pub const SECRETS: u64 = 3;

/// How a service names a secret.
pub fn secret(number: u64) -> SecretReference {
    let name = format!("secret{number}");
    SecretReference {
        file: Some(FileTarget {
            name: name.clone(),
            ..FileTarget::default()
        }),
        secret_id: SecretId(number.into()).to_string(),
        secret_name: name,
    }
}

/// The first log entry: the swarm, the managers' nodes, and the other hosts.
pub fn founding(managers: u64, hosts: u64, dice: &mut Rng) -> Batch {
    let mut spec = ClusterSpec::default();
    if dice.below(2) == 0 {
        // The log is soon too short for whoever lags.
        spec.raft.snapshot_interval = 20;
        spec.raft.log_entries_for_slow_followers = dice.below(4);
    }
    let token = |byte| JoinToken::new(TokenSecret([byte; 16]));
    let start = Genesis {
        cluster: ClusterId(1),
        spec,
        address_pools: vec!["10.0.0.0/8".into()],
        subnet_size: 24,
        data_path_port: 4789,
        node: NodeId(1),
        description: NodeDescription::default(),
        availability: Availability::Active,
        address: "127.0.0.1".into(),
        manager_address: "127.0.0.1:2377".into(),
        raft_id: 1,
        key: None,
        trust: Trust {
            root: b"root".to_vec(),
            key: None,
            worker: token(1),
            manager: token(2),
            rotation: None,
            unlock: None,
        },
    };
    let mut changes = genesis(start, START);
    changes.extend((1..=SECRETS).map(|number| Change::CreateSecret {
        id: SecretId(number.into()),
        spec: SecretSpec {
            name: format!("secret{number}"),
            data: vec![7; 100],
            ..SecretSpec::default()
        },
    }));
    changes.extend((2..=hosts).map(|number| {
        let member = ManagerMember {
            raft_id: number,
            address: address_of(usize::try_from(number - 1).unwrap()),
        };
        let manager = Some(member).filter(|_| number <= managers);
        let role = match manager {
            Some(_) => Role::Manager,
            None => Role::Worker,
        };
        Change::CreateNode(NewNode {
            id: NodeId(number.into()),
            spec: NodeSpec {
                role,
                ..NodeSpec::default()
            },
            description: NodeDescription::default(),
            status: NodeStatus::default(),
            manager,
            key: None,
        })
    }));
    Batch { at: START, changes }
}
