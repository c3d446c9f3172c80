//! `/images/create` from a registry, and `/auth`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;

use async_channel::Receiver;
use futures_lite::{StreamExt, future, stream};
use hyper::StatusCode;
use hyper::header::HeaderMap;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::types::image::{ErrorDetail, Progress, ProgressDetail};
use crate::api::types::registry::{AuthConfig, LoggedIn};
use crate::host::clock;
use crate::image::digest::Digest;
use crate::image::platform::Platform;
use crate::image::pull::{Order, PullError, Pulled, Step};
use crate::image::reference::Reference;
use crate::image::registry::credentials::Credentials;

/// The header with a user's credentials.
pub const AUTH: &str = "x-registry-auth";
/// Steps of a pull that wait to be told.
pub const STEPS_QUEUED: usize = 64;
/// As much of a layer's digest as Docker shows.
pub const SHORT_ID_CHARS: usize = 12;

/// `docker pull`. What fails before the registry knows the image is an answer of its own; later it
/// can only be told in the stream.
pub async fn pull(call: Call) -> Result<Answer, Failure> {
    let order = order(&call)?;
    let (reference, context) = (order.reference.clone(), call.context.clone());
    let (tell, told) = async_channel::bounded(STEPS_QUEUED);
    let pulling = Pulling {
        context: context.clone(),
        reference: reference.clone(),
    };
    let mut work = Box::pin(async move { context.host.registries.pull(order, tell).await });
    let first = async { told.recv().await.ok() };
    let failed = async { Err(work.as_mut().await) };
    match future::or(async { Ok(first.await) }, failed).await {
        Ok(Some(step)) => Ok(pulling.stream(step, told, work)),
        // Steps end with the pull.
        Ok(None) => Ok(pulling.end(work.await?)),
        Err(pulled) => Ok(pulling.end(pulled?)),
    }
}

/// Docker's login: asks the registry whether it lets these credentials in.
pub async fn auth(mut call: Call) -> Result<Answer, Failure> {
    let config: AuthConfig = call.json().await?;
    let registry = registry_of(&config.server_address)?;
    let credentials = config.credentials();
    let registries = &call.context.host.registries;
    registries
        .check_login(&registry, credentials)
        .await
        .map_err(|error| {
            let status = match error.status() {
                Some(401 | 403) => StatusCode::UNAUTHORIZED,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Failure::new(status, error)
        })?;
    Ok(answer::json(&LoggedIn {
        status: "Login Succeeded".into(),
        identity_token: String::new(),
    }))
}

/// The registry that a login names; Docker's clients write its own as a URL.
fn registry_of(address: &str) -> Result<String, Failure> {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    let bare = if bare.is_empty() { "docker.io" } else { bare };
    let reference = Reference::parse(&format!("{bare}/x"));
    let named = reference
        .ok()
        .filter(|r| r.path == "x" || r.path == "library/x");
    let named = named.map(|reference| reference.registry);
    named.ok_or_else(|| Failure::bad(format!("{address:?} is no registry")))
}

/// Who asks a registry, from the header of a request.
pub fn credentials(headers: &HeaderMap) -> Result<Credentials, Failure> {
    let header = headers.get(AUTH).map_or(&[][..], |value| value.as_bytes());
    let config = AuthConfig::read(header);
    let config = config.ok_or_else(|| Failure::bad("invalid X-Registry-Auth header"))?;
    Ok(config.credentials())
}

fn order(call: &Call) -> Result<Order, Failure> {
    let (name, tag) = (call.query.text("fromImage"), call.query.text("tag"));
    let given = Reference::parse(name).map_err(Failure::bad)?;
    let is_bare = given.tag.is_none() && given.digest.is_none();
    let reference = match tag {
        "" if is_bare => {
            return Err(Failure::bad(
                "skep does not pull all tags of a repository: name one",
            ));
        }
        "" => given,
        digest if digest.contains(':') => {
            Reference::parse(&format!("{name}@{digest}")).map_err(Failure::bad)?
        }
        tag => given.with_tag(tag).map_err(Failure::bad)?,
    };
    let platform = match call.query.text("platform") {
        "" => None,
        text => Some(text.parse::<Platform>().map_err(Failure::bad)?),
    };
    Ok(Order {
        reference,
        credentials: credentials(call.request.headers())?,
        platform,
    })
}

/// What is known while a pull is told about.
struct Pulling {
    context: Rc<Context>,
    reference: Reference,
}

type Work = Pin<Box<dyn Future<Output = Result<Pulled, PullError>>>>;

impl Pulling {
    /// The steps as they come, and then the end.
    fn stream(self, first: Step, told: Receiver<Step>, work: Work) -> Answer {
        let reference = self.reference.clone();
        let steps = stream::once(first).chain(told);
        let steps = steps.map(move |step| answer::line(&line(&reference, step)));
        let end = stream::once_future(work).flat_map(move |pulled| {
            let lines = match pulled {
                Ok(pulled) => self.last_lines(&pulled),
                Err(error) => vec![error_line(error.to_string())],
            };
            stream::iter(lines.into_iter().map(|line| answer::line(&line)))
        });
        answer::stream("application/json", steps.chain(end))
    }

    /// The end alone.
    fn end(self, pulled: Pulled) -> Answer {
        let lines = self.last_lines(&pulled).into_iter();
        let lines: Vec<_> = lines.map(|line| answer::line(&line)).collect();
        answer::stream("application/json", stream::iter(lines))
    }

    /// What Docker says of an image that is here now.
    fn last_lines(&self, pulled: &Pulled) -> Vec<Progress> {
        let name = self.reference.familiar();
        let attributes = BTreeMap::from([("name".to_owned(), name.clone())]);
        let actor = (name.clone(), attributes);
        self.context
            .events
            .publish_local(clock::now(), "image", "pull", actor);
        let news = match pulled.is_new {
            true => "Downloaded newer image for",
            false => "Image is up to date for",
        };
        let said = |status: String| Progress {
            status,
            ..Progress::default()
        };
        vec![
            said(format!("Digest: {}", pulled.digest)),
            said(format!("Status: {news} {name}")),
        ]
    }
}

/// A step in Docker's words.
fn line(reference: &Reference, step: Step) -> Progress {
    let layer = |status: &str, layer: Digest, detail: ProgressDetail| Progress {
        status: status.to_owned(),
        progress_detail: Some(detail),
        id: layer.hex().chars().take(SHORT_ID_CHARS).collect(),
        ..Progress::default()
    };
    let none = ProgressDetail::default();
    match step {
        Step::Found => Progress {
            status: format!("Pulling from {}", reference.path),
            id: reference
                .tag
                .clone()
                .or_else(|| reference.digest.clone())
                .unwrap_or_default(),
            ..Progress::default()
        },
        Step::Layer(digest) => layer("Pulling fs layer", digest, none),
        Step::Exists(digest) => layer("Already exists", digest, none),
        Step::Arriving {
            layer: digest,
            received,
            total,
        } => {
            let detail = ProgressDetail {
                current: received,
                total,
            };
            layer("Downloading", digest, detail)
        }
        Step::Arrived(digest) => layer("Pull complete", digest, none),
    }
}

/// A failure that can only be told in the stream.
pub fn error_line(message: String) -> Progress {
    Progress {
        error_detail: Some(ErrorDetail {
            message: message.clone(),
        }),
        error: message,
        ..Progress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_name_registries_as_dockers_clients_do() {
        let registry = |address: &str| registry_of(address).map_err(|f| f.message);
        for hub in ["https://index.docker.io/v1/", "", "docker.io"] {
            assert_eq!(registry(hub).as_deref(), Ok("docker.io"));
        }
        assert_eq!(
            registry("https://r.example:5000/v2/").as_deref(),
            Ok("r.example:5000")
        );
        assert_eq!(registry("localhost:5000").as_deref(), Ok("localhost:5000"));
        for wrong in ["a b", "x/y", "http://"] {
            let is_hub = registry(wrong).as_deref() == Ok("docker.io");
            assert!(registry(wrong).is_err() || is_hub, "{wrong}");
        }
    }
}
