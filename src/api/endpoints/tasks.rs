//! `/tasks`.

use std::sync::Arc;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::task as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::model::object::{Network, Task};
use crate::wire::control::{Filters, Request, Response};

pub async fn list(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Tasks(call.query.filters()?)).await? {
        Response::Tasks(tasks) => {
            let networks = networks(&call, tasks.iter()).await?;
            let tasks = tasks.iter().map(|task| convert::show(task, &networks));
            Ok(answer::json(&tasks.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Task(call.name().into())).await? {
        Response::Task(task) => {
            let networks = networks(&call, [&task].into_iter()).await?;
            Ok(answer::json(&convert::show(&task, &networks)))
        }
        _ => Err(odd_answer()),
    }
}

/// The networks, if any of the tasks is on one.
async fn networks<'a>(
    call: &Call,
    mut tasks: impl Iterator<Item = &'a Arc<Task>>,
) -> Result<Vec<Arc<Network>>, Failure> {
    if tasks.all(|task| task.addresses.is_empty()) {
        return Ok(Vec::new());
    }
    match call.ask(Request::Networks(Filters::default())).await? {
        Response::Networks(networks) => Ok(networks),
        _ => Err(odd_answer()),
    }
}
