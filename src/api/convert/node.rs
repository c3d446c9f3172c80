//! Nodes.

use crate::api::convert::problems::Problems;
use crate::api::convert::swarm::show_root;
use crate::api::convert::task_spec::{show_generic, show_platform};
use crate::api::convert::words::{AVAILABILITIES, NODE_STATES, ROLES, word};
use crate::api::facts;
use crate::api::types::ObjectVersion;
use crate::api::types::node as json;
use crate::api::types::task_spec::Resources;
use crate::api::types::timestamp::rfc3339;
use crate::identity::roots::digest;
use crate::model::object::{Cluster, Node};
use crate::model::spec::node as model;
use crate::wire::control::NodeView;

/// The spec that a client gave.
pub fn read(spec: json::NodeSpec) -> Result<model::NodeSpec, Problems> {
    let mut problems = Problems::default();
    let role = problems.choice("Role", &spec.role, &ROLES);
    if spec.role.is_empty() {
        problems.add("Role is missing: expected worker or manager".into());
    }
    let availability = problems.choice("Availability", &spec.availability, &AVAILABILITIES);
    if spec.availability.is_empty() {
        problems.add("Availability is missing: expected active, pause or drain".into());
    }
    problems.or(model::NodeSpec {
        name: spec.name,
        labels: spec.labels,
        role: role.unwrap_or_default(),
        availability: availability.unwrap_or_default(),
    })
}

/// A node of `cluster` and what its managers know of it.
pub fn show(view: &NodeView, cluster: &Cluster) -> json::Node {
    let Node {
        id,
        meta,
        spec,
        description,
        status,
        manager,
        key: _,
        ingress: _,
    } = &*view.node;
    json::Node {
        id: id.to_string(),
        version: ObjectVersion {
            index: meta.version,
        },
        created_at: rfc3339(meta.created_at),
        updated_at: rfc3339(meta.updated_at),
        spec: json::NodeSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            role: word(spec.role, &ROLES),
            availability: word(spec.availability, &AVAILABILITIES),
        },
        description: show_description(description, cluster),
        status: json::NodeStatus {
            state: word(status.state, &NODE_STATES),
            message: status.message.clone(),
            addr: status.address.clone(),
        },
        manager_status: manager.as_ref().map(|member| json::ManagerStatus {
            leader: view.leader,
            reachability: reachability(view.reachable).into(),
            addr: member.address.clone(),
        }),
    }
}

fn reachability(reachable: bool) -> &'static str {
    match reachable {
        true => "reachable",
        false => "unreachable",
    }
}

fn show_description(
    description: &model::NodeDescription,
    cluster: &Cluster,
) -> json::NodeDescription {
    // One that has not said by whom its certificate is issued has it from the oldest.
    let mut roots = cluster.trust.roots();
    let issuer = |root: &Vec<u8>| description.issuer == Some(digest(root));
    let root = roots.swap_remove(roots.iter().position(issuer).unwrap_or(0));
    json::NodeDescription {
        hostname: description.hostname.clone(),
        platform: show_platform(&description.platform),
        resources: Resources {
            nano_cpus: description.resources.nano_cpus,
            memory_bytes: description.resources.memory_bytes,
            generic_resources: show_generic(&description.resources.generic),
        },
        engine: json::EngineDescription {
            engine_version: description.engine.version.clone(),
            labels: description.engine.labels.clone(),
            plugins: plugins(),
        },
        tls_info: show_root(&root),
    }
}

/// What every node has built in, as plugins are listed: kind by kind.
fn plugins() -> Vec<json::PluginDescription> {
    let all = [
        ("Log", facts::LOG_DRIVERS),
        ("Network", facts::NETWORK_DRIVERS),
        ("Volume", facts::VOLUME_DRIVERS),
    ];
    let named = |(kind, names): (&str, &[&str])| {
        let plugin = |name: &&str| json::PluginDescription {
            kind: kind.into(),
            name: (*name).into(),
        };
        names.iter().map(plugin).collect::<Vec<_>>()
    };
    all.into_iter().flat_map(named).collect()
}
