//! Takes complete images into the store, and rubbish out of it.

use std::path::PathBuf;

use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};
use crate::image::index::{HelloRecord, ImageRecord, Index};
use crate::image::reference::Reference;
use crate::image::staging::Staging;
use crate::image::store::{ImageStore, State};

/// An image whose layers are all staged or in the store.
#[derive(Debug)]
pub struct NewImage {
    /// The config file.
    pub config: Vec<u8>,
    /// Diff ids, lowest first.
    pub layers: Vec<Digest>,
    /// The names it gets.
    pub names: Vec<Reference>,
}

/// An image that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: Digest,
    /// The names it got.
    pub names: Vec<Reference>,
    /// Names that belonged to another image until now, and to which.
    pub taken: Vec<(Reference, Digest)>,
}

/// A load under way: its staging, and the layers of the store that it counts on.
#[derive(Debug)]
pub struct Session<'a> {
    pub store: &'a ImageStore,
    pub staging: Staging,
    pinned: Vec<Digest>,
}

impl<'a> Session<'a> {
    /// Begins with nothing.
    pub fn begin(store: &'a ImageStore) -> Result<Self, DiskError> {
        Ok(Self {
            store,
            staging: Staging::create(store.fresh_path())?,
            pinned: Vec::new(),
        })
    }

    /// The layer with this diff id or made of this blob, if the store has it; it then stays at
    /// least as long as this session.
    pub fn pin(&mut self, digest: Digest) -> Option<Digest> {
        let mut state = self.store.state();
        let mut layers = state.index.layers.iter();
        let found = layers.find(|(id, layer)| **id == digest || layer.blobs.contains(&digest));
        let diff_id = *found?.0;
        *state.pins.entry(diff_id).or_default() += 1;
        self.pinned.push(diff_id);
        Some(diff_id)
    }

    /// Takes all images into the store, or none.
    pub fn commit(
        self,
        images: Vec<NewImage>,
        hello: Option<HelloRecord>,
    ) -> Result<Vec<Loaded>, DiskError> {
        let store = self.store;
        for image in &images {
            disk::write(
                &self.staging.dir().join(Digest::of(&image.config).hex()),
                &image.config,
            )?;
        }
        disk::sync_file_system(self.staging.dir())?;
        let mut state = store.state();
        let mut placed = Vec::new();
        let done = self
            .place(&state.index, &images, &mut placed)
            .and_then(|()| {
                let (index, loaded) = self.enter(&state, &images, hello);
                let rubbish = store.settle(&mut state, index)?;
                Ok((loaded, rubbish))
            });
        if done.is_err() {
            // Under the lock still: another load may be about to put the same layer there.
            placed.iter().for_each(|path| store.discard(path));
        }
        drop(state);
        let (loaded, rubbish) = done?;
        rubbish.iter().for_each(|path| store.discard(path));
        Ok(loaded)
    }

    /// Renames configs and layers to their places.
    fn place(
        &self,
        index: &Index,
        images: &[NewImage],
        placed: &mut Vec<PathBuf>,
    ) -> Result<(), DiskError> {
        let mut place = |from: PathBuf, to: PathBuf| {
            // Something unfinished may be there; nothing names it.
            disk::remove_tree(&to)?;
            placed.push(to.clone());
            disk::rename(&from, &to)
        };
        let used = |id: &Digest| images.iter().any(|i| i.layers.contains(id));
        let layers = self.staging.layers().iter();
        for (id, layer) in layers.filter(|(id, _)| used(id) && !index.layers.contains_key(id)) {
            place(layer.dir.clone(), self.store.layer_path(*id))?;
        }
        for id in images.iter().map(|i| Digest::of(&i.config)) {
            let from = self.staging.dir().join(id.hex());
            if !index.images.contains_key(&id) && from.exists() {
                place(from, self.store.config_path(id))?;
            }
        }
        disk::sync_dir(&self.store.dir().join("layers"))?;
        disk::sync_dir(&self.store.dir().join("configs"))
    }

    /// The index with the images in it.
    fn enter(
        &self,
        state: &State,
        images: &[NewImage],
        hello: Option<HelloRecord>,
    ) -> (Index, Vec<Loaded>) {
        let mut index = state.index.clone();
        for (id, layer) in self.staging.layers() {
            let known = index
                .layers
                .entry(*id)
                .or_insert_with(|| layer.record.clone());
            for blob in &layer.record.blobs {
                known.know_blob(*blob);
            }
        }
        let mut loaded = Vec::new();
        for image in images {
            let id = Digest::of(&image.config);
            let layers = image.layers.clone();
            index.images.insert(id, ImageRecord { layers });
            let mut taken = Vec::new();
            for name in &image.names {
                let before = index.references.insert(name.to_string(), id);
                taken.extend(before.filter(|b| *b != id).map(|b| (name.clone(), b)));
            }
            let names = image.names.clone();
            loaded.push(Loaded { id, names, taken });
        }
        index.hello = hello.or(index.hello);
        (index, loaded)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for id in self.pinned.drain(..) {
            if let Some(count) = state.pins.get_mut(&id) {
                *count -= 1;
            }
        }
        state.pins.retain(|_, count| *count > 0);
        if state.index.loose_layers().is_empty() {
            return;
        }
        let index = state.index.clone();
        let settled = self.store.settle(&mut state, index);
        drop(state);
        match settled {
            Ok(rubbish) => rubbish.iter().for_each(|path| self.store.discard(path)),
            Err(error) => tracing::warn!("{error}; layers stay until the next start"),
        }
    }
}

impl ImageStore {
    /// Makes `index` the index without the layers that nobody needs, and answers what is now
    /// rubbish on disk; it is to be discarded after the lock is released.
    pub fn settle(&self, state: &mut State, mut index: Index) -> Result<Vec<PathBuf>, DiskError> {
        for layer in index.loose_layers() {
            if !state.pins.contains_key(&layer) {
                index.layers.remove(&layer);
            }
        }
        let before = state.index.clone();
        if index == before {
            return Ok(Vec::new());
        }
        self.replace_index(state, index)?;
        let layers = before
            .layers
            .keys()
            .filter(|l| !state.index.layers.contains_key(l));
        let images = before
            .images
            .keys()
            .filter(|i| !state.index.images.contains_key(i));
        let layers = layers.map(|l| self.layer_path(*l));
        let rubbish: Vec<_> = layers.chain(images.map(|i| self.config_path(*i))).collect();
        // Out of the way at once, so that the same layer can come again; removed at leisure.
        Ok(rubbish
            .into_iter()
            .filter_map(|path| self.move_away(path))
            .collect())
    }

    fn move_away(&self, path: PathBuf) -> Option<PathBuf> {
        let to = self.fresh_path();
        match disk::rename(&path, &to) {
            Ok(()) => Some(to),
            Err(error) => {
                tracing::warn!("{error}; it will be removed at the next start");
                None
            }
        }
    }

    /// Removes rubbish; what cannot be removed now is swept at the next start.
    pub fn discard(&self, path: &std::path::Path) {
        if let Err(error) = disk::remove_tree(path) {
            tracing::warn!("{error}; it will be removed at the next start");
        }
    }
}
