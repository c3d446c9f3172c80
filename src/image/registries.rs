//! The registries of this host: each name is pulled once at a time, whoever wants it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use async_channel::{Receiver, Sender};

use crate::host::clock;
use crate::host::wait::blocking;
use crate::image::digest::Digest;
use crate::image::disk::DiskError;
use crate::image::garbage::{Thresholds, Uses};
use crate::image::offer::TakeError;
use crate::image::platform::Platform;
use crate::image::pull::{self, Order, PullError, Pulled, Step};
use crate::image::push::{self, PushError, Pushed};
use crate::image::reference::Reference;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::endpoint;
use crate::image::registry::failure::RegistryError;
use crate::image::registry::pace::Cancel;
use crate::image::registry::repository::Repository;
use crate::image::registry::settings::Settings;
use crate::image::removal::InUse;
use crate::image::store::{Image, ImageStore, ResolveError};

/// Pulls into the store of this host.
#[derive(Debug)]
pub struct Registries {
    images: Arc<ImageStore>,
    uses: Arc<Uses>,
    settings: Settings,
    /// What is pulled now; closed when that is over.
    under_way: RefCell<BTreeMap<String, Receiver<Infallible>>>,
    /// Closed once the archives of this host are loaded.
    archives: RefCell<Option<Receiver<Infallible>>>,
}

/// Without the note the image is kept.
fn note(noted: Result<(), DiskError>) {
    if let Err(error) = noted {
        tracing::warn!("an image's last use is not noted: {error}");
    }
}

/// What stands under a name at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// There are builds for these.
    pub platforms: Vec<Platform>,
}

/// Why an image is not here.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    #[error("No such image: {name}: {source}")]
    Pull {
        name: String,
        source: Box<PullError>,
    },
    /// Neither another host of the swarm nor a registry gave it.
    #[error("No such image: {name}: {other}; {source}")]
    Nowhere {
        name: String,
        other: Box<TakeError>,
        source: Box<PullError>,
    },
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl ObtainError {
    /// Whether it may be here later, though nothing changes in what was asked for.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Pull { source, .. } => source.is_passing(),
            Self::Nowhere { other, source, .. } => other.is_passing() || source.is_passing(),
            Self::Resolve(ResolveError::Disk(error)) => error.is_full(),
            Self::Resolve(_) => false,
        }
    }
}

impl Registries {
    pub fn new(images: Arc<ImageStore>, settings: Settings) -> Self {
        Self {
            uses: Arc::new(Uses::of(&images)),
            images,
            settings,
            under_way: RefCell::default(),
            archives: RefCell::default(),
        }
    }

    pub fn images(&self) -> &ImageStore {
        &self.images
    }

    /// Nobody else is asked for an image before this is closed: it may be among what this host
    /// loads from its own archives.
    pub fn wait_for(&self, archives: Receiver<Infallible>) {
        self.archives.replace(Some(archives));
    }

    /// Pulls an image. Dropped, the pull ends soon after.
    pub async fn pull(&self, order: Order, steps: Sender<Step>) -> Result<Pulled, PullError> {
        let _turn = self.turn(&order.reference.to_string()).await;
        let pulled = self.pull_now(order, steps).await?;
        let (uses, id) = (self.uses.clone(), pulled.id);
        note(blocking(move || uses.keep(id)).await);
        Ok(pulled)
    }

    /// Removes images that tasks have brought and none of these containers or names uses, if the
    /// disk is fuller than it shall be; whether any went.
    pub async fn collect(
        &self,
        thresholds: Thresholds,
        mut in_use: InUse,
        names: Vec<String>,
    ) -> bool {
        let (uses, images) = (self.uses.clone(), self.images.clone());
        let collected = blocking(move || {
            let named = names.into_iter().filter_map(|name| {
                let image = images.resolve(&name).ok()?;
                Some((image.id, name))
            });
            in_use.extend(named);
            uses.collect(&images, thresholds, &in_use, clock::now())
        });
        match collected.await {
            Ok(pruned) if pruned.removed.is_empty() => false,
            Ok(pruned) => {
                let mib = pruned.reclaimed_bytes >> 20;
                tracing::info!("the disk was filling: images of {mib} MiB that no task uses went");
                true
            }
            Err(error) => {
                tracing::warn!("the disk is filling, and images cannot be removed: {error}");
                false
            }
        }
    }

    /// Pushes an image. Dropped, the push ends soon after.
    pub async fn push(&self, order: Order, steps: Sender<push::Step>) -> Result<Pushed, PushError> {
        let (images, settings) = (self.images.clone(), self.settings.clone());
        let (_wanted, cancel) = Cancel::new();
        blocking(move || {
            let mut tell = |step| match step {
                push::Step::Sending { .. } => drop(steps.try_send(step)),
                step => drop(steps.send_blocking(step)),
            };
            images.push(&settings, &order, &cancel, &mut tell)
        })
        .await
    }

    /// The image with this name. If it is not here, `others` are asked for it, the hosts of the
    /// swarm, and if they do not have it, it is pulled. Nobody is asked about one that is here.
    pub async fn obtain(
        &self,
        name: &str,
        credentials: &Credentials,
        others: impl AsyncFnOnce(&Reference) -> Result<Option<Digest>, TakeError>,
    ) -> Result<Image, ObtainError> {
        let (image, is_new) = match self.resolve(name).await {
            Err(missing @ ResolveError::NoSuchImage(_)) => {
                (self.bring(name, missing, credentials, others).await?, true)
            }
            other => (other?, false),
        };
        let (uses, id) = (self.uses.clone(), image.id);
        note(blocking(move || uses.used(id, is_new, clock::now())).await);
        Ok(image)
    }

    async fn bring(
        &self,
        name: &str,
        missing: ResolveError,
        credentials: &Credentials,
        others: impl AsyncFnOnce(&Reference) -> Result<Option<Digest>, TakeError>,
    ) -> Result<Image, ObtainError> {
        let Ok(reference) = Reference::parse(name).map(Reference::or_latest) else {
            return Err(missing.into());
        };
        let archives = self.archives.borrow().clone();
        if let Some(archives) = archives {
            // Nothing is ever sent: the channel closes.
            let _ = archives.recv().await;
        }
        let _turn = self.turn(&reference.to_string()).await;
        // An archive or another task's pull may have brought it.
        match self.resolve(name).await {
            Err(ResolveError::NoSuchImage(_)) => {}
            other => return Ok(other?),
        }
        let other = match others(&reference).await {
            Ok(Some(id)) => return Ok(self.resolve(&id.to_string()).await?),
            Ok(None) => None,
            Err(error) => Some(Box::new(error)),
        };
        let order = Order {
            reference,
            credentials: credentials.clone(),
            platform: None,
        };
        let (steps, _) = async_channel::bounded(1);
        let pulled = self.pull_now(order, steps).await;
        let pulled = pulled.map_err(|source| {
            let (name, source) = (name.to_owned(), Box::new(source));
            match other {
                Some(other) => ObtainError::Nowhere {
                    name,
                    other,
                    source,
                },
                None => ObtainError::Pull { name, source },
            }
        })?;
        Ok(self.resolve(&pulled.id.to_string()).await?)
    }

    /// What a name means at its registry now.
    pub async fn look_up(&self, order: Order) -> Result<Known, PullError> {
        let settings = self.settings.clone();
        let (_wanted, cancel) = Cancel::new();
        blocking(move || pull::look_up(&settings, &order, &cancel)).await
    }

    /// Whether a registry lets these credentials in.
    pub async fn check_login(
        &self,
        registry: &str,
        credentials: Credentials,
    ) -> Result<(), RegistryError> {
        let (settings, registry) = (self.settings.clone(), registry.to_owned());
        blocking(move || {
            let endpoints = endpoint::endpoints(&registry, &settings);
            let own: Vec<_> = endpoints.into_iter().filter(|e| !e.is_mirror).collect();
            pull::first(&own, |endpoint| {
                Repository::open(&settings, endpoint, "", "", &credentials)?.check_login()
            })
        })
        .await
    }

    async fn pull_now(&self, order: Order, steps: Sender<Step>) -> Result<Pulled, PullError> {
        let (images, settings) = (self.images.clone(), self.settings.clone());
        let (_wanted, cancel) = Cancel::new();
        blocking(move || {
            let mut tell = |step| match step {
                // Whoever reads slowly misses some; the pull does not wait.
                Step::Arriving { .. } => drop(steps.try_send(step)),
                step => drop(steps.send_blocking(step)),
            };
            images.pull(&settings, &order, &cancel, &mut tell)
        })
        .await
    }

    async fn resolve(&self, name: &str) -> Result<Image, ResolveError> {
        let (images, name) = (self.images.clone(), name.to_owned());
        blocking(move || images.resolve(&name)).await
    }

    /// Waits until nobody pulls this name.
    async fn turn(&self, name: &str) -> Turn<'_> {
        loop {
            let other = self.under_way.borrow().get(name).cloned();
            let Some(other) = other else {
                break;
            };
            // Nothing is ever sent: the channel closes.
            let _ = other.recv().await;
        }
        let (over, under_way) = async_channel::bounded(1);
        self.under_way
            .borrow_mut()
            .insert(name.to_owned(), under_way);
        Turn {
            registries: self,
            name: name.to_owned(),
            over,
        }
    }
}

/// The right to pull a name.
struct Turn<'a> {
    registries: &'a Registries,
    name: String,
    over: Sender<Infallible>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.registries.under_way.borrow_mut().remove(&self.name);
        self.over.close();
    }
}

impl PullError {
    /// Whether it may succeed later, though nothing changes in what was asked for.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Registry(RegistryError::Cancelled) => true,
            Self::Registry(error) => error.is_passing(),
            Self::Layer { source, .. } => source.is_disk_full(),
            Self::Disk(error) => error.is_full(),
            _ => false,
        }
    }
}
