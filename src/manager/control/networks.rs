//! Networks: list, create, remove, and who uses them.

use std::collections::BTreeSet;

use crate::host::rng::Rng;
use crate::manager::allocator::subnets::{self, Pools};
use crate::manager::control::{check_spec, done, filters, lookup};
use crate::manager::draft::Draft;
use crate::model::change::Change;
use crate::model::id::NetworkId;
use crate::model::object::Network;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::service::{PublishMode, ServiceSpec};
use crate::model::state::State;
use crate::model::validate;
use crate::wire::control::{Filters, ObjectKind, Refusal, Response};

pub fn list(state: &State, wanted: &Filters) -> Result<Response, Refusal> {
    let wanted = filters::networks(wanted)?;
    let used = used(state);
    let networks = state.networks().iter();
    let in_use = |row: &Network| row.predefined || used.contains(&row.id);
    let kept = networks.filter(|row| wanted.keeps_network(row, in_use(row)));
    Ok(Response::Networks(kept.cloned().collect()))
}

pub fn create(
    draft: &mut Draft<'_>,
    spec: NetworkSpec,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    check_spec(ObjectKind::Network, &spec, validate::network(&spec))?;
    let state = draft.state();
    if state.networks().by_name(&spec.name).is_some() {
        return Err(Refusal::NameTaken {
            kind: ObjectKind::Network,
            name: spec.name,
        });
    }
    let ingress = state.networks().iter().find(|other| other.spec.ingress);
    if let Some(ingress) = ingress.filter(|_| spec.ingress) {
        let problem = format!(
            "Ingress: network {} is the ingress network already; remove it first",
            ingress.spec.name
        );
        return Err(Refusal::Invalid {
            kind: ObjectKind::Network,
            problems: vec![problem],
        });
    }
    let pools = state
        .cluster()
        .map_or_else(Pools::default, |cluster| Pools {
            pools: &cluster.address_pools,
            subnet_size: cluster.subnet_size,
        });
    let others = state.networks().iter().map(|network| &**network);
    let block = subnets::choose(pools, others, &spec)?;
    let id = NetworkId(rng.next_u128());
    draft.push(Change::CreateNetwork {
        id,
        spec,
        predefined: false,
        block: Some(block),
    });
    Ok(Response::Created {
        id: id.to_string(),
        warnings: Vec::new(),
    })
}

pub fn remove(draft: &mut Draft<'_>, reference: &str) -> Result<Response, Refusal> {
    let state = draft.state();
    let network = lookup::named(state.networks(), ObjectKind::Network, reference)?.clone();
    if network.predefined {
        return Err(Refusal::Predefined(network.spec.name.clone()));
    }
    let mut services = state.services().iter();
    let user = services.find(|service| uses(&service.spec, &network));
    if let Some(user) = user.map(|service| service.spec.name.clone()) {
        return Err(Refusal::InUse {
            kind: ObjectKind::Network,
            name: network.spec.name.clone(),
            by: format!("service {user}"),
        });
    }
    drop(services);
    let id = network.id;
    draft.push(Change::RemoveNetwork { id });
    Ok(done())
}

/// The networks that services use.
fn used(state: &State) -> BTreeSet<NetworkId> {
    let uses = |network: &Network| {
        let mut services = state.services().iter();
        services.any(|service| uses(&service.spec, network))
    };
    let networks = state.networks().iter().filter(|network| uses(network));
    networks.map(|network| network.id).collect()
}

/// Whether a service's tasks are on a network, or its ports are reached through it.
fn uses(spec: &ServiceSpec, network: &Network) -> bool {
    let mut joined = spec.task.networks.iter();
    let mut ports = spec.endpoint.iter().flat_map(|endpoint| &endpoint.ports);
    joined.any(|joined| joined.is_to(network.id, &network.spec.name))
        || (network.spec.ingress && ports.any(|port| port.publish_mode == PublishMode::Ingress))
}
