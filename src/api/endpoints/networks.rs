//! `/networks`: those that every host has. Others are not made yet.

use std::collections::BTreeMap;

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::{Call, pass_over};
use crate::api::context::MemberState;
use crate::api::convert::network as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::exec::PruneReport;
use crate::api::types::network as json;
use crate::api::types::timestamp::NEVER;
use crate::wire::control::{ObjectKind, Refusal, Request, Response};

const NOT_YET: &str = "skep does not make networks yet: a task has a network namespace of its own \
                       with loopback alone, or the host's with --network host";

pub async fn list(call: Call) -> Result<Answer, Failure> {
    if !in_swarm(&call) {
        return Ok(answer::json(&predefined()));
    }
    match call.ask(Request::Networks(call.query.filters()?)).await? {
        Response::Networks(networks) => {
            let networks = networks.iter().map(|network| convert::show(network));
            Ok(answer::json(&networks.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    Ok(answer::json(&find(&call).await?))
}

pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    pass_over(call.request.body_mut()).await;
    Err(Failure::unsupported(NOT_YET))
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let network = find(&call).await?;
    let message = format!(
        "{} is a pre-defined network and cannot be removed",
        network.name
    );
    Err(Failure::new(StatusCode::FORBIDDEN, message))
}

/// Nothing is unused: there are only predefined networks.
pub async fn prune(_: Call) -> Result<Answer, Failure> {
    let networks_deleted = Some(Vec::new());
    Ok(answer::json(&PruneReport {
        networks_deleted,
        ..PruneReport::default()
    }))
}

async fn find(call: &Call) -> Result<json::Network, Failure> {
    let reference = call.name();
    if in_swarm(call) {
        return match call.ask(Request::Network(reference.into())).await? {
            Response::Network(network) => Ok(convert::show(&network)),
            _ => Err(odd_answer()),
        };
    }
    let found = predefined()
        .into_iter()
        .find(|n| n.name == reference || n.id == reference);
    found.ok_or_else(|| {
        let kind = ObjectKind::Network;
        let reference = reference.to_owned();
        Refusal::NotFound { kind, reference }.into()
    })
}

fn in_swarm(call: &Call) -> bool {
    call.context.cluster.membership().state == MemberState::Active
}

/// What a host has without a swarm.
fn predefined() -> Vec<json::Network> {
    let network = |(name, driver): (&str, &str)| json::Network {
        name: name.into(),
        id: name.into(),
        created: NEVER.into(),
        scope: "local".into(),
        driver: driver.into(),
        enable_ipv4: true,
        ipam: json::Ipam {
            driver: "default".into(),
            options: None,
            config: Some(Vec::new()),
        },
        containers: Some(BTreeMap::new()),
        options: Some(BTreeMap::new()),
        labels: Some(BTreeMap::new()),
        ..json::Network::default()
    };
    [("host", "host"), ("none", "null")].map(network).into()
}
