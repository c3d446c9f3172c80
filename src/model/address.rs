//! IPv4 subnets, as networks have them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A block of addresses: `10.0.1.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subnet {
    first: Ipv4Addr,
    bits: u8,
}

/// Why a text is no subnet.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a subnet: write it as 10.1.2.0/24")]
pub struct NotASubnet(String);

impl Subnet {
    /// The block of `bits` fixed bits that an address is in.
    pub fn containing(address: Ipv4Addr, bits: u8) -> Self {
        let bits = bits.min(32);
        let first = Ipv4Addr::from(address.to_bits() & mask(bits));
        Self { first, bits }
    }

    /// Its first address, which names the block.
    pub fn first(self) -> Ipv4Addr {
        self.first
    }

    /// Its last address, which is for broadcasts.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first.to_bits() | !mask(self.bits))
    }

    /// How many bits are fixed.
    pub fn bits(self) -> u8 {
        self.bits
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last()).contains(&address)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Whether all of `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }

    /// The block of the same size that follows; `None` at the end of all addresses.
    pub fn next(self) -> Option<Self> {
        let first = self.last().to_bits().checked_add(1)?;
        Some(Self {
            first: Ipv4Addr::from(first),
            ..self
        })
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Subnet {
    type Err = NotASubnet;

    /// An address within the block may stand for its first one, as Docker has it.
    fn from_str(text: &str) -> Result<Self, NotASubnet> {
        let parts = text.split_once('/');
        let subnet = parts.and_then(|(address, bits)| {
            let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
            Some(Self::containing(address.parse().ok()?, bits))
        });
        subnet.ok_or_else(|| NotASubnet(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_written_as_it_is_read() {
        assert_eq!(subnet("10.1.2.0/24").to_string(), "10.1.2.0/24");
        assert_eq!(subnet("10.1.2.3/24").to_string(), "10.1.2.0/24");
        for text in [
            "",
            "10.1.2.0",
            "10.1.2.0/33",
            "10.1.2/24",
            "10.1.2.0/x",
            "::/8",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_subnet_knows_what_is_in_it() {
        let net = subnet("10.1.2.0/23");
        assert_eq!(net.last(), Ipv4Addr::new(10, 1, 3, 255));
        assert!(net.contains(Ipv4Addr::new(10, 1, 3, 7)));
        assert!(!net.contains(Ipv4Addr::new(10, 1, 4, 0)));
        assert!(net.overlaps(subnet("10.1.3.128/25")) && subnet("10.0.0.0/8").overlaps(net));
        assert!(!net.overlaps(subnet("10.1.4.0/23")));
        assert!(net.covers(subnet("10.1.3.0/24")) && !subnet("10.1.3.0/24").covers(net));
        assert!(subnet("0.0.0.0/0").contains(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn subnets_follow_each_other_to_the_end_of_all_addresses() {
        assert_eq!(subnet("10.0.255.0/24").next(), Some(subnet("10.1.0.0/24")));
        assert_eq!(subnet("255.255.255.0/24").next(), None);
        assert_eq!(subnet("0.0.0.0/0").next(), None);
    }
}
