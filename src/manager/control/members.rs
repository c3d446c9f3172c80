//! Managers that come, move and go: what is asked for, and whether a quorum can bear it.

use std::net::SocketAddr;

use crate::host::rng::Rng;
use crate::manager::control::Presence;
use crate::manager::draft::Draft;
use crate::model::change::Change;
use crate::model::id::NodeId;
use crate::model::object::{ManagerMember, Node, NodeStatus};
use crate::model::spec::node::Role;
use crate::model::state::State;
use crate::wire::control::{ObjectKind, Refusal, Response};

/// Refuses to demote a manager that the others cannot do without.
pub fn check_demotion(state: &State, presence: &Presence, node: &Node) -> Result<(), Refusal> {
    let stays = |other: &&_| {
        let other: &Node = other;
        other.id != node.id && other.spec.role == Role::Manager
    };
    let mut others = state.managers().map(|other| &**other).filter(stays);
    if others.next().is_none() {
        return Err(Refusal::LastManager);
    }
    match &node.manager {
        Some(member) if !presence.can_lose(member.raft_id) => Err(Refusal::LosesQuorum),
        _ => Ok(()),
    }
}

/// Gives a node's daemon its place among the managers, or says whether the one that it holds is
/// still its. One that has no log and no state gets a new raft id: under its old one it would have
/// forgotten what it promised.
pub fn take_seat(
    draft: &mut Draft<'_>,
    id: NodeId,
    held: Option<u64>,
    address: String,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    let node = draft.state().nodes().find(id).cloned();
    let node = node.ok_or_else(|| Refusal::NotFound {
        kind: ObjectKind::Node,
        reference: id.to_string(),
    })?;
    let own = node.manager.as_ref().map(|member| member.raft_id);
    if held.is_some() && held != own {
        return Err(Refusal::OldSeat(id));
    }
    if held.is_none() && node.spec.role != Role::Manager {
        return Err(Refusal::NotManager(id));
    }
    if address.parse::<SocketAddr>().is_err() {
        let start: String = address.chars().take(64).collect();
        return Err(Refusal::Invalid {
            kind: ObjectKind::Node,
            problems: vec![format!("its manager's address {start:?} is none")],
        });
    }
    let raft_id = match held {
        Some(held) => held,
        None => rng.next_u64().max(1),
    };
    let member = ManagerMember { raft_id, address };
    if node.manager.as_ref() != Some(&member) {
        let found_at = member.address.parse().ok();
        let found_at = found_at.map(|at: SocketAddr| at.ip().to_string());
        let manager = Some(member);
        draft.push(Change::SetManager { id, manager });
        if let Some(address) = found_at.filter(|at| *at != node.status.address) {
            let status = NodeStatus {
                address,
                ..node.status.clone()
            };
            draft.push(Change::SetNodeStatus { id, status });
        }
    }
    let members = draft.state().managers();
    Ok(Response::Seat {
        raft_id,
        members: members.filter_map(|node| node.manager.clone()).collect(),
    })
}
