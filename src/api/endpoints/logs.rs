//! Logs of containers of this host, and of services and tasks wherever they run.

use futures_lite::StreamExt;
use hyper::StatusCode;

use crate::api::answer::{self, Answer, Broken};
use crate::api::call::Call;
use crate::api::containers::{SERVICE_ID, TASK_ID, find};
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::log_lines::{Chosen, Local};
use crate::api::log_stream::{LogQuery, of_container};
use crate::api::log_swarm::{Subject, everywhere};
use crate::api::version::ApiVersion;
use crate::model::logging::Logging;
use crate::model::spec::task::TaskSpec;
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
    let subject = Subject::Service(view.service.id);
    many(&call, query, subject, spec.container.tty).await
}

pub async fn task(call: Call) -> Result<Answer, Failure> {
    let query = LogQuery::read_strictly(&call.query)?;
    let Response::Task(task) = call.ask(Request::Task(call.name().into())).await? else {
        return Err(odd_answer());
    };
    check_read(is_unread(&task.spec))?;
    let subject = Subject::Task(task.id);
    many(&call, query, subject, task.spec.container.tty).await
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

async fn many(
    call: &Call,
    query: LogQuery,
    subject: Subject,
    tty: bool,
) -> Result<Answer, Failure> {
    let stream = everywhere(call.context.clone(), subject, query, tty).await?;
    Ok(answer::stream(content_type(call, tty), stream))
}

/// The lines that this host has of a service or a task, for a manager.
pub async fn lines(call: Call) -> Result<Answer, Failure> {
    let LogQuery { wanted, .. } = LogQuery::read(&call.query)?;
    let label = match call.name() {
        "service" => SERVICE_ID,
        "task" => TASK_ID,
        other => return Err(Failure::not_found(format!("a {other} has no log"))),
    };
    let value = call.parameters.get(1).cloned().unwrap_or_default();
    let lines = Local::open(call.context.clone(), Chosen { label, value }, wanted)?;
    let lines = lines.map(|line| {
        let line = line?.encode();
        line.map_or_else(
            |error| Err(Broken(error.to_string())),
            |line| Ok(line.into()),
        )
    });
    Ok(answer::stream("application/octet-stream", lines))
}

fn content_type(call: &Call, tty: bool) -> &'static str {
    match tty || call.version < MULTIPLEXED {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    }
}
