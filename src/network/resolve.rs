//! Finds the addresses of a host's name without the C library, so that a static binary resolves
//! as any other program: /etc/hosts, then for `.local` one multicast question, then the servers of
//! /etc/resolv.conf with its search list.
//!
//! Nothing here is cached, and a name is looked up only when a user's command names it.

pub mod config;
pub mod question;
pub mod exchange;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_lite::future;

use crate::host::rng::Rng;
use crate::network::resolve::config::{Config, Hosts};
use crate::network::resolve::exchange::{Exchange, ExchangeError};
use crate::network::resolve::question::{Kind, Question};

/// Where machines of a link answer for their own `.local` names.
const NEIGHBOURS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);

const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// Looks names up as the files of this host say.
#[derive(Clone, Debug)]
pub struct Resolver {
    hosts: Hosts,
    config: Config,
    neighbours: SocketAddr,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("{0:?} is not a host name")]
    Name(String),
    #[error("lookup {0}: no such host")]
    NoSuchHost(String),
    #[error("lookup {name}: {server} {source}")]
    Server {
        name: String,
        server: SocketAddr,
        source: ExchangeError,
    },
}

impl Resolver {
    /// A resolver with what the files of this host say now.
    pub async fn load() -> Self {
        let (hosts, config) = config::load().await;
        Self {
            hosts,
            config,
            neighbours: NEIGHBOURS,
        }
    }

    /// The addresses of a host, at least one, IPv4 first.
    pub async fn addresses(&self, host: &str, rng: &mut Rng) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if !is_host_name(host) {
            return Err(ResolveError::Name(
                host.chars().take(NAME_CHARS_MAX).collect(),
            ));
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let mut found = self.hosts.addresses(&name);
        if found.is_empty() && is_below(&name, "localhost") {
            found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if found.is_empty() && is_below(&name, "local") {
            found = self.ask_neighbours(&name, rng).await;
        }
        if found.is_empty() {
            found = self.ask_servers(&name, host.ends_with('.'), rng).await?;
        }
        found.sort_by_key(IpAddr::is_ipv6);
        Ok(found)
    }

    async fn ask_neighbours(&self, name: &str, rng: &mut Rng) -> Vec<IpAddr> {
        let questions: Vec<_> = Kind::BOTH
            .iter()
            .filter_map(|kind| Question::new(id(rng), name, *kind))
            .collect();
        let answers = exchange::ask_neighbours(self.neighbours, &questions).await;
        answers.unwrap_or_else(|error| {
            tracing::debug!("cannot ask the neighbours for {name}: {error}");
            Vec::new()
        })
    }

    /// Tries the name alone and below each search domain, in the order that its dots ask for.
    async fn ask_servers(
        &self,
        name: &str,
        is_absolute: bool,
        rng: &mut Rng,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let mut outcome = Err(ResolveError::NoSuchHost(name.to_owned()));
        for candidate in self.config.candidates(name, is_absolute) {
            match self.ask_for_both(&candidate, rng).await {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return Ok(found),
                // Whoever does not answer now would not answer the next candidate either.
                Err(error) if error.is_silence() => return Err(error),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// IPv4 and IPv6 addresses of exactly this name; an error only if neither is known.
    async fn ask_for_both(&self, name: &str, rng: &mut Rng) -> Result<Vec<IpAddr>, ResolveError> {
        let too_long = || ResolveError::Name(name.to_owned());
        let [v4, v6] = Kind::BOTH.map(|kind| Question::new(id(rng), name, kind));
        let (v4, v6) = v4.zip(v6).ok_or_else(too_long)?;
        match future::zip(self.ask(name, &v4), self.ask(name, &v6)).await {
            (Ok(mut found), Ok(more)) => {
                found.extend(more);
                Ok(found)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Asks one server after the other until one knows.
    async fn ask(&self, name: &str, question: &Question) -> Result<Vec<IpAddr>, ResolveError> {
        let mut outcome = Err(ResolveError::NoSuchHost(name.to_owned()));
        for server in self.config.rounds() {
            let exchange = Exchange {
                server,
                timeout: self.config.timeout,
            };
            match exchange.ask(question).await {
                Ok(found) => return Ok(found),
                Err(source) => {
                    outcome = Err(ResolveError::Server {
                        name: name.to_owned(),
                        server,
                        source,
                    });
                }
            }
        }
        outcome
    }
}

impl ResolveError {
    fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Server {
                source: ExchangeError::Silence(_),
                ..
            }
        )
    }
}

/// Nobody who does not see a question can name its id.
fn id(rng: &mut Rng) -> u16 {
    let [low, high, ..] = rng.next_u64().to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Whether a name can be a host's: letters, digits, hyphens and underscores between dots.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=LABEL_CHARS_MAX).contains(&label.len()) && label.bytes().all(allowed)
    };
    name.len() <= NAME_CHARS_MAX && name.split('.').all(is_label)
}

/// Whether `name` is `domain` or below it; both in lower case.
fn is_below(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
