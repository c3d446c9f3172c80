//! Pulls an image from a registry into the store.
//!
//! Its layers come several at once, and each is unpacked while it comes: nothing is written twice,
//! and a layer that this host has in any image is not asked for.

use std::sync::Arc;

use crate::image::commit::{NewImage, Session};
use crate::image::config::{ConfigError, ImageConfig};
use crate::image::digest::{Digest, DigestError};
use crate::image::disk::DiskError;
use crate::image::fetch::{Job, fetch};
use crate::image::limits::Limits;
use crate::image::manifest::{Descriptor, INDEX_TYPE, MANIFEST_TYPE, Manifest};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::refusal::UnpackError;
use crate::image::registries::Known;
use crate::image::registry::blob::Blob;
use crate::image::registry::choice::{self, ChoiceError, Named, choose};
use crate::image::registry::credentials::Credentials;
use crate::image::registry::endpoint::{self, Endpoint};
use crate::image::registry::failure::{Refusal, RegistryError};
use crate::image::registry::pace::{Cancel, Pace};
use crate::image::registry::repository::{Fetched, Repository};
use crate::image::registry::settings::Settings;
use crate::image::store::ImageStore;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    pub reference: Reference,
    pub credentials: Credentials,
    /// None is this host's.
    pub platform: Option<Platform>,
}

/// An image that is here now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub id: Digest,
    /// What the registry has under the name: an index or a manifest.
    pub digest: Digest,
    /// Whether the name meant another image before, or none.
    pub is_new: bool,
}

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The registry knows the image.
    Found,
    /// A layer that will come.
    Layer(Digest),
    /// A layer that is here already.
    Exists(Digest),
    Arriving {
        layer: Digest,
        received: u64,
        total: u64,
    },
    Arrived(Digest),
}

/// Why an image was not pulled. Nothing of it is left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("{reference}: {source}")]
    Choice {
        reference: String,
        source: ChoiceError,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("a manifest names something by {0}")]
    DigestText(#[from] DigestError),
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker \
         login': {source}"
    )]
    Denied { repository: String, source: Refusal },
    #[error("digest does not match: {expected} was announced, {found} came")]
    Digest { expected: Digest, found: Digest },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("layer {layer}: {source}")]
    Layer { layer: Digest, source: UnpackError },
    #[error("the manifest has {layers} layers, the config {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("manifest for {reference} not found: {source}")]
    NotFound { reference: String, source: Refusal },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{what} of {bytes} bytes is larger than the {max} that are allowed")]
    TooLarge {
        what: &'static str,
        bytes: u64,
        max: u64,
    },
}

/// A build that was found at a registry.
struct Build {
    repository: Arc<Repository>,
    /// What stands under the name.
    named: Digest,
    manifest: Manifest,
}

impl ImageStore {
    /// Pulls an image, unless all of it is here: then it gets the name alone. Ends early once
    /// nobody wants it any more.
    pub fn pull(
        &self,
        settings: &Settings,
        order: &Order,
        cancel: &Cancel,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Pulled, PullError> {
        let host = order.platform.as_ref().unwrap_or_else(|| self.platform());
        let build = find(settings, order, host, cancel)?;
        tell(Step::Found);
        let config = self.config(&build, cancel)?;
        let (_, diff_ids) = ImageConfig::decode(&config, self.limits().layers_max)?;
        let mut session = Session::begin(self)?;
        self.layers(&mut session, &build, &diff_ids, cancel, tell)?;
        let id = Digest::of(&config);
        let names = names(&order.reference, build.named);
        let before = names.first().and_then(|name| self.id_of(name));
        let image = NewImage {
            config,
            layers: diff_ids,
            names,
        };
        session.commit(vec![image], None)?;
        Ok(Pulled {
            id,
            digest: build.named,
            is_new: before != Some(id),
        })
    }

    /// An image's config, which may be here.
    fn config(&self, build: &Build, cancel: &Cancel) -> Result<Vec<u8>, PullError> {
        let id: Digest = build.manifest.config.digest.parse()?;
        let is_here = self.state().index.images.contains_key(&id);
        if is_here && let Ok(bytes) = self.config_bytes(id) {
            return Ok(bytes);
        }
        config(&build.repository, &build.manifest, self.limits(), cancel)
    }

    /// The image that a name means now.
    fn id_of(&self, name: &Reference) -> Option<Digest> {
        self.state()
            .index
            .references
            .get(&name.to_string())
            .copied()
    }

    /// Brings every layer that is not here into the session's staging.
    fn layers(
        &self,
        session: &mut Session<'_>,
        build: &Build,
        diff_ids: &[Digest],
        cancel: &Cancel,
        tell: &mut dyn FnMut(Step),
    ) -> Result<(), PullError> {
        let layers = &build.manifest.layers;
        if layers.len() != diff_ids.len() {
            let (layers, diff_ids) = (layers.len(), diff_ids.len());
            return Err(PullError::LayerCount { layers, diff_ids });
        }
        let mut jobs: Vec<Job> = Vec::new();
        for (descriptor, diff_id) in layers.iter().zip(diff_ids) {
            let digest: Digest = descriptor.digest.parse()?;
            let (bytes, max) = (descriptor.size, self.limits().layer_bytes_max);
            if bytes > max {
                let what = "a layer";
                return Err(PullError::TooLarge { what, bytes, max });
            }
            if session.pin(*diff_id).is_some() {
                tell(Step::Exists(digest));
            } else if jobs.iter().all(|job| job.diff_id != *diff_id) {
                tell(Step::Layer(digest));
                jobs.push(Job {
                    digest,
                    bytes,
                    diff_id: *diff_id,
                    dir: session.staging.fresh(),
                });
            }
        }
        fetch(session, &build.repository, jobs, cancel, tell)
    }
}

/// The names that an image gets: the one that was asked for, and that of what the registry has
/// under it.
fn names(reference: &Reference, named: Digest) -> Vec<Reference> {
    let pinned = reference.with_digest(named);
    match reference.digest {
        Some(_) => vec![pinned],
        None => vec![reference.clone(), pinned],
    }
}

/// Finds a build for `host` under the reference, at the first endpoint that has one.
fn find(
    settings: &Settings,
    order: &Order,
    host: &Platform,
    cancel: &Cancel,
) -> Result<Build, PullError> {
    let (repository, named) = locate(settings, order, "pull", cancel)?;
    let shown = || order.reference.familiar();
    let choice = |source| PullError::Choice {
        reference: shown(),
        source,
    };
    let manifest = match Named::read(&named).map_err(choice)? {
        Named::Manifest(manifest) => manifest,
        Named::Index(index) => {
            let chosen = choose(&index, host).map_err(choice)?;
            let fetched = below(&repository, chosen, cancel);
            match Named::read(&fetched.map_err(|e| explained(e, &order.reference))?) {
                Ok(Named::Manifest(manifest)) => manifest,
                Ok(Named::Index(_)) => return Err(choice(ChoiceError::Deep)),
                Err(error) => return Err(choice(error)),
            }
        }
    };
    Ok(Build {
        repository: Arc::new(repository),
        named: named.digest,
        manifest,
    })
}

fn below(
    repository: &Repository,
    chosen: &Descriptor,
    cancel: &Cancel,
) -> Result<Fetched, RegistryError> {
    Pace::new(cancel.clone()).keep_trying(|| repository.manifest(&chosen.digest))
}

/// What a reference means at its registry, without pulling it.
pub fn look_up(settings: &Settings, order: &Order, cancel: &Cancel) -> Result<Known, PullError> {
    let (repository, named) = locate(settings, order, "pull", cancel)?;
    let choice = |source| PullError::Choice {
        reference: order.reference.familiar(),
        source,
    };
    let (platforms, kind) = match Named::read(&named).map_err(choice)? {
        Named::Index(index) => (choice::platforms(&index), INDEX_TYPE),
        Named::Manifest(manifest) => {
            let config = config(&repository, &manifest, &Limits::default(), cancel)?;
            let (config, _) = ImageConfig::decode(&config, Limits::default().layers_max)?;
            (vec![config.platform()], MANIFEST_TYPE)
        }
    };
    let media_type = match named.media_type.is_empty() {
        true => kind.to_owned(),
        false => named.media_type,
    };
    Ok(Known {
        media_type,
        digest: named.digest,
        size: named.bytes.len() as u64,
        platforms,
    })
}

/// The config of a build.
fn config(
    repository: &Repository,
    manifest: &Manifest,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Vec<u8>, PullError> {
    let (id, bytes) = (manifest.config.digest.parse()?, manifest.config.size);
    let max = limits.json_bytes_max;
    if bytes > max {
        let what = "an image config";
        return Err(PullError::TooLarge { what, bytes, max });
    }
    Ok(Blob::new(repository, id, bytes, cancel).bytes()?)
}

/// What stands under a reference, and where.
pub fn locate(
    settings: &Settings,
    order: &Order,
    actions: &'static str,
    cancel: &Cancel,
) -> Result<(Repository, Fetched), PullError> {
    let reference = &order.reference;
    let tag = reference.tag.as_deref().unwrap_or("latest");
    let name = reference.digest.as_deref().unwrap_or(tag);
    let look = |endpoint: &Endpoint| {
        let credentials = &order.credentials;
        let path = &reference.path;
        let repository = Repository::open(settings, endpoint, path, actions, credentials)?;
        let fetched = repository.manifest(name)?;
        Ok((repository, fetched))
    };
    let endpoints = endpoint::endpoints(&reference.registry, settings);
    let found = Pace::first(cancel.clone()).keep_trying(|| first(&endpoints, look));
    found.map_err(|error| explained(error, reference))
}

/// What the first endpoint has that has something. A mirror that lacks it, or a registry that does
/// not speak TLS, leaves it to the next; of several errors the one of the registry itself counts.
pub fn first<T>(
    endpoints: &[Endpoint],
    look: impl Fn(&Endpoint) -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let mut outcome = Err(RegistryError::Cancelled);
    for endpoint in endpoints {
        match look(endpoint) {
            Ok(found) => return Ok(found),
            Err(error) => {
                let is_last_word =
                    !endpoint.is_mirror && !matches!(error, RegistryError::Unreachable { .. });
                // A registry with TLS is not found by speaking plainly to it: the first error of
                // its two endpoints tells more.
                if endpoint.is_mirror || endpoint.is_tls || outcome.is_err() {
                    outcome = Err(error);
                }
                if is_last_word {
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// A refusal in Docker's words.
fn explained(error: RegistryError, reference: &Reference) -> PullError {
    match error {
        RegistryError::Refused(source) => match source.status {
            401 | 403 => PullError::Denied {
                repository: reference.familiar_repository(),
                source,
            },
            404 => PullError::NotFound {
                reference: reference.familiar(),
                source,
            },
            _ => PullError::Registry(RegistryError::Refused(source)),
        },
        other => PullError::Registry(other),
    }
}
