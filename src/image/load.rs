//! Loads image archives: those of `docker save`, and OCI layouts in a tar.

use std::collections::BTreeMap;
use std::io::Read;

use crate::image::arrivals::{Arrivals, Arrived, Progress};
use crate::image::commit::{Loaded, NewImage, Session};
use crate::image::config::{ConfigError, ImageConfig};
use crate::image::digest::{Digest, DigestError};
use crate::image::disk::DiskError;
use crate::image::header::TarError;
use crate::image::manifest::{DockerManifest, DockerManifests};
use crate::image::oci;
use crate::image::platform::Platform;
use crate::image::reference::{Reference, ReferenceError};
use crate::image::refusal::UnpackError;
use crate::image::store::ImageStore;

/// Why an archive was not loaded. Nothing of it is left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the image archive: {0}")]
    Archive(#[from] TarError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("a manifest names something by {0}")]
    DigestText(#[from] DigestError),
    #[error("digest does not match: {expected} was announced, {found} came")]
    Digest { expected: Digest, found: Digest },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{name} in the archive is not valid: {source}")]
    Json {
        name: String,
        source: serde_json::Error,
    },
    #[error("layer {layer}: {source}")]
    Layer { layer: String, source: UnpackError },
    #[error("the manifest has {layers} layers, the config {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("the archive lacks {0}, which its manifest names")]
    Missing(String),
    #[error("\"{name}\" in the archive: {source}")]
    Name {
        name: String,
        source: ReferenceError,
    },
    #[error("not an image archive: neither manifest.json nor index.json is in it")]
    NoManifest,
    #[error("no image for {host} in the archive, only for {found}")]
    Platform { host: Platform, found: String },
    #[error("the archive has more than {0} images")]
    TooManyImages(usize),
    #[error("the archive's manifests and configs are larger than {0} bytes together")]
    TooMuchJson(u64),
}

impl ImageStore {
    /// Loads every image of an archive, or none. Of an image for several platforms the one that
    /// suits this host is taken; a single image is taken whatever it is for.
    pub fn load(
        &self,
        input: impl Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Loaded>, LoadError> {
        let mut session = Session::begin(self)?;
        let mut arrivals = Arrivals::receive(&mut session, input, progress)?;
        let images = self.images_in(&mut arrivals)?;
        Ok(session.commit(images, None)?)
    }

    fn images_in(&self, arrivals: &mut Arrivals) -> Result<Vec<NewImage>, LoadError> {
        let named = docker_manifests(arrivals)?;
        if named.len() > self.limits().images_max {
            return Err(LoadError::TooManyImages(self.limits().images_max));
        }
        let images = match arrivals.file_named("index.json").map(<[u8]>::to_vec) {
            Some(index) => oci::images(arrivals, &index, self.platform(), self.limits())?,
            None if named.is_empty() => return Err(LoadError::NoManifest),
            None => Vec::new(),
        };
        // With an index, manifest.json only adds names: it can speak of one platform alone.
        if images.is_empty() {
            let images = named.iter().map(|m| self.docker_image(arrivals, m));
            return merged(images.collect::<Result<_, _>>()?, self.limits().images_max);
        }
        let mut images = merged(images, self.limits().images_max)?;
        for manifest in &named {
            let config = arrivals.file_named(&manifest.config).map(Digest::of);
            let same = images
                .iter_mut()
                .find(|i| Some(Digest::of(&i.config)) == config);
            if let Some(image) = same {
                add_names(image, tags(manifest)?);
            }
        }
        Ok(images)
    }

    fn docker_image(
        &self,
        arrivals: &mut Arrivals,
        manifest: &DockerManifest,
    ) -> Result<NewImage, LoadError> {
        let missing = |name: &str| LoadError::Missing(name.to_owned());
        let config = arrivals.file_named(&manifest.config);
        let config = config.ok_or_else(|| missing(&manifest.config))?.to_vec();
        let (_, diff_ids) = ImageConfig::decode(&config, self.limits().layers_max)?;
        let layers = &manifest.layers;
        check_count(layers.len(), diff_ids.len())?;
        for (name, diff_id) in layers.iter().zip(&diff_ids) {
            let arrived = arrivals.layer_named(name).ok_or_else(|| missing(name))?;
            check_layer(arrived, name, *diff_id)?;
        }
        Ok(NewImage {
            config,
            layers: diff_ids,
            names: tags(manifest)?,
        })
    }
}

/// A manifest has a blob for each layer of its config.
pub fn check_count(layers: usize, diff_ids: usize) -> Result<(), LoadError> {
    if layers != diff_ids {
        return Err(LoadError::LayerCount { layers, diff_ids });
    }
    Ok(())
}

/// A layer was unpacked and is the one that the config names.
pub fn check_layer(arrived: &mut Arrived, name: &str, expected: Digest) -> Result<(), LoadError> {
    // The error has one owner; the first image that asks gets it and the load ends.
    match std::mem::replace(&mut arrived.layer, Ok(expected)) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(LoadError::Digest { expected, found }),
        Err(source) => Err(LoadError::Layer {
            layer: name.to_owned(),
            source,
        }),
    }
}

/// A name in an archive, with a tag or digest.
pub fn parse_name(name: &str) -> Result<Reference, LoadError> {
    let parsed = Reference::parse(name).map(Reference::or_latest);
    parsed.map_err(|source| LoadError::Name {
        name: crate::image::header::shown(name.as_bytes()),
        source,
    })
}

/// Decodes one of the archive's small files.
pub fn decode<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(bytes).map_err(|source| LoadError::Json {
        name: name.to_owned(),
        source,
    })
}

fn docker_manifests(arrivals: &Arrivals) -> Result<Vec<DockerManifest>, LoadError> {
    let bytes = arrivals.file_named("manifest.json");
    let manifests = bytes.map(|bytes| decode::<DockerManifests>("manifest.json", bytes));
    Ok(manifests.transpose()?.unwrap_or_default().0)
}

fn tags(manifest: &DockerManifest) -> Result<Vec<Reference>, LoadError> {
    manifest
        .repo_tags
        .iter()
        .map(|tag| parse_name(tag))
        .collect()
}

/// One image per id, with all its names.
fn merged(images: Vec<NewImage>, images_max: usize) -> Result<Vec<NewImage>, LoadError> {
    if images.len() > images_max {
        return Err(LoadError::TooManyImages(images_max));
    }
    let mut by_id: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut merged: Vec<NewImage> = Vec::new();
    for image in images {
        match by_id.get(&Digest::of(&image.config)) {
            Some(at) => add_names(&mut merged[*at], image.names),
            None => {
                by_id.insert(Digest::of(&image.config), merged.len());
                merged.push(image);
            }
        }
    }
    Ok(merged)
}

fn add_names(image: &mut NewImage, names: Vec<Reference>) {
    for name in names {
        if !image.names.contains(&name) {
            image.names.push(name);
        }
    }
}
