//! A network's subnet: the one that its spec asks for, or the first of the swarm's pools that
//! overlaps no other network.

use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::model::object::{AddressBlock, Network};
use crate::model::spec::network::NetworkSpec;
use crate::wire::control::Refusal;

/// How many bits of a subnet are fixed if the swarm does not say.
const SUBNET_BITS: u8 = 24;

/// Where subnets are taken from, and how many bits of theirs are fixed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pools<'a> {
    pub pools: &'a [String],
    pub subnet_size: u32,
}

/// The addresses for a network whose spec is valid, beside those of the others.
pub fn choose<'a>(
    pools: Pools<'_>,
    others: impl Iterator<Item = &'a Network> + Clone,
    spec: &NetworkSpec,
) -> Result<AddressBlock, Refusal> {
    let wanted = spec.ipam.as_ref().and_then(|ipam| ipam.pools.first());
    let given = wanted.and_then(|pool| pool.subnet.parse().ok());
    let overlapping = |subnet: Subnet| {
        let mut blocks = others
            .clone()
            .filter_map(|net| Some((net, net.block?.subnet)));
        blocks.find(|(_, other)| other.overlaps(subnet))
    };
    let subnet = match given {
        Some(subnet) => match overlapping(subnet) {
            None => subnet,
            Some((network, other)) => {
                let network = network.spec.name.clone();
                return Err(Refusal::SubnetTaken {
                    subnet,
                    other,
                    network,
                });
            }
        },
        None => {
            let free = pools.parsed().find_map(|pool| {
                let overlapping = |subnet| overlapping(subnet).map(|(_, other)| other);
                first_free(pool, pools.bits(), overlapping)
            });
            free.ok_or_else(|| Refusal::NoSubnet(pools.pools.join(", ")))?
        }
    };
    let gateway = wanted.and_then(|pool| pool.gateway.parse().ok());
    let first = Ipv4Addr::from(subnet.first().to_bits().saturating_add(1));
    Ok(AddressBlock {
        subnet,
        gateway: gateway.unwrap_or(first),
    })
}

impl Pools<'_> {
    fn parsed(&self) -> impl Iterator<Item = Subnet> {
        self.pools.iter().filter_map(|pool| pool.parse().ok())
    }

    fn bits(&self) -> u8 {
        match self.subnet_size {
            0 => SUBNET_BITS,
            bits => u8::try_from(bits).unwrap_or(u8::MAX),
        }
    }
}

/// The first block of a pool that nothing overlaps; each step passes over a whole other block.
fn first_free(
    pool: Subnet,
    bits: u8,
    overlapping: impl Fn(Subnet) -> Option<Subnet>,
) -> Option<Subnet> {
    let bits = bits.max(pool.bits());
    let mut candidate = Subnet::containing(pool.first(), bits);
    while pool.covers(candidate) {
        let Some(other) = overlapping(candidate) else {
            return Some(candidate);
        };
        let last = other.last().max(candidate.last());
        candidate = Subnet::containing(last, bits).next()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::NetworkId;
    use crate::model::object::Meta;
    use crate::model::spec::network::{Ipam, IpamPool};

    /// Networks with the subnets that they ask for, one after the other; `*` asks for none.
    fn given(pools: &[&str], size: u32, wanted: &str) -> Vec<Result<String, Refusal>> {
        let pools: Vec<_> = pools.iter().map(|pool| (*pool).to_owned()).collect();
        let pools = Pools {
            pools: &pools,
            subnet_size: size,
        };
        let mut networks = Vec::<Network>::new();
        let mut results = Vec::new();
        for word in wanted.split_whitespace() {
            let mut spec = NetworkSpec {
                name: format!("n{}", results.len()),
                ..NetworkSpec::default()
            };
            if word != "*" {
                spec.ipam.get_or_insert_default().pools.push(IpamPool {
                    subnet: word.into(),
                    ..IpamPool::default()
                });
            }
            let block = choose(pools, networks.iter(), &spec);
            networks.extend(block.iter().map(|block| Network {
                id: NetworkId(results.len() as u128),
                meta: Meta::default(),
                spec: spec.clone(),
                predefined: false,
                block: Some(*block),
            }));
            results.push(block.map(|block| format!("{} {}", block.subnet, block.gateway)));
        }
        results
    }

    #[track_caller]
    fn check(pools: &[&str], size: u32, wanted: &str, expected: &[&str]) {
        let all: Result<Vec<_>, _> = given(pools, size, wanted).into_iter().collect();
        assert_eq!(all.unwrap(), expected);
    }

    #[test]
    fn subnets_are_taken_from_the_pools_in_order() {
        let expected = ["10.0.0.0/24 10.0.0.1", "10.0.1.0/24 10.0.1.1"];
        check(&["10.0.0.0/8"], 24, "* *", &expected);
        let expected = ["10.0.0.0/24 10.0.0.1", "10.9.0.0/24 10.9.0.1"];
        check(&["10.0.0.0/24", "10.9.0.0/16"], 24, "* *", &expected);
    }

    #[test]
    fn what_others_asked_for_is_passed_over() {
        let wanted = "10.0.0.128/25 10.0.1.0/24 10.0.4.0/22 * * *";
        let expected = [
            "10.0.0.128/25 10.0.0.129",
            "10.0.1.0/24 10.0.1.1",
            "10.0.4.0/22 10.0.4.1",
            "10.0.2.0/24 10.0.2.1",
            "10.0.3.0/24 10.0.3.1",
            "10.0.8.0/24 10.0.8.1",
        ];
        check(&["10.0.0.0/16"], 24, wanted, &expected);
    }

    #[test]
    fn an_overlapping_subnet_is_refused_by_name() {
        let mut results = given(&["10.0.0.0/8"], 24, "10.1.0.0/16 10.1.2.0/24");
        let refusal = results.remove(1).unwrap_err().to_string();
        let expected = "invalid network: IPAM.Config.Subnet: 10.1.2.0/24 overlaps 10.1.0.0/16 of \
                        network n0";
        assert_eq!(refusal, expected);
    }

    #[test]
    fn a_pool_that_is_used_up_is_told() {
        let results = given(&["10.0.0.0/23"], 24, "* * *");
        assert!(matches!(&results[2], Err(Refusal::NoSubnet(pools)) if pools == "10.0.0.0/23"));
        // At the end of all addresses, and with blocks larger than their pool.
        let results = given(&["255.255.255.0/24"], 16, "* *");
        assert!(results[0].is_ok() && results[1].is_err());
    }

    #[test]
    fn the_gateway_is_the_one_that_was_asked_for() {
        let spec = NetworkSpec {
            ipam: Some(Ipam {
                pools: vec![IpamPool {
                    subnet: "10.1.0.0/24".into(),
                    gateway: "10.1.0.254".into(),
                    ..IpamPool::default()
                }],
                ..Ipam::default()
            }),
            ..NetworkSpec::default()
        };
        let pools = Pools {
            pools: &[],
            subnet_size: 24,
        };
        let block = choose(pools, [].iter(), &spec).unwrap();
        assert_eq!(block.gateway, Ipv4Addr::new(10, 1, 0, 254));
    }
}
