//! `/volumes`: the `local` driver of this host.

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::Host;
use crate::api::failure::Failure;
use crate::api::types::Labels;
use crate::api::types::exec::PruneReport;
use crate::api::types::timestamp::rfc3339;
use crate::api::types::volume as json;
use crate::host::clock;
use crate::host::wait::blocking;
use crate::model::validate::volume_options;
use crate::runtime::listing::Listed;
use crate::runtime::plan::MountKind;
use crate::runtime::volume::{Volume, VolumeError};
use crate::wire::control::Filters;

const DRIVER: &str = "local";
const NAME_BYTES: usize = 32;
/// Docker's mark of a volume whose name was not given.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

pub async fn list(call: Call) -> Result<Answer, Failure> {
    let filters = call.query.filters()?;
    let wanted = |volume: &Volume| fits(&call.context.host, &filters, volume);
    check_filters(&filters)?;
    let all = all(&call).await?;
    let shown = all.iter().filter(|volume| wanted(volume));
    let shown = shown.map(|volume| show(&call.context.host, volume));
    Ok(answer::json(&json::VolumeList {
        volumes: shown.collect::<Result<_, _>>()?,
        warnings: None,
    }))
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    let volumes = call.context.host.volumes.clone();
    let name = call.name().to_owned();
    let volume = blocking(move || volumes.find(&name)).await?;
    Ok(answer::json(&show(&call.context.host, &volume)?))
}

pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    let given: json::VolumeCreate = call.json_or_default().await?;
    if !matches!(given.driver.as_str(), "" | DRIVER) {
        let message = format!(
            "skep has the volume driver {DRIVER} and not {:?}",
            given.driver
        );
        return Err(Failure::bad(message));
    }
    let problems = volume_options(&given.driver_opts);
    if !problems.is_empty() {
        return Err(Failure::bad(problems.join("; ")));
    }
    let mut labels = given.labels;
    let name = match given.name.is_empty() {
        true => {
            labels.insert(ANONYMOUS.into(), String::new());
            random_name()?
        }
        false => given.name,
    };
    let volumes = call.context.host.volumes.clone();
    let made = blocking(move || volumes.ensure(&name, &labels, &given.driver_opts, clock::now()));
    let volume = made.await?;
    publish(&call, "create", &volume.name);
    Ok(answer::json_with(
        StatusCode::CREATED,
        &show(&call.context.host, &volume)?,
    ))
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let name = call.name().to_owned();
    if let Some(user) = user_of(&call.context.host, &name) {
        return Err(Failure::conflict(format!(
            "remove {name}: volume is in use - [{user}]"
        )));
    }
    let volumes = call.context.host.volumes.clone();
    let removed = blocking(move || volumes.remove(&name)).await;
    match removed {
        Err(VolumeError::NotFound(_)) if call.query.flag("force") => {}
        removed => drop(removed?),
    }
    publish(&call, "destroy", call.name());
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Removes what no container uses: as with Docker only volumes whose name was not given, unless the
/// filter `all` says otherwise.
pub async fn prune(call: Call) -> Result<Answer, Failure> {
    let mut filters = call.query.filters()?;
    let everything = filters
        .0
        .remove("all")
        .is_some_and(|v| v.iter().any(|v| v != "false"));
    check_filters(&filters)?;
    let (mut deleted, mut space_reclaimed) = (Vec::new(), 0);
    for volume in all(&call).await? {
        let used = user_of(&call.context.host, &volume.name).is_some();
        let meant = everything || volume.labels.contains_key(ANONYMOUS);
        if meant && !used && fits(&call.context.host, &filters, &volume) {
            let volumes = call.context.host.volumes.clone();
            let name = volume.name.clone();
            space_reclaimed += blocking(move || volumes.remove(&name)).await?;
            publish(&call, "destroy", &volume.name);
            deleted.push(volume.name);
        }
    }
    Ok(answer::json(&PruneReport {
        volumes_deleted: Some(deleted),
        space_reclaimed,
        ..PruneReport::default()
    }))
}

/// Every volume of the host, as Docker shows it.
pub async fn shown(call: &Call) -> Result<Vec<json::Volume>, Failure> {
    all(call)
        .await?
        .iter()
        .map(|volume| show(&call.context.host, volume))
        .collect()
}

/// Whether the container uses the volume with that folder.
pub fn uses(container: &Listed, mountpoint: &str) -> bool {
    container.plan.mounts.iter().any(|mount| match &mount.kind {
        MountKind::Volume { source, .. } => source.as_os_str() == mountpoint,
        _ => false,
    })
}

async fn all(call: &Call) -> Result<Vec<Volume>, Failure> {
    let volumes = call.context.host.volumes.clone();
    Ok(blocking(move || volumes.list()).await?)
}

fn show(host: &Host, volume: &Volume) -> Result<json::Volume, Failure> {
    Ok(json::Volume {
        created_at: rfc3339(volume.created_at),
        driver: DRIVER.into(),
        labels: Some(volume.labels.clone()),
        mountpoint: host.volumes.data(&volume.name)?.to_string_lossy().into(),
        name: volume.name.clone(),
        options: Some(volume.options.clone()).filter(|options| !options.is_empty()),
        scope: "local".into(),
        usage_data: None,
    })
}

fn check_filters(filters: &Filters) -> Result<(), Failure> {
    let known = ["dangling", "driver", "label", "label!", "name"];
    match filters.0.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Failure::bad(format!("invalid filter '{key}'"))),
        None => Ok(()),
    }
}

fn fits(host: &Host, filters: &Filters, volume: &Volume) -> bool {
    filters.0.iter().all(|(key, values)| match key.as_str() {
        "dangling" => {
            let wanted = values
                .iter()
                .any(|value| matches!(value.as_str(), "true" | "1"));
            user_of(host, &volume.name).is_none() == wanted
        }
        "driver" => values.contains(DRIVER),
        "label" => values.iter().all(|value| has_label(&volume.labels, value)),
        "label!" => !values.iter().any(|value| has_label(&volume.labels, value)),
        _ => values
            .iter()
            .any(|value| volume.name.contains(value.as_str())),
    })
}

/// Whether `labels` has `name` or `name=value`.
pub fn has_label(labels: &Labels, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

/// A container that uses the volume.
fn user_of(host: &Host, volume: &str) -> Option<String> {
    let data = host.volumes.data(volume).ok()?;
    let data = data.to_string_lossy();
    let containers = host.runtime.list().unwrap_or_default();
    containers
        .into_iter()
        .find(|c| uses(c, &data))
        .map(|container| container.plan.id)
}

fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; NAME_BYTES];
    crate::host::rng::entropy(&mut bytes).map_err(Failure::internal)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn publish(call: &Call, action: &str, name: &str) {
    let attributes = Labels::from([("driver".to_owned(), DRIVER.to_owned())]);
    let actor = (name.to_owned(), attributes);
    call.context
        .events
        .publish_local(clock::now(), "volume", action, actor);
}
