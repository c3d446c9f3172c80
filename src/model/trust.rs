//! What a swarm's trust rests on: its root certificate and key, and the secrets that let a node
//! join.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::spec::node::Role;
use crate::model::time::Time;

/// The length of a join token's secret.
pub const TOKEN_SECRET_BYTES: usize = 16;

/// The root of a swarm, and the tokens of its two roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// The root's certificate, in DER.
    pub root: Vec<u8>,
    /// The root's private key, in PKCS #8: every manager has it, and no answer of one.
    pub key: Option<Hidden>,
    pub worker: JoinToken,
    pub manager: JoinToken,
}

impl Trust {
    /// The token that lets a node join as `role`.
    pub fn token(&self, role: Role) -> &JoinToken {
        match role {
            Role::Worker => &self.worker,
            Role::Manager => &self.manager,
        }
    }
}

/// What lets a node join.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinToken {
    pub secret: TokenSecret,
    /// From this moment on nobody joins with it.
    pub expires_at: Option<Time>,
    /// How many nodes may join with it.
    pub uses_max: Option<u64>,
    /// How many have.
    pub uses: u64,
}

impl JoinToken {
    /// A token for any number of nodes, for ever.
    pub fn new(secret: TokenSecret) -> Self {
        Self {
            secret,
            expires_at: None,
            uses_max: None,
            uses: 0,
        }
    }
}

/// The secret part of a join token; it never shows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSecret(pub [u8; TOKEN_SECRET_BYTES]);

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

/// Bytes that never show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden(pub Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows() {
        let trust = Trust {
            root: Vec::new(),
            key: Some(Hidden(b"KEY!".to_vec())),
            worker: JoinToken::new(TokenSecret([171; 16])),
            manager: JoinToken::new(TokenSecret([172; 16])),
        };
        let shown = format!("{trust:?}");
        for secret in ["KEY!", "75", "171", "172"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("Hidden(4 bytes)"));
    }
}
