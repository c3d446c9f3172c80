//! Logs of containers, services and tasks, as far as they run on this host.

use std::rc::Rc;

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::containers::{NODE_ID, SERVICE_ID, TASK_ID, find};
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::log_stream::{LogQuery, of_container, of_many};
use crate::api::version::ApiVersion;
use crate::model::logging::Logging;
use crate::model::spec::task::TaskSpec;
use crate::runtime::listing::Listed;
use crate::runtime::plan::LogPlan;
use crate::wire::control::{Request, Response};

/// Since when framed streams have a content type of their own.
const MULTIPLEXED: ApiVersion = ApiVersion(1, 42);

pub async fn container(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read(&call.query)?;
    let container = find(&call.context, call.name())?;
    check_read(container.plan.log == LogPlan::None)?;
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
    let spec = &view.service.spec.task;
    check_read(is_unread(spec))?;
    let tty = spec.container.tty;
    many(&call, query, SERVICE_ID, view.service.id.to_string(), tty)
}

pub async fn task(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read_strictly(&call.query)?;
    let Response::Task(task) = call.ask(Request::Task(call.name().into())).await? else {
        return Err(odd_answer());
    };
    check_read(is_unread(&task.spec))?;
    many(
        &call,
        query,
        TASK_ID,
        task.id.to_string(),
        task.spec.container.tty,
    )
}

/// Whether the log driver keeps nothing.
fn is_unread(spec: &TaskSpec) -> bool {
    Logging::read(spec.log_driver.as_ref()) == Ok(Logging::None)
}

fn check_read(is_unread: bool) -> Result<(), Failure> {
    let message = "configured logging driver does not support reading";
    match is_unread {
        true => Err(Failure::new(StatusCode::NOT_IMPLEMENTED, message)),
        false => Ok(()),
    }
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
