//! Who asks a registry.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::text::from_base64;
use crate::image::registry::credentials::Credentials;

/// Longest header that is read.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Docker's `AuthConfig`, as it stands in the header `X-Registry-Auth` and in `/auth`. Its secrets
/// appear in no log.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "lowercase")]
pub struct AuthConfig {
    pub username: String,
    pub password: String,
    /// Base 64 of name and password with a colon between them.
    pub auth: String,
    pub email: String,
    #[serde(rename = "serveraddress")]
    pub server_address: String,
    #[serde(rename = "identitytoken")]
    pub identity_token: String,
    #[serde(rename = "registrytoken")]
    pub registry_token: String,
}

impl AuthConfig {
    /// What stands in a header: base 64 of JSON, or nothing. None if it is neither.
    pub fn read(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?.trim();
        if text.is_empty() {
            return Some(Self::default());
        }
        let bytes = from_base64(text).filter(|_| text.len() <= HEADER_BYTES_MAX)?;
        let config: Option<Self> = serde_json::from_slice(&bytes).ok()?;
        Some(config.unwrap_or_default())
    }

    /// Who asks.
    pub fn credentials(self) -> Credentials {
        let pair = from_base64(&self.auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.unwrap_or_default();
        let (username, password) = match pair.split_once(':') {
            Some((name, password)) if self.username.is_empty() => {
                (name.to_owned(), password.to_owned())
            }
            _ => (self.username, self.password),
        };
        Credentials {
            username,
            password,
            identity_token: self.identity_token,
            registry_token: self.registry_token,
        }
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthConfig({:?}, …)", self.server_address)
    }
}

docker! {
    /// What a login answers.
    pub struct LoggedIn {
        status "Status": String;
        identity_token "IdentityToken": String;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::text::base64;

    fn read(json: &str) -> Option<Credentials> {
        AuthConfig::read(base64(json.as_bytes()).as_bytes()).map(AuthConfig::credentials)
    }

    #[test]
    fn a_header_says_who_asks() {
        let me = read(r#"{"username":"me","password":"p","serveraddress":"x"}"#).unwrap();
        assert_eq!((me.username.as_str(), me.password.as_str()), ("me", "p"));
        let packed = read(r#"{"auth":"bWU6cDpx"}"#).unwrap();
        assert_eq!(
            (packed.username.as_str(), packed.password.as_str()),
            ("me", "p:q")
        );
        let token = read(r#"{"identitytoken":"t","registrytoken":"r"}"#).unwrap();
        assert_eq!(
            (token.identity_token.as_str(), token.registry_token.as_str()),
            ("t", "r")
        );
        assert_eq!(read("{}"), Some(Credentials::default()));
        assert_eq!(read("null"), Some(Credentials::default()));
        assert_eq!(AuthConfig::read(b""), Some(AuthConfig::default()));
    }

    #[test]
    fn what_is_no_header_is_none_and_secrets_are_not_shown() {
        for text in ["{", "3", r#"{"username":3}"#] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(AuthConfig::read(b"!"), None);
        assert_eq!(AuthConfig::read(b"\xff"), None);
        let config = AuthConfig {
            password: "hidden".into(),
            ..AuthConfig::default()
        };
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn no_bytes_break_the_header() {
        let mut rng = crate::host::rng::Rng::from_seed(4);
        let good = base64(br#"{"username":"me","password":"p","auth":"bWU6cA=="}"#);
        for _ in 0..20_000 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=rng.below(3) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
            drop(AuthConfig::read(&bytes).map(AuthConfig::credentials));
        }
    }
}
