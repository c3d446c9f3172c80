//! `/services`.

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::convert::{defaults, service as convert};
use crate::api::endpoints::{odd_answer, registry};
use crate::api::failure::Failure;
use crate::api::types::service as json;
use crate::api::types::{Created, Updated};
use crate::model::spec::service::RegistryAuth;
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
    let mut spec = convert::read(given)?;
    spec.registry_auth = header(&call)?;
    match call.ask(Request::CreateService(spec)).await? {
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
        "" => {
            let mut spec = convert::read(given)?;
            spec.registry_auth = updated_auth(&call).await?;
            ServiceUpdate::Spec(spec)
        }
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

/// Who asks the registry for the tasks' image, as the request says.
fn header(call: &Call) -> Result<RegistryAuth, Failure> {
    let headers = call.request.headers();
    if registry::credentials(headers)?.is_empty() {
        return Ok(RegistryAuth::default());
    }
    let header = headers.get(registry::AUTH);
    let text = header.and_then(|value| value.to_str().ok());
    Ok(RegistryAuth(text.unwrap_or_default().trim().to_owned()))
}

/// What the request says, or what the service has, or had.
async fn updated_auth(call: &Call) -> Result<RegistryAuth, Failure> {
    let given = header(call)?;
    if !given.0.is_empty() {
        return Ok(given);
    }
    let Response::Service(view) = call.ask(Request::Service(call.name().into())).await? else {
        return Err(odd_answer());
    };
    let spec = match call.query.text("registryAuthFrom") {
        "" | "spec" => Some(&view.service.spec),
        "previous-spec" => view.service.previous_spec.as_ref(),
        _ => return Err(Failure::bad("unsupported registryAuthFrom value")),
    };
    let spec = spec.ok_or_else(|| Failure::bad("service does not have a previous spec"))?;
    Ok(spec.registry_auth.clone())
}
