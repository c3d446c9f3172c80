//! How this host reaches registries.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::image::registry::endpoint::{Insecure, Mirror, is_this_host};
use crate::image::registry::proxy::Proxies;
use crate::image::registry::trust;

/// Finds the addresses of a host's name, or says why there are none.
pub type Lookup = Arc<dyn Fn(&str) -> Result<Vec<IpAddr>, String> + Send + Sync>;

/// What a user set, and what the daemon hands in.
#[derive(Clone)]
pub struct Settings {
    /// Folders with a folder for each registry: `HOST:PORT/*.crt` are roots to trust, `*.cert`
    /// and `*.key` what this host shows. As Docker's `certs.d`.
    pub certificates: Vec<PathBuf>,
    pub insecure: Vec<Insecure>,
    /// Copies of Docker's own registry, asked before it.
    pub mirrors: Vec<Mirror>,
    pub proxies: Proxies,
    pub lookup: Lookup,
}

impl Settings {
    /// Whether the registry at `authority` need not prove who it is.
    pub fn is_insecure(&self, authority: &str) -> bool {
        is_this_host(authority) || self.insecure.iter().any(|i| i.means(authority))
    }

    /// Whether there are roots for this registry alone.
    pub fn has_own_roots(&self, authority: &str) -> bool {
        !trust::own_roots(&self.certificates, authority).is_empty()
    }
}

/// Reaches addresses, and no names.
impl Default for Settings {
    fn default() -> Self {
        let lookup = |host: &str| match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => Err(format!("lookup {host}: no such host")),
        };
        Self {
            certificates: Vec::new(),
            insecure: Vec::new(),
            mirrors: Vec::new(),
            proxies: Proxies::default(),
            lookup: Arc::new(lookup),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("certificates", &self.certificates)
            .field("insecure", &self.insecure)
            .field("mirrors", &self.mirrors)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}
