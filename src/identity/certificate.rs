//! Certificates read: what a root says of itself, and who a peer is by the chain that it shows.

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

use crate::host::rng::Rng;
use crate::identity::access::CLIENT;
use crate::identity::key::public_digest;
use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::Role;
use crate::model::time::Time;

/// The most certificates that a peer may show, and the longest of them.
pub const CHAIN_MAX: usize = 4;
pub const CERTIFICATE_BYTES_MAX: usize = 8 << 10;

/// Certificates begin before they are made, for clocks that are behind.
pub const BACKDATED_MS: u64 = 3_600_000;

/// Swarm's words for the roles, as organisational units and as names.
pub(super) const MANAGER: &str = "swarm-manager";
pub(super) const WORKER: &str = "swarm-worker";

/// Part of a certificate's life, in percent, in which it is renewed.
const RENEWED_FROM: u64 = 50;
const RENEWED_UNTIL: u64 = 80;

/// Who a certificate says that a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeId,
    pub role: Role,
    pub cluster: ClusterId,
    /// The digest of the peer's public key.
    pub public_key: [u8; 32],
    pub not_before: Time,
    pub not_after: Time,
}

/// Which dates a certificate is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    At(Time),
    /// For a board whose clock is not synchronised: everything counts but the dates.
    Unchecked,
}

/// Why a certificate does not do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the peer shows no certificate")]
    None,
    #[error("the peer shows {0} certificates, at most {CHAIN_MAX}")]
    TooMany(usize),
    #[error("a certificate has {0} bytes, at most {CERTIFICATE_BYTES_MAX}")]
    TooLong(usize),
    #[error("the certificate cannot be read: {0}")]
    Unreadable(&'static str),
    #[error("the certificate was not issued by this swarm: {0}")]
    Foreign(webpki::Error),
    #[error("the certificate of node {node} is for swarm {its}, not {ours}")]
    OtherSwarm {
        node: NodeId,
        its: ClusterId,
        ours: ClusterId,
    },
    #[error("the certificate of node {} ran out at {}", .0.node, shown(.0.not_after))]
    Expired(Box<Peer>),
    #[error(
        "the certificate of node {} begins at {} only: clocks differ",
        .0.node,
        shown(.0.not_before)
    )]
    NotYet(Box<Peer>),
    #[error("node {node} is no {wanted}", wanted = word(*.wanted))]
    Role { node: NodeId, wanted: Role },
}

/// Who shows this chain: its own certificate first, then those that lead to one of `roots`.
/// `cluster` is the swarm that it has to be of; a node that joins does not know it yet.
pub fn verify(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    cluster: Option<ClusterId>,
    dates: Dates,
) -> Result<Peer, CertificateError> {
    let peer = leads(chain, roots, dates)?.peer()?;
    if let Some(ours) = cluster.filter(|ours| *ours != peer.cluster) {
        let (node, its) = (peer.node, peer.cluster);
        return Err(CertificateError::OtherSwarm { node, its, ours });
    }
    match dates {
        Dates::At(now) if now > peer.not_after => Err(CertificateError::Expired(peer.into())),
        Dates::At(now) if now < peer.not_before => Err(CertificateError::NotYet(peer.into())),
        _ => Ok(peer),
    }
}

/// What the first certificate of a chain says that leads to one of `roots`. Whether it is within
/// its own dates is not looked at.
pub(super) fn leads(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    dates: Dates,
) -> Result<Facts, CertificateError> {
    let (own, others) = chain.split_first().ok_or(CertificateError::None)?;
    if chain.len() > CHAIN_MAX {
        return Err(CertificateError::TooMany(chain.len()));
    }
    let facts = Facts::read(own)?;
    let mut begun = vec![facts.not_before];
    for other in others {
        begun.push(Facts::read(other)?.not_before);
    }
    let valid = |now: &Time| (facts.not_before..=facts.not_after).contains(now);
    let moments = match dates {
        Dates::At(now) if valid(&now) => vec![now],
        // Out of its dates the chain is still held against the roots, as of its own beginning: a
        // certificate that nobody issued is told from one that ran out.
        _ => vec![begun[0], begun.into_iter().max().unwrap_or_default()],
    };
    let trusted = moments.into_iter().map(|at| lead(own, others, roots, at));
    let trusted = trusted.reduce(|one, other| one.or(other));
    trusted
        .unwrap_or(Err(webpki::Error::UnknownIssuer))
        .map_err(CertificateError::Foreign)?;
    Ok(facts)
}

/// Whether the chain leads to a root, with every date as it was at `at`.
fn lead(
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    at: Time,
) -> Result<(), webpki::Error> {
    let anchors: Result<Vec<_>, _> = roots.iter().map(anchor_from_trusted_cert).collect();
    let anchors = anchors?;
    let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
    // Every node's certificate serves for both ends of a connection.
    let usage = KeyUsage::client_auth();
    let algorithms = [webpki::ring::ECDSA_P256_SHA256];
    let own = EndEntityCert::try_from(own)?;
    own.verify_for_usage(&algorithms, &anchors, others, at, usage, None, None)
        .map(drop)
}

impl Peer {
    /// Refuses a peer of another role.
    pub fn require(&self, wanted: Role) -> Result<(), CertificateError> {
        let node = self.node;
        match self.role == wanted {
            true => Ok(()),
            false => Err(CertificateError::Role { node, wanted }),
        }
    }

    /// When the certificate is to be renewed: nodes that joined together do not come together.
    pub fn renewal(&self, rng: &mut Rng) -> Time {
        let begun = self.not_before.plus_ms(BACKDATED_MS);
        let percent = self.not_after.since_ms(begun) / 100;
        let drawn = rng.below(percent * (RENEWED_UNTIL - RENEWED_FROM));
        begun.plus_ms(percent * RENEWED_FROM + drawn)
    }
}

/// What a certificate says, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The name of its holder, in DER.
    pub subject: Vec<u8>,
    /// The public key of its holder (SubjectPublicKeyInfo), in DER.
    pub public: Vec<u8>,
    pub is_root: bool,
    pub not_before: Time,
    pub not_after: Time,
    pub(super) cluster: Option<ClusterId>,
    /// The name of a client of the API.
    pub(super) client: Option<String>,
    node: Option<NodeId>,
    role: Option<Role>,
}

impl Facts {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLong(der.len()));
        }
        let unreadable = CertificateError::Unreadable;
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| unreadable("it is no certificate"))?;
        if !rest.is_empty() {
            return Err(unreadable("there are bytes behind it"));
        }
        let subject = parsed.subject();
        let unit = sole(subject.iter_organizational_unit());
        let name = sole(subject.iter_common_name());
        let role = match unit {
            Some(MANAGER) => Some(Role::Manager),
            Some(WORKER) => Some(Role::Worker),
            _ => None,
        };
        Ok(Self {
            subject: subject.as_raw().to_vec(),
            public: parsed.public_key().raw.to_vec(),
            is_root: parsed.is_ca(),
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            node: name.and_then(|id| id.parse().ok()),
            role,
            client: name.filter(|_| unit == Some(CLIENT)).map(str::to_owned),
            cluster: sole(subject.iter_organization()).and_then(|id| id.parse().ok()),
        })
    }

    fn peer(&self) -> Result<Peer, CertificateError> {
        let lacks = CertificateError::Unreadable;
        Ok(Peer {
            node: self.node.ok_or_else(|| lacks("it names no node"))?,
            role: self.role.ok_or_else(|| lacks("it names no role"))?,
            cluster: self.cluster.ok_or_else(|| lacks("it names no swarm"))?,
            public_key: public_digest(&self.public),
            not_before: self.not_before,
            not_after: self.not_after,
        })
    }
}

/// The text of an attribute that a name has exactly once.
fn sole<'a>(mut values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<&'a str> {
    let value = values.next()?;
    values.next().is_none().then(|| value.as_str().ok())?
}

fn time(seconds: i64) -> Time {
    Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

pub(super) fn shown(time: Time) -> String {
    let moment = i64::try_from(time.0).map(Timestamp::from_millisecond);
    match moment {
        Ok(Ok(moment)) => moment.to_string(),
        _ => format!("{} ms", time.0),
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
    }
}
