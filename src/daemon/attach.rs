//! Volumes that are mounts of their own, there for as long as a container uses them.

use std::net::IpAddr;

use crate::host::rng::Rng;
use crate::host::wait::blocking;
use crate::network::resolve::Resolver;
use crate::runtime::local_mount::LocalMount;
use crate::runtime::plan::{MountKind, Plan};
use crate::runtime::volume::{VolumeError, Volumes};

/// A container's volumes could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("{0}")]
    Volume(#[from] VolumeError),
    #[error("cannot mount volume {volume}: {server}: {reason}")]
    Server {
        volume: String,
        server: String,
        reason: String,
    },
}

/// Mounts what the container needs and is not mounted yet.
pub async fn attach(volumes: &Volumes, plan: &Plan) -> Result<(), AttachError> {
    for name in names(volumes, plan) {
        let Some(mut mount) = LocalMount::of(&volumes.find(&name)?.options) else {
            continue;
        };
        if let Some(server) = mount.server().map(str::to_owned) {
            let address = resolve(&server).await;
            mount.set_address(address.map_err(|reason| AttachError::Server {
                volume: name.clone(),
                server,
                reason,
            })?);
        }
        let (volumes, container) = (volumes.clone(), plan.id.clone());
        // A server that does not answer takes its time.
        blocking(move || volumes.attach(&name, &container, &mount)).await?;
    }
    Ok(())
}

/// Takes note of a container that an earlier daemon started.
pub fn adopt(volumes: &Volumes, plan: &Plan) {
    for name in names(volumes, plan) {
        volumes.hold(&name, &plan.id);
    }
}

fn names(volumes: &Volumes, plan: &Plan) -> Vec<String> {
    let sources = plan.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { source, .. } => volumes.name_of(source),
        _ => None,
    });
    sources.collect()
}

async fn resolve(server: &str) -> Result<IpAddr, String> {
    let mut rng = Rng::from_entropy().map_err(|error| error.to_string())?;
    let found = Resolver::load().await.addresses(server, &mut rng).await;
    let found = found.map_err(|error| error.to_string())?;
    let first = found.into_iter().next();
    first.ok_or_else(|| "it has no address".to_owned())
}
