//! Archives that lie in a folder of the host, such as whoever made its card put there: loaded when
//! the daemon starts, each once, and their images stay when others are pruned.
//!
//! ```text
//! DIR/archives   of the image store: what was loaded, as JSON; damaged, everything is loaded anew
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::image::arrivals::Progress;
use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};
use crate::image::load::LoadError;
use crate::image::store::ImageStore;

const NAME: &str = "archives";
const NAME_NEW: &str = "tmp/archives";
const BYTES_MAX: u64 = 4 << 20;
/// Archives of the folder that are looked at, the first by name.
const ARCHIVES_MAX: usize = 1024;

/// What was loaded of an archive, by its name in the folder.
type Known = BTreeMap<String, Archive>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Archive {
    /// A file that looks like this has not changed.
    bytes: u64,
    changed_s: i64,
    changed_ns: i64,
    images: Vec<String>,
}

/// Why an archive was not loaded.
#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl ImageStore {
    /// Loads the archives of a folder that are new, have changed, or whose images are gone; how
    /// many. A folder that is not there is empty. One that fails does not keep the others away.
    pub fn load_folder(&self, folder: &Path) -> Result<usize, DiskError> {
        if !folder.exists() {
            return Ok(0);
        }
        let mut names = disk::names(folder)?;
        names.retain(|name| is_archive(name));
        names.sort();
        names.truncate(ARCHIVES_MAX);
        let known = self.known_archives();
        let (mut now, mut loaded) = (Known::new(), 0);
        for name in names {
            let old = known.get(&name);
            match self.load_archive(&folder.join(&name), old) {
                Ok((archive, is_new)) => {
                    loaded += usize::from(is_new);
                    now.insert(name, archive);
                }
                Err(error) => {
                    tracing::warn!("{}: {error}", folder.join(&name).display());
                }
            }
        }
        let images = now.values().flat_map(|archive| &archive.images);
        let images: BTreeSet<Digest> = images.filter_map(|id| id.parse().ok()).collect();
        self.state().kept = images;
        if now != known {
            self.write_archives(&now)?;
        }
        Ok(loaded)
    }

    /// The archive as it is known now, and whether it was loaded for that.
    fn load_archive(
        &self,
        path: &Path,
        old: Option<&Archive>,
    ) -> Result<(Archive, bool), ArchiveError> {
        let about = fs::metadata(path)?;
        if let Some(old) = old
            && old.is_of(&about)
            && self.has_all(&old.images)
        {
            return Ok((old.clone(), false));
        }
        let loaded = self.load(File::open(path)?, &mut |_: Progress| {})?;
        for image in &loaded {
            tracing::info!("{} has image {}", path.display(), image.id);
        }
        let archive = Archive {
            bytes: about.len(),
            changed_s: about.mtime(),
            changed_ns: about.mtime_nsec(),
            images: loaded.iter().map(|image| image.id.to_string()).collect(),
        };
        Ok((archive, true))
    }

    fn has_all(&self, images: &[String]) -> bool {
        let state = self.state();
        images.iter().all(|id| {
            let id: Option<Digest> = id.parse().ok();
            id.is_some_and(|id| state.index.images.contains_key(&id))
        })
    }

    fn known_archives(&self) -> Known {
        let path = self.dir().join(NAME);
        if !path.exists() {
            return Known::new();
        }
        let bytes = disk::read_bounded(&path, BYTES_MAX).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write_archives(&self, archives: &Known) -> Result<(), DiskError> {
        let bytes = serde_json::to_vec(archives).unwrap_or_default();
        let new = self.dir().join(NAME_NEW);
        disk::write_synced(&new, &bytes)?;
        disk::rename(&new, &self.dir().join(NAME))?;
        disk::sync_dir(self.dir())
    }
}

impl Archive {
    fn is_of(&self, about: &Metadata) -> bool {
        let changed = (about.mtime(), about.mtime_nsec());
        self.bytes == about.len() && (self.changed_s, self.changed_ns) == changed
    }
}

/// Files that are copied there bear other names until they are whole.
fn is_archive(name: &str) -> bool {
    let ends = [".tar", ".tar.gz", ".tar.zst", ".tgz", ".tzst"];
    !name.starts_with('.') && ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::removal::InUse;
    use crate::image::tests::kit::{self, Scratch, docker_archive, gzip, in_words};

    fn names(store: &ImageStore) -> Vec<String> {
        let images = store.list().into_iter();
        let mut names: Vec<_> = images
            .flat_map(|image| image.tags)
            .map(|tag| tag.familiar())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn archives_of_a_folder_are_loaded_once_and_their_images_stay() {
        if !kit::is_root() {
            return;
        }
        let (scratch, folder) = (Scratch::new(), Scratch::new());
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        let archive = |tag: &str, layer: &str| docker_archive(&[tag], &[&in_words(layer)]);
        put("a.tar", &archive("a:1", "file a"));
        put("b.tgz", &gzip(&archive("b:1", "file b")));
        put("broken.tar", b"no archive");
        put("README", b"about the others");
        put(".c.tar", &archive("c:1", "file c"));
        let store = kit::open(&scratch);
        kit::load(&store, &archive("d:1", "file d")).unwrap();
        assert_eq!(store.load_folder(folder.path()).unwrap(), 2);
        assert_eq!(names(&store), ["a:1", "b:1", "d:1"]);
        store.prune(&|_| true, &InUse::new()).unwrap();
        assert_eq!(names(&store), ["a:1", "b:1"], "they are kept");

        drop(store);
        let store = kit::open(&scratch);
        assert_eq!(store.load_folder(folder.path()).unwrap(), 0, "once");
        store.remove("a:1", false, &InUse::new()).unwrap();
        assert_eq!(store.load_folder(folder.path()).unwrap(), 1, "it was gone");
        put("b.tgz", &gzip(&archive("b:2", "file other")));
        assert_eq!(store.load_folder(folder.path()).unwrap(), 1, "it changed");
        std::fs::remove_file(folder.path().join("a.tar")).unwrap();
        assert_eq!(store.load_folder(folder.path()).unwrap(), 0);
        store.prune(&|_| true, &InUse::new()).unwrap();
        assert_eq!(names(&store), ["b:2"]);

        std::fs::write(scratch.path().join(NAME), b"{").unwrap();
        assert_eq!(store.load_folder(folder.path()).unwrap(), 1, "anew");
        let nowhere = folder.path().join("nowhere");
        assert_eq!(store.load_folder(&nowhere).unwrap(), 0);
    }
}
