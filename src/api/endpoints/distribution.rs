//! `/distribution`: what `service create` asks to pin an image.

use std::time::Duration;

use futures_lite::future;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::endpoints::registry::credentials;
use crate::api::failure::Failure;
use crate::api::types::image as json;
use crate::host::wait::{blocking, sleep};
use crate::image::manifest::{CONFIG_TYPE, MANIFEST_TYPE};
use crate::image::platform::Platform;
use crate::image::pull::Order;
use crate::image::reference::Reference;
use crate::image::store::{Image, ResolveError};

/// How long a registry may take about an image that is here.
const PATIENCE: Duration = Duration::from_secs(10);

/// The digest that a name means now, and the platforms that there are builds for. A registry says
/// it; but not of an image that is here under the digest asked for, nor of one that did not come
/// from a registry. If no registry can be reached, it is what this host has.
pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    let reference = Reference::parse(call.name())
        .map_err(Failure::bad)?
        .or_latest();
    let local = match local(&call).await {
        Ok(image) => Some(image),
        Err(ResolveError::NoSuchImage(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(image) = &local {
        let is_pinned = reference.digest.is_some();
        if is_pinned || of_registry(image, &reference).is_none() {
            return known(&call, image, &reference).await;
        }
    }
    let order = Order {
        reference: reference.clone(),
        credentials: credentials(call.request.headers())?,
        platform: None,
    };
    let asked = call.context.host.registries.look_up(order);
    let Some(image) = local else {
        return Ok(answered(&asked.await?));
    };
    let late = async {
        sleep(PATIENCE).await;
        None
    };
    match future::or(async { Some(asked.await) }, late).await {
        Some(Ok(known)) => Ok(answered(&known)),
        Some(Err(error)) => {
            tracing::info!("{}: {error}; what is here counts", reference.familiar());
            known(&call, &image, &reference).await
        }
        None => known(&call, &image, &reference).await,
    }
}

/// The answer of a registry.
fn answered(known: &crate::image::registries::Known) -> Answer {
    answer::json(&json::Distribution {
        descriptor: json::Descriptor {
            media_type: known.media_type.clone(),
            digest: known.digest.to_string(),
            size: known.size,
        },
        platforms: known.platforms.iter().map(platform).collect(),
    })
}

/// What this host knows of an image. The digest is that of its manifest, if it came under this name
/// with one, or else its id, which is the same on every host that was given the same image.
async fn known(call: &Call, image: &Image, reference: &Reference) -> Result<Answer, Failure> {
    let (images, id) = (call.context.host.images.clone(), image.id);
    let config = blocking(move || images.config_bytes(id)).await;
    let descriptor = match of_registry(image, reference) {
        Some(digest) => json::Descriptor {
            media_type: MANIFEST_TYPE.to_owned(),
            digest,
            // The manifest itself is not kept.
            size: 0,
        },
        None => json::Descriptor {
            media_type: CONFIG_TYPE.to_owned(),
            digest: image.id.to_string(),
            size: config.map_err(Failure::internal)?.len() as u64,
        },
    };
    Ok(answer::json(&json::Distribution {
        descriptor,
        platforms: vec![platform(&image.config.platform())],
    }))
}

/// The digest under which a registry has, or had, an image.
fn of_registry(image: &Image, reference: &Reference) -> Option<String> {
    let mut names = image.digests.iter();
    let name = names.find(|name| name.repository() == reference.repository());
    name.and_then(|name| name.digest.clone())
}

fn platform(platform: &Platform) -> json::OciPlatform {
    json::OciPlatform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
    }
}

async fn local(call: &Call) -> Result<Image, ResolveError> {
    let (images, name) = (call.context.host.images.clone(), call.name().to_owned());
    blocking(move || images.resolve(&name)).await
}
