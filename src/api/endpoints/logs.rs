//! Logs of containers, services and tasks, as far as they run on this host.

use std::rc::Rc;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::containers::{NODE_ID, SERVICE_ID, TASK_ID, find};
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::log_stream::{LogQuery, of_container, of_many};
use crate::api::version::ApiVersion;
use crate::runtime::listing::Listed;
use crate::wire::control::{Request, Response};

/// Since when framed streams have a content type of their own.
const MULTIPLEXED: ApiVersion = ApiVersion(1, 42);

pub async fn container(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read(&call.query)?;
    let container = find(&call.context, call.name())?;
    let stream = of_container(&call.context, &container, &query)?;
    Ok(answer::stream(
        content_type(&call, container.plan.process.tty),
        stream,
    ))
}

pub async fn service(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read_strictly(&call.query)?;
    let Response::Service(view) = call.ask(Request::Service(call.name().into())).await? else {
        return Err(odd_answer());
    };
    let tty = view.service.spec.task.container.tty;
    many(&call, query, SERVICE_ID, view.service.id.to_string(), tty)
}

pub async fn task(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read_strictly(&call.query)?;
    let Response::Task(task) = call.ask(Request::Task(call.name().into())).await? else {
        return Err(odd_answer());
    };
    many(
        &call,
        query,
        TASK_ID,
        task.id.to_string(),
        task.spec.container.tty,
    )
}

fn many(
    call: &Call,
    query: LogQuery,
    label: &'static str,
    value: String,
    tty: bool,
) -> Result<Answer, Failure> {
    let chosen = Rc::new(move |container: &Listed| {
        container
            .plan
            .labels
            .get(label)
            .is_some_and(|found| *found == value)
    });
    let stream = of_many(call.context.clone(), chosen, query, details)?;
    Ok(answer::stream(content_type(call, tty), stream))
}

/// Which task a line is from, as Docker's clients read it.
fn details(container: &Listed) -> String {
    let pairs = [NODE_ID, SERVICE_ID, TASK_ID].map(|label| {
        let value = container.plan.labels.get(label).map_or("", String::as_str);
        format!("{label}={value}")
    });
    pairs.join(",")
}

fn content_type(call: &Call, tty: bool) -> &'static str {
    match tty || call.version < MULTIPLEXED {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    }
}
