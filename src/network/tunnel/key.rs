//! A node's key for its tunnels.

use std::fmt;

use boringtun::x25519::{PublicKey, StaticSecret};
use zeroize::Zeroize;

/// An X25519 key; it never shows.
#[derive(Clone)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.secret()).to_bytes()
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn secret(&self) -> StaticSecret {
        StaticSecret::from(self.0)
    }
}

impl From<[u8; 32]> for PrivateKey {
    /// Any random bytes are a key.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
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
