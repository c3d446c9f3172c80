//! Pushes an image to a registry, and of it only what is missing there.
//!
//! Layers lie unpacked here. Each is packed to learn the digest under which the registry may have
//! it, and if it has not, packed once more while it is sent: nothing is written for it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::host::wait;
use crate::image::commit::Session;
use crate::image::digest::{Digest, HashingWriter};
use crate::image::disk::DiskError;
use crate::image::frames::{ReplayError, replay};
use crate::image::manifest::{CONFIG_TYPE, Descriptor, GZIP_TYPE, MANIFEST_TYPE, Manifest};
use crate::image::pull::{Order, first};
use crate::image::reference::Reference;
use crate::image::registry::endpoint;
use crate::image::registry::failure::{Refusal, RegistryError};
use crate::image::registry::http::Outgoing;
use crate::image::registry::pace::{Cancel, Pace};
use crate::image::registry::repository::Repository;
use crate::image::registry::settings::Settings;
use crate::image::store::{Image, ImageStore, ResolveError};

/// How often a layer tells how far it is.
const PROGRESS_BYTES: u64 = 256 << 10;
const PIPE_BYTES: usize = 32 << 10;

/// What a registry has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub digest: Digest,
    /// Of the manifest.
    pub bytes: u64,
}

/// How far a push is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The image is here, and the registry is there.
    Begun,
    Preparing(Digest),
    Exists(Digest),
    Sending {
        layer: Digest,
        sent: u64,
        total: u64,
    },
    Sent(Digest),
}

/// Why a registry does not have the image now.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("layer {0} has changed on the disk")]
    Changed(Digest),
    #[error("push access denied for {repository}, it may require 'docker login': {source}")]
    Denied { repository: String, source: Refusal },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("a manifest cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("layer {layer} cannot be read back: {source}")]
    Layer { layer: Digest, source: ReplayError },
    #[error("An image does not exist locally with the tag: {0}")]
    NoSuchImage(String),
    #[error("layer {layer} cannot be packed: {source}")]
    Pack { layer: Digest, source: io::Error },
    #[error("{0} has no tag")]
    NoTag(String),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Resolve(ResolveError),
}

impl ImageStore {
    /// Pushes the image with the name that is ordered. Ends early once nobody wants it any more.
    pub fn push(
        &self,
        settings: &Settings,
        order: &Order,
        cancel: &Cancel,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Pushed, PushError> {
        let mut session = Session::begin(self)?;
        let name = &order.reference;
        let Some(tag) = &name.tag else {
            return Err(PushError::NoTag(name.familiar()));
        };
        let image = self.resolve(&name.to_string());
        let image = image.map_err(|error| match error {
            ResolveError::NoSuchImage(_) => PushError::NoSuchImage(name.familiar_repository()),
            other => PushError::Resolve(other),
        })?;
        for layer in &image.layers {
            session.pin(layer.diff_id);
        }
        let config = self.config_bytes(image.id)?;
        let repository = open(settings, order, cancel)?;
        tell(Step::Begun);
        let push = Push {
            store: self,
            repository: &repository,
            cancel,
        };
        let pushed = push.all(&image, tag, &config, tell);
        let (pushed, blobs) = pushed.map_err(|error| explained(error, name))?;
        self.note_pushed(&image, name, pushed.digest, &blobs)?;
        Ok(pushed)
    }

    /// Remembers by which digests the registry has an image and its layers.
    fn note_pushed(
        &self,
        image: &Image,
        name: &Reference,
        digest: Digest,
        blobs: &BTreeMap<Digest, Descriptor>,
    ) -> Result<(), DiskError> {
        let mut state = self.state();
        let mut index = state.index.clone();
        let name = Reference {
            tag: None,
            digest: Some(digest.to_string()),
            ..name.clone()
        };
        // Removed in the meantime, it gets no name.
        if index.images.contains_key(&image.id) {
            index.references.insert(name.to_string(), image.id);
        }
        for (diff_id, blob) in blobs {
            if let (Some(layer), Ok(blob)) = (index.layers.get_mut(diff_id), blob.digest.parse()) {
                layer.know_blob(blob);
            }
        }
        if index != state.index {
            self.replace_index(&mut state, index)?;
        }
        Ok(())
    }
}

/// A push under way.
struct Push<'a> {
    store: &'a ImageStore,
    repository: &'a Repository,
    cancel: &'a Cancel,
}

impl Push<'_> {
    /// Blobs first: a registry takes no manifest that names what it lacks.
    fn all(
        &self,
        image: &Image,
        tag: &str,
        config: &[u8],
        tell: &mut dyn FnMut(Step),
    ) -> Result<(Pushed, BTreeMap<Digest, Descriptor>), PushError> {
        let layers: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        layers
            .iter()
            .for_each(|layer| tell(Step::Preparing(*layer)));
        let mut blobs = BTreeMap::new();
        for layer in &layers {
            if !blobs.contains_key(layer) {
                blobs.insert(*layer, self.layer(*layer, tell)?);
            }
        }
        let length = config.len() as u64;
        self.patiently(|| match self.repository.has_blob(image.id)? {
            true => Ok(()),
            false => {
                let bytes = &mut &*config;
                self.repository
                    .send_blob(image.id, Outgoing { bytes, length })
            }
        })?;
        let described = |layer| blobs.get(layer).cloned().unwrap_or_default();
        let manifest = serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: described_as(CONFIG_TYPE, image.id, length),
            layers: layers.iter().map(described).collect(),
        })?;
        self.patiently(|| self.repository.send_manifest(tag, MANIFEST_TYPE, &manifest))?;
        let pushed = Pushed {
            digest: Digest::of(&manifest),
            bytes: manifest.len() as u64,
        };
        Ok((pushed, blobs))
    }

    fn layer(&self, id: Digest, tell: &mut dyn FnMut(Step)) -> Result<Descriptor, PushError> {
        let tarball = self.tarball(id)?;
        let mut packed = HashingWriter::new(io::sink());
        tarball.pack(&mut packed)?;
        let (digest, total) = packed.finish();
        let is_there = self.patiently(|| self.repository.has_blob(digest))?;
        match is_there {
            true => tell(Step::Exists(id)),
            false => {
                self.send(&tarball, digest, total, tell)?;
                tell(Step::Sent(id));
            }
        }
        Ok(described_as(GZIP_TYPE, digest, total))
    }

    /// Packs a layer anew with each try, and sends it while it is packed.
    fn send(
        &self,
        tarball: &Tarball,
        digest: Digest,
        total: u64,
        tell: &mut dyn FnMut(Step),
    ) -> Result<(), PushError> {
        let mut failed = None;
        let sent = self.patiently(|| {
            let attempt = self.send_once(tarball, digest, total, tell);
            attempt.map_err(|error| match error {
                PushError::Registry(error) => error,
                other => {
                    failed = Some(other);
                    RegistryError::Cancelled
                }
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(sent?),
        }
    }

    fn send_once(
        &self,
        tarball: &Tarball,
        digest: Digest,
        total: u64,
        tell: &mut dyn FnMut(Step),
    ) -> Result<(), PushError> {
        let layer = tarball.id;
        let pipe = io::pipe().map_err(|source| PushError::Pack { layer, source });
        let (reader, writer) = pipe?;
        let packing = tarball.clone();
        let packing =
            wait::start(move || packing.pack(BufWriter::with_capacity(PIPE_BYTES, writer)));
        let mut outgoing = Metered {
            input: reader,
            layer,
            sent: 0,
            total,
            cancel: self.cancel,
            tell,
        };
        let body = Outgoing {
            bytes: &mut outgoing,
            length: total,
        };
        let sent = self.repository.send_blob(digest, body);
        // Whoever packs notices that nobody reads any more.
        drop(outgoing);
        let packed = packing.join();
        self.cancel.check()?;
        sent?;
        packed.unwrap_or(Err(PushError::Changed(layer)))
    }

    fn patiently<T>(
        &self,
        attempt: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        Pace::new(self.cancel.clone()).keep_trying(attempt)
    }

    fn tarball(&self, id: Digest) -> Result<Tarball, PushError> {
        let bytes = self
            .store
            .state()
            .index
            .layers
            .get(&id)
            .map(|layer| layer.tar_bytes);
        Ok(Tarball {
            id,
            bytes: bytes.ok_or(PushError::Changed(id))?,
            dir: self.store.layer_path(id),
        })
    }
}

/// A layer as a tar, which is to be the one that its id was taken of.
#[derive(Clone)]
struct Tarball {
    id: Digest,
    bytes: u64,
    dir: PathBuf,
}

impl Tarball {
    fn pack(&self, out: impl Write) -> Result<(), PushError> {
        let layer = self.id;
        let mut gzip = GzEncoder::new(out, Compression::default());
        let plain = written(&self.dir, &mut gzip);
        let plain = plain.map_err(|source| PushError::Layer { layer, source })?;
        if plain != (self.id, self.bytes) {
            return Err(PushError::Changed(layer));
        }
        let packed = gzip.finish().and_then(|mut out| out.flush());
        packed.map_err(|source| PushError::Pack { layer, source })
    }
}

fn written(layer: &Path, out: &mut dyn Write) -> Result<(Digest, u64), ReplayError> {
    let mut hashing = HashingWriter::new(out);
    replay(layer, &mut hashing)?;
    Ok(hashing.finish())
}

/// Tells how far a layer is, and ends with the wish for it.
struct Metered<'a, R> {
    input: R,
    layer: Digest,
    sent: u64,
    total: u64,
    cancel: &'a Cancel,
    tell: &'a mut dyn FnMut(Step),
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let n = self.input.read(into)?;
        let before = self.sent / PROGRESS_BYTES;
        self.sent += n as u64;
        if self.sent / PROGRESS_BYTES > before {
            let (layer, sent, total) = (self.layer, self.sent, self.total);
            (self.tell)(Step::Sending { layer, sent, total });
        }
        Ok(n)
    }
}

fn described_as(kind: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: kind.to_owned(),
        digest: digest.to_string(),
        size,
        ..Descriptor::default()
    }
}

/// The registry itself; what copies it is given nothing.
fn open(settings: &Settings, order: &Order, cancel: &Cancel) -> Result<Repository, PushError> {
    let name = &order.reference;
    let endpoints = endpoint::endpoints(&name.registry, settings);
    let own: Vec<_> = endpoints.into_iter().filter(|e| !e.is_mirror).collect();
    let opened = Pace::first(cancel.clone()).keep_trying(|| {
        first(&own, |endpoint| {
            let credentials = &order.credentials;
            Repository::open(settings, endpoint, &name.path, "pull,push", credentials)
        })
    });
    opened.map_err(|error| explained(error.into(), name))
}

/// A refusal says of what.
fn explained(error: PushError, name: &Reference) -> PushError {
    match error {
        PushError::Registry(RegistryError::Refused(source))
            if matches!(source.status, 401 | 403) =>
        {
            let repository = name.familiar_repository();
            PushError::Denied { repository, source }
        }
        other => other,
    }
}
