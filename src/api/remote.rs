//! What concerns a container of another node: found in the swarm and carried there, and the answer
//! back, over a stream to that host's own API.

use std::rc::Rc;

use bytes::Bytes;
use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt, Stream, future, stream};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use smol_hyper::rt::FuturesIo;

use crate::api::answer::{Answer, AnswerBody, Broken};
use crate::api::call::{Call, read_all};
use crate::api::containers;
use crate::api::context::Context;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::exec::ExecCreated;
use crate::api::upgraded::Duplex;
use crate::api::version;
use crate::model::id::NodeId;
use crate::model::object::{NodeState, Task, TaskState};
use crate::wire::control::{Filters, Request as Question, Response as Reply};

/// The longest answer that is read here.
const READ_BYTES_MAX: usize = 64 << 10;

/// A container somewhere in the swarm.
struct Place {
    node: NodeId,
    container: String,
}

/// Carries a call to where it belongs; `None` if that is here, under the name that it now has.
pub async fn carried(call: &mut Call) -> Result<Option<Answer>, Failure> {
    let uri = call.request.uri().clone();
    let (_, path) = version::split(uri.path())?;
    let mut segments = path.splitn(4, '/').skip(1);
    let (kind, rest) = (segments.next(), segments.nth(1));
    let place = match kind {
        Some("exec") if call.context.execs.find(call.name()).is_err() => {
            let node = call.context.execs.elsewhere(call.name());
            node.map(|node| (node, call.name().to_owned()))
        }
        Some("containers") => of_container(call).await?,
        Some("skep") if path == "/skep/doctor" => {
            return match of_node(call).await? {
                Some(node) => {
                    let target = format!("/v{}{path}", call.version);
                    carry(call, node, target).await.map(Some)
                }
                None => Ok(None),
            };
        }
        _ => None,
    };
    let Some((node, name)) = place else {
        return Ok(None);
    };
    let mut target = format!("/v{}/{}/{name}", call.version, kind.unwrap_or_default());
    target.extend(rest.iter().flat_map(|rest| ["/", rest]));
    target.extend(uri.query().iter().flat_map(|query| ["?", query]));
    let makes_exec = kind == Some("containers") && rest == Some("exec");
    let answer = carry(call, node, target).await?;
    match makes_exec && answer.status() == StatusCode::CREATED {
        true => note_exec(&call.context, node, answer).await.map(Some),
        false => Ok(Some(answer)),
    }
}

/// The node and the id of the container that a call names, if it is not one of this host. A task of
/// this host is named by its container's id from then on.
async fn of_container(call: &mut Call) -> Result<Option<(NodeId, String)>, Failure> {
    let here = containers::find(&call.context, call.name()).map(drop);
    let is_unknown = |failure: &Failure| failure.status == StatusCode::NOT_FOUND;
    let membership = call.context.cluster.membership();
    if !here.as_ref().is_err_and(is_unknown) || !membership.is_manager {
        return Ok(None);
    }
    let Some(place) = locate(&call.context, call.name()).await? else {
        return Ok(None);
    };
    if Some(place.node) == membership.node {
        call.parameters = vec![place.container];
        return Ok(None);
    }
    Ok(Some((place.node, place.container)))
}

/// The node that a call names, if it names one and that is not this host's.
async fn of_node(call: &Call) -> Result<Option<NodeId>, Failure> {
    let membership = call.context.cluster.membership();
    let own = membership.node.map(|node| node.to_string());
    let reference = call.query.text("node").to_owned();
    if reference.is_empty() || Some(&reference) == own.as_ref() {
        return Ok(None);
    }
    match call.ask(Question::Node(reference)).await? {
        Reply::Node(view) => Ok(Some(view.node.id).filter(|id| Some(*id) != membership.node)),
        _ => Err(odd_answer()),
    }
}

/// Where the swarm has a container of that id or name, or of a task of that name.
async fn locate(context: &Context, reference: &str) -> Result<Option<Place>, Failure> {
    let name = reference.strip_prefix('/').unwrap_or(reference);
    let everything = Question::Tasks(Filters::default());
    // Without the swarm's word it is unknown, as it is here.
    let Ok(Reply::Tasks(tasks)) = context.cluster.request(everything).await else {
        return Ok(None);
    };
    let named: Vec<_> = tasks.iter().filter_map(|task| named(task)).collect();
    let found = choose(&named, name)?;
    Ok(found.map(|found| Place {
        node: found.node,
        container: found.container.clone(),
    }))
}

/// What a task on a node goes by.
struct Named {
    node: NodeId,
    container: String,
    id: String,
    name: String,
    runs: bool,
}

fn named(task: &Task) -> Option<Named> {
    let container = &task.status.container.as_ref()?.container_id;
    Some(Named {
        node: task.node?,
        container: Some(container).filter(|id| !id.is_empty())?.clone(),
        id: task.id.to_string(),
        name: task.name(),
        runs: task.status.state == TaskState::Running,
    })
}

/// The task that is meant: by its container's id or name, or by its own name if it runs; or by the
/// beginning of its container's id. Not by its own id: who asks `docker inspect` for that wants the
/// task, and it looks for a container first.
fn choose<'a>(tasks: &'a [Named], name: &str) -> Result<Option<&'a Named>, Failure> {
    let is_meant = |task: &&Named| {
        let own_name = || format!("{}.{}", task.name, task.id);
        task.container == name || (task.runs && task.name == name) || own_name() == name
    };
    if let Some(task) = tasks.iter().find(is_meant) {
        return Ok(Some(task));
    }
    let starts = |task: &&Named| !name.is_empty() && task.container.starts_with(name);
    let mut starting = tasks.iter().filter(starts);
    match (starting.next(), starting.next()) {
        (_, Some(_)) => Err(Failure::bad(format!(
            "Multiple IDs found with provided prefix: {name}"
        ))),
        (one, None) => Ok(one),
    }
}

/// A connection to a node's own API.
pub async fn open(
    context: &Context,
    node: NodeId,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, Failure> {
    let asked = Question::Node(node.to_string());
    let Reply::Node(view) = context.cluster.request(asked).await? else {
        return Err(unavailable(&node.to_string(), "nobody knows it"));
    };
    let hostname = &view.node.description.hostname;
    if view.node.status.state == NodeState::Down {
        return Err(unavailable(hostname, "it is down"));
    }
    let stream = context.cluster.stream(node).await;
    stream.map_err(|error| unavailable(hostname, &error.to_string()))
}

fn unavailable(node: &str, reason: &str) -> Failure {
    Failure::unavailable(format!("node {node} is not available: {reason}"))
}

fn broke(error: hyper::Error) -> Failure {
    Failure::unavailable(format!(
        "the connection to the container's node broke: {error}"
    ))
}

/// Sends a request to a node.
pub async fn send<B>(
    context: &Context,
    node: NodeId,
    request: Request<B>,
) -> Result<Response<Incoming>, Failure>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = open(context, node).await?;
    let handshake = http1::handshake(FuturesIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broke)?;
    // The connection's own error reaches the caller through the answer that it breaks.
    let driven = async { drop(connection.with_upgrades().await) };
    context.executor.spawn(driven).detach();
    sender.send_request(request).await.map_err(broke)
}

async fn carry(call: &mut Call, node: NodeId, target: String) -> Result<Answer, Failure> {
    let upgrade = call.request.headers().contains_key(UPGRADE);
    let upgrade = upgrade.then(|| hyper::upgrade::on(&mut call.request));
    let mut request = Request::builder().method(call.request.method()).uri(target);
    request = request.header(HOST, "node");
    for name in [CONTENT_TYPE, UPGRADE, CONNECTION] {
        if let Some(value) = call.request.headers().get(&name) {
            request = request.header(name, value);
        }
    }
    let bytes = read_all(call.request.body_mut()).await?;
    let request = request.body(http_body_util::Full::new(bytes));
    let response = send(&call.context, node, request.map_err(Failure::internal)?).await?;
    Ok(answered(&call.context, response, upgrade))
}

/// A node's answer as this host's own.
fn answered(
    context: &Context,
    mut response: Response<Incoming>,
    upgrade: Option<OnUpgrade>,
) -> Answer {
    let status = response.status();
    let mut answer = Response::new(AnswerBody::Whole(None));
    *answer.status_mut() = status;
    let is_switched = status == StatusCode::SWITCHING_PROTOCOLS;
    let kept = [CONTENT_TYPE, UPGRADE, CONNECTION];
    for name in kept.into_iter().take(if is_switched { 3 } else { 1 }) {
        if let Some(value) = response.headers().get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    match upgrade {
        Some(client) if is_switched => {
            let node = hyper::upgrade::on(&mut response);
            context.executor.spawn(join(client, node)).detach();
        }
        _ => *answer.body_mut() = AnswerBody::Stream(Box::pin(pieces(response.into_body()))),
    }
    answer
}

/// The bytes of a node's answer, as they come.
pub fn pieces(body: Incoming) -> impl Stream<Item = Result<Bytes, Broken>> {
    stream::unfold(body, |mut body| async {
        loop {
            match body.frame().await?.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) => return Some((Ok(bytes), body)),
                // Trailers say nothing here.
                Ok(Err(_)) => {}
                Err(error) => return Some((Err(Broken(error.to_string())), body)),
            }
        }
    })
}

/// Carries bytes between a client and a node until the node has said everything.
async fn join(client: OnUpgrade, node: OnUpgrade) {
    let (client, node) = match future::try_zip(client, node).await {
        Ok(both) => both,
        Err(error) => return tracing::debug!("a connection was not handed over: {error}"),
    };
    let (from_client, to_client) = futures_lite::io::split(Duplex::<Upgraded>::new(client));
    let (from_node, to_node) = futures_lite::io::split(Duplex::<Upgraded>::new(node));
    let up = async {
        copy(from_client, to_node).await;
        future::pending().await
    };
    future::or(copy(from_node, to_client), up).await;
}

async fn copy(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // Either side may be gone; then the other one is told so.
    let _ = futures_lite::io::copy(from, &mut to).await;
    let _ = to.close().await;
}

/// Remembers where an exec is that a node has made.
async fn note_exec(context: &Rc<Context>, node: NodeId, answer: Answer) -> Result<Answer, Failure> {
    let (head, body) = answer.into_parts();
    let limited = http_body_util::Limited::new(body, READ_BYTES_MAX);
    let read = limited.collect().await;
    let bytes = read.map_err(Failure::unavailable)?.to_bytes();
    if let Ok(created) = serde_json::from_slice::<ExecCreated>(&bytes) {
        context.execs.note_elsewhere(created.id, node);
    }
    Ok(Response::from_parts(head, AnswerBody::Whole(Some(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, name: &str, runs: bool, container: &str) -> Named {
        let [container, id, name] = [container, id, name].map(str::to_owned);
        Named {
            node: NodeId(1),
            container,
            id,
            name,
            runs,
        }
    }

    #[test]
    fn a_container_goes_by_its_id_its_name_and_a_running_tasks_name() {
        let tasks = [
            task("t1", "web.1", false, "abc1"),
            task("t2", "web.1", true, "abc2"),
            task("t3", "web.2", true, "def3"),
        ];
        let check = |name: &str, expect: Option<&str>| {
            let found = choose(&tasks, name).unwrap();
            assert_eq!(found.map(|task| &*task.container), expect, "{name}");
        };
        check("abc1", Some("abc1"));
        check("d", Some("def3"));
        check("web.1", Some("abc2"));
        check("web.2", Some("def3"));
        check("t1", None);
        check("web.1.t1", Some("abc1"));
        check("web.2.t1", None);
        check("web.3", None);
        check("", None);
        let ambiguous = choose(&tasks, "abc").err().unwrap();
        assert_eq!(
            ambiguous.message,
            "Multiple IDs found with provided prefix: abc"
        );
    }
}
