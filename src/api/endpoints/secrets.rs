//! `/secrets` and `/configs`.

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::secret as convert;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::Created;
use crate::api::types::secret as json;
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

pub async fn create_secret(mut call: Call) -> Result<Answer, Failure> {
    let given: json::SecretSpec = call.json().await?;
    let spec = convert::read_secret(given);
    created(call.ask(Request::CreateSecret(spec)).await?)
}

pub async fn update_secret(mut call: Call) -> Result<Answer, Failure> {
    let given: json::SecretSpec = call.json().await?;
    let request = Request::UpdateSecret {
        secret: call.name().into(),
        version: version(&call)?,
        spec: convert::read_secret(given),
    };
    done(call.ask(request).await?, StatusCode::OK)
}

pub async fn remove_secret(call: Call) -> Result<Answer, Failure> {
    let request = Request::RemoveSecret(call.name().into());
    done(call.ask(request).await?, StatusCode::NO_CONTENT)
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

pub async fn create_config(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ConfigSpec = call.json().await?;
    let spec = convert::read_config(given);
    created(call.ask(Request::CreateConfig(spec)).await?)
}

pub async fn update_config(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ConfigSpec = call.json().await?;
    let request = Request::UpdateConfig {
        config: call.name().into(),
        version: version(&call)?,
        spec: convert::read_config(given),
    };
    done(call.ask(request).await?, StatusCode::OK)
}

pub async fn remove_config(call: Call) -> Result<Answer, Failure> {
    let request = Request::RemoveConfig(call.name().into());
    done(call.ask(request).await?, StatusCode::NO_CONTENT)
}

fn version(call: &Call) -> Result<u64, Failure> {
    let version = call.query.number("version")?;
    version.ok_or_else(|| Failure::bad("the parameter version is missing"))
}

fn created(response: Response) -> Result<Answer, Failure> {
    match response {
        Response::Created { id, warnings } => Ok(answer::json_with(
            StatusCode::CREATED,
            &Created { id, warnings },
        )),
        _ => Err(odd_answer()),
    }
}

fn done(response: Response, status: StatusCode) -> Result<Answer, Failure> {
    match response {
        Response::Done { .. } => Ok(answer::empty(status)),
        _ => Err(odd_answer()),
    }
}
