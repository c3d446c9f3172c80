//! The swarm itself and its nodes.

use std::sync::Arc;

use crate::manager::control::{Presence, check_spec, check_version, done, lookup};
use crate::manager::draft::Draft;
use crate::model::change::Change;
use crate::model::object::{Cluster, Node, NodeState};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::NodeSpec;
use crate::model::state::State;
use crate::model::trust::NewTokens;
use crate::model::validate;
use crate::wire::control::{NodeView, ObjectKind, Refusal, Response};

/// The swarm as it is answered: the root's key stays with the managers.
pub fn cluster(state: &State) -> Result<Arc<Cluster>, Refusal> {
    let mut shown = Cluster::clone(own(state)?);
    shown.trust.key = None;
    Ok(Arc::new(shown))
}

pub(super) fn own(state: &State) -> Result<&Arc<Cluster>, Refusal> {
    state.cluster().ok_or(Refusal::NoLeader)
}

pub fn view(presence: &Presence, node: &Arc<Node>) -> NodeView {
    let member = node.manager.as_ref().map(|member| member.raft_id);
    NodeView {
        node: node.clone(),
        leader: member.is_some() && member == presence.leader,
        reachable: member.is_some_and(|id| presence.reachable.contains(&id)),
    }
}

pub fn update_cluster(
    draft: &mut Draft<'_>,
    version: u64,
    spec: ClusterSpec,
    tokens: NewTokens,
) -> Result<Response, Refusal> {
    let old = own(draft.state())?;
    check_version(ObjectKind::Cluster, old.id, old.meta.version, version)?;
    check_spec(ObjectKind::Cluster, &spec, validate::cluster(&spec))?;
    draft.push(Change::UpdateCluster { spec });
    if tokens != NewTokens::default() {
        draft.push(Change::RotateTokens(tokens));
    }
    Ok(done())
}

pub fn update(
    draft: &mut Draft<'_>,
    reference: &str,
    version: u64,
    spec: NodeSpec,
) -> Result<Response, Refusal> {
    let node = lookup::node(draft.state(), reference)?.clone();
    let id = node.id;
    check_version(ObjectKind::Node, id, node.meta.version, version)?;
    let mut problems = validate::node(&spec);
    if spec.role != node.spec.role {
        problems.push("Role: promoting and demoting are not supported yet".to_owned());
    }
    check_spec(ObjectKind::Node, &spec, problems)?;
    draft.push(Change::UpdateNode { id, spec });
    Ok(done())
}

pub fn remove(draft: &mut Draft<'_>, reference: &str, force: bool) -> Result<Response, Refusal> {
    let node = lookup::node(draft.state(), reference)?;
    let id = node.id;
    if node.manager.is_some() {
        return Err(Refusal::InUse {
            kind: ObjectKind::Node,
            name: id.to_string(),
            by: "it is a manager; demote it to a worker first".to_owned(),
        });
    }
    if node.status.state != NodeState::Down && !force {
        return Err(Refusal::NodeNotDown(id));
    }
    draft.push(Change::RemoveNode { id });
    Ok(done())
}
