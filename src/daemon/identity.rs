//! What this host is known by: its key, and the certificate that a manager gave it. The key is kept
//! before anybody is asked for a certificate, so a host that has to ask twice is one node.

use std::path::PathBuf;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::daemon::record::{Kind, RecordError};
use crate::daemon::vault::{Vault, VaultError};
use crate::identity::certificate::{CertificateError, Dates, Peer, verify};
use crate::identity::key::{KeyError, PrivateKey, public_digest};
use crate::identity::roots::issuer;
use crate::manager::run::ManagerHandle;
use crate::model::id::NodeId;
use crate::transport::tls::credentials::Credentials;
use crate::wire::control::{Refusal, Request, Response};
use crate::wire::join::{Certified, Shown};

const FILE: Kind = Kind {
    name: "identity",
    hint: "remove it, and this host gets a new key",
};

const ABOUT: &[u8] = b"node key";

/// A key, and the certificate for it once there is one.
#[derive(Debug)]
pub struct Identity {
    pub key: PrivateKey,
    pub certified: Option<Certified>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Record {
    /// In PKCS #8, sealed.
    key: Vec<u8>,
    certified: Option<Certified>,
}

/// Why a host has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(
        "{} does not open with the file \"vault\" beside it: restore both as they were, or remove \
         the file \"member\" to start this host outside any swarm",
        .0.display()
    )]
    OtherVault(PathBuf),
    #[error("the certificate that the manager gave this node does not hold: {0}")]
    Certificate(#[from] CertificateError),
    #[error("the certificate that the manager gave this node is for another key")]
    OtherKey,
    #[error("the manager gave this node no certificate: {0}")]
    Refused(Refusal),
    #[error("the manager gave this node no certificate but another answer")]
    NoCertificate,
}

impl Identity {
    /// A new key.
    pub fn generate() -> Result<Self, IdentityError> {
        let key = PrivateKey::generate()?;
        let certified = None;
        Ok(Self { key, certified })
    }

    /// Reads the file beside a vault, if there is one.
    pub fn load(vault: &Vault) -> Result<Option<Self>, IdentityError> {
        let Some(Record { key, certified }) = FILE.load(vault.dir())? else {
            return Ok(None);
        };
        let key = vault
            .open_sealed(ABOUT, &key)
            .map_err(|error| match error {
                VaultError::DoesNotOpen(_) => {
                    IdentityError::OtherVault(vault.dir().join(FILE.name))
                }
                error => error.into(),
            })?;
        let key = PrivateKey::from_pkcs8(&key)?;
        Ok(Some(Self { key, certified }))
    }

    pub fn store(&self, vault: &Vault) -> Result<(), IdentityError> {
        let record = Record {
            key: vault.seal(ABOUT, self.key.pkcs8())?,
            certified: self.certified.clone(),
        };
        Ok(FILE.store(vault.dir(), &record)?)
    }

    pub fn forget(vault: &Vault) -> Result<(), RecordError> {
        FILE.forget(vault.dir())
    }

    /// The digest of the public key.
    pub fn digest(&self) -> [u8; 32] {
        public_digest(&self.key.public())
    }

    /// What TLS needs of all this; `None` without a certificate.
    pub fn credentials(&self) -> Result<Option<Credentials>, KeyError> {
        let Some(certified) = &self.certified else {
            return Ok(None);
        };
        Ok(Some(Credentials {
            chain: der(&certified.chain),
            key: PrivateKey::from_pkcs8(self.key.pkcs8())?,
            roots: der(&certified.roots),
            cluster: certified.cluster,
        }))
    }

    /// Who this host is by its certificate, whatever its dates.
    pub fn peer(&self) -> Result<Option<Peer>, CertificateError> {
        let peer = |certified: &Certified| {
            let (chain, roots) = (der(&certified.chain), der(&certified.roots));
            verify(&chain, &roots, Some(certified.cluster), Dates::Unchecked)
        };
        self.certified.as_ref().map(peer).transpose()
    }

    /// The roots that came with the certificate; the last has issued it.
    pub fn roots(&self) -> &[Vec<u8>] {
        self.certified
            .as_ref()
            .map_or(&[], |certified| &certified.roots)
    }

    /// The digest of the root that issued the certificate.
    pub fn issuer(&self) -> Option<[u8; 32]> {
        issuer(self.roots())
    }

    /// Asks for a certificate at this host's own manager.
    pub async fn renew_here(
        &mut self,
        node: NodeId,
        manager: &ManagerHandle,
    ) -> Result<Peer, IdentityError> {
        let shown = Shown {
            node,
            key: self.digest(),
            ran_out: false,
        };
        let request = self.key.request()?;
        let answer = manager.request(Request::Renew { shown, request }).await;
        match answer.map_err(IdentityError::Refused)? {
            Response::Certified(certified) => self.certify(certified, Dates::Unchecked),
            _ => Err(IdentityError::NoCertificate),
        }
    }

    /// Takes in a certificate, if it is one for this key; what it says.
    pub fn certify(&mut self, certified: Certified, dates: Dates) -> Result<Peer, IdentityError> {
        let (chain, roots) = (der(&certified.chain), der(&certified.roots));
        let peer = verify(&chain, &roots, Some(certified.cluster), dates)?;
        if peer.public_key != self.digest() || peer.node != certified.node {
            return Err(IdentityError::OtherKey);
        }
        self.certified = Some(certified);
        Ok(peer)
    }
}

fn der(parts: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    parts.iter().cloned().map(Into::into).collect()
}
