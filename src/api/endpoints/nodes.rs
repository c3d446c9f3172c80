//! `/nodes`.

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::node as convert;
use crate::api::endpoints::odd_answer;
use crate::api::endpoints::swarm::cluster;
use crate::api::failure::Failure;
use crate::api::types::node as json;
use crate::wire::control::{Request, Response};

pub async fn list(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Nodes(call.query.filters()?)).await? {
        Response::Nodes(nodes) => {
            let cluster = cluster(&call).await?;
            let nodes = nodes.iter().map(|node| convert::show(node, &cluster));
            Ok(answer::json(&nodes.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Node(call.name().into())).await? {
        Response::Node(node) => {
            let cluster = cluster(&call).await?;
            Ok(answer::json(&convert::show(&node, &cluster)))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn update(mut call: Call) -> Result<Answer, Failure> {
    let given: json::NodeSpec = call.json().await?;
    let version = call.query.number("version")?;
    let request = Request::UpdateNode {
        node: call.name().into(),
        version: version.ok_or_else(|| Failure::bad("the parameter version is missing"))?,
        spec: convert::read(given)?,
    };
    done(&call, request).await
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let request = Request::RemoveNode {
        node: call.name().into(),
        force: call.query.flag("force"),
    };
    done(&call, request).await
}

async fn done(call: &Call, request: Request) -> Result<Answer, Failure> {
    match call.ask(request).await? {
        Response::Done { .. } => Ok(answer::empty(StatusCode::OK)),
        _ => Err(odd_answer()),
    }
}
