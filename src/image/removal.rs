//! Taking names from images and images from the store.

use std::collections::BTreeMap;

use crate::image::digest::Digest;
use crate::image::disk::DiskError;
use crate::image::index::Index;
use crate::image::reference::Reference;
use crate::image::store::{Image, ImageStore, ResolveError, find};

/// Which images containers use, and a word for each that says which container.
pub type InUse = BTreeMap<Digest, String>;

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// An image or a layer is gone, by its digest.
    Deleted(Digest),
    /// A name is gone.
    Untagged(Reference),
}

/// What a prune did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// The lengths of the files that were removed.
    pub reclaimed_bytes: u64,
}

/// What the images take on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All layers, each counted once.
    pub layers_bytes: u64,
    pub images: Vec<ImageUsage>,
}

/// One image's part of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ImageUsage {
    pub id: Digest,
    /// All its layers.
    pub bytes: u64,
    /// Those that other images have too.
    pub shared_bytes: u64,
}

/// Why an image stays, in Docker's words.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(
        "conflict: unable to delete {id} (cannot be forced) - image is being used by running \
         container {container}"
    )]
    InUse { id: String, container: String },
    #[error(
        "conflict: unable to remove repository reference \"{name}\" (must force) - container \
         {container} is using its referenced image {id}"
    )]
    NameInUse {
        name: String,
        id: String,
        container: String,
    },
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(
        "conflict: unable to delete {0} (must be forced) - image is referenced in multiple \
         repositories"
    )]
    SeveralNames(String),
}

impl ImageStore {
    /// Takes a name away, and with its last name the image. By id: the image with its names, if
    /// they are of one repository or `force` is given.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        in_use: &InUse,
    ) -> Result<Vec<Removed>, RemoveError> {
        let mut state = self.state();
        let mut index = state.index.clone();
        let (id, name) = find(&index, text)?;
        let keep = match &name {
            Some(name) => untag(&mut index, id, name, force, in_use)?,
            None => check_by_id(&index, id, force, in_use)?,
        };
        if !keep {
            drop_image(&mut index, id);
        }
        let before = state.index.clone();
        let rubbish = self.settle(&mut state, index)?;
        let removed = difference(&before, &state.index);
        drop(state);
        rubbish.iter().for_each(|path| self.discard(path));
        Ok(removed)
    }

    /// Removes every image that `wanted` chooses, that no container uses and that is not kept.
    pub fn prune(
        &self,
        wanted: &dyn Fn(&Image) -> bool,
        in_use: &InUse,
    ) -> Result<Pruned, RemoveError> {
        let mut state = self.state();
        let mut index = state.index.clone();
        for id in state
            .index
            .images
            .keys()
            .filter(|id| !in_use.contains_key(id) && !state.kept.contains(id))
        {
            if wanted(&self.image(&state.index, *id)?) {
                drop_image(&mut index, *id);
            }
        }
        let before = state.index.clone();
        let rubbish = self.settle(&mut state, index)?;
        let pruned = Pruned {
            removed: difference(&before, &state.index),
            reclaimed_bytes: layers_bytes(&before) - layers_bytes(&state.index),
        };
        drop(state);
        rubbish.iter().for_each(|path| self.discard(path));
        Ok(pruned)
    }

    /// What the images take.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        let index = &state.index;
        let owners = |layer: &Digest| {
            index
                .images
                .values()
                .filter(|i| i.layers.contains(layer))
                .count()
        };
        let images = index.images.iter().map(|(id, image)| {
            let bytes = |l: &&Digest| index.layers.get(l).map_or(0, |l| l.file_bytes);
            ImageUsage {
                id: *id,
                bytes: image.layers.iter().map(|l| bytes(&l)).sum(),
                shared_bytes: image
                    .layers
                    .iter()
                    .filter(|l| owners(l) > 1)
                    .map(|l| bytes(&l))
                    .sum(),
            }
        });
        Usage {
            layers_bytes: layers_bytes(index),
            images: images.collect(),
        }
    }
}

/// Takes the name away; true if the image stays.
fn untag(
    index: &mut Index,
    id: Digest,
    name: &Reference,
    force: bool,
    in_use: &InUse,
) -> Result<bool, RemoveError> {
    let last = !tags_of(index, id).any(|tag| tag != *name);
    let user = in_use.get(&id);
    if let (true, false, Some(container)) = (last, force, user) {
        return Err(RemoveError::NameInUse {
            name: name.familiar(),
            id: short(id),
            container: container.clone(),
        });
    }
    index.references.remove(&name.to_string());
    // Digests go with the last tag of their repository.
    let repository = name.repository();
    if !tags_of(index, id).any(|tag| tag.repository() == repository) {
        let pinned = format!("{repository}@");
        index
            .references
            .retain(|key, image| *image != id || !key.starts_with(&pinned));
    }
    Ok(index.names_of(id).next().is_some() || user.is_some())
}

/// An image named by id goes with all its names.
fn check_by_id(
    index: &Index,
    id: Digest,
    force: bool,
    in_use: &InUse,
) -> Result<bool, RemoveError> {
    if let Some(container) = in_use.get(&id) {
        return Err(RemoveError::InUse {
            id: short(id),
            container: container.clone(),
        });
    }
    let mut repositories: Vec<String> = tags_of(index, id).map(|t| t.repository()).collect();
    repositories.dedup();
    if repositories.len() > 1 && !force {
        return Err(RemoveError::SeveralNames(short(id)));
    }
    Ok(false)
}

fn tags_of(index: &Index, id: Digest) -> impl Iterator<Item = Reference> {
    let names = index.names_of(id).filter_map(|n| Reference::parse(n).ok());
    names.filter(|n| n.tag.is_some())
}

fn drop_image(index: &mut Index, id: Digest) {
    index.images.remove(&id);
    index.references.retain(|_, image| *image != id);
}

fn difference(before: &Index, after: &Index) -> Vec<Removed> {
    let names = before
        .references
        .keys()
        .filter(|n| !after.references.contains_key(*n));
    let names = names
        .filter_map(|n| Reference::parse(n).ok())
        .map(Removed::Untagged);
    let images = before
        .images
        .keys()
        .filter(|i| !after.images.contains_key(i));
    let layers = before
        .layers
        .keys()
        .filter(|l| !after.layers.contains_key(l));
    names
        .chain(images.chain(layers).copied().map(Removed::Deleted))
        .collect()
}

fn layers_bytes(index: &Index) -> u64 {
    index.layers.values().map(|l| l.file_bytes).sum()
}

fn short(id: Digest) -> String {
    id.hex()[..12].to_owned()
}
