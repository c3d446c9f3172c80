//! Services: create, update, remove, and how many of their tasks run.

use std::mem::discriminant;
use std::sync::Arc;

use crate::host::rng::Rng;
use crate::manager::allocator::services::{self, Unreachable};
use crate::manager::control::{check_spec, check_version, done, lookup, names, resources};
use crate::manager::draft::Draft;
use crate::model::change::{Change, RollBack};
use crate::model::id::ServiceId;
use crate::model::object::{Endpoint, Service, TaskState};
use crate::model::spec::service::ServiceSpec;
use crate::model::state::State;
use crate::model::validate;
use crate::template::task::fill_guessed;
use crate::wire::control::{ObjectKind, Refusal, Response, ServiceUpdate, ServiceView};

pub fn view(state: &State, service: &Arc<Service>) -> ServiceView {
    let mut view = ServiceView {
        service: service.clone(),
        running: 0,
        desired: service
            .replicas()
            .or_else(|| service.job_size().map(|size| size.concurrent))
            .unwrap_or(0),
        completed: 0,
        subnets: Vec::new(),
    };
    for (id, _) in &service.endpoint.addresses {
        let block = state.networks().find(*id).and_then(|network| network.block);
        view.subnets.extend(block.map(|block| (*id, block.subnet)));
    }
    let tasks = state.tasks_of_service(service.id);
    for task in tasks.filter(|task| service.executes(task)) {
        let wanted = task.desired_state <= TaskState::Running && !task.has_completed();
        view.desired += u64::from(service.is_global() && wanted);
        match task.status.state {
            TaskState::Running if wanted => view.running += 1,
            TaskState::Complete => view.completed += 1,
            _ => {}
        }
    }
    view
}

pub fn create(
    draft: &mut Draft<'_>,
    mut spec: ServiceSpec,
    rng: &mut Rng,
) -> Result<Response, Refusal> {
    if spec.name.is_empty() {
        let services = draft.state().services();
        spec.name = names::draw(rng, |name| services.by_name(name).is_some());
    }
    check(draft.state(), &spec)?;
    if draft.state().services().by_name(&spec.name).is_some() {
        return Err(Refusal::NameTaken {
            kind: ObjectKind::Service,
            name: spec.name,
        });
    }
    let id = ServiceId(rng.next_u128());
    let endpoint = reach(draft.state(), id, &spec, &Endpoint::default())?;
    draft.push(Change::CreateService { id, spec });
    give(draft, id, endpoint);
    Ok(Response::Created {
        id: id.to_string(),
        warnings: Vec::new(),
    })
}

pub fn update(
    draft: &mut Draft<'_>,
    reference: &str,
    version: u64,
    update: ServiceUpdate,
) -> Result<Response, Refusal> {
    let service = lookup::service(draft.state(), reference)?.clone();
    let id = service.id;
    check_version(ObjectKind::Service, id, service.meta.version, version)?;
    let spec = match update {
        ServiceUpdate::Spec(spec) => spec,
        ServiceUpdate::Rollback => return roll_back(draft, &service),
    };
    check(draft.state(), &spec)?;
    let impossible = |why: &str| Err(Refusal::Impossible(id, why.to_owned()));
    if spec.name != service.spec.name {
        return impossible("renaming services is not supported");
    }
    if discriminant(&spec.mode) != discriminant(&service.spec.mode) {
        return impossible("service mode change is not allowed");
    }
    let endpoint = reach(draft.state(), id, &spec, &service.endpoint)?;
    draft.push(Change::UpdateService { id, spec });
    give(draft, id, endpoint);
    Ok(done())
}

fn roll_back(draft: &mut Draft<'_>, service: &Service) -> Result<Response, Refusal> {
    let previous = service.previous_spec.as_ref();
    let previous = previous.ok_or_else(|| Refusal::NoPreviousSpec(service.spec.name.clone()))?;
    check(draft.state(), previous)?;
    let endpoint = reach(draft.state(), service.id, previous, &service.endpoint)?;
    draft.push(Change::RollBackService(RollBack {
        id: service.id,
        message: "manually requested rollback".to_owned(),
        since: draft.state().index() + 1,
        keeps_spec: true,
    }));
    give(draft, service.id, endpoint);
    Ok(done())
}

pub fn remove(draft: &mut Draft<'_>, reference: &str) -> Result<Response, Refusal> {
    let id = lookup::service(draft.state(), reference)?.id;
    draft.push(Change::RemoveService { id });
    Ok(done())
}

fn check(state: &State, spec: &ServiceSpec) -> Result<(), Refusal> {
    let problems = match fill_guessed(spec) {
        Ok(filled) => validate::service(&filled),
        Err(problems) => problems,
    };
    check_spec(ObjectKind::Service, spec, problems)?;
    resources::check_references(state, spec)
}

/// What the service of a request will be reached by.
fn reach(
    state: &State,
    id: ServiceId,
    spec: &ServiceSpec,
    has: &Endpoint,
) -> Result<Endpoint, Refusal> {
    let endpoint = services::endpoint(state, id, spec, has);
    endpoint.map_err(|error| match error {
        Unreachable::Network(reference) => Refusal::NotFound {
            kind: ObjectKind::Network,
            reference,
        },
        error => Refusal::Unreachable(error.to_string()),
    })
}

fn give(draft: &mut Draft<'_>, id: ServiceId, endpoint: Endpoint) {
    let has = draft.state().services().find(id).map(|own| &own.endpoint);
    if has != Some(&endpoint) {
        draft.push(Change::AllocateService { id, endpoint });
    }
}
