//! `/services`.

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::{defaults, service as convert};
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::service as json;
use crate::api::types::{Created, Updated};
use crate::wire::control::{Request, Response, ServiceUpdate};

pub async fn list(call: Call) -> Result<Answer, Failure> {
    let with_status = call.query.flag("status");
    match call.ask(Request::Services(call.query.filters()?)).await? {
        Response::Services(services) => {
            let services = services
                .iter()
                .map(|service| convert::show(service, with_status));
            Ok(answer::json(&services.collect::<Vec<_>>()))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ServiceSpec = call.json().await?;
    match call
        .ask(Request::CreateService(convert::read(given)?))
        .await?
    {
        Response::Created { id, warnings } => Ok(answer::json_with(
            StatusCode::CREATED,
            &Created { id, warnings },
        )),
        _ => Err(odd_answer()),
    }
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    let Response::Service(view) = call.ask(Request::Service(call.name().into())).await? else {
        return Err(odd_answer());
    };
    let mut service = convert::show(&view, false);
    if call.query.flag("insertDefaults") {
        defaults::insert(&mut service.spec);
    }
    Ok(answer::json(&service))
}

pub async fn update(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ServiceSpec = call.json().await?;
    let version = call.query.number("version")?;
    let update = match call.query.text("rollback") {
        "" => ServiceUpdate::Spec(convert::read(given)?),
        "previous" => ServiceUpdate::Rollback,
        other => {
            return Err(Failure::bad(format!(
                "unrecognized rollback option {other}"
            )));
        }
    };
    let request = Request::UpdateService {
        service: call.name().into(),
        version: version.ok_or_else(|| Failure::bad("the parameter version is missing"))?,
        update,
    };
    match call.ask(request).await? {
        Response::Done { warnings } => {
            let warnings = (!warnings.is_empty()).then_some(warnings);
            Ok(answer::json(&Updated { warnings }))
        }
        _ => Err(odd_answer()),
    }
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    match call.ask(Request::RemoveService(call.name().into())).await? {
        Response::Done { .. } => Ok(answer::empty(StatusCode::OK)),
        _ => Err(odd_answer()),
    }
}
