//! What a service is reached by: a virtual address on each of its networks, and a number for each
//! of its published ports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::allocator::addresses::{self, Given, UsedUp};
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::model::change::Change;
use crate::model::id::ServiceId;
use crate::model::object::{Endpoint, Network, Service};
use crate::model::spec::service::{PortConfig, Protocol, PublishMode, ServiceSpec};
use crate::model::spec::task::TaskSpec;
use crate::model::state::State;

/// Ports that are given to who asks for none.
const DYNAMIC_FIRST: u16 = 30_000;
const DYNAMIC_LAST: u16 = 32_767;

/// Why a service cannot be reached as its spec says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("network {0} not found")]
    Network(String),
    #[error(transparent)]
    UsedUp(#[from] UsedUp),
    #[error(
        "port '{port}' is already in use by service '{service}' ({id}) as {} port",
        match mode { PublishMode::Ingress => "an ingress", PublishMode::Host => "a host-published" }
    )]
    Port {
        port: u16,
        service: String,
        id: ServiceId,
        mode: PublishMode,
    },
    #[error("no port from {DYNAMIC_FIRST} to {DYNAMIC_LAST} is left")]
    Ports,
    #[error("Service cannot be explicitly attached to the ingress network \"{0}\"")]
    ExplicitIngress(String),
    #[error("there is no ingress network: make one with network create --ingress")]
    Ingress,
}

/// Gives services what their specs ask for. What a request asks for is given with the request;
/// here it is given to services whose spec went back by itself, at once or when it is free again.
pub fn pass(view: &View<'_>, dirty: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut reached = Reached::default();
    let mut ids = dirty.services.clone();
    if !(dirty.services.is_empty() && dirty.networks.is_empty()) {
        ids.extend(view.state.unreached());
    }
    for id in ids {
        let Some(service) = view.state.services().find(id) else {
            continue;
        };
        let (spec, has) = (&service.spec, &service.endpoint);
        let found = reached.endpoint(view.state, id, spec, has);
        let endpoint = found.unwrap_or_else(|error| Endpoint {
            problem: error.to_string(),
            ..has.clone()
        });
        if endpoint != *has {
            reached.endpoints.insert(id, endpoint);
        }
    }
    let endpoints = reached.endpoints.into_iter();
    let change = |(id, endpoint)| Change::AllocateService { id, endpoint };
    endpoints.map(change).collect()
}

/// What has been decided beside the state.
#[derive(Debug, Default)]
struct Reached {
    given: Given,
    endpoints: BTreeMap<ServiceId, Endpoint>,
}

/// What a service of this spec is reached by, keeping of what it `has` whatever it still may.
pub fn endpoint(
    state: &State,
    id: ServiceId,
    spec: &ServiceSpec,
    has: &Endpoint,
) -> Result<Endpoint, Unreachable> {
    Reached::default().endpoint(state, id, spec, has)
}

impl Reached {
    fn endpoint(
        &mut self,
        state: &State,
        id: ServiceId,
        spec: &ServiceSpec,
        has: &Endpoint,
    ) -> Result<Endpoint, Unreachable> {
        let mut endpoint = Endpoint {
            ports: self.ports(state, id, spec, has)?,
            ..Endpoint::default()
        };
        let networks = networks(state, &spec.task, !spec.ports().is_empty())?;
        if spec.is_round_robin() {
            return Ok(endpoint);
        }
        let (mut addresses, mut new) = (Vec::new(), Vec::new());
        for network in networks {
            if let Some(kept) = has.addresses.iter().find(|(own, _)| *own == network.id) {
                addresses.push(*kept);
                continue;
            }
            match addresses::take(state, &mut self.given, network, id.0) {
                Some(Ok(address)) => {
                    addresses.push((network.id, address));
                    new.push((network.id, address));
                }
                Some(Err(error)) => {
                    self.given.give_back(&new);
                    return Err(error.into());
                }
                None => {}
            }
        }
        endpoint.addresses = addresses;
        Ok(endpoint)
    }

    /// The published ports with their numbers.
    fn ports(
        &self,
        state: &State,
        id: ServiceId,
        spec: &ServiceSpec,
        has: &Endpoint,
    ) -> Result<Vec<PortConfig>, Unreachable> {
        let wanted = spec.ports();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let others = state.services().iter().filter(|other| other.id != id);
        let others: Vec<_> = others.flat_map(|other| self.taken(other)).collect();
        let mut own = BTreeSet::new();
        for port in wanted.iter().filter(|port| port.published_port != 0) {
            check(&others, port)?;
            own.insert((port.protocol, port.published_port));
        }
        let mut ports = Vec::new();
        for port in wanted {
            let mut port = port.clone();
            if port.published_port == 0 {
                let number = dynamic(&others, &own, &port, has).ok_or(Unreachable::Ports)?;
                own.insert((port.protocol, number));
                port.published_port = number;
            }
            ports.push(port);
        }
        Ok(ports)
    }

    fn taken<'a>(&'a self, service: &'a Arc<Service>) -> impl Iterator<Item = Taken<'a>> {
        let decided = self.endpoints.get(&service.id);
        let ports = &decided.unwrap_or(&service.endpoint).ports;
        ports.iter().map(move |port| (service, port))
    }
}

/// The networks that tasks are on, each once: those of their spec, and the ingress network if
/// ports are published. Those of each host itself are not among them.
pub fn networks<'a>(
    state: &'a State,
    spec: &TaskSpec,
    publishes: bool,
) -> Result<Vec<&'a Arc<Network>>, Unreachable> {
    let mut networks = Vec::<&Arc<Network>>::new();
    for attachment in &spec.networks {
        let target = attachment.target.as_str();
        let by_id = target.parse().ok().and_then(|id| state.networks().find(id));
        let network = by_id.or_else(|| state.networks().by_name(target));
        let network = network.ok_or_else(|| Unreachable::Network(target.to_owned()))?;
        if network.spec.ingress {
            return Err(Unreachable::ExplicitIngress(network.spec.name.clone()));
        }
        if network.block.is_some() && !networks.iter().any(|known| known.id == network.id) {
            networks.push(network);
        }
    }
    if publishes {
        let mut all = state.networks().iter();
        let ingress = all.find(|network| network.spec.ingress && network.block.is_some());
        let ingress = ingress.ok_or(Unreachable::Ingress)?;
        if !networks.iter().any(|known| known.id == ingress.id) {
            networks.push(ingress);
        }
    }
    Ok(networks)
}

/// A port of another service.
type Taken<'a> = (&'a Arc<Service>, &'a PortConfig);

/// Two services may publish the same port of their nodes; the scheduler keeps them apart.
fn check(others: &[Taken<'_>], port: &PortConfig) -> Result<(), Unreachable> {
    let host = PublishMode::Host;
    let conflicts = |(_, other): &&Taken<'_>| {
        other.protocol == port.protocol
            && other.published_port == port.published_port
            && !(other.publish_mode == host && port.publish_mode == host)
    };
    match others.iter().find(conflicts) {
        None => Ok(()),
        Some((service, other)) => Err(Unreachable::Port {
            port: port.published_port,
            service: service.spec.name.clone(),
            id: service.id,
            mode: other.publish_mode,
        }),
    }
}

/// A number for a port that asks for none: the one that it has, or the first that is free.
fn dynamic(
    others: &[Taken<'_>],
    own: &BTreeSet<(Protocol, u16)>,
    port: &PortConfig,
    has: &Endpoint,
) -> Option<u16> {
    let same = |known: &&PortConfig| {
        (known.protocol, known.target_port, known.publish_mode)
            == (port.protocol, port.target_port, port.publish_mode)
            && (DYNAMIC_FIRST..=DYNAMIC_LAST).contains(&known.published_port)
    };
    let kept = has
        .ports
        .iter()
        .filter(same)
        .map(|known| known.published_port);
    let taken: BTreeSet<u16> = others
        .iter()
        .filter(|(_, other)| other.protocol == port.protocol)
        .map(|(_, other)| other.published_port)
        .collect();
    let is_free =
        |number: &u16| !taken.contains(number) && !own.contains(&(port.protocol, *number));
    kept.chain(DYNAMIC_FIRST..=DYNAMIC_LAST).find(is_free)
}
