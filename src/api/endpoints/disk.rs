//! `/system/df` and the pruning of what skep does not have.

use std::collections::BTreeMap;

use crate::api::answer::{self, Answer};
use crate::api::call::{Call, pass_over};
use crate::api::containers;
use crate::api::convert::container::show_summary;
use crate::api::convert::image;
use crate::api::endpoints::volumes;
use crate::api::failure::Failure;
use crate::api::types::exec::PruneReport;
use crate::api::types::system as json;
use crate::api::types::volume::VolumeUsage;
use crate::host::clock;
use crate::host::wait::blocking;

pub async fn usage(call: Call) -> Result<Answer, Failure> {
    let host = &call.context.host;
    let images = host.images.clone();
    let (usage, all) = blocking(move || (images.usage(), images.list())).await;
    let containers = containers::all(&call.context)?;
    let shared: BTreeMap<_, _> = usage
        .images
        .iter()
        .map(|i| (i.id, i.shared_bytes))
        .collect();
    let shown = all.iter().map(|found| {
        let id = found.id.to_string();
        let users = containers
            .iter()
            .filter(|c| c.plan.origin.image_id == id)
            .count();
        let shared = image::bytes(shared.get(&found.id).copied().unwrap_or(0));
        image::show_summary(found, shared, i64::try_from(users).unwrap_or(i64::MAX))
    });
    let images = shown.collect();
    let now = clock::now();
    let mut volumes = volumes::shown(&call).await?;
    for volume in &mut volumes {
        let users = containers
            .iter()
            .filter(|c| volumes::uses(c, &volume.mountpoint))
            .count();
        volume.usage_data = Some(VolumeUsage {
            ref_count: i64::try_from(users).unwrap_or(i64::MAX),
            // Counting every file of every volume takes too long on a board's card.
            size: -1,
        });
    }
    Ok(answer::json(&json::DiskUsage {
        layers_size: image::bytes(usage.layers_bytes),
        images,
        containers: containers
            .iter()
            .map(|container| show_summary(container, now))
            .collect(),
        volumes,
        build_cache: Vec::new(),
        builder_size: 0,
    }))
}

/// There is no builder, so its cache is empty.
pub async fn prune_builds(_: Call) -> Result<Answer, Failure> {
    let caches_deleted = Some(Vec::new());
    Ok(answer::json(&PruneReport {
        caches_deleted,
        ..PruneReport::default()
    }))
}

/// `docker build`, plugins and the rest of what skep leaves to others.
pub async fn not_here(mut call: Call) -> Result<Answer, Failure> {
    pass_over(call.request.body_mut()).await;
    Err(Failure::unsupported(
        "skep does not build images and has no plugins",
    ))
}

pub async fn no_plugins(_: Call) -> Result<Answer, Failure> {
    Ok(answer::json(&[(); 0]))
}

/// `docker inspect` asks for plugins by name before it asks for other kinds of objects.
pub async fn no_plugin(call: Call) -> Result<Answer, Failure> {
    Err(Failure::not_found(format!(
        "plugin {:?} not found",
        call.name()
    )))
}
