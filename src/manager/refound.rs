//! A swarm that goes on with one manager: all that is known of it, under a new beginning.
//!
//! A manager whose quorum is gone for good, or a host that was given a backup, becomes the only
//! member. It takes everything that its log has, also what it does not know to be committed: that
//! may have been acknowledged. Its raft id is a new one, so nothing that is said to the old one is
//! meant for it, and its term lies far above all that managers which are gone may have come to.
//! Those are workers from here on, so none of them comes back with its old log.

use crate::manager::run::StartError;
use crate::model::change::{Batch, Change, NewNode};
use crate::model::id::NodeId;
use crate::model::object::{ManagerMember, Node, NodeState, NodeStatus};
use crate::model::record::{self, Row};
use crate::model::spec::node::{Availability, NodeDescription, NodeSpec, Role};
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::node as raft;
use crate::raft::record::{Anchor, ConfState, Entry, EntryKind, HardState, Position};
use crate::store::manager_store::Opened;

/// More elections than managers that are gone can have held.
const TERMS: u64 = 1 << 20;

/// Who is left.
#[derive(Clone, Debug)]
pub struct Survivor {
    pub node: NodeId,
    /// One that nobody has had.
    pub raft_id: u64,
    /// The address that other nodes reach it at, and the one of its manager with the port.
    pub address: String,
    pub manager_address: String,
    /// What it is, if it was no node of the swarm before.
    pub newcomer: Option<Newcomer>,
}

/// A host that becomes a node by this.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub description: NodeDescription,
    /// The digest of its public key.
    pub key: [u8; 32],
}

/// The state that the swarm goes on from, and where its log begins.
#[derive(Clone, Debug)]
pub struct Refounded {
    pub anchor: Anchor,
    pub rows: Vec<Row>,
}

impl Refounded {
    /// What a store has that begins with this.
    pub fn opened(self) -> Opened {
        let rows = self.rows.into_iter();
        Opened {
            log: self.anchor.into(),
            rows: rows.filter_map(|(key, row)| Some((key, row?))).collect(),
        }
    }
}

/// Makes `survivor` the only manager of the swarm that a store holds.
pub fn refound(opened: Opened, survivor: Survivor, now: Time) -> Result<Refounded, StartError> {
    let anchor = opened.log.anchor;
    let mut last = anchor.applied;
    let mut state = record::restore(last.index, opened.rows).map_err(StartError::State)?;
    let missing = |entry: &&Entry| entry.index > anchor.applied.index;
    for entry in opened.log.entries.iter().filter(missing) {
        let batch = match entry.kind {
            EntryKind::Normal if !entry.data.is_empty() => {
                record::decode_batch(&entry.data).map_err(StartError::State)?
            }
            EntryKind::Normal | EntryKind::Members => Batch::default(),
        };
        state.apply(entry.index, &batch);
        last = Position {
            index: entry.index,
            term: entry.term,
        };
    }
    let is_known = state.nodes().find(survivor.node).is_some();
    if state.cluster().is_none() || is_known == survivor.newcomer.is_some() {
        return Err(StartError::Stranger);
    }
    let applied = Position {
        index: last.index.saturating_add(1),
        term: anchor.hard_state.term.max(last.term).saturating_add(TERMS),
    };
    let voter = survivor.raft_id;
    let voters = vec![voter];
    let changes = changes(&state, survivor, now);
    state.apply(applied.index, &Batch { at: now, changes });
    let rows = state.objects().map(|id| record::row(&state, id));
    let rows = rows.collect::<Result<_, _>>().map_err(StartError::Row)?;
    let anchor = Anchor {
        applied,
        hard_state: HardState {
            term: applied.term,
            vote: 0,
            commit: applied.index,
        },
        conf_state: ConfState {
            voters,
            ..ConfState::default()
        },
    };
    // Nothing is stored that could not be gone on with.
    raft::Node::new(voter, anchor.clone().into(), 0).map_err(StartError::Log)?;
    Ok(Refounded { anchor, rows })
}

/// The survivor is the manager, and the others are workers.
fn changes(state: &State, survivor: Survivor, now: Time) -> Vec<Change> {
    let Survivor { node: own, .. } = survivor;
    let mut changes = Vec::new();
    let mut set_role = |node: &Node, role| {
        if node.spec.role != role {
            let spec = NodeSpec {
                role,
                ..node.spec.clone()
            };
            changes.push(Change::UpdateNode { id: node.id, spec });
        }
    };
    for node in state.nodes().iter() {
        set_role(
            node,
            match node.id == own {
                true => Role::Manager,
                false => Role::Worker,
            },
        );
    }
    let others = state.managers().filter(|node| node.id != own);
    changes.extend(others.map(|node| Change::SetManager {
        id: node.id,
        manager: None,
    }));
    let manager = Some(ManagerMember {
        raft_id: survivor.raft_id,
        address: survivor.manager_address,
    });
    if let Some(Newcomer { description, key }) = survivor.newcomer {
        changes.push(Change::CreateNode(NewNode {
            id: own,
            spec: NodeSpec {
                role: Role::Manager,
                availability: Availability::Active,
                ..NodeSpec::default()
            },
            description,
            status: NodeStatus {
                state: NodeState::Unknown,
                address: survivor.address,
                since: now,
                ..NodeStatus::default()
            },
            manager,
            key: Some(key),
        }));
        return changes;
    }
    changes.push(Change::SetManager { id: own, manager });
    if let Some(node) = state.nodes().find(own) {
        let status = NodeStatus {
            address: survivor.address,
            ..node.status.clone()
        };
        changes.push(Change::SetNodeStatus { id: own, status });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::manager::genesis::genesis;
    use crate::manager::tests::swarm::{NODE, a_genesis};
    use crate::manager::{Event, run};
    use crate::raft::record::Restored;

    const NOW: Time = Time(1_800_000_000_000);

    fn node(number: u128, role: Role) -> Change {
        let raft_id = u64::try_from(number).unwrap();
        let address = format!("10.0.0.{number}:2377");
        let manager = (role == Role::Manager).then_some(ManagerMember { raft_id, address });
        Change::CreateNode(NewNode {
            id: NodeId(number),
            spec: NodeSpec {
                role,
                ..NodeSpec::default()
            },
            description: NodeDescription::default(),
            status: NodeStatus::default(),
            manager,
            key: None,
        })
    }

    /// A store of one of three managers, whose log has a node that it does not know is committed.
    fn opened() -> Opened {
        let mut changes = genesis(a_genesis(), NOW);
        changes.extend([node(2, Role::Manager), node(3, Role::Manager)]);
        let mut state = State::default();
        let anchor = Anchor::bootstrap(vec![1, 2, 3]);
        state.apply(anchor.applied.index, &Batch { at: NOW, changes });
        let rows = state.objects().map(|id| record::row(&state, id).unwrap());
        let rows = rows.filter_map(|(key, row)| Some((key, row?))).collect();
        let late = Batch {
            at: NOW,
            changes: vec![node(4, Role::Worker)],
        };
        let entry = Entry {
            index: 2,
            term: 7,
            kind: EntryKind::Normal,
            data: record::encode_batch(&late).unwrap().into(),
        };
        let log = Restored {
            before: anchor.applied,
            anchor,
            entries: vec![entry],
        };
        Opened { log, rows }
    }

    fn survivor(node: u128) -> Survivor {
        Survivor {
            node: NodeId(node),
            raft_id: 99,
            address: "10.0.0.9".into(),
            manager_address: "10.0.0.9:2377".into(),
            newcomer: None,
        }
    }

    #[test]
    fn one_manager_goes_on_with_all_that_its_log_has_and_the_others_are_workers() {
        let opened = refound(opened(), survivor(2), NOW).unwrap().opened();
        let Position { index, term } = opened.log.anchor.applied;
        assert_eq!((index, term), (3, 7 + TERMS));
        // The host noted its old raft id last.
        let mut manager = run::resume_of(opened, NodeId(2), 2, 5).unwrap();
        assert_eq!(manager.raft().id(), 99);
        manager.step(NOW, &mut Rng::from_seed(1), Event::Tick);
        assert_eq!(
            manager.raft().leadership().leader,
            Some(99),
            "it leads alone"
        );
        let state = manager.state();
        let roles = state.nodes().iter().map(|node| (node.id.0, node.spec.role));
        let expect = [
            (2, Role::Manager),
            (3, Role::Worker),
            (4, Role::Worker),
            (NODE.0, Role::Worker),
        ];
        assert_eq!(roles.collect::<Vec<_>>(), expect);
        let managers: Vec<_> = state.managers().map(|node| node.manager.clone()).collect();
        let address = "10.0.0.9:2377".to_owned();
        let raft_id = 99;
        assert_eq!(managers, [Some(ManagerMember { raft_id, address })]);
    }

    #[test]
    fn a_host_that_was_no_node_becomes_the_manager_of_a_swarm_whose_state_it_was_given() {
        let newcomer = Some(Newcomer {
            description: NodeDescription::default(),
            key: [5; 32],
        });
        let new = Survivor {
            newcomer,
            ..survivor(50)
        };
        let opened = refound(opened(), new, NOW).unwrap().opened();
        let state = record::restore(3, opened.rows).unwrap();
        let managers: Vec<_> = state.managers().map(|node| (node.id.0, node.key)).collect();
        assert_eq!(managers, [(50, Some([5; 32]))]);
        assert_eq!(state.nodes().iter().count(), 5);
    }

    #[test]
    fn numbers_that_no_log_reaches_are_refused() {
        let mut opened = opened();
        opened.log.entries.clear();
        opened.log.anchor.hard_state.term = u64::MAX;
        opened.log.anchor.applied.index = u64::MAX;
        let refused = refound(opened, survivor(2), NOW).unwrap_err();
        assert!(matches!(refused, StartError::Log(_)), "{refused}");
    }

    #[test]
    fn who_is_no_node_of_the_swarm_or_knows_nothing_of_it_does_not_go_on_with_it() {
        for (opened, node) in [(opened(), 50), (Opened::default(), 1)] {
            let refused = refound(opened, survivor(node), NOW).unwrap_err();
            assert_eq!(refused.to_string(), StartError::Stranger.to_string());
        }
    }
}
