//! /etc/hosts and /etc/resolv.conf. What cannot be read counts as not written.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;

use crate::host::wait::blocking;
use crate::network::resolve::is_host_name;

/// Most bytes read of either file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// As in the C library, or tighter.
const NAMESERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;
const NDOTS_MAX: usize = 15;
const TIMEOUT_S_MAX: u64 = 30;
const ATTEMPTS_MAX: usize = 5;

const DNS_PORT: u16 = 53;

/// Names that this host knows by itself.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<(IpAddr, Vec<String>)>);

/// Whom to ask, and for what.
#[derive(Clone, Debug)]
pub struct Config {
    pub nameservers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// A name with so many dots is tried alone first.
    pub ndots: usize,
    pub timeout: Duration,
    /// How often each server is asked.
    pub attempts: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

/// What the files of this host say now.
pub async fn load() -> (Hosts, Config) {
    blocking(|| {
        let hosts = Hosts::parse(&read(Path::new("/etc/hosts")));
        let config = Config::parse(&read(Path::new("/etc/resolv.conf")), interface_index);
        (hosts, config)
    })
    .await
}

impl Hosts {
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            Some((address, words.map(str::to_ascii_lowercase).collect()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The addresses of a name in lower case.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let named = self
            .0
            .iter()
            .filter(|(_, names)| names.iter().any(|n| n == name));
        named.map(|(address, _)| *address).collect()
    }
}

impl Config {
    /// Reads resolv.conf's text; `index` is the number of a network interface.
    pub fn parse(text: &str, index: impl Fn(&str) -> Option<u32>) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| nameserver(word, &index));
                    config.nameservers.extend(server);
                }
                // The last of either counts.
                Some("search" | "domain") => {
                    let names = words.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
                    config.search = names.filter(|name| is_host_name(name)).collect();
                }
                Some("options") => words.for_each(|option| config.set(option)),
                _ => {}
            }
        }
        if config.nameservers.is_empty() {
            config
                .nameservers
                .push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        config.nameservers.truncate(NAMESERVERS_MAX);
        config.search.truncate(SEARCH_MAX);
        config
    }

    fn set(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else {
            return;
        };
        let Ok(value) = value.parse::<u32>() else {
            return;
        };
        let number = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            "ndots" => self.ndots = number.min(NDOTS_MAX),
            "timeout" => {
                self.timeout = Duration::from_secs(u64::from(value).clamp(1, TIMEOUT_S_MAX));
            }
            "attempts" => self.attempts = number.clamp(1, ATTEMPTS_MAX),
            _ => {}
        }
    }

    /// The servers in the order in which they are asked.
    pub fn rounds(&self) -> impl Iterator<Item = SocketAddr> {
        (0..self.attempts).flat_map(|_| self.nameservers.iter().copied())
    }

    /// The full names that a name may stand for, in the order in which they are tried.
    pub fn candidates(&self, name: &str, is_absolute: bool) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        if is_absolute {
            return names;
        }
        let below = self.search.iter().map(|domain| format!("{name}.{domain}"));
        names.extend(below.filter(|name| is_host_name(name)));
        if name.matches('.').count() < self.ndots {
            names.rotate_left(1);
        }
        names
    }
}

/// An address, which for a link-local one names its interface: `fe80::1%eth0`.
fn nameserver(word: &str, index: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((address, interface)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse().ok()?, DNS_PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let index = interface.parse().ok().or_else(|| index(interface))?;
    Some(SocketAddrV6::new(address, DNS_PORT, 0, index).into())
}

fn interface_index(name: &str) -> Option<u32> {
    let is_file_name = name != "." && name != ".." && !name.contains('/');
    let path = is_file_name.then(|| Path::new("/sys/class/net").join(name).join("ifindex"))?;
    read(&path).trim().parse().ok()
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!("cannot read {}: {error}", path.display());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, |name| (name == "eth0").then_some(4))
    }

    #[test]
    fn hosts_have_several_names_and_names_several_addresses() {
        let hosts = Hosts::parse("127.0.0.1 localhost\n# x y\n::1 Localhost ip6 # last\n? z\n");
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(hosts.addresses("localhost"), both);
        assert_eq!(hosts.addresses("ip6"), [both[1]]);
        assert_eq!(hosts.addresses("last"), [] as [IpAddr; 0]);
    }

    #[test]
    fn servers_search_and_options_are_read() {
        let config = parse(
            "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver fe80::1%none\n\
             domain gone\nsearch Lab.example. x\noptions ndots:2 timeout:3 attempts:4 rotate\n",
        );
        let servers: Vec<_> = config.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1%4]:53"]);
        assert_eq!(config.search, ["lab.example", "x"]);
        let numbers = (config.ndots, config.timeout.as_secs(), config.attempts);
        assert_eq!(numbers, (2, 3, 4));
    }

    #[test]
    fn an_empty_file_asks_this_host_and_a_wild_one_is_held_in_bounds() {
        assert_eq!(parse("").nameservers, ["127.0.0.1:53".parse().unwrap()]);
        let wild = "nameserver 10.0.0.1\n".repeat(9)
            + "search a b c d e f g h\noptions ndots:99 timeout:4000000000 attempts:0 timeout:x\n";
        let config = parse(&wild);
        assert_eq!((config.nameservers.len(), config.search.len()), (3, 6));
        let numbers = (config.ndots, config.timeout.as_secs(), config.attempts);
        assert_eq!(numbers, (15, 30, 1));
    }

    #[test]
    fn few_dots_try_the_search_list_first() {
        let config = parse("search a.example b.example\n");
        assert_eq!(
            config.candidates("pi", false),
            ["pi.a.example", "pi.b.example", "pi"]
        );
        assert_eq!(
            config.candidates("pi.x", false),
            ["pi.x", "pi.x.a.example", "pi.x.b.example"]
        );
        assert_eq!(config.candidates("pi", true), ["pi"]);
    }
}
