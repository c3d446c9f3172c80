//! Tokens, which another service gives out for a registry.

use serde::Deserialize;
use ureq::http::Method;

use crate::image::registry::challenge::Bearer;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::failure::{RegistryError, printable};
use crate::image::registry::http::{Ask, Http, Outgoing};

const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// What skep calls itself where it asks for tokens.
const CLIENT: &str = "skep";

/// What a token service answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks for a token for `scope`, as whoever the credentials name, or as nobody.
pub fn fetch(
    http: &Http,
    bearer: &Bearer,
    scope: &str,
    credentials: &Credentials,
) -> Result<String, RegistryError> {
    let answer = match credentials.identity_token.is_empty() {
        true => http.fetch(question(bearer, scope, credentials)),
        false => exchange(http, bearer, scope, credentials),
    }?;
    let host = answer.host.clone();
    let bytes = answer.bytes("a token", TOKEN_BYTES_MAX)?;
    let given: Given = serde_json::from_slice(&bytes).unwrap_or_default();
    let tokens = [given.token, given.access_token].into_iter().flatten();
    let mut tokens = tokens.filter(|token| is_token(token));
    tokens.next().ok_or_else(|| RegistryError::Nonsense {
        host,
        what: "no token where one was asked for".to_owned(),
    })
}

fn question(bearer: &Bearer, scope: &str, credentials: &Credentials) -> Ask<'static> {
    let mut parameters = Vec::new();
    if !bearer.service.is_empty() {
        parameters.push(("service", bearer.service.as_str()));
    }
    if !scope.is_empty() {
        parameters.push(("scope", scope));
    }
    if !credentials.username.is_empty() {
        parameters.push(("account", credentials.username.as_str()));
    }
    let joint = if bearer.realm.contains('?') { '&' } else { '?' };
    let url = format!("{}{joint}{}", bearer.realm, form(&parameters));
    let mut ask = Ask::get(url);
    ask.authorization = credentials.basic();
    ask
}

/// A token that stands for name and password, for one that the registry takes.
fn exchange(
    http: &Http,
    bearer: &Bearer,
    scope: &str,
    credentials: &Credentials,
) -> Result<crate::image::registry::http::Answer, RegistryError> {
    let form = form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", &credentials.identity_token),
        ("service", &bearer.service),
        ("scope", scope),
        ("client_id", CLIENT),
    ]);
    let mut bytes = form.as_bytes();
    let mut ask = Ask::new(Method::POST, bearer.realm.clone())
        .header("content-type", "application/x-www-form-urlencoded");
    let length = form.len() as u64;
    ask.body = Some(Outgoing {
        bytes: &mut bytes,
        length,
    });
    http.fetch(ask)
}

/// Whether it can stand in a header.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())
}

/// Names and values as they stand in a query or a form.
pub fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A token service whose address a registry gives: TLS must not end on the way to it.
pub fn check_realm(http: &Http, bearer: &Bearer) -> Result<(), RegistryError> {
    let is_tls = bearer.realm.starts_with("https://");
    if is_tls || bearer.realm.starts_with("http://") && !http.endpoint().is_verified {
        return Ok(());
    }
    Err(RegistryError::Nonsense {
        host: http.endpoint().authority.clone(),
        what: format!("for a token to {:?}", printable(&bearer.realm)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_it_is_for_and_who_asks() {
        let bearer = Bearer {
            realm: "https://a/token?x=1".into(),
            service: "r e".into(),
            scope: String::new(),
        };
        let me = Credentials {
            username: "me".into(),
            password: "p".into(),
            ..Credentials::default()
        };
        let ask = question(&bearer, "repository:a/b:pull,push", &me);
        let expect = "https://a/token?x=1&service=r%20e&scope=repository%3Aa%2Fb%3Apull%2Cpush\
                      &account=me";
        assert_eq!(ask.url, expect);
        assert_eq!(ask.authorization.as_deref(), Some("Basic bWU6cA=="));
        let ask = question(&bearer, "", &Credentials::default());
        assert_eq!(
            (ask.url.as_str(), ask.authorization),
            ("https://a/token?x=1&service=r%20e", None)
        );
    }

    #[test]
    fn a_token_can_stand_in_a_header() {
        assert!(is_token("a.b-c_d="));
        assert!(!is_token("a\r\nHost: x") && !is_token("") && !is_token("a b"));
    }
}
