//! The certificate authority of a swarm: its root, and the certificates of its nodes.
//!
//! ```text
//! root         CN swarm-ca, 20 years            stored in the state, with its key
//! node         CN node, OU role, O swarm        names: the node's id, and its role
//! cross        a new root, signed by the old    so that who knows the old root trusts the new one
//! ```

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
    SubjectPublicKeyInfo, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::identity::certificate::{
    BACKDATED_MS, CERTIFICATE_BYTES_MAX, CertificateError, Facts, MANAGER, WORKER,
};
use crate::identity::key::{KeyError, PrivateKey, public_digest};
use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::Role;
use crate::model::time::Time;

/// The shortest life of a node's certificate.
pub const NODE_LIFE_MS_MIN: u64 = 3_600_000;

/// A serial number: random bytes, drawn for one certificate.
pub const SERIAL_BYTES: usize = 16;

const ROOT_NAME: &str = "swarm-ca";
const ROOT_LIFE_MS: u64 = 20 * 365 * 24 * 3_600_000;

/// The last second that a certificate can name: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The root of a swarm and its key.
#[derive(Debug)]
pub struct Authority {
    root: CertificateDer<'static>,
    key: PrivateKey,
    not_before: Time,
    not_after: Time,
}

/// A certificate that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What [`PrivateKey::request`] made.
    pub request: &'a [u8],
    pub node: NodeId,
    pub role: Role,
    pub cluster: ClusterId,
    pub life_ms: u64,
    pub serial: [u8; SERIAL_BYTES],
}

/// A certificate for whatever is no root.
pub(super) struct Leaf<'a> {
    pub request: &'a [u8],
    pub cluster: ClusterId,
    pub unit: &'a str,
    pub name: String,
    pub alternatives: Vec<SanType>,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub life_ms: u64,
    pub serial: [u8; SERIAL_BYTES],
}

/// Why there is no authority, or no certificate from it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the root cannot be read: {0}")]
    Root(#[from] CertificateError),
    #[error("the certificate is no root's")]
    NotARoot,
    #[error("the key is not the root's")]
    OtherKey,
    #[error("the new root has another name: only roots that skep made are cross-signed")]
    OtherName,
    #[error("the root's key is not here")]
    NoKey,
    #[error("the request for a certificate does not hold: {0}")]
    Request(&'static str),
    #[error("cannot sign a certificate: {0}")]
    Sign(#[from] rcgen::Error),
}

impl Authority {
    /// A new root with a new key.
    pub fn found(now: Time, serial: [u8; SERIAL_BYTES]) -> Result<Self, AuthorityError> {
        let key = PrivateKey::generate()?;
        let end = now.plus_ms(ROOT_LIFE_MS);
        let params = root_params(backdated(now), end, serial, 1);
        let root: CertificateDer<'static> = params.self_signed(key.pair())?.into();
        Self::from_stored(root.to_vec(), key.pkcs8())
    }

    /// The authority whose root and key were stored.
    pub fn from_stored(root: Vec<u8>, key: &[u8]) -> Result<Self, AuthorityError> {
        let facts = Facts::read(&root)?;
        let key = PrivateKey::from_pkcs8(key)?;
        if !facts.is_root {
            return Err(AuthorityError::NotARoot);
        }
        if facts.public != key.public() {
            return Err(AuthorityError::OtherKey);
        }
        Ok(Self {
            root: root.into(),
            key,
            not_before: facts.not_before,
            not_after: facts.not_after.max(facts.not_before),
        })
    }

    /// The root's certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root's key: the swarm's deepest secret.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The certificate of a node. It is never valid when the root is not.
    pub fn issue(
        &self,
        order: &Order<'_>,
        now: Time,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let role = match order.role {
            Role::Manager => MANAGER,
            Role::Worker => WORKER,
        };
        let node = order.node.to_string();
        let names = [role.to_owned(), node.clone()].map(|name| name.try_into());
        let [role_name, node_name] = names;
        let leaf = Leaf {
            request: order.request,
            cluster: order.cluster,
            unit: role,
            name: node,
            alternatives: vec![SanType::DnsName(role_name?), SanType::DnsName(node_name?)],
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            life_ms: order.life_ms,
            serial: order.serial,
        };
        self.sign(leaf, now)
    }

    /// A certificate that signs no others.
    pub(super) fn sign(
        &self,
        leaf: Leaf<'_>,
        now: Time,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let public = key_of(leaf.request)?;
        let end = now.plus_ms(leaf.life_ms.max(NODE_LIFE_MS_MIN));
        let mut params = CertificateParams::default();
        set_life(&mut params, self.within(backdated(now)), self.within(end));
        params.serial_number = Some(SerialNumber::from_slice(&leaf.serial));
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::OrganizationName, leaf.cluster.to_string()),
            (DnType::OrganizationalUnitName, leaf.unit.to_owned()),
            (DnType::CommonName, leaf.name),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.subject_alt_names = leaf.alternatives;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = leaf.usages;
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&public, &self.issuer()?)?.into())
    }

    /// The next root, signed by this one: nodes that show it beside their own certificate are
    /// known to those who have only this root yet.
    pub fn cross_sign(
        &self,
        next: &Self,
        serial: [u8; SERIAL_BYTES],
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let facts = Facts::read(&next.root)?;
        if facts.subject != Facts::read(&self.root)?.subject {
            return Err(AuthorityError::OtherName);
        }
        let (start, end) = (self.within(next.not_before), self.within(next.not_after));
        let mut params = root_params(start, end, serial, 0);
        params.use_authority_key_identifier_extension = true;
        let public = SubjectPublicKeyInfo::from_der(&facts.public)?;
        Ok(params.signed_by(&public, &self.issuer()?)?.into())
    }

    fn issuer(&self) -> Result<Issuer<'_, &rcgen::KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(&self.root, self.key.pair())
    }

    fn within(&self, moment: Time) -> Time {
        moment.clamp(self.not_before, self.not_after)
    }
}

/// The digest of the public key of a request that holds; else what is wrong with it.
pub fn requested_key(request: &[u8]) -> Result<[u8; 32], String> {
    match key_of(request) {
        Ok(public) => Ok(public_digest(&public.subject_public_key_info())),
        Err(AuthorityError::Request(why)) => Err(why.to_owned()),
        Err(other) => Err(other.to_string()),
    }
}

/// The public key of a request, if its private half signed the request and it is of our kind.
fn key_of(request: &[u8]) -> Result<SubjectPublicKeyInfo, AuthorityError> {
    let broken = AuthorityError::Request;
    if request.len() > CERTIFICATE_BYTES_MAX {
        return Err(broken("it is too long"));
    }
    let parsed = X509CertificationRequest::from_der(request);
    let (rest, parsed) = parsed.map_err(|_| broken("it is no request"))?;
    if !rest.is_empty() {
        return Err(broken("there are bytes behind it"));
    }
    let public = parsed.certification_request_info.subject_pki.raw;
    let public = SubjectPublicKeyInfo::from_der(public).map_err(|_| broken("its key is odd"))?;
    if public.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(broken("its key is not P-256"));
    }
    let signed = parsed.verify_signature();
    signed.map_err(|_| broken("its signature is not of its key"))?;
    Ok(public)
}

fn root_params(
    start: Time,
    end: Time,
    serial: [u8; SERIAL_BYTES],
    roots_below: u8,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_life(&mut params, start, end);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, ROOT_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(roots_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_life(params: &mut CertificateParams, start: Time, end: Time) {
    let since = |time: Time| Duration::from_secs((time.0 / 1000).min(SECONDS_MAX));
    params.not_before = date_time_ymd(1970, 1, 1) + since(start);
    params.not_after = date_time_ymd(1970, 1, 1) + since(end);
}

fn backdated(now: Time) -> Time {
    Time(now.0.saturating_sub(BACKDATED_MS))
}
