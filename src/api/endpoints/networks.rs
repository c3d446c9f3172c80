//! `/networks`: those that every host has, and those of the swarm.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::{ClusterError, MemberState};
use crate::api::convert::network as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::exec::PruneReport;
use crate::api::types::network as json;
use crate::api::types::timestamp::NEVER;
use crate::model::object::Network;
use crate::wire::control::{ObjectKind, Refusal, Request, Response};

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
    let given: json::NetworkCreate = call.json().await?;
    match call
        .ask(Request::CreateNetwork(convert::read(given)?))
        .await?
    {
        Response::Created { id, .. } => Ok(answer::json_with(
            StatusCode::CREATED,
            &json::NetworkCreated {
                id,
                warning: String::new(),
            },
        )),
        _ => Err(odd_answer()),
    }
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    if !in_swarm(&call) {
        let name = find(&call).await?.name;
        return Err(Refusal::Predefined(name).into());
    }
    match call.ask(Request::RemoveNetwork(call.name().into())).await? {
        Response::Done { .. } => Ok(answer::empty(StatusCode::NO_CONTENT)),
        _ => Err(odd_answer()),
    }
}

/// Removes the networks that no service uses, but for the ingress network.
pub async fn prune(call: Call) -> Result<Answer, Failure> {
    let mut deleted = Vec::new();
    if in_swarm(&call) {
        for network in unused(&call).await? {
            let removal = Request::RemoveNetwork(network.id.to_string());
            match call.context.cluster.request(removal).await {
                Ok(_) => deleted.push(network.spec.name.clone()),
                // Somebody has begun to use it, or removed it, in between.
                Err(ClusterError::Refused(Refusal::InUse { .. } | Refusal::NotFound { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(answer::json(&PruneReport {
        networks_deleted: Some(deleted),
        ..PruneReport::default()
    }))
}

/// The networks that a prune with these filters is about.
async fn unused(call: &Call) -> Result<Vec<Arc<Network>>, Failure> {
    let mut filters = call.query.filters()?;
    let without = filters.0.remove("label!").unwrap_or_default();
    filters.0.insert("dangling".into(), ["true".into()].into());
    filters.0.insert("type".into(), ["custom".into()].into());
    let Response::Networks(mut networks) = call.ask(Request::Networks(filters)).await? else {
        return Err(odd_answer());
    };
    networks.retain(|network| {
        let has = |label: &String| match label.split_once('=') {
            Some((key, value)) => network.spec.labels.get(key).is_some_and(|own| own == value),
            None => network.spec.labels.contains_key(label),
        };
        !network.spec.ingress && !without.iter().any(has)
    });
    Ok(networks)
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
