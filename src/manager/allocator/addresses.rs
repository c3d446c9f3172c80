//! Addresses within networks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::model::id::NetworkId;
use crate::model::object::Network;
use crate::model::state::State;

/// Addresses that this round has given out, beside those of the state.
#[derive(Debug, Default)]
pub struct Given {
    addresses: BTreeSet<(NetworkId, Ipv4Addr)>,
    /// Networks that had none left: they are not searched again for each task that waits.
    used_up: BTreeSet<NetworkId>,
}

/// A network has no address left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network {network} has no address left in {range}")]
pub struct UsedUp {
    pub network: String,
    pub range: Subnet,
}

/// An address of a network that nobody has. The search starts at a place that `seed` chooses: an
/// address that has just been given back is not given to the next at once, while others may still
/// think of who had it.
pub fn take(
    state: &State,
    given: &mut Given,
    network: &Network,
    seed: u128,
) -> Option<Result<Ipv4Addr, UsedUp>> {
    let block = network.block?;
    let wanted = network
        .spec
        .ipam
        .as_ref()
        .and_then(|ipam| ipam.pools.first());
    let range: Subnet = wanted
        .and_then(|pool| pool.ip_range.parse().ok())
        .unwrap_or(block.subnet);
    let reserved = wanted.into_iter().flat_map(|pool| pool.auxiliary.values());
    let mut reserved: BTreeSet<Ipv4Addr> = reserved.filter_map(|text| text.parse().ok()).collect();
    reserved.extend([block.gateway, block.subnet.first(), block.subnet.last()]);
    let (first, last) = (range.first().to_bits(), range.last().to_bits());
    let is_free = |address: &Ipv4Addr| {
        !reserved.contains(address)
            && !state.is_taken(network.id, *address)
            && !given.addresses.contains(&(network.id, *address))
    };
    let size = u64::from(last - first) + 1;
    let offset = u32::try_from(seed % u128::from(size)).unwrap_or(0);
    let start = first.saturating_add(offset);
    let candidates = (start..=last).chain(first..start).map(Ipv4Addr::from);
    let found = match given.used_up.contains(&network.id) {
        true => None,
        false => { candidates }.find(is_free),
    };
    match found {
        Some(address) => given.addresses.insert((network.id, address)),
        None => given.used_up.insert(network.id),
    };
    Some(found.ok_or_else(|| UsedUp {
        network: network.spec.name.clone(),
        range,
    }))
}

impl Given {
    /// Takes back what was given out in this round.
    pub fn give_back(&mut self, addresses: &[(NetworkId, Ipv4Addr)]) {
        for address in addresses {
            self.addresses.remove(address);
            self.used_up.remove(&address.0);
        }
    }
}
