//! What `docker events` shows of the swarm: the creation, update and removal of its objects.

use std::collections::BTreeMap;

use crate::model::change::{Change, NewNode};
use crate::model::object::{NodeState, Service, UpdateState};
use crate::model::spec::node::{Availability, NodeSpec, Role};
use crate::model::spec::service::ServiceSpec;
use crate::model::state::State;
use crate::model::time::Time;
use crate::wire::control::{ObjectAction, ObjectEvent, ObjectKind};

/// The event of a change; `state` is as it was before the change. Tasks have none, as in Docker.
pub fn event(state: &State, at: Time, change: &Change) -> Option<ObjectEvent> {
    use ObjectAction::{Create, Update};
    let (kind, action, id, name, attributes) = match change {
        Change::CreateCluster(new) => (
            ObjectKind::Cluster,
            Create,
            new.id.to_string(),
            "default".into(),
            Vec::new(),
        ),
        Change::UpdateCluster { .. } => {
            let id = state.cluster()?.id.to_string();
            (
                ObjectKind::Cluster,
                Update,
                id,
                "default".into(),
                Vec::new(),
            )
        }
        _ => {
            return service_event(state, at, change)
                .or_else(|| node_event(state, at, change))
                .or_else(|| resource_event(state, at, change));
        }
    };
    Some(of(at, kind, action, id, name, attributes))
}

fn service_event(state: &State, at: Time, change: &Change) -> Option<ObjectEvent> {
    use ObjectAction::{Create, Remove, Update};
    let (action, id, name, attributes) = match change {
        Change::CreateService { id, spec } => (Create, id, spec.name.clone(), Vec::new()),
        Change::UpdateService { id, spec } => {
            let old = state.services().find(*id)?;
            (Update, id, spec.name.clone(), service_changes(old, spec))
        }
        Change::RollBackService(back) => {
            let old = state.services().find(back.id)?;
            let attributes = service_changes(old, old.previous_spec.as_deref()?);
            (Update, &back.id, old.spec.name.clone(), attributes)
        }
        Change::SetUpdateStatus { id, status } => {
            let old = state.services().find(*id)?;
            let was = old.update.as_ref().map(|status| status.state);
            if was == Some(status.state) {
                return None;
            }
            let attributes = update_states(was, status.state);
            (Update, id, old.spec.name.clone(), attributes)
        }
        Change::RemoveService { id } => {
            let name = state.services().find(*id)?.spec.name.clone();
            (Remove, id, name, Vec::new())
        }
        _ => return None,
    };
    let kind = ObjectKind::Service;
    Some(of(at, kind, action, id.to_string(), name, attributes))
}

fn node_event(state: &State, at: Time, change: &Change) -> Option<ObjectEvent> {
    let (action, id, attributes) = match change {
        Change::CreateNode(NewNode { id, .. }) => (ObjectAction::Create, id, Vec::new()),
        Change::RemoveNode { id } => (ObjectAction::Remove, id, Vec::new()),
        Change::UpdateNode { id, spec } => {
            let old = &state.nodes().find(*id)?.spec;
            (ObjectAction::Update, id, node_changes(old, spec))
        }
        Change::SetNodeStatus { id, status } => {
            let old = state.nodes().find(*id)?.status.state;
            let words = pair("state", node_state(old), node_state(status.state));
            (ObjectAction::Update, id, words)
        }
        _ => return None,
    };
    let known = state
        .nodes()
        .find(*id)
        .map(|node| node.description.hostname.clone());
    let name = known.unwrap_or_default();
    Some(of(
        at,
        ObjectKind::Node,
        action,
        id.to_string(),
        name,
        attributes,
    ))
}

fn resource_event(state: &State, at: Time, change: &Change) -> Option<ObjectEvent> {
    use ObjectAction::{Create, Remove, Update};
    let (kind, action, id, name) = match change {
        Change::CreateNetwork { id, spec, .. } => (
            ObjectKind::Network,
            Create,
            id.to_string(),
            spec.name.clone(),
        ),
        Change::RemoveNetwork { id } => {
            let name = state.networks().find(*id)?.spec.name.clone();
            (ObjectKind::Network, Remove, id.to_string(), name)
        }
        Change::CreateSecret { id, spec } => (
            ObjectKind::Secret,
            Create,
            id.to_string(),
            spec.name.clone(),
        ),
        Change::LabelSecret { id, .. } | Change::RemoveSecret { id } => {
            let name = state.secrets().find(*id)?.spec.name.clone();
            let removes = matches!(change, Change::RemoveSecret { .. });
            let action = if removes { Remove } else { Update };
            (ObjectKind::Secret, action, id.to_string(), name)
        }
        Change::CreateConfig { id, spec } => (
            ObjectKind::Config,
            Create,
            id.to_string(),
            spec.name.clone(),
        ),
        Change::LabelConfig { id, .. } | Change::RemoveConfig { id } => {
            let name = state.configs().find(*id)?.spec.name.clone();
            let removes = matches!(change, Change::RemoveConfig { .. });
            let action = if removes { Remove } else { Update };
            (ObjectKind::Config, action, id.to_string(), name)
        }
        _ => return None,
    };
    Some(of(at, kind, action, id, name, Vec::new()))
}

/// The attributes of one event, by Docker's names.
type Attributes = Vec<(String, String)>;

fn of(
    at: Time,
    kind: ObjectKind,
    action: ObjectAction,
    id: String,
    name: String,
    attributes: Attributes,
) -> ObjectEvent {
    ObjectEvent {
        at,
        kind,
        action,
        id,
        name,
        attributes: attributes.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// `NAME.old` and `NAME.new`, if they differ.
fn pair(name: &str, old: impl ToString, new: impl ToString) -> Attributes {
    let (old, new) = (old.to_string(), new.to_string());
    match old == new {
        true => Vec::new(),
        false => vec![(format!("{name}.old"), old), (format!("{name}.new"), new)],
    }
}

fn service_changes(old: &Service, spec: &ServiceSpec) -> Attributes {
    let new = Service {
        spec: spec.clone().into(),
        ..old.clone()
    };
    let mut attributes = Vec::new();
    if let (Some(old), Some(new)) = (old.replicas(), new.replicas()) {
        attributes.extend(pair("replicas", old, new));
    }
    let (was, is) = (&old.spec.task.container.image, &spec.task.container.image);
    attributes.extend(pair("image", was, is));
    attributes
}

fn update_states(was: Option<UpdateState>, is: UpdateState) -> Attributes {
    let old = was.map(|state| ("updatestate.old".to_owned(), state.name().to_owned()));
    let new = ("updatestate.new".to_owned(), is.name().to_owned());
    old.into_iter().chain([new]).collect()
}

fn node_changes(old: &NodeSpec, new: &NodeSpec) -> Attributes {
    let availability = |availability| match availability {
        Availability::Active => "active",
        Availability::Pause => "pause",
        Availability::Drain => "drain",
    };
    let role = |role| match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
    };
    let (was, is) = (
        availability(old.availability),
        availability(new.availability),
    );
    let mut attributes = pair("availability", was, is);
    attributes.extend(pair("role", role(old.role), role(new.role)));
    attributes
}

fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Unknown => "unknown",
        NodeState::Down => "down",
        NodeState::Ready => "ready",
        NodeState::Disconnected => "disconnected",
    }
}
