//! Networks.

use std::collections::BTreeMap;

use crate::api::convert::problems::Problems;
use crate::api::types::network as json;
use crate::api::types::timestamp::rfc3339;
use crate::model::object::{AddressBlock, Network};
use crate::model::spec::Driver;
use crate::model::spec::network::{Ipam, IpamPool, NetworkSpec};

/// The spec of a network that a client wants.
pub fn read(given: json::NetworkCreate) -> Result<NetworkSpec, Problems> {
    let mut problems = Problems::default();
    if !matches!(given.scope.as_str(), "" | "swarm") {
        problems.add(format!(
            "Scope: {:?}: only \"swarm\" is possible",
            given.scope
        ));
    }
    if given.enable_ipv4 == Some(false) {
        problems.add("EnableIPv4: a network without IPv4 is not supported yet".into());
    }
    let from = given
        .config_from
        .is_some_and(|from| !from.network.is_empty());
    if given.config_only || from {
        problems.add("ConfigOnly and ConfigFrom: not supported yet; leave them out".into());
    }
    problems.or(NetworkSpec {
        name: given.name,
        labels: given.labels.unwrap_or_default(),
        driver: Driver {
            name: given.driver,
            options: given.options.unwrap_or_default(),
        },
        ipv6: given.enable_ipv6.unwrap_or(false),
        internal: given.internal,
        attachable: given.attachable,
        ingress: given.ingress,
        ipam: given.ipam.map(read_ipam),
    })
}

fn read_ipam(given: json::Ipam) -> Ipam {
    let pool = |config: json::IpamConfig| IpamPool {
        subnet: config.subnet,
        ip_range: config.ip_range,
        gateway: config.gateway,
        auxiliary: config.auxiliary_addresses,
    };
    Ipam {
        driver: Driver {
            name: given.driver,
            options: given.options.unwrap_or_default(),
        },
        pools: given
            .config
            .unwrap_or_default()
            .into_iter()
            .map(pool)
            .collect(),
    }
}

/// A network of the swarm; the predefined ones belong to each host.
pub fn show(network: &Network) -> json::Network {
    let spec = &network.spec;
    let scope = match network.predefined {
        true => "local",
        false => "swarm",
    };
    json::Network {
        name: spec.name.clone(),
        id: network.id.to_string(),
        created: rfc3339(network.meta.created_at),
        scope: scope.into(),
        driver: spec.driver_name().to_owned(),
        enable_ipv4: true,
        enable_ipv6: spec.ipv6,
        ipam: show_ipam(spec.ipam.as_ref(), network.block),
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: spec.ingress,
        containers: Some(BTreeMap::new()),
        options: Some(spec.driver.options.clone()),
        labels: Some(spec.labels.clone()),
        ..json::Network::default()
    }
}

/// The addresses that the network has, with whatever else its spec says of them.
fn show_ipam(ipam: Option<&Ipam>, block: Option<AddressBlock>) -> json::Ipam {
    let wanted = ipam.and_then(|ipam| ipam.pools.first());
    let config = block.map(|block| json::IpamConfig {
        subnet: block.subnet.to_string(),
        ip_range: wanted.map_or_else(String::new, |pool| pool.ip_range.clone()),
        gateway: block.gateway.to_string(),
        auxiliary_addresses: wanted.map_or_else(BTreeMap::new, |pool| pool.auxiliary.clone()),
    });
    let driver = ipam.map_or("", |ipam| ipam.driver.name.as_str());
    json::Ipam {
        driver: if driver.is_empty() { "default" } else { driver }.to_owned(),
        options: ipam.map(|ipam| ipam.driver.options.clone()),
        config: Some(config.into_iter().collect()),
    }
}
