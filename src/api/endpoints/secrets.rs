//! `/secrets` and `/configs`: shown, and not made yet.

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::secret as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::wire::control::{Request, Response};

pub async fn list_secrets(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Secrets(call.query.filters()?)).await? {
        Response::Secrets(secrets) => {
            let secrets = secrets.iter().map(|secret| convert::show_secret(secret));
            Ok(answer::json(&secrets.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect_secret(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Secret(call.name().into())).await? {
        Response::Secret(secret) => Ok(answer::json(&convert::show_secret(&secret))),
        _ => Err(odd_answer()),
    }
}

pub async fn create_secret(call: Call) -> Result<Answer, Failure> {
    call.ask(Request::Cluster).await?;
    Err(not_yet("secrets"))
}

pub async fn change_secret(call: Call) -> Result<Answer, Failure> {
    call.ask(Request::Secret(call.name().into())).await?;
    Err(not_yet("secrets"))
}

pub async fn list_configs(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Configs(call.query.filters()?)).await? {
        Response::Configs(configs) => {
            let configs = configs.iter().map(|config| convert::show_config(config));
            Ok(answer::json(&configs.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn inspect_config(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::Config(call.name().into())).await? {
        Response::Config(config) => Ok(answer::json(&convert::show_config(&config))),
        _ => Err(odd_answer()),
    }
}

pub async fn create_config(call: Call) -> Result<Answer, Failure> {
    call.ask(Request::Cluster).await?;
    Err(not_yet("configs"))
}

pub async fn change_config(call: Call) -> Result<Answer, Failure> {
    call.ask(Request::Config(call.name().into())).await?;
    Err(not_yet("configs"))
}

fn not_yet(kind: &str) -> Failure {
    Failure::unsupported(format!("skep does not store {kind} yet"))
}
