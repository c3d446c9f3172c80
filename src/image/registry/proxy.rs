//! The proxies that the environment names, by the rules of Go's programs: what works for Docker's
//! daemon works here.

use std::net::IpAddr;

use crate::image::registry::endpoint::{Network, host_and_port};

/// Which proxy a connection goes through.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    /// Hosts that are reached without.
    direct: Vec<Direct>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Everything,
    Network(Network),
    /// A domain and all below it, or only those below; on one port, or all.
    Domain {
        name: String,
        only_below: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in capitals or not.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.or_else(|| variable(&name.to_ascii_lowercase()).filter(|v| !v.is_empty()))
        };
        let direct = either("NO_PROXY").unwrap_or_default();
        Self {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            direct: direct.split(',').filter_map(Direct::parse).collect(),
        }
    }

    /// The proxy for a host with its port, which this host itself never needs.
    pub fn choose(&self, is_tls: bool, authority: &str) -> Option<&str> {
        let proxy = if is_tls { &self.https } else { &self.http };
        let (host, port) = host_and_port(authority);
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        let reached = self.direct.iter().any(|d| d.fits(&host, address, port));
        proxy.as_deref().filter(|_| !reached)
    }
}

impl Direct {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Ok(network) = text.parse() {
            return Some(Self::Network(network));
        }
        let (host, port) = host_and_port(&text);
        let host = host.strip_prefix('*').unwrap_or(host);
        let name = host.strip_prefix('.').unwrap_or(host);
        (!name.is_empty()).then(|| Self::Domain {
            name: name.to_owned(),
            only_below: name != host,
            port,
        })
    }

    fn fits(&self, host: &str, address: Option<IpAddr>, at: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network) => address.is_some_and(|address| network.holds(address)),
            Self::Domain {
                name,
                only_below,
                port,
            } => {
                let rest = host.strip_suffix(name.as_str());
                let is_name = rest == Some("") && !only_below;
                let is_below = rest.is_some_and(|rest| rest.ends_with('.'));
                (is_name || is_below) && port.is_none_or(|port| port == at)
            }
        }
    }
}

/// A proxy's URL may hold a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_there = (self.http.is_some(), self.https.is_some());
        write!(f, "Proxies({is_there:?}, {:?})", self.direct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(none: &str) -> Proxies {
        let none = none.to_owned();
        Proxies::read(move |name| match name {
            "HTTPS_PROXY" => Some("http://secure:1".to_owned()),
            "http_proxy" => Some("http://plain:1".to_owned()),
            "NO_PROXY" => Some(none.clone()),
            _ => None,
        })
    }

    #[track_caller]
    fn check(none: &str, authority: &str, expect: bool) {
        let proxy = proxies(none).choose(true, authority).is_some();
        assert_eq!(proxy, expect, "{authority} with NO_PROXY={none}");
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let proxies = proxies("");
        assert_eq!(proxies.choose(true, "a.example"), Some("http://secure:1"));
        assert_eq!(proxies.choose(false, "a.example"), Some("http://plain:1"));
        assert_eq!(Proxies::default().choose(true, "a.example"), None);
        assert!(!format!("{proxies:?}").contains("plain"));
    }

    #[test]
    fn hosts_that_need_no_proxy_are_reached_without() {
        check("", "localhost:5000", false);
        check("", "127.0.0.2", false);
        check("", "[::1]:5000", false);
        check("*", "a.example", false);
        check("b.example, a.example", "a.example", false);
        check("a.example", "x.A.example.", false);
        check("a.example", "xa.example", true);
        check(".a.example", "a.example", true);
        check(".a.example", "x.a.example:5000", false);
        check("*.a.example", "x.a.example", false);
        check("a.example:5000", "a.example:5000", false);
        check("a.example:5000", "a.example", true);
        check("a.example:443", "a.example", false);
        check("10.0.0.0/8", "10.1.2.3:5000", false);
        check("10.0.0.0/8", "11.1.2.3:5000", true);
        check("10.1.2.3", "10.1.2.3", false);
        check("fd00::/8", "[fd00::1]:5000", false);
        check(",, ,", "a.example", true);
    }
}
