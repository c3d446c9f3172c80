//! A network's spec.

use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::model::spec::network::{Ipam, IpamPool, NetworkSpec, OVERLAY};
use crate::model::validate::{Problems, check_label, check_name};

/// Docker's driver of addresses, and its option for encryption, which is always on.
const IPAM_DRIVER: &str = "default";
const ENCRYPTED: &str = "encrypted";

/// Below it there is no room for a gateway and a task.
const SUBNET_BITS_MAX: u8 = 29;
/// Larger ones would leave nothing for other networks.
const SUBNET_BITS_MIN: u8 = 8;

pub(super) fn check(spec: &NetworkSpec, problems: &mut Problems) {
    check_name(&spec.name, problems);
    for (key, value) in &spec.labels {
        check_label("Labels", key, value, problems);
    }
    let driver = spec.driver.name.as_str();
    problems.check(["", OVERLAY].contains(&driver), || {
        format!("Driver: {driver:?}: only networks of the swarm can be made; use \"overlay\"")
    });
    let mut options = spec.driver.options.keys();
    if let Some(other) = options.find(|option| *option != ENCRYPTED) {
        problems.unsupported(false, &format!("Options: {other:?}"), "leave it out");
    }
    problems.unsupported(!spec.ipv6, "EnableIPv6", "leave it false");
    problems.check(!(spec.ingress && spec.attachable), || {
        "Attachable: the ingress network cannot be attachable".to_owned()
    });
    problems.check(!(spec.ingress && spec.internal), || {
        "Internal: the ingress network cannot be internal".to_owned()
    });
    if let Some(ipam) = &spec.ipam {
        check_ipam(ipam, problems);
    }
}

fn check_ipam(ipam: &Ipam, problems: &mut Problems) {
    let driver = ipam.driver.name.as_str();
    problems.check(["", IPAM_DRIVER].contains(&driver), || {
        format!("IPAM.Driver: {driver:?}: only {IPAM_DRIVER:?} is possible")
    });
    problems.unsupported(
        ipam.driver.options.is_empty(),
        "IPAM.Options",
        "leave it out",
    );
    problems.unsupported(
        ipam.pools.len() <= 1,
        "IPAM.Config",
        "give one subnet at most",
    );
    for pool in &ipam.pools {
        check_pool(pool, problems);
    }
}

fn check_pool(pool: &IpamPool, problems: &mut Problems) {
    if pool.subnet.is_empty() {
        let rest = [&pool.ip_range, &pool.gateway];
        let alone = rest.iter().all(|text| text.is_empty()) && pool.auxiliary.is_empty();
        problems.check(alone, || {
            "IPAM.Config: a range, a gateway or an auxiliary address needs a subnet".to_owned()
        });
        return;
    }
    let subnet = match pool.subnet.parse::<Subnet>() {
        Ok(subnet) => subnet,
        Err(error) => return problems.add(format!("IPAM.Config.Subnet: {error}")),
    };
    let sizes = SUBNET_BITS_MIN..=SUBNET_BITS_MAX;
    problems.check(sizes.contains(&subnet.bits()), || {
        format!(
            "IPAM.Config.Subnet: {subnet}: must be from /{SUBNET_BITS_MIN} to /{SUBNET_BITS_MAX}"
        )
    });
    problems.check(is_for_hosts(subnet), || {
        format!("IPAM.Config.Subnet: {subnet}: these addresses are not for hosts")
    });
    match pool.ip_range.parse::<Subnet>() {
        Ok(range) => problems.check(subnet.covers(range), || {
            format!("IPAM.Config.IPRange: {range}: is not within {subnet}")
        }),
        Err(_) if pool.ip_range.is_empty() => {}
        Err(error) => problems.add(format!("IPAM.Config.IPRange: {error}")),
    }
    let named = [("Gateway", &pool.gateway)].into_iter();
    let named = named.filter(|(_, address)| !address.is_empty());
    let auxiliary = pool.auxiliary.values().map(|a| ("AuxiliaryAddresses", a));
    for (field, text) in named.chain(auxiliary) {
        let address = text.parse::<Ipv4Addr>().ok();
        let inside =
            |a: &Ipv4Addr| subnet.contains(*a) && *a != subnet.first() && *a != subnet.last();
        problems.check(address.is_some_and(|a| inside(&a)), || {
            format!("IPAM.Config.{field}: {text:?}: is not an address of {subnet}")
        });
    }
}

/// Neither this host, nor its link, nor groups.
fn is_for_hosts(subnet: Subnet) -> bool {
    let others = [(0, 8), (127, 8), (224, 3)]
        .map(|(byte, bits)| Subnet::containing(Ipv4Addr::new(byte, 0, 0, 0), bits));
    let link = Subnet::containing(Ipv4Addr::new(169, 254, 0, 0), 16);
    !others
        .iter()
        .chain([&link])
        .any(|other| other.overlaps(subnet))
}
