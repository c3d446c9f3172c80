//! The swarm itself and its nodes.

use std::sync::Arc;

use crate::manager::control::{Presence, check_spec, check_version, done, lookup, members};
use crate::manager::draft::Draft;
use crate::model::change::Change;
use crate::model::object::{Cluster, Node, NodeState};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::{NodeSpec, Role};
use crate::model::state::State;
use crate::model::trust::NewTokens;
use crate::model::validate;
use crate::wire::control::{NewRoot, NodeView, ObjectKind, Refusal, Response};

/// The swarm as it is answered: the root's key stays with the managers.
pub fn cluster(state: &State) -> Result<Arc<Cluster>, Refusal> {
    let shown = Cluster::clone(own(state)?);
    Ok(Arc::new(Cluster {
        trust: shown.trust.without_keys(),
        ..shown
    }))
}

pub(super) fn own(state: &State) -> Result<&Arc<Cluster>, Refusal> {
    state.cluster().ok_or(Refusal::NoLeader)
}

pub fn view(presence: &Presence, node: &Arc<Node>) -> NodeView {
    let member = node.manager.as_ref().map(|member| member.raft_id);
    NodeView {
        node: node.clone(),
        leader: member.is_some() && member == presence.leader,
        // One that has yet to get the log is of no help to a quorum.
        reachable: member.is_some_and(|id| presence.has(id)),
    }
}

pub fn update_cluster(
    draft: &mut Draft<'_>,
    version: u64,
    spec: ClusterSpec,
    tokens: NewTokens,
    root: Option<Box<NewRoot>>,
) -> Result<Response, Refusal> {
    let old = own(draft.state())?;
    check_version(ObjectKind::Cluster, old.id, old.meta.version, version)?;
    check_spec(ObjectKind::Cluster, &spec, validate::cluster(&spec))?;
    let rotation = match root {
        _ if spec.ca.force_rotate == old.spec.ca.force_rotate => None,
        _ if old.trust.rotation.is_some() => return Err(Refusal::Rotating),
        Some(new) if new.old == old.trust.root => Some(new.rotation),
        _ => {
            let why = "it does not know the newest root yet; try again";
            return Err(Refusal::NoCertificate(why.to_owned()));
        }
    };
    if spec.autolock_managers && old.trust.unlock.or(tokens.unlock).is_none() {
        return Err(Refusal::NoUnlockKey);
    }
    let tokens = NewTokens {
        unlock: tokens.unlock.filter(|_| spec.autolock_managers),
        ..tokens
    };
    draft.push(Change::UpdateCluster { spec });
    if let Some(rotation) = rotation {
        draft.push(Change::BeginRotation(rotation));
    }
    if tokens != NewTokens::default() {
        draft.push(Change::RotateTokens(tokens));
    }
    Ok(done())
}

pub fn update(
    draft: &mut Draft<'_>,
    presence: &Presence,
    reference: &str,
    version: u64,
    spec: NodeSpec,
) -> Result<Response, Refusal> {
    let node = lookup::node(draft.state(), reference)?.clone();
    let id = node.id;
    check_version(ObjectKind::Node, id, node.meta.version, version)?;
    check_spec(ObjectKind::Node, &spec, validate::node(&spec))?;
    if node.spec.role == Role::Manager && spec.role == Role::Worker {
        members::check_demotion(draft.state(), presence, &node)?;
    }
    draft.push(Change::UpdateNode { id, spec });
    Ok(done())
}

pub fn remove(draft: &mut Draft<'_>, reference: &str, force: bool) -> Result<Response, Refusal> {
    let node = lookup::node(draft.state(), reference)?;
    let id = node.id;
    if node.manager.is_some() {
        return Err(Refusal::NodeIsManager(id));
    }
    if node.status.state != NodeState::Down && !force {
        return Err(Refusal::NodeNotDown(id));
    }
    draft.push(Change::RemoveNode { id });
    Ok(done())
}
