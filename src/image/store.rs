//! The store of images: open, look up, name, remove.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use crate::image::config::{ConfigError, ImageConfig};
use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};
use crate::image::index::{Index, IndexError};
use crate::image::limits::Limits;
use crate::image::platform::Platform;
use crate::image::reference::{Reference, ReferenceError};

const FOLDERS: [&str; 3] = ["configs", "layers", "tmp"];
/// An id may be cut to this, as long as one image only begins so.
const ID_PREFIX_MIN: usize = 2;

/// All images of this host. Methods take `&self`; share it by `Arc`.
#[derive(Debug)]
pub struct ImageStore {
    dir: PathBuf,
    limits: Limits,
    platform: Platform,
    /// Held open: its lock says that the store is in use.
    _lock: File,
    fresh: AtomicU64,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub struct State {
    pub index: Index,
    /// Layers that loads under way count on, and how many of them.
    pub pins: BTreeMap<Digest, u32>,
    /// Images that are not pruned though nothing uses them.
    pub kept: BTreeSet<Digest>,
}

/// An image, complete and on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: Digest,
    /// Names with tags.
    pub tags: Vec<Reference>,
    /// Names with digests of manifests.
    pub digests: Vec<Reference>,
    pub config: ImageConfig,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub diff_id: Digest,
    /// A lower directory for overlayfs. The paths are long: mount through `/proc/self/fd/N`, or
    /// many layers do not fit into the page that mount(2) has for its options.
    pub dir: PathBuf,
    /// The lengths of its files.
    pub bytes: u64,
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the image store {0} is in use by another process")]
    InUse(PathBuf),
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Why an image was not found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("several images have an id that begins with {0}")]
    Ambiguous(String),
    #[error("image {id} is damaged: {source}")]
    Damaged { id: Digest, source: ConfigError },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("No such image: {0}")]
    NoSuchImage(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// Why an image got no further name.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    #[error("refusing to create a tag with a digest reference")]
    Digest,
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Source(#[from] ResolveError),
}

impl Image {
    /// The lengths of all its files.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|l| l.bytes).sum()
    }

    /// The layers' directories, lowest first, to be stacked by overlayfs. It refuses a directory
    /// that is there twice; of a layer that an image has twice, as it often has an empty one, only
    /// the upper one can be seen.
    pub fn layer_dirs(&self) -> Vec<PathBuf> {
        let layers = self.layers.iter().enumerate();
        let seen = layers.filter(|(at, layer)| !self.layers[at + 1..].contains(layer));
        seen.map(|(_, layer)| layer.dir.clone()).collect()
    }

    /// Whether no tag leads to it.
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }
}

impl ImageStore {
    /// Opens or creates the store in `dir`, and removes what an interrupted load or removal left.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, Limits::default(), Platform::host())
    }

    /// Opens with other limits, or as if on another host.
    pub fn open_with(dir: &Path, limits: Limits, platform: Platform) -> Result<Self, OpenError> {
        disk::create_dir(dir)?;
        disk::close_to_others(dir)?;
        for folder in FOLDERS {
            disk::create_dir(&dir.join(folder))?;
        }
        let lock = lock(&dir.join("lock"))?.ok_or_else(|| OpenError::InUse(dir.to_owned()))?;
        let store = Self {
            state: Mutex::new(State {
                index: Index::read(dir)?,
                pins: BTreeMap::new(),
                kept: BTreeSet::new(),
            }),
            dir: dir.to_owned(),
            limits,
            platform,
            _lock: lock,
            fresh: AtomicU64::new(0),
        };
        store.sweep()?;
        Ok(store)
    }

    /// The image that `text` names: a reference (`alpine` is `alpine:latest`), an id or the
    /// beginning of one. Names go before ids, as with Docker.
    pub fn resolve(&self, text: &str) -> Result<Image, ResolveError> {
        let state = self.state();
        let id = find(&state.index, text)?.0;
        self.image(&state.index, id)
    }

    /// All images that are whole, the newest first.
    pub fn list(&self) -> Vec<Image> {
        let state = self.state();
        let ids = state.index.images.keys();
        let images = ids.filter_map(|id| {
            let image = self.image(&state.index, *id);
            image.inspect_err(|error| tracing::warn!("{error}")).ok()
        });
        let mut images: Vec<Image> = images.collect();
        images.sort_by_key(|i| std::cmp::Reverse(i.config.created_s()));
        images
    }

    /// Gives an image a further name; another image loses it.
    pub fn tag(&self, source: &str, target: &str) -> Result<(), TagError> {
        let target = Reference::parse(target)?;
        if target.digest.is_some() {
            return Err(TagError::Digest);
        }
        let mut state = self.state();
        let id = find(&state.index, source)?.0;
        let mut index = state.index.clone();
        index.references.insert(target.or_latest().to_string(), id);
        if index != state.index {
            self.replace_index(&mut state, index)?;
        }
        Ok(())
    }

    /// The config file of an image as it came, byte for byte.
    pub fn config_bytes(&self, id: Digest) -> Result<Vec<u8>, DiskError> {
        disk::read_bounded(&self.config_path(id), self.limits.json_bytes_max)
    }

    /// What this host runs.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Where the store is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The limits on what comes from outside.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The guarded state. A panic elsewhere leaves it whole: it is changed by one assignment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an image's config is.
    pub fn config_path(&self, id: Digest) -> PathBuf {
        self.dir.join("configs").join(id.hex())
    }

    /// Where a layer with its frames is.
    pub fn layer_path(&self, diff_id: Digest) -> PathBuf {
        self.dir.join("layers").join(diff_id.hex())
    }

    /// A name in `tmp/` that nothing has.
    pub fn fresh_path(&self) -> PathBuf {
        let n = self.fresh.fetch_add(1, Ordering::Relaxed);
        self.dir.join("tmp").join(n.to_string())
    }

    /// Makes `index` the index, on disk and then in memory.
    pub fn replace_index(&self, state: &mut State, index: Index) -> Result<(), DiskError> {
        index.write(&self.dir)?;
        state.index = index;
        Ok(())
    }

    /// Reads an image of the index.
    pub fn image(&self, index: &Index, id: Digest) -> Result<Image, ResolveError> {
        let bytes = self.config_bytes(id)?;
        let (config, diff_ids) = ImageConfig::decode(&bytes, self.limits.layers_max)
            .map_err(|source| ResolveError::Damaged { id, source })?;
        let layers = diff_ids.into_iter().map(|diff_id| Layer {
            diff_id,
            dir: self.layer_path(diff_id).join("fs"),
            bytes: index.layers.get(&diff_id).map_or(0, |l| l.file_bytes),
        });
        let names = index.names_of(id).filter_map(|n| Reference::parse(n).ok());
        let (digests, tags) = names.partition(|n| n.digest.is_some());
        Ok(Image {
            id,
            tags,
            digests,
            config,
            layers: layers.collect(),
        })
    }

    /// Removes what the index does not name, and from the index what is not there.
    fn sweep(&self) -> Result<(), OpenError> {
        let mut state = self.state();
        let mut index = state.index.clone();
        index
            .layers
            .retain(|id, _| self.layer_path(*id).join("fs").is_dir());
        let Index { images, layers, .. } = &mut index;
        images.retain(|id, record| {
            let whole = record.layers.iter().all(|l| layers.contains_key(l));
            let whole = whole && self.config_path(*id).is_file();
            if !whole {
                tracing::warn!("image {id} is incomplete on disk and is dropped");
            }
            whole
        });
        index
            .references
            .retain(|_, id| index.images.contains_key(id));
        for loose in index.loose_layers() {
            index.layers.remove(&loose);
        }
        if index != state.index {
            self.replace_index(&mut state, index)?;
        }
        self.sweep_folder("tmp", &BTreeSet::new())?;
        let names = |ids: Vec<Digest>| ids.iter().map(Digest::hex).collect();
        self.sweep_folder(
            "layers",
            &names(state.index.layers.keys().copied().collect()),
        )?;
        self.sweep_folder(
            "configs",
            &names(state.index.images.keys().copied().collect()),
        )
    }

    fn sweep_folder(&self, folder: &str, keep: &BTreeSet<String>) -> Result<(), OpenError> {
        let folder = self.dir.join(folder);
        for name in disk::names(&folder)? {
            if !keep.contains(&name) {
                disk::remove_tree(&folder.join(&name))?;
            }
        }
        Ok(())
    }
}

/// The image that a text names, and the name if it is one.
pub fn find(index: &Index, text: &str) -> Result<(Digest, Option<Reference>), ResolveError> {
    let unknown = || ResolveError::NoSuchImage(text.to_owned());
    let id = text.strip_prefix("sha256:").unwrap_or(text);
    if let Some(id) = Digest::from_hex(id) {
        let known = index.images.contains_key(&id);
        return known.then_some((id, None)).ok_or_else(unknown);
    }
    let reference = match Reference::parse(text) {
        Ok(reference) => reference.or_latest(),
        Err(_) if text.starts_with("sha256:") => return by_prefix(index, id).map(|i| (i, None)),
        Err(error) => return Err(error.into()),
    };
    // With a digest the tag says nothing.
    let key = match &reference.digest {
        Some(_) => Reference {
            tag: None,
            ..reference.clone()
        },
        None => reference.clone(),
    };
    // Without a manifest the digest is the image's id.
    let pinned = reference.digest.as_ref().and_then(|d| d.parse().ok());
    let pinned = pinned.filter(|id| index.images.contains_key(id));
    match index.references.get(&key.to_string()) {
        Some(id) => Ok((*id, Some(key))),
        None if let Some(id) = pinned => Ok((id, None)),
        None => by_prefix(index, id)
            .map(|id| (id, None))
            .map_err(|error| match error {
                ResolveError::NoSuchImage(_) => ResolveError::NoSuchImage(reference.familiar()),
                other => other,
            }),
    }
}

fn by_prefix(index: &Index, prefix: &str) -> Result<Digest, ResolveError> {
    let unknown = || ResolveError::NoSuchImage(prefix.to_owned());
    if prefix.len() < ID_PREFIX_MIN {
        return Err(unknown());
    }
    let mut found = index
        .images
        .keys()
        .filter(|id| id.hex().starts_with(prefix));
    let first = found.next().ok_or_else(unknown)?;
    match found.next() {
        Some(_) => Err(ResolveError::Ambiguous(prefix.to_owned())),
        None => Ok(*first),
    }
}

fn lock(path: &Path) -> Result<Option<File>, DiskError> {
    let lock = || -> std::io::Result<Option<File>> {
        let file = File::create(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    lock().map_err(|source| DiskError {
        doing: "lock",
        path: path.to_owned(),
        source,
    })
}
