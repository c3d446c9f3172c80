//! Secrets and configs: create, label, remove, and who refers to them.

use crate::host::rng::Rng;
use crate::manager::control::{check_version, done, lookup};
use crate::manager::draft::Draft;
use crate::model::change::Change;
use crate::model::id::{ConfigId, SecretId};
use crate::model::spec::container::ContainerSpec;
use crate::model::spec::service::ServiceSpec;
use crate::model::spec::{ConfigSpec, SecretSpec};
use crate::model::state::State;
use crate::model::validate;
use crate::template::payload::payload_problem;
use crate::wire::control::{ObjectKind, Refusal, Response};

const ONLY_LABELS: &str = "only updates to Labels are allowed";

pub fn create_secret(
    draft: &mut Draft<'_>,
    spec: SecretSpec,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    let mut problems = validate::secret(&spec);
    problems.extend(payload_problem(spec.templating.as_ref(), &spec.data));
    refuse(ObjectKind::Secret, problems)?;
    if draft.state().secrets().by_name(&spec.name).is_some() {
        return Err(taken(ObjectKind::Secret, spec.name));
    }
    let id = SecretId(rng.next_u128());
    draft.push(Change::CreateSecret { id, spec });
    Ok(created(id.to_string()))
}

/// A secret stays what it is; only its labels change.
pub fn update_secret(
    draft: &mut Draft<'_>,
    reference: &str,
    version: u64,
    spec: SecretSpec,
) -> Result<Response, Refusal> {
    let kind = ObjectKind::Secret;
    let secret = lookup::named(draft.state().secrets(), kind, reference)?.clone();
    check_version(kind, secret.id, secret.meta.version, version)?;
    let new = SecretSpec {
        labels: spec.labels.clone(),
        ..secret.spec.clone()
    };
    let same_data = spec.data.is_empty() || spec.data == secret.spec.data;
    if spec.name != secret.spec.name || !same_data {
        return Err(invalid(kind, ONLY_LABELS));
    }
    refuse(kind, validate::secret(&new))?;
    let (id, labels) = (secret.id, spec.labels);
    draft.push(Change::LabelSecret { id, labels });
    Ok(done())
}

pub fn remove_secret(draft: &mut Draft<'_>, reference: &str) -> Result<Response, Refusal> {
    let kind = ObjectKind::Secret;
    let secret = lookup::named(draft.state().secrets(), kind, reference)?.clone();
    let id = secret.id.to_string();
    let users = users(draft.state(), |container| {
        container.secrets.iter().any(|used| used.secret_id == id)
    });
    refuse_used(kind, &secret.spec.name, users)?;
    draft.push(Change::RemoveSecret { id: secret.id });
    Ok(done())
}

pub fn create_config(
    draft: &mut Draft<'_>,
    spec: ConfigSpec,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    let mut problems = validate::config(&spec);
    problems.extend(payload_problem(spec.templating.as_ref(), &spec.data));
    refuse(ObjectKind::Config, problems)?;
    if draft.state().configs().by_name(&spec.name).is_some() {
        return Err(taken(ObjectKind::Config, spec.name));
    }
    let id = ConfigId(rng.next_u128());
    draft.push(Change::CreateConfig { id, spec });
    Ok(created(id.to_string()))
}

/// A config stays what it is; only its labels change.
pub fn update_config(
    draft: &mut Draft<'_>,
    reference: &str,
    version: u64,
    spec: ConfigSpec,
) -> Result<Response, Refusal> {
    let kind = ObjectKind::Config;
    let config = lookup::named(draft.state().configs(), kind, reference)?.clone();
    check_version(kind, config.id, config.meta.version, version)?;
    let new = ConfigSpec {
        labels: spec.labels.clone(),
        ..config.spec.clone()
    };
    let same_data = spec.data.is_empty() || spec.data == config.spec.data;
    if spec.name != config.spec.name || !same_data {
        return Err(invalid(kind, ONLY_LABELS));
    }
    refuse(kind, validate::config(&new))?;
    let (id, labels) = (config.id, spec.labels);
    draft.push(Change::LabelConfig { id, labels });
    Ok(done())
}

pub fn remove_config(draft: &mut Draft<'_>, reference: &str) -> Result<Response, Refusal> {
    let kind = ObjectKind::Config;
    let config = lookup::named(draft.state().configs(), kind, reference)?.clone();
    let id = config.id.to_string();
    let users = users(draft.state(), |container| {
        container.configs.iter().any(|used| used.config_id == id)
    });
    refuse_used(kind, &config.spec.name, users)?;
    draft.push(Change::RemoveConfig { id: config.id });
    Ok(done())
}

/// Refuses a service that refers to what is not there, or is there under another name.
pub fn check_references(state: &State, spec: &ServiceSpec) -> Result<(), Refusal> {
    let container = &spec.task.container;
    let secrets = container.secrets.iter().filter(|used| {
        let id = used.secret_id.parse().ok();
        let found = id.and_then(|id| state.secrets().find(id));
        found.is_none_or(|secret| secret.spec.name != used.secret_name)
    });
    let secrets = secrets.map(|used| used.secret_name.clone());
    refuse_unknown(ObjectKind::Secret, secrets.collect())?;
    let configs = container.configs.iter().filter(|used| {
        let id = used.config_id.parse().ok();
        let found = id.and_then(|id| state.configs().find(id));
        found.is_none_or(|config| config.spec.name != used.config_name)
    });
    let configs = configs.map(|used| used.config_name.clone());
    refuse_unknown(ObjectKind::Config, configs.collect())
}

/// The names of the services whose containers use something.
fn users(state: &State, uses: impl Fn(&ContainerSpec) -> bool) -> Vec<String> {
    let services = state.services().iter();
    let users = services.filter(|service| uses(&service.spec.task.container));
    users.map(|service| service.spec.name.clone()).collect()
}

fn refuse(kind: ObjectKind, problems: Vec<String>) -> Result<(), Refusal> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Invalid { kind, problems }),
    }
}

fn refuse_used(kind: ObjectKind, name: &str, services: Vec<String>) -> Result<(), Refusal> {
    match services.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Referenced {
            kind,
            name: name.to_owned(),
            services,
        }),
    }
}

fn refuse_unknown(kind: ObjectKind, names: Vec<String>) -> Result<(), Refusal> {
    match names.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Unknown { kind, names }),
    }
}

fn invalid(kind: ObjectKind, problem: &str) -> Refusal {
    Refusal::Invalid {
        kind,
        problems: vec![problem.to_owned()],
    }
}

fn taken(kind: ObjectKind, name: String) -> Refusal {
    Refusal::NameTaken { kind, name }
}

fn created(id: String) -> Response {
    Response::Created {
        id,
        warnings: Vec::new(),
    }
}
