//! `/images/…/push`.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_lite::{StreamExt, future, stream};

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::Context;
use crate::api::endpoints::registry::{SHORT_ID_CHARS, STEPS_QUEUED, credentials, error_line};
use crate::api::failure::Failure;
use crate::api::types::image::{Progress, ProgressDetail, PushResult};
use crate::host::clock;
use crate::image::digest::Digest;
use crate::image::pull::Order;
use crate::image::push::{Pushed, Step};
use crate::image::reference::Reference;

/// `docker push`. What fails before the registry is there is an answer of its own; later it can
/// only be told in the stream.
pub async fn push(call: Call) -> Result<Answer, Failure> {
    let order = order(&call)?;
    let (reference, context) = (order.reference.clone(), call.context.clone());
    let (tell, told) = async_channel::bounded(STEPS_QUEUED);
    let pushing = context.clone();
    let mut work = Box::pin(async move { pushing.host.registries.push(order, tell).await });
    let first = async { told.recv().await.ok() };
    let failed = async { Err(work.as_mut().await) };
    let ended = match future::or(async { Ok(first.await) }, failed).await {
        Ok(Some(_)) => None,
        // Steps end with the push.
        Ok(None) => Some(work.as_mut().await),
        Err(pushed) => Some(pushed),
    };
    if let Some(pushed) = ended {
        let lines = last_lines(&context, &reference, &pushed?).into_iter();
        let lines = stream::iter(lines.map(|line| answer::line(&line)));
        return Ok(answer::stream("application/json", lines));
    }
    let repository = Reference::repository(&reference);
    let begun = said(format!("The push refers to repository [{repository}]"));
    let steps = told.filter_map(line);
    let end = stream::once_future(work).flat_map(move |pushed| {
        stream::iter(match pushed {
            Ok(pushed) => last_lines(&context, &reference, &pushed),
            Err(error) => vec![error_line(error.to_string())],
        })
    });
    let lines = stream::once(begun).chain(steps).chain(end);
    let lines = lines.map(|line| answer::line(&line));
    Ok(answer::stream("application/json", lines))
}

fn order(call: &Call) -> Result<Order, Failure> {
    let name = Reference::parse(call.name()).map_err(Failure::bad)?;
    if !matches!(call.query.text("platform"), "" | "null") {
        let why = "skep has one build of an image and pushes that: no platform can be chosen";
        return Err(Failure::bad(why));
    }
    let reference = match (call.query.text("tag"), &name.tag) {
        ("", None) => {
            let why = "skep does not push all tags of a repository: name one";
            return Err(Failure::bad(why));
        }
        ("", Some(_)) => name,
        (tag, _) => name.with_tag(tag).map_err(Failure::bad)?,
    };
    Ok(Order {
        reference,
        credentials: credentials(call.request.headers())?,
        platform: None,
    })
}

fn said(status: String) -> Progress {
    Progress {
        status,
        ..Progress::default()
    }
}

/// A step in Docker's words.
fn line(step: Step) -> Option<Progress> {
    let layer = |status: &str, layer: Digest, detail: ProgressDetail| {
        Some(Progress {
            status: status.to_owned(),
            progress_detail: Some(detail),
            id: layer.hex().chars().take(SHORT_ID_CHARS).collect(),
            ..Progress::default()
        })
    };
    let none = ProgressDetail::default();
    match step {
        Step::Begun => None,
        Step::Preparing(id) => layer("Preparing", id, none),
        Step::Exists(id) => layer("Layer already exists", id, none),
        Step::Sending {
            layer: id,
            sent: current,
            total,
        } => layer("Pushing", id, ProgressDetail { current, total }),
        Step::Sent(id) => layer("Pushed", id, none),
    }
}

/// What Docker says of an image that the registry has now.
fn last_lines(context: &Rc<Context>, reference: &Reference, pushed: &Pushed) -> Vec<Progress> {
    let name = reference.familiar();
    let attributes = BTreeMap::from([("name".to_owned(), name.clone())]);
    let events = &context.events;
    events.publish_local(clock::now(), "image", "push", (name, attributes));
    let tag = reference.tag.clone().unwrap_or_default();
    let (digest, size) = (pushed.digest.to_string(), pushed.bytes);
    let end = said(format!("{tag}: digest: {digest} size: {size}"));
    let result = Progress {
        progress_detail: Some(ProgressDetail::default()),
        aux: Some(PushResult { tag, digest, size }),
        ..Progress::default()
    };
    vec![end, result]
}
