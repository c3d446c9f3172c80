//! Writes images as an archive that `docker load`, OCI tools and skep read.
//!
//! ```text
//! oci-layout, index.json, manifest.json   first, so that a reader of a stream knows what comes
//! blobs/sha256/<digest>                   manifests, configs, layers; each once
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::image::commit::Session;
use crate::image::digest::{Digest, HashingWriter};
use crate::image::disk::DiskError;
use crate::image::frames::{ReplayError, replay};
use crate::image::header::{BLOCK, padding};
use crate::image::manifest::{
    CONFIG_TYPE, Descriptor, DescriptorPlatform, DockerManifest, INDEX_TYPE, Index, LAYER_TYPE,
    MANIFEST_TYPE, Manifest, NAME_ANNOTATION, REF_ANNOTATION,
};
use crate::image::reference::Reference;
use crate::image::store::{Image, ImageStore, ResolveError};

const BLOBS: &str = "blobs/sha256";

/// Why images were not written, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("layer {layer} cannot be read back: {source}")]
    Layer { layer: Digest, source: ReplayError },
    #[error("layer {0} has changed on the disk")]
    Changed(Digest),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("a manifest cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("cannot write the archive: {0}")]
    Write(#[from] io::Error),
}

/// An image to be written, under the names that were asked for.
struct Chosen {
    image: Image,
    names: Vec<Reference>,
    config: Vec<u8>,
}

impl ImageStore {
    /// Writes the images that `names` name. Their layers stay in the store until this returns.
    pub fn save(&self, names: &[String], out: &mut dyn Write) -> Result<(), SaveError> {
        let mut session = Session::begin(self)?;
        let chosen = self.choose(names)?;
        for layer in chosen.iter().flat_map(|c| &c.image.layers) {
            session.pin(layer.diff_id);
        }
        let mut archive = Archive {
            out,
            written: BTreeSet::new(),
        };
        let mut index = new_index();
        let mut docker = Vec::new();
        let mut manifests = Vec::new();
        for chosen in &chosen {
            let manifest = serde_json::to_vec(&self.manifest(chosen))?;
            index.manifests.extend(descriptors(chosen, &manifest));
            docker.push(docker_manifest(chosen));
            manifests.push(manifest);
        }
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.file("index.json", &serde_json::to_vec(&index)?)?;
        archive.file("manifest.json", &serde_json::to_vec(&docker)?)?;
        for (chosen, manifest) in chosen.iter().zip(&manifests) {
            archive.blob(manifest)?;
            archive.blob(&chosen.config)?;
            for layer in &chosen.image.layers {
                archive.layer(self, layer.diff_id)?;
            }
        }
        Ok(archive.out.write_all(&[0; 1024])?)
    }

    fn choose(&self, names: &[String]) -> Result<Vec<Chosen>, SaveError> {
        let mut chosen: BTreeMap<Digest, Chosen> = BTreeMap::new();
        let mut order = Vec::new();
        let names = names.iter().flat_map(|name| self.tags_meant(name));
        for name in names {
            let name = &name;
            let image = self.resolve(name)?;
            let (id, config) = (image.id, self.config_bytes(image.id)?);
            let reference = Reference::parse(name).ok().map(Reference::or_latest);
            let reference = reference.filter(|r| image.tags.contains(r));
            let entry = chosen.entry(id).or_insert_with(|| {
                order.push(id);
                Chosen {
                    image,
                    names: Vec::new(),
                    config,
                }
            });
            entry.names.extend(reference);
        }
        Ok(order.iter().filter_map(|id| chosen.remove(id)).collect())
    }

    /// A repository without a tag means all its tags, as with Docker.
    fn tags_meant(&self, name: &str) -> Vec<String> {
        let repository = Reference::parse(name).ok();
        let repository = repository.filter(|r| r.tag.is_none() && r.digest.is_none());
        let tagged = repository.map(|r| format!("{}:", r.repository()));
        let state = self.state();
        let all = state.index.references.keys();
        let meant = all.filter(|key| tagged.as_ref().is_some_and(|t| key.starts_with(t)));
        let meant: Vec<String> = meant.cloned().collect();
        if meant.is_empty() {
            return vec![name.to_owned()];
        }
        meant
    }

    fn manifest(&self, chosen: &Chosen) -> Manifest {
        let state = self.state();
        let size = |id| state.index.layers.get(&id).map_or(0, |l| l.tar_bytes);
        let layers = chosen.image.layers.iter();
        Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: Descriptor {
                media_type: CONFIG_TYPE.to_owned(),
                digest: chosen.image.id.to_string(),
                size: chosen.config.len() as u64,
                ..Descriptor::default()
            },
            layers: layers
                .map(|layer| Descriptor {
                    media_type: LAYER_TYPE.to_owned(),
                    digest: layer.diff_id.to_string(),
                    size: size(layer.diff_id),
                    ..Descriptor::default()
                })
                .collect(),
        }
    }
}

fn new_index() -> Index {
    Index {
        schema_version: 2,
        media_type: Some(INDEX_TYPE.to_owned()),
        manifests: Vec::new(),
    }
}

/// One descriptor for each name, as Docker writes them, or one without a name.
fn descriptors(chosen: &Chosen, manifest: &[u8]) -> Vec<Descriptor> {
    let platform = chosen.image.config.platform();
    let plain = Descriptor {
        media_type: MANIFEST_TYPE.to_owned(),
        digest: Digest::of(manifest).to_string(),
        size: manifest.len() as u64,
        platform: Some(DescriptorPlatform {
            architecture: platform.architecture,
            os: platform.os,
            variant: Some(platform.variant).filter(|v| !v.is_empty()),
        }),
        annotations: None,
    };
    if chosen.names.is_empty() {
        return vec![plain];
    }
    let named = chosen.names.iter().map(|name| {
        let tag = name.tag.clone().unwrap_or_default();
        let annotations = [
            (NAME_ANNOTATION.to_owned(), name.to_string()),
            (REF_ANNOTATION.to_owned(), tag),
        ];
        Descriptor {
            annotations: Some(annotations.into()),
            ..plain.clone()
        }
    });
    named.collect()
}

fn docker_manifest(chosen: &Chosen) -> DockerManifest {
    let layers = chosen.image.layers.iter();
    let names = chosen.names.iter().map(Reference::familiar).collect();
    DockerManifest {
        config: format!("{BLOBS}/{}", chosen.image.id.hex()),
        repo_tags: names,
        layers: layers
            .map(|l| format!("{BLOBS}/{}", l.diff_id.hex()))
            .collect(),
    }
}

/// The archive as it is written.
struct Archive<'a> {
    out: &'a mut dyn Write,
    written: BTreeSet<Digest>,
}

impl Archive<'_> {
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        self.header(name, bytes.len() as u64)?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let digest = Digest::of(bytes);
        if self.written.insert(digest) {
            self.file(&format!("{BLOBS}/{}", digest.hex()), bytes)?;
        }
        Ok(())
    }

    fn layer(&mut self, store: &ImageStore, layer: Digest) -> Result<(), SaveError> {
        if !self.written.insert(layer) {
            return Ok(());
        }
        let record = store.state().index.layers.get(&layer).cloned();
        let bytes = record.ok_or(SaveError::Changed(layer))?.tar_bytes;
        self.header(&format!("{BLOBS}/{}", layer.hex()), bytes)?;
        let mut hashing = HashingWriter::new(&mut *self.out);
        replay(&store.layer_path(layer), &mut hashing)
            .map_err(|source| SaveError::Layer { layer, source })?;
        if hashing.finish() != (layer, bytes) {
            return Err(SaveError::Changed(layer));
        }
        self.pad(bytes)
    }

    fn header(&mut self, name: &str, bytes: u64) -> Result<(), SaveError> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_mode(0o644);
        header.set_size(bytes);
        header.set_cksum();
        Ok(self.out.write_all(header.as_bytes())?)
    }

    fn pad(&mut self, bytes: u64) -> Result<(), SaveError> {
        Ok(self.out.write_all(&[0; BLOCK][..padding(bytes)])?)
    }
}
