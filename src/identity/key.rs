//! P-256 key pairs: what a node or a root signs with.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Longer than any P-256 key in PKCS #8.
const KEY_BYTES_MAX: usize = 1024;

/// A private key and its public half.
pub struct PrivateKey(rcgen::KeyPair);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot make a key: {0}")]
    Generate(#[source] rcgen::Error),
    #[error("the bytes are no P-256 private key in PKCS #8")]
    Unreadable,
    #[error("cannot sign a request for a certificate: {0}")]
    Request(#[source] rcgen::Error),
}

impl PrivateKey {
    /// A new key, from ring's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        pair.map(Self).map_err(KeyError::Generate)
    }

    /// The key of [`Self::pkcs8`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > KEY_BYTES_MAX {
            return Err(KeyError::Unreadable);
        }
        let der = PrivatePkcs8KeyDer::from(der);
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256);
        pair.map(Self).map_err(|_| KeyError::Unreadable)
    }

    /// The secret itself, in PKCS #8.
    pub fn pkcs8(&self) -> &[u8] {
        self.0.serialized_der()
    }

    /// The public key, as a certificate has it (SubjectPublicKeyInfo).
    pub fn public(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// Asks for a certificate: the public key, and the proof that its private half is here. Who
    /// the node is and what it may do is not in the request; whoever signs decides that.
    pub fn request(&self) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0);
        let request = request.map_err(KeyError::Request)?;
        Ok(request.der().to_vec())
    }

    /// What certificates are signed with.
    pub(super) fn pair(&self) -> &rcgen::KeyPair {
        &self.0
    }
}

/// The name of a public key, by which a node is known again.
pub fn public_digest(public: &[u8]) -> [u8; 32] {
    Sha256::digest(public).into()
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    #[test]
    fn a_key_comes_back_from_its_bytes() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_ne!(PrivateKey::generate().unwrap().public(), key.public());
    }

    #[test]
    fn a_key_never_shows() {
        let key = PrivateKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = PrivateKey::generate().unwrap();
        let mut rng = Rng::from_seed(3);
        for _ in 0..500 {
            let mut bytes = key.pkcs8().to_vec();
            bytes.truncate(usize::try_from(rng.below(139)).unwrap());
            assert!(PrivateKey::from_pkcs8(&bytes[..bytes.len().min(137)]).is_err());
        }
        assert!(PrivateKey::from_pkcs8(&[0x30; 2000]).is_err());
        assert!(PrivateKey::from_pkcs8(&[]).is_err());
    }
}
