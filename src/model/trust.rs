//! What a swarm's trust rests on: its root certificate and key, and the secrets that let a node
//! join.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::spec::node::Role;
use crate::model::time::Time;

/// The length of a join token's secret.
pub const TOKEN_SECRET_BYTES: usize = 16;
pub const UNLOCK_SECRET_BYTES: usize = 32;

/// The root of a swarm, and the tokens of its two roles. Tokens pin `root`, also while another is
/// about to take its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// The root's certificate, in DER.
    pub root: Vec<u8>,
    /// The root's private key, in PKCS #8: every manager has it, and no answer of one.
    pub key: Option<Hidden>,
    pub worker: JoinToken,
    pub manager: JoinToken,
    pub rotation: Option<Rotation>,
    /// What a manager that starts has to be told, if the swarm locks its managers.
    pub unlock: Option<UnlockSecret>,
}

/// A root that is to take the place of the swarm's: it issues every certificate from now on, and
/// does take the place once every node has one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// The new root's certificate, in DER.
    pub root: Vec<u8>,
    /// Its private key, as [`Trust::key`].
    pub key: Option<Hidden>,
    /// The new root signed by the old one, for those who know only that.
    pub cross: Vec<u8>,
}

impl Trust {
    /// What nodes trust: the last one issues their certificates.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        let next = self.rotation.iter().map(|rotation| &rotation.root);
        [&self.root].into_iter().chain(next).cloned().collect()
    }

    /// What issues certificates: a root and its key.
    pub fn issuer(&self) -> (&[u8], Option<&Hidden>) {
        match &self.rotation {
            Some(next) => (&next.root, next.key.as_ref()),
            None => (&self.root, self.key.as_ref()),
        }
    }

    /// What a node shows beside its own certificate, so that everybody in the swarm believes it,
    /// and that hosts which join find the root of their token, old or new.
    pub fn path(&self) -> Vec<Vec<u8>> {
        let crossed = self.rotation.iter().map(|rotation| &rotation.cross);
        crossed.cloned().chain(self.roots()).collect()
    }

    /// The same without what only managers may know.
    #[must_use]
    pub fn without_keys(mut self) -> Self {
        self.key = None;
        self.unlock = None;
        if let Some(rotation) = &mut self.rotation {
            rotation.key = None;
        }
        self
    }

    /// The new root takes the place of the old one.
    pub(super) fn finish_rotation(&mut self) {
        if let Some(rotation) = self.rotation.take() {
            self.root = rotation.root;
            self.key = rotation.key;
        }
    }

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
        self.unlock = tokens.unlock.or(self.unlock);
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

/// What takes the place of tokens, and of the unlock key, that are to be rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewTokens {
    pub worker: Option<JoinToken>,
    pub manager: Option<JoinToken>,
    pub unlock: Option<UnlockSecret>,
}

/// The unlock key itself; it never shows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockSecret(pub [u8; UNLOCK_SECRET_BYTES]);

impl fmt::Debug for UnlockSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockSecret")
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
pub mod tests {
    use super::*;

    /// A trust that nothing can be signed by.
    pub fn a_trust() -> Trust {
        Trust {
            root: b"root".to_vec(),
            key: Some(Hidden(b"KEY!".to_vec())),
            worker: JoinToken::new(TokenSecret([171; 16])),
            manager: JoinToken::new(TokenSecret([172; 16])),
            rotation: None,
            unlock: None,
        }
    }

    #[test]
    fn a_new_root_issues_at_once_and_takes_the_old_ones_place_at_the_end() {
        let mut trust = a_trust();
        let old = trust.root.clone();
        assert_eq!(
            (trust.roots(), trust.path()),
            (vec![old.clone()], vec![old.clone()])
        );
        let [root, cross] = [b"new", b"x->"].map(|bytes| bytes.to_vec());
        trust.rotation = Some(Rotation {
            root: root.clone(),
            key: Some(Hidden(vec![7])),
            cross: cross.clone(),
        });
        assert_eq!(trust.roots(), [old.clone(), root.clone()]);
        assert_eq!(trust.path(), [cross, old, root.clone()]);
        assert_eq!(trust.issuer(), (&root[..], Some(&Hidden(vec![7]))));
        let shown = trust.clone().without_keys();
        assert_eq!((shown.key, shown.rotation.unwrap().key), (None, None));
        trust.finish_rotation();
        assert_eq!(trust.roots(), std::slice::from_ref(&root));
        assert_eq!(trust.issuer(), (&root[..], Some(&Hidden(vec![7]))));
        assert_eq!(trust.rotation, None);
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
            unlock: None,
            worker: Some(JoinToken { uses: 3, ..new }),
            manager: None,
        });
        assert_eq!(trust.worker, new);
        assert_eq!(trust.manager, a_trust().manager);
    }
}
