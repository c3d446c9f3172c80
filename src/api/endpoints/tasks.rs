//! `/tasks`.

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::task as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::wire::control::{Request, Response};

pub async fn list(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Tasks(call.query.filters()?)).await? {
        Response::Tasks(tasks) => {
            let tasks = tasks.iter().map(|task| convert::show(task));
            Ok(answer::json(&tasks.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Task(call.name().into())).await? {
        Response::Task(task) => Ok(answer::json(&convert::show(&task))),
        _ => Err(odd_answer()),
    }
}
