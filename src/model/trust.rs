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

    pub(super) fn use_token(&mut self, role: Role) {
        let token = match role {
            Role::Worker => &mut self.worker,
            Role::Manager => &mut self.manager,
        };
        token.uses = token.uses.saturating_add(1);
    }

    pub(super) fn rotate(&mut self, tokens: &NewTokens) {
        for (token, new) in [
            (&mut self.worker, &tokens.worker),
            (&mut self.manager, &tokens.manager),
        ] {
            if let Some(new) = new {
                *token = JoinToken { uses: 0, ..*new };
            }
        }
    }
}

/// What lets a node join.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinToken {
    pub secret: TokenSecret,
    /// From this moment on nobody joins with it.
    pub expires_at: Option<Time>,
    /// How many nodes may join with it.
    pub uses_max: Option<u64>,
    /// How many have; counted only if it has an end.
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

/// Why a secret lets nobody join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Inadmissible {
    #[error("the join token is not this swarm's, or was rotated: ask a manager for the new one")]
    Wrong,
    #[error("the join token has expired: ask a manager for a new one")]
    Expired,
    #[error("the join token has been used as often as it may be: ask a manager for a new one")]
    UsedUp,
}

/// The tokens that take the place of those that are to be rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewTokens {
    pub worker: Option<JoinToken>,
    pub manager: Option<JoinToken>,
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
pub mod tests {
    use super::*;

    /// A trust that nothing can be signed by.
    pub fn a_trust() -> Trust {
        Trust {
            root: b"root".to_vec(),
            key: Some(Hidden(b"KEY!".to_vec())),
            worker: JoinToken::new(TokenSecret([171; 16])),
            manager: JoinToken::new(TokenSecret([172; 16])),
        }
    }

    #[test]
    fn no_secret_shows() {
        let shown = format!("{:?}", a_trust());
        for secret in ["KEY!", "75", "171", "172"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("Hidden(4 bytes)"));
    }

    #[test]
    fn a_rotated_token_begins_anew_and_the_other_stays() {
        let mut trust = a_trust();
        trust.worker.uses = 7;
        let new = JoinToken::new(TokenSecret([9; 16]));
        trust.rotate(&NewTokens {
            worker: Some(JoinToken { uses: 3, ..new }),
            manager: None,
        });
        assert_eq!(trust.worker, new);
        assert_eq!(trust.manager, a_trust().manager);
    }
}
