//! Hosts that become nodes, and nodes that get their next certificate. What is admitted here is
//! signed where it was asked for: see [`crate::manager::certify`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::identity::authority::requested_key;
use crate::identity::token::admit;
use crate::manager::control::nodes::own;
use crate::manager::dispatcher::check_description;
use crate::manager::draft::Draft;
use crate::model::change::{Change, NewNode};
use crate::model::id::NodeId;
use crate::model::object::{ManagerMember, Node, NodeState, NodeStatus};
use crate::model::spec::node::{NodeSpec, Role};
use crate::wire::control::{ObjectKind, Refusal, Response};
use crate::wire::join::{Admission, Joining, Shown};

/// Makes the host a node, as which its token lets it join. If it is one already, by its key, the
/// answer to its first try got lost.
pub fn join(draft: &mut Draft<'_>, host: Joining, rng: &mut Rng) -> Result<Response, Refusal> {
    let trust = &own(draft.state())?.trust;
    let role = admit(trust, &host.secret, draft.at()).map_err(Refusal::Inadmissible)?;
    let counts = trust.token(role).uses_max.is_some();
    let key = requested_key(&host.request).map_err(Refusal::NoRequest)?;
    let address = check(&host)?;
    let nodes = draft.state().nodes();
    if let Some(node) = nodes.iter().find(|node| node.key == Some(key)) {
        return Ok(admission(node, host.request));
    }
    let manager = (role == Role::Manager).then(|| ManagerMember {
        raft_id: rng.next_u64().max(1),
        address: SocketAddr::from((address, host.port)).to_string(),
    });
    let id = NodeId(rng.next_u128());
    let raft_id = manager.as_ref().map(|manager| manager.raft_id);
    let since = draft.at();
    draft.push(Change::CreateNode(NewNode {
        id,
        spec: NodeSpec {
            role,
            availability: host.availability,
            ..NodeSpec::default()
        },
        description: host.description,
        status: NodeStatus {
            state: NodeState::Unknown,
            address: address.to_string(),
            since,
            ..NodeStatus::default()
        },
        manager,
        key: Some(key),
    }));
    if counts {
        draft.push(Change::UseToken(role));
    }
    Ok(Response::Admitted(Admission {
        node: id,
        role,
        raft_id,
        request: host.request,
    }))
}

/// Lets a node have a new certificate, for the role that it has by now.
pub fn renew(draft: &mut Draft<'_>, old: Shown, request: Vec<u8>) -> Result<Response, Refusal> {
    let id = old.node;
    let node = draft.state().nodes().find(id).cloned();
    let node = node.ok_or(Refusal::NodeRemoved(id))?;
    if old.ran_out && node.key != Some(old.key) {
        return Err(Refusal::OtherKey(id));
    }
    let key = requested_key(&request).map_err(Refusal::NoRequest)?;
    if node.key != Some(key) {
        draft.push(Change::SetNodeKey { id, key });
    }
    Ok(admission(&node, request))
}

fn admission(node: &Arc<Node>, request: Vec<u8>) -> Response {
    Response::Admitted(Admission {
        node: node.id,
        role: node.role(),
        raft_id: node.manager.as_ref().map(|member| member.raft_id),
        request,
    })
}

/// Checks what a host says of itself; its address.
fn check(host: &Joining) -> Result<IpAddr, Refusal> {
    let mut problems = Vec::new();
    problems.extend(check_description(&host.description).err());
    let address = host.address.parse().ok();
    if address.is_none_or(|address: IpAddr| address.is_unspecified()) {
        let start: String = host.address.chars().take(64).collect();
        problems.push(format!(
            "its address {start:?} is none that others can reach"
        ));
    }
    match address {
        Some(address) if problems.is_empty() => Ok(address),
        _ => Err(Refusal::Invalid {
            kind: ObjectKind::Node,
            problems,
        }),
    }
}
