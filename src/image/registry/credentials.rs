//! Who is asking a registry.

use std::fmt;

use crate::identity::text::base64;

/// What a user gave for one registry. Its secrets appear in no log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// Stands for name and password where tokens are given out.
    pub identity_token: String,
    /// A token that the registry takes as it is.
    pub registry_token: String,
}

impl Credentials {
    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The header of basic authentication, if there is a name.
    pub fn basic(&self) -> Option<String> {
        let pair = format!("{}:{}", self.username, self.password);
        let named = !self.username.is_empty();
        named.then(|| format!("Basic {}", base64(pair.as_bytes())))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, …)", self.username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials {
            username: "me".into(),
            password: "hidden".into(),
            identity_token: "hidden".into(),
            registry_token: "hidden".into(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials(\"me\", …)");
        assert_eq!(credentials.basic().as_deref(), Some("Basic bWU6aGlkZGVu"));
        assert_eq!(Credentials::default().basic(), None);
        assert!(Credentials::default().is_empty() && !credentials.is_empty());
    }
}
