//! Networks.

use std::collections::BTreeMap;

use crate::api::types::network as json;
use crate::api::types::timestamp::rfc3339;
use crate::model::object::Network;
use crate::model::spec::network::{Ipam, IpamPool};

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
        driver: spec.driver.name.clone(),
        enable_ipv4: true,
        enable_ipv6: spec.ipv6,
        ipam: spec.ipam.as_ref().map_or_else(no_ipam, show_ipam),
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: spec.ingress,
        containers: Some(BTreeMap::new()),
        options: Some(spec.driver.options.clone()),
        labels: Some(spec.labels.clone()),
        ..json::Network::default()
    }
}

fn no_ipam() -> json::Ipam {
    json::Ipam {
        driver: "default".into(),
        options: None,
        config: Some(Vec::new()),
    }
}

fn show_ipam(ipam: &Ipam) -> json::Ipam {
    let pool = |pool: &IpamPool| json::IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: pool.auxiliary.clone(),
    };
    json::Ipam {
        driver: ipam.driver.name.clone(),
        options: Some(ipam.driver.options.clone()),
        config: Some(ipam.pools.iter().map(pool).collect()),
    }
}
