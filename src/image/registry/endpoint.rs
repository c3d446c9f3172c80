//! Where the images of a reference are: which hosts answer for its registry, and how.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::image::reference::Reference;
use crate::image::registry::settings::Settings;

/// The name that references give Docker's own registry, and the host that answers for it.
pub const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A host that answers for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port.
    pub authority: String,
    pub is_tls: bool,
    /// Whether its certificate must be signed by someone whom this host trusts.
    pub is_verified: bool,
    /// A copy of the registry: credentials are not for it, and what it lacks the registry has.
    pub is_mirror: bool,
}

impl Endpoint {
    /// Scheme and authority.
    pub fn base(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

/// The hosts to ask for a repository, in their order.
pub fn endpoints(registry: &str, settings: &Settings) -> Vec<Endpoint> {
    let mut found = Vec::new();
    if registry == DOCKER_HUB {
        found.extend(settings.mirrors.iter().map(|mirror| Endpoint {
            authority: mirror.authority.clone(),
            is_tls: mirror.is_tls,
            is_verified: !settings.is_insecure(&mirror.authority),
            is_mirror: true,
        }));
    }
    let authority = match registry {
        DOCKER_HUB => DOCKER_HUB_HOST,
        other => other,
    };
    let own = Endpoint {
        authority: authority.to_owned(),
        is_tls: true,
        is_verified: true,
        is_mirror: false,
    };
    if !settings.is_insecure(authority) {
        found.push(own);
        return found;
    }
    let plain = Endpoint {
        is_tls: false,
        is_verified: false,
        ..own.clone()
    };
    // With a root of its own in the folder of certificates there is something to check.
    let is_verified = settings.has_own_roots(authority);
    found.extend([Endpoint { is_verified, ..own }, plain]);
    found
}

/// A copy of Docker's own registry, as users name it: a URL, or a host with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    authority: String,
    is_tls: bool,
}

/// A registry that need not prove who it is: a host, with or without its port, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insecure {
    Host(String),
    Network(Network),
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("{0:?} is not a registry: give HOST, HOST:PORT or a network as 10.0.0.0/8")]
    Insecure(String),
    #[error("{0:?} is not a mirror: give https://HOST, or http://HOST:PORT")]
    Mirror(String),
}

impl FromStr for Mirror {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let authority = rest.trim_end_matches('/');
        let wrong = || EndpointError::Mirror(text.chars().take(255).collect());
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let authority = authority.to_owned();
        match is_authority(&authority) {
            true => Ok(Self { authority, is_tls }),
            false => Err(wrong()),
        }
    }
}

impl FromStr for Insecure {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.contains('/')
            && let Ok(network) = text.parse()
        {
            return Ok(Self::Network(network));
        }
        match is_authority(text) {
            true => Ok(Self::Host(text.to_owned())),
            false => Err(EndpointError::Insecure(text.chars().take(255).collect())),
        }
    }
}

impl Insecure {
    /// Whether it means the registry at `authority`.
    pub fn means(&self, authority: &str) -> bool {
        let host = host_and_port(authority).0;
        match self {
            Self::Host(named) => named == authority || named == host,
            Self::Network(network) => host.parse().is_ok_and(|address| network.holds(address)),
        }
    }
}

/// Whether the registry is this host itself: then nobody stands between.
pub fn is_this_host(authority: &str) -> bool {
    let host = host_and_port(authority).0;
    let address: Option<IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

impl Network {
    /// Whether an address is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let differ = u128::from(mine.to_bits() ^ other.to_bits());
                differ >> (32 - self.bits) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let differ = mine.to_bits() ^ other.to_bits();
                self.bits == 0 || differ >> (128 - self.bits) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    /// `10.0.0.0/8`; an address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(drop)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        if bits > all {
            return Err(());
        }
        Ok(Self { address, bits })
    }
}

/// Parts `host`, `host:port`, `[v6]` and `[v6]:port`.
pub fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':').and_then(|p| p.parse().ok()));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// Whether a reference could begin with it.
fn is_authority(text: &str) -> bool {
    let reference = Reference::parse(&format!("{text}/x"));
    reference.is_ok_and(|reference| reference.registry == text) || is_host(text)
}

/// A host's name without a dot, which a reference would take for a path.
fn is_host(text: &str) -> bool {
    let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(label)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            insecure: vec![
                "old.example".parse().unwrap(),
                "10.0.0.0/8".parse().unwrap(),
            ],
            mirrors: vec!["http://10.1.1.1:5000/".parse().unwrap()],
            ..Settings::default()
        }
    }

    #[track_caller]
    fn check(registry: &str, expect: &[&str]) {
        let found = endpoints(registry, &settings());
        let shown = found.iter().map(|endpoint| {
            let unverified = endpoint.is_tls && !endpoint.is_verified;
            format!(
                "{}{}",
                endpoint.base(),
                if unverified { " unverified" } else { "" }
            )
        });
        assert_eq!(shown.collect::<Vec<_>>(), expect, "{registry}");
    }

    #[test]
    fn registries_have_their_hosts() {
        check(
            "docker.io",
            &["http://10.1.1.1:5000", "https://registry-1.docker.io"],
        );
        check("ghcr.io", &["https://ghcr.io"]);
        let local = ["https://localhost:5000 unverified", "http://localhost:5000"];
        check("localhost:5000", &local);
        check("[::1]:5", &["https://[::1]:5 unverified", "http://[::1]:5"]);
        check(
            "10.9.9.9",
            &["https://10.9.9.9 unverified", "http://10.9.9.9"],
        );
        check("11.9.9.9", &["https://11.9.9.9"]);
        let old = ["https://old.example:5 unverified", "http://old.example:5"];
        check("old.example:5", &old);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, address: &str| {
            network
                .parse::<Network>()
                .unwrap()
                .holds(address.parse().unwrap())
        };
        assert!(holds("0.0.0.0/0", "1.2.3.4") && holds("::/0", "::1"));
        assert!(holds("10.0.0.0/9", "10.127.0.1") && !holds("10.0.0.0/9", "10.128.0.1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1"));
        assert!(!holds("0.0.0.0/0", "::1"));
        for wrong in ["10.0.0.0/33", "x/8", "::/129", "10.0.0.0/", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_names_no_registry_is_refused() {
        for wrong in ["", "a b", "http://x", "a/b", "10.0.0.0/40", "x:y"] {
            assert!(wrong.parse::<Insecure>().is_err(), "{wrong}");
        }
        for wrong in ["", "ftp://x", "https://", "https://a/b", "https://u:p@a"] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
        assert!("cache".parse::<Mirror>().is_ok());
    }
}
