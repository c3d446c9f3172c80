//! Certificates for the API over TLS, which Docker's clients know what to do with.
//!
//! ```text
//! client    CN its name, OU swarm-client, O swarm   may do everything
//! manager   CN swarm-api, OU swarm-api, O swarm     for the name or address it is reached at
//! ```
//!
//! Neither is a node's: at the cluster's port they say nothing, and a node's certificate opens no
//! API.

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;

use crate::identity::authority::{Authority, AuthorityError, Leaf, SERIAL_BYTES};
use crate::identity::certificate::{CertificateError, Dates, leads, shown};
use crate::model::id::ClusterId;
use crate::model::time::Time;
use crate::wire::access::{AccessOrder, Bearer, Reached};

pub(super) const CLIENT: &str = "swarm-client";
const MANAGER: &str = "swarm-api";

/// The longest name of a client: what X.520 allows for a common name.
pub const NAME_CHARS_MAX: usize = 64;

/// Who shows a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub name: String,
    pub not_after: Time,
}

/// Why a client may not in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the certificate is not for clients: \"skep swarm client-cert\" makes one that is")]
    NoClient,
    #[error("the certificate of client {0:?} is for another swarm")]
    OtherSwarm(String),
    #[error("the certificate of client {:?} ran out at {}", .0.name, shown(.0.not_after))]
    Expired(Client),
    #[error("the certificate of client {0:?} begins at {at} only: clocks differ", at = shown(*.1))]
    NotYet(String, Time),
}

impl Authority {
    /// A certificate for the API.
    pub fn give_access(
        &self,
        order: &AccessOrder,
        cluster: ClusterId,
        serial: [u8; SERIAL_BYTES],
        now: Time,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let (unit, name, alternatives, usage) = match &order.bearer {
            Bearer::Client(name) => {
                let usage = ExtendedKeyUsagePurpose::ClientAuth;
                (CLIENT, name.as_str(), Vec::new(), usage)
            }
            Bearer::Manager(reached) => {
                let reached = match reached {
                    Reached::Name(name) => SanType::DnsName(name.as_str().try_into()?),
                    Reached::Address(address) => SanType::IpAddress(*address),
                };
                let usage = ExtendedKeyUsagePurpose::ServerAuth;
                (MANAGER, MANAGER, vec![reached], usage)
            }
        };
        let leaf = Leaf {
            request: &order.request,
            cluster,
            unit,
            name: name.to_owned(),
            alternatives,
            usages: vec![usage],
            life_ms: order.life_ms,
            serial,
        };
        self.sign(leaf, now)
    }
}

/// Who shows this chain, if it may use the API of a swarm with these roots.
pub fn verify_client(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    cluster: ClusterId,
    dates: Dates,
) -> Result<Client, ClientError> {
    let facts = leads(chain, roots, dates)?;
    let name = facts.client.ok_or(ClientError::NoClient)?;
    if facts.cluster != Some(cluster) {
        return Err(ClientError::OtherSwarm(name));
    }
    let not_after = facts.not_after;
    match dates {
        Dates::At(now) if now > not_after => Err(ClientError::Expired(Client { name, not_after })),
        Dates::At(now) if now < facts.not_before => {
            Err(ClientError::NotYet(name, facts.not_before))
        }
        _ => Ok(Client { name, not_after }),
    }
}

/// Whether a client may be called that.
pub fn is_client_name(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control();
    !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests;
