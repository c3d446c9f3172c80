//! Join tokens: `SWMTKN-1-`, the digest of the swarm's root, and a secret. With the digest a node
//! knows the root before it says the secret to anybody; with the secret the managers know the node.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::identity::text;
use crate::model::spec::node::Role;
use crate::model::time::Time;
use crate::model::trust::{Inadmissible, TOKEN_SECRET_BYTES, TokenSecret, Trust};

const PREFIX: &str = "SWMTKN-1-";
/// Digits of 32 bytes and of 16 bytes in base 36.
const DIGEST_DIGITS: usize = 50;
const SECRET_DIGITS: usize = 25;

/// What a node is given to join with.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    root: [u8; 32],
    secret: TokenSecret,
}

/// A text is no join token. The text may be a mistyped token, so it is not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no join token: one is SWMTKN-1-, {DIGEST_DIGITS} characters, a hyphen and \
     {SECRET_DIGITS} characters of 0-9 and a-z; \"swarm join-token\" on a manager shows it"
)]
pub struct NotAToken;

impl Token {
    /// The token of the swarm whose root certificate this is.
    pub fn new(root_der: &[u8], secret: TokenSecret) -> Self {
        let root = digest(root_der);
        Self { root, secret }
    }

    /// Whether this is the root of the swarm that the token is for.
    pub fn pins(&self, root_der: &[u8]) -> bool {
        self.root.ct_eq(&digest(root_der)).into()
    }

    /// What a node says once it knows the root.
    pub fn secret(&self) -> TokenSecret {
        self.secret
    }

    /// The token as users see it, with the secret in it.
    pub fn text(&self) -> Zeroizing<String> {
        let root = text::base36(&self.root, DIGEST_DIGITS);
        let secret = Zeroizing::new(text::base36(&self.secret.0, SECRET_DIGITS));
        Zeroizing::new(format!("{PREFIX}{root}-{}", *secret))
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(given: &str) -> Result<Self, NotAToken> {
        let parts = given.strip_prefix(PREFIX).and_then(|p| p.split_once('-'));
        let (root, secret) = parts.ok_or(NotAToken)?;
        if root.len() != DIGEST_DIGITS || secret.len() != SECRET_DIGITS {
            return Err(NotAToken);
        }
        let secret = text::from_base36::<TOKEN_SECRET_BYTES>(secret);
        Ok(Self {
            root: text::from_base36(root).ok_or(NotAToken)?,
            secret: TokenSecret(secret.ok_or(NotAToken)?),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What a secret lets a node join as. How long it takes says nothing about the tokens.
pub fn admit(trust: &Trust, said: &TokenSecret, now: Time) -> Result<Role, Inadmissible> {
    let mut role = Err(Inadmissible::Wrong);
    for candidate in [Role::Worker, Role::Manager] {
        let token = trust.token(candidate);
        if bool::from(token.secret.0.ct_eq(&said.0)) {
            role = if token.expires_at.is_some_and(|end| end <= now) {
                Err(Inadmissible::Expired)
            } else if token.uses_max.is_some_and(|most| most <= token.uses) {
                Err(Inadmissible::UsedUp)
            } else {
                Ok(candidate)
            };
        }
    }
    role
}

/// Swarm digests the root's PEM, not its DER.
fn digest(root_der: &[u8]) -> [u8; 32] {
    Sha256::digest(text::certificate_pem(root_der)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::model::trust::JoinToken;

    const NOW: Time = Time(1_000_000);
    const ROOT: &[u8] = b"a root certificate";

    fn secret(byte: u8) -> TokenSecret {
        TokenSecret([byte; TOKEN_SECRET_BYTES])
    }

    fn trust() -> Trust {
        Trust {
            root: ROOT.to_vec(),
            key: None,
            worker: JoinToken::new(secret(1)),
            manager: JoinToken::new(secret(2)),
            rotation: None,
            unlock: None,
        }
    }

    #[test]
    fn a_token_comes_back_from_its_text() {
        let token = Token::new(ROOT, secret(255));
        let text = token.text();
        assert!(text.starts_with("SWMTKN-1-") && text.ends_with("-f5lxx1zz5pnorynqglhzmsp33"));
        assert_eq!(text.len(), 9 + 50 + 1 + 25);
        let again: Token = text.parse().unwrap();
        assert_eq!((again.secret(), again.clone()), (secret(255), token));
    }

    #[test]
    fn dockers_own_example_is_a_token() {
        let text = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-\
                    1awxwuwd3z9j1z3puu7rcgdbx";
        let token: Token = text.parse().unwrap();
        assert_eq!(*token.text(), text);
    }

    #[test]
    fn a_token_pins_one_root() {
        let token = Token::new(ROOT, secret(1));
        assert!(token.pins(ROOT));
        assert!(!token.pins(b"the root of someone in the middle"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_repeating_it() {
        let good = Token::new(ROOT, secret(7)).text().to_string();
        let upper = good.replace(|c: char| c.is_ascii_lowercase(), "A");
        let large = format!("{}{}", &good[..good.len() - 25], "z".repeat(25));
        let longer = format!("{good}0");
        let other = good.replace("SWMTKN-1", "SWMTKN-2");
        for text in [
            "",
            "SWMTKN-1-",
            "é-é",
            &good[1..],
            &upper,
            &large,
            &longer,
            &other,
        ] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
    }

    #[test]
    fn random_texts_are_refused_or_are_tokens() {
        let good = Token::new(ROOT, secret(7)).text().to_string();
        let mut rng = Rng::from_seed(11);
        let mut draw = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
        for _ in 0..2000 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                bytes[at] = u8::try_from(draw(256)).unwrap();
            }
            bytes.truncate(bytes.len() - draw(2) * draw(40));
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(token) = text.parse::<Token>() {
                assert_eq!(*token.text(), text);
            }
        }
    }

    #[test]
    fn each_token_admits_to_its_role_and_nothing_else_does() {
        assert_eq!(admit(&trust(), &secret(1), NOW), Ok(Role::Worker));
        assert_eq!(admit(&trust(), &secret(2), NOW), Ok(Role::Manager));
        assert_eq!(admit(&trust(), &secret(3), NOW), Err(Inadmissible::Wrong));
        let mut rotated = trust();
        rotated.worker = JoinToken::new(secret(9));
        assert_eq!(admit(&rotated, &secret(1), NOW), Err(Inadmissible::Wrong));
    }

    #[test]
    fn a_token_ends_at_its_moment_and_after_its_uses() {
        let mut trust = trust();
        trust.worker.expires_at = Some(NOW.plus_ms(1));
        trust.worker.uses_max = Some(2);
        trust.worker.uses = 1;
        assert_eq!(admit(&trust, &secret(1), NOW), Ok(Role::Worker));
        assert_eq!(
            admit(&trust, &secret(1), NOW.plus_ms(1)),
            Err(Inadmissible::Expired)
        );
        trust.worker.uses = 2;
        assert_eq!(admit(&trust, &secret(1), NOW), Err(Inadmissible::UsedUp));
        assert_eq!(admit(&trust, &secret(2), NOW), Ok(Role::Manager));
    }

    #[test]
    fn a_token_never_shows() {
        assert_eq!(format!("{:?}", Token::new(ROOT, secret(7))), "Token");
    }
}
