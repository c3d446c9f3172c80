//! What the API asks, answered: reads from the committed state, writes as changes of a draft.

pub mod lookup;
pub mod filters;
pub mod resources;
mod names;
pub mod services;
pub mod nodes;
pub mod members;
pub mod networks;
pub mod join;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::host::rng::Rng;
use crate::manager::control::filters::Wanted;
use crate::manager::draft::Draft;
use crate::model::state::State;
use crate::wire::control::{ObjectKind, Refusal, Request, Response};

/// The longest spec: one log entry carries it, and each of its tasks' assignments.
const SPEC_BYTES_MAX: usize = 500 << 10;

/// What only the managers know of each other at the moment, by raft id.
#[derive(Debug)]
pub struct Presence {
    pub leader: Option<u64>,
    pub reachable: BTreeSet<u64>,
    pub voters: BTreeSet<u64>,
}

/// The answer to a request that changes nothing; `None` for one that does.
pub fn read(
    state: &State,
    presence: &Presence,
    request: &Request,
) -> Option<Result<Response, Refusal>> {
    Some(match request {
        Request::Cluster => nodes::cluster(state).map(Response::Cluster),
        Request::UnlockKey => {
            let own = nodes::own(state);
            own.map(|cluster| Response::UnlockKey(cluster.trust.unlock))
        }
        Request::Access(order) => {
            let own = nodes::own(state);
            own.map(|_| Response::MayAccess(order.clone()))
        }
        Request::Nodes(wanted) => filters::nodes(wanted).map(|wanted| {
            let kept = state.nodes().iter().filter(|node| wanted.keeps_node(node));
            Response::Nodes(kept.map(|node| nodes::view(presence, node)).collect())
        }),
        Request::Node(reference) => {
            let node = lookup::node(state, reference);
            node.map(|node| Response::Node(nodes::view(presence, node)))
        }
        Request::Services(wanted) => filters::services(wanted).map(|wanted| {
            let kept = state
                .services()
                .iter()
                .filter(|service| wanted.keeps_service(service));
            Response::Services(kept.map(|service| services::view(state, service)).collect())
        }),
        Request::Service(reference) => {
            let service = lookup::service(state, reference);
            service.map(|service| Response::Service(services::view(state, service)))
        }
        Request::Tasks(wanted) => filters::tasks(state, wanted).map(Response::Tasks),
        Request::Task(reference) => lookup::task(state, reference).cloned().map(Response::Task),
        _ => return read_resource(state, request),
    })
}

/// Networks, secrets and configs.
fn read_resource(state: &State, request: &Request) -> Option<Result<Response, Refusal>> {
    Some(match request {
        Request::Networks(wanted) => networks::list(state, wanted),
        Request::Network(reference) => {
            let network = lookup::named(state.networks(), ObjectKind::Network, reference);
            network.cloned().map(Response::Network)
        }
        Request::Secrets(wanted) => {
            filters::resources(wanted, ObjectKind::Secret).map(|wanted: Wanted<'_>| {
                let rows = state.secrets().iter();
                let keeps = |id: String, spec: (&str, _)| wanted.keeps(&id, spec.0, spec.1);
                let kept = rows
                    .filter(|row| keeps(row.id.to_string(), (&row.spec.name, &row.spec.labels)));
                Response::Secrets(kept.cloned().collect())
            })
        }
        Request::Secret(reference) => {
            let secret = lookup::named(state.secrets(), ObjectKind::Secret, reference);
            secret.cloned().map(Response::Secret)
        }
        Request::Configs(wanted) => {
            filters::resources(wanted, ObjectKind::Config).map(|wanted: Wanted<'_>| {
                let rows = state.configs().iter();
                let keeps = |id: String, spec: (&str, _)| wanted.keeps(&id, spec.0, spec.1);
                let kept = rows
                    .filter(|row| keeps(row.id.to_string(), (&row.spec.name, &row.spec.labels)));
                Response::Configs(kept.cloned().collect())
            })
        }
        Request::Config(reference) => {
            let config = lookup::named(state.configs(), ObjectKind::Config, reference);
            config.cloned().map(Response::Config)
        }
        _ => return None,
    })
}

/// Puts what a request changes into the draft, all of it or, if it is refused, nothing.
pub fn write(
    draft: &mut Draft<'_>,
    presence: &Presence,
    request: Request,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    match request {
        Request::UpdateCluster {
            version,
            spec,
            tokens,
            root,
        } => nodes::update_cluster(draft, version, spec, tokens, root),
        Request::UpdateNode {
            node,
            version,
            spec,
        } => nodes::update(draft, presence, &node, version, spec),
        Request::RemoveNode { node, force } => nodes::remove(draft, &node, force),
        Request::CreateService(spec) => services::create(draft, spec, rng),
        Request::UpdateService {
            service,
            version,
            update,
        } => services::update(draft, &service, version, update),
        Request::RemoveService(service) => services::remove(draft, &service),
        Request::CreateSecret(spec) => resources::create_secret(draft, spec, rng),
        Request::UpdateSecret {
            secret,
            version,
            spec,
        } => resources::update_secret(draft, &secret, version, spec),
        Request::RemoveSecret(secret) => resources::remove_secret(draft, &secret),
        Request::CreateConfig(spec) => resources::create_config(draft, spec, rng),
        Request::UpdateConfig {
            config,
            version,
            spec,
        } => resources::update_config(draft, &config, version, spec),
        Request::RemoveConfig(config) => resources::remove_config(draft, &config),
        Request::CreateNetwork(spec) => networks::create(draft, spec, rng),
        Request::RemoveNetwork(network) => networks::remove(draft, &network),
        Request::Join(host) => join::join(draft, *host, rng),
        Request::Renew { shown, request } => join::renew(draft, shown, request),
        Request::TakeSeat {
            node,
            held,
            address,
        } => members::take_seat(draft, node, held, address, rng),
        // Everything else is answered by `read`.
        _ => Ok(done()),
    }
}

fn done() -> Response {
    Response::Done {
        warnings: Vec::new(),
    }
}

fn check_version(
    kind: ObjectKind,
    id: impl ToString,
    current: u64,
    given: u64,
) -> Result<(), Refusal> {
    match current == given {
        true => Ok(()),
        false => Err(Refusal::OutOfSequence {
            kind,
            id: id.to_string(),
            current,
            given,
        }),
    }
}

/// Refuses a spec that has problems, or is too long.
fn check_spec(
    kind: ObjectKind,
    spec: &impl Serialize,
    mut problems: Vec<String>,
) -> Result<(), Refusal> {
    let bytes = postcard::experimental::serialized_size(spec).unwrap_or(usize::MAX);
    if bytes > SPEC_BYTES_MAX {
        problems.push(format!(
            "the spec has {bytes} bytes: at most {SPEC_BYTES_MAX}"
        ));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Invalid { kind, problems }),
    }
}
