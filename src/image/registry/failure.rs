//! Why a registry did not give what was asked for.

use std::time::Duration;

use serde::Deserialize;

use crate::image::digest::Digest;

/// Longest text of a registry that is passed on.
const TEXT_CHARS_MAX: usize = 300;
/// A registry that asks for more patience is not waited for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// A request that came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("it was given up")]
    Cancelled,
    #[error("digest does not match: {expected} was asked for, {host} sent {found}")]
    Digest {
        host: String,
        expected: Digest,
        found: Digest,
    },
    #[error("{0:?} is not a sha256 digest, and others cannot be checked")]
    DigestText(String),
    /// What cannot be an answer.
    #[error("{host} sent {what}")]
    Nonsense { host: String, what: String },
    #[error("{0}")]
    Refused(Refusal),
    #[error("{host} sent more than {max} bytes where {what} was expected")]
    TooLarge {
        host: String,
        what: &'static str,
        max: u64,
    },
    #[error("cannot reach {host}: {reason}")]
    Unreachable { host: String, reason: String },
}

/// A registry that answered, and said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub host: String,
    pub status: u16,
    /// The registry's word for it, such as `MANIFEST_UNKNOWN`; may be empty.
    pub code: String,
    pub message: String,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl RegistryError {
    /// Whether the same request may well succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => {
                let patient = refusal
                    .retry_after
                    .is_none_or(|wait| wait <= RETRY_AFTER_MAX);
                matches!(refusal.status, 408 | 425 | 429 | 500..=599) && patient
            }
            _ => false,
        }
    }

    /// How long the registry asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// The status of a registry that said no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

/// A body that explains itself, as registries and token services write it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errors: Vec<Entry>,
    details: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    code: String,
    message: String,
}

impl Refusal {
    /// What a status and the body with it say.
    pub fn read(host: &str, status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let first = body.errors.into_iter().next().unwrap_or_default();
        let said = [first.message, body.details, body.message];
        let message = said.into_iter().find(|text| !text.is_empty());
        Self {
            host: host.to_owned(),
            status,
            code: printable(&first.code),
            message: printable(&message.unwrap_or_default()),
            retry_after,
        }
    }
}

impl std::error::Error for Refusal {}

/// In Docker's form: `manifest unknown: manifest unknown`.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.to_ascii_lowercase().replace('_', " ");
        match (code.as_str(), self.message.as_str()) {
            ("", "") => {
                let status = ureq::http::StatusCode::from_u16(self.status).ok();
                let reason = status.and_then(|status| status.canonical_reason());
                write!(f, "{} answered {}", self.host, self.status)?;
                reason.map_or(Ok(()), |reason| write!(f, " {reason}"))
            }
            ("", message) => write!(f, "{} answered {}: {message}", self.host, self.status),
            (code, "") => f.write_str(code),
            (code, message) => write!(f, "{code}: {message}"),
        }?;
        match self.retry_after {
            Some(wait) if wait > RETRY_AFTER_MAX => {
                write!(f, " ({} asks to wait {} s)", self.host, wait.as_secs())
            }
            _ => Ok(()),
        }
    }
}

/// One line of a length that can be shown.
pub fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim()
        .chars()
        .map(plain)
        .take(TEXT_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expect: &str) {
        let refusal = Refusal::read("r.example", status, body.as_bytes(), None);
        assert_eq!(refusal.to_string(), expect);
    }

    #[test]
    fn refusals_are_told_in_one_line() {
        let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown",
            "detail":{"Tag":"x"}}]}"#;
        check(404, unknown, "manifest unknown: manifest unknown");
        let hub = r#"{"details":"incorrect username or password"}"#;
        check(
            401,
            hub,
            "r.example answered 401: incorrect username or password",
        );
        check(
            500,
            "<html>",
            "r.example answered 500 Internal Server Error",
        );
        check(599, "", "r.example answered 599");
        check(403, r#"{"errors":[{"code":"DENIED"}]}"#, "denied");
        check(
            403,
            r#"{"errors":[{"code":3}]}"#,
            "r.example answered 403 Forbidden",
        );
        let long = format!(r#"{{"message":"a\nb{}"}}"#, "x".repeat(5000));
        let refusal = Refusal::read("h", 403, long.as_bytes(), None).to_string();
        assert!(refusal.len() < 400 && refusal.contains("a b") && !refusal.contains('\n'));
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let refused = |status, wait| {
            let wait = Option::map(wait, Duration::from_secs);
            RegistryError::Refused(Refusal::read("h", status, b"", wait)).is_passing()
        };
        assert!(refused(429, None) && refused(503, Some(300)) && refused(500, None));
        assert!(!refused(429, Some(301)) && !refused(404, None) && !refused(401, Some(1)));
    }
}
