//! The index file: which images, layers and names the store has.
//!
//! ```text
//! u16 format, u32 crc32 of the rest, postcard of `Index`
//! ```
//!
//! It is replaced as a whole: a board has tens of images, so it is a few KiB and one block or two
//! on the card. The file before it stays as `index.old`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};

const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 6;
const BYTES_MAX: u64 = 16 << 20;
/// Blobs remembered per layer.
const BLOBS_MAX: usize = 4;
const NAME: &str = "index";
const NAME_OLD: &str = "index.old";
const NAME_NEW: &str = "tmp/index";

/// Everything the store knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Images by id.
    pub images: BTreeMap<Digest, ImageRecord>,
    /// Layers by diff id.
    pub layers: BTreeMap<Digest, LayerRecord>,
    /// Ids by name, each name in its canonical form with either a tag or a digest.
    pub references: BTreeMap<String, Digest>,
    /// Of which program the built-in image was made.
    pub hello: Option<HelloRecord>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Diff ids, lowest first.
    pub layers: Vec<Digest>,
}

/// One unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The length of its tar.
    pub tar_bytes: u64,
    /// The length of its files together.
    pub file_bytes: u64,
    /// Digests of compressed tars that are known to be this layer: it is not unpacked again.
    pub blobs: Vec<Digest>,
}

impl LayerRecord {
    /// Remembers a blob of which the layer can be made.
    pub fn know_blob(&mut self, blob: Digest) {
        if self.blobs.len() < BLOBS_MAX && !self.blobs.contains(&blob) {
            self.blobs.push(blob);
        }
    }
}

/// How the program looked when the built-in image was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloRecord {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub mtime_s: i64,
    pub mtime_ns: i64,
    pub image: Digest,
}

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the image store has format {0}, which is newer than this version of skep")]
    Newer(u16),
}

impl Index {
    /// Reads the newest index that is whole. A new store has none; so has one whose card lost both,
    /// and its layers are then loaded anew.
    pub fn read(dir: &Path) -> Result<Self, IndexError> {
        for name in [NAME, NAME_OLD] {
            let path = dir.join(name);
            if !path.exists() {
                continue;
            }
            match Self::decode(&disk::read_bounded(&path, BYTES_MAX)?)? {
                Some(index) => return Ok(index),
                None => tracing::warn!("{} is damaged and is not used", path.display()),
            }
        }
        Ok(Self::default())
    }

    /// Replaces the index; what it names must be durable before.
    pub fn write(&self, dir: &Path) -> Result<(), DiskError> {
        let (new, now) = (dir.join(NAME_NEW), dir.join(NAME));
        disk::write_synced(&new, &self.encode())?;
        if now.exists() {
            disk::rename(&now, &dir.join(NAME_OLD))?;
        }
        disk::rename(&new, &now)?;
        disk::sync_dir(dir)
    }

    /// `None` if the bytes are damaged.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, IndexError> {
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let format = u16::from_le_bytes([header[0], header[1]]);
        let crc = u32::from_le_bytes([header[2], header[3], header[4], header[5]]);
        if crc32fast::hash(body) != crc {
            return Ok(None);
        }
        if format > FORMAT {
            return Err(IndexError::Newer(format));
        }
        Ok(postcard::from_bytes(body).ok())
    }

    fn encode(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(self).unwrap_or_default();
        let crc = crc32fast::hash(&body);
        [&FORMAT.to_le_bytes()[..], &crc.to_le_bytes(), &body].concat()
    }

    /// The names of one image.
    pub fn names_of(&self, id: Digest) -> impl Iterator<Item = &str> {
        let mine = self
            .references
            .iter()
            .filter(move |(_, image)| **image == id);
        mine.map(|(name, _)| name.as_str())
    }

    /// Layers that no image has.
    pub fn loose_layers(&self) -> Vec<Digest> {
        let used = |layer: &Digest| self.images.values().any(|i| i.layers.contains(layer));
        let loose = self.layers.keys().filter(|layer| !used(layer));
        loose.copied().collect()
    }
}
