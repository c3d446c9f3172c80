//! What a load brings, in `tmp/` until all of it is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};
use crate::image::index::LayerRecord;
use crate::image::unpack::Unpacked;

/// A folder of its own for one load, removed with all that was not taken into the store.
#[derive(Debug)]
pub struct Staging {
    dir: PathBuf,
    made: u64,
    layers: BTreeMap<Digest, StagedLayer>,
}

/// A layer that is not yet in the store.
#[derive(Debug)]
pub struct StagedLayer {
    pub dir: PathBuf,
    pub record: LayerRecord,
}

impl Staging {
    /// Makes the folder.
    pub fn create(dir: PathBuf) -> Result<Self, DiskError> {
        disk::create_dir(&dir)?;
        Ok(Self {
            dir,
            made: 0,
            layers: BTreeMap::new(),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A name in the folder that nothing has.
    pub fn fresh(&mut self) -> PathBuf {
        self.made += 1;
        self.dir.join(self.made.to_string())
    }

    /// The layers so far.
    pub fn layers(&self) -> &BTreeMap<Digest, StagedLayer> {
        &self.layers
    }

    /// Keeps a layer that was unpacked into `dir`; the same layer twice is kept once.
    pub fn keep(
        &mut self,
        dir: PathBuf,
        unpacked: Unpacked,
        blob: Digest,
    ) -> Result<(), DiskError> {
        let packed = (blob != unpacked.diff_id).then_some(blob);
        if let Some(layer) = self.layers.get_mut(&unpacked.diff_id) {
            layer.record.blobs.extend(packed);
            return disk::remove_tree(&dir);
        }
        let record = LayerRecord {
            tar_bytes: unpacked.tar_bytes,
            file_bytes: unpacked.file_bytes,
            blobs: packed.into_iter().collect(),
        };
        self.layers
            .insert(unpacked.diff_id, StagedLayer { dir, record });
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_tree(&self.dir) {
            tracing::warn!("{error}; it will be removed at the next start");
        }
    }
}
