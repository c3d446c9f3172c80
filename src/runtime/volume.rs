//! Named volumes of this host, the `local` driver: data that outlives containers, updates and
//! reboots.
//!
//! ```text
//! volumes/NAME/volume   labels and when it was made
//! volumes/NAME/_data/   what containers see
//! volumes/.new-NAME/    being made; swept at the next start
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::spec::Labels;
use crate::model::time::Time;
use crate::runtime::local_mount::{LocalMount, is_mounted, unmount};

const FORMAT: u8 = 1;
const RECORD_BYTES_MAX: u64 = 1 << 20;
const NAME_LEN_MAX: usize = 255;
/// What `stat` counts in.
const BLOCK_BYTES: u64 = 512;
const UNFINISHED: &str = ".new-";

/// A volume of this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub labels: Labels,
    pub created_at: Time,
    /// What is mounted over its folder while a container uses it; empty for nothing.
    pub options: Labels,
}

/// The volumes under one directory.
#[derive(Clone, Debug)]
pub struct Volumes {
    dir: PathBuf,
    mounted: Arc<Mutex<BTreeMap<String, Users>>>,
}

/// The containers that use a volume which is a mount of its own; held while it is mounted or
/// taken off.
type Users = Arc<Mutex<BTreeSet<String>>>;

/// A volume could not be made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error(
        "{0:?} is not a volume name: it has 2 to {NAME_LEN_MAX} of a-z, A-Z, 0-9, _ . - and \
         begins with a letter or a digit"
    )]
    Name(String),
    #[error("no such volume: {0}")]
    NotFound(String),
    #[error("volume {0} is in use")]
    InUse(String),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the record of volume {0} is damaged")]
    Damaged(String),
    #[error("failed to mount local volume {name}: {device}: {source}")]
    Mount {
        name: String,
        device: String,
        source: io::Error,
    },
}

impl Volumes {
    /// Opens the directory, making it if need be, and sweeps what a crash left half made.
    pub fn open(dir: PathBuf) -> Result<Self, VolumeError> {
        fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        let volumes = Self {
            dir,
            mounted: Arc::default(),
        };
        for name in volumes.names()? {
            if name.starts_with(UNFINISHED) {
                let path = volumes.dir.join(&name);
                fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(volumes)
    }

    /// The volume of that name, made if it is not there. One that is there stays as it is.
    pub fn ensure(
        &self,
        name: &str,
        labels: &Labels,
        options: &Labels,
        now: Time,
    ) -> Result<Volume, VolumeError> {
        match self.find(name) {
            Err(VolumeError::NotFound(_)) => self.create(Volume {
                name: name.into(),
                labels: labels.clone(),
                created_at: now,
                options: options.clone(),
            }),
            found => found,
        }
    }

    pub fn find(&self, name: &str) -> Result<Volume, VolumeError> {
        let dir = self.path(name)?;
        let path = dir.join("volume");
        let bytes = match fs::metadata(&path) {
            Ok(about) if about.len() > RECORD_BYTES_MAX => {
                return Err(VolumeError::Damaged(name.into()));
            }
            Ok(_) => fs::read(&path).map_err(failed("read", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VolumeError::NotFound(name.into()));
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let body = bytes.split_first().filter(|(format, _)| **format == FORMAT);
        body.and_then(|(_, body)| postcard::from_bytes(body).ok())
            .ok_or_else(|| VolumeError::Damaged(name.into()))
    }

    /// All volumes, by name; damaged ones are left out.
    pub fn list(&self) -> Result<Vec<Volume>, VolumeError> {
        let mut volumes: Vec<_> = self
            .names()?
            .iter()
            .filter_map(|name| self.find(name).ok())
            .collect();
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(volumes)
    }

    /// Where the data of a volume lies on this host.
    pub fn data(&self, name: &str) -> Result<PathBuf, VolumeError> {
        Ok(self.path(name)?.join("_data"))
    }

    /// The volume whose data lies there.
    pub fn name_of(&self, data: &Path) -> Option<String> {
        let dir = data.parent()?;
        let name = dir.file_name()?.to_str()?;
        (dir.parent() == Some(&self.dir)).then(|| name.to_owned())
    }

    /// Mounts a volume for a container, if it is not mounted yet.
    pub fn attach(
        &self,
        name: &str,
        container: &str,
        mount: &LocalMount,
    ) -> Result<(), VolumeError> {
        let users = self.users(name);
        let mut users = lock(&users);
        let path = self.data(name)?;
        if !is_mounted(&path).map_err(failed("look at", &path))? {
            let failed = |source| VolumeError::Mount {
                name: name.into(),
                device: mount.device.clone(),
                source,
            };
            mount.mount(&path).map_err(failed)?;
        }
        users.insert(container.to_owned());
        Ok(())
    }

    /// Takes note that a container uses a volume, mounted or not.
    pub fn hold(&self, name: &str, container: &str) {
        lock(&self.users(name)).insert(container.to_owned());
    }

    /// A container is gone: what it was the last to use is taken off.
    pub fn release(&self, container: &str) -> Result<(), VolumeError> {
        let all: Vec<_> = lock(&self.mounted).clone().into_iter().collect();
        for (name, users) in all {
            let mut users = lock(&users);
            if users.remove(container) && users.is_empty() {
                self.unmount(&name)?;
            }
        }
        Ok(())
    }

    /// Takes off what is mounted and nobody holds: an earlier daemon left it.
    pub fn release_unheld(&self) -> Result<(), VolumeError> {
        for volume in self.list()? {
            let users = self.users(&volume.name);
            let users = lock(&users);
            if users.is_empty() && !volume.options.is_empty() {
                self.unmount(&volume.name)?;
            }
        }
        Ok(())
    }

    fn users(&self, name: &str) -> Users {
        lock(&self.mounted)
            .entry(name.to_owned())
            .or_default()
            .clone()
    }

    fn unmount(&self, name: &str) -> Result<(), VolumeError> {
        let path = self.data(name)?;
        while is_mounted(&path).map_err(failed("look at", &path))? {
            unmount(&path).map_err(failed("unmount", &path))?;
        }
        Ok(())
    }

    /// Removes a volume with its data, and says how many bytes that took on the disk. The caller
    /// knows whether containers use it.
    pub fn remove(&self, name: &str) -> Result<u64, VolumeError> {
        let path = self.path(name)?;
        // What is mounted there is not the volume's to remove.
        let users = self.users(name);
        let users = lock(&users);
        if !users.is_empty() {
            return Err(VolumeError::InUse(name.into()));
        }
        self.unmount(name)?;
        let doomed = self.dir.join(format!("{UNFINISHED}{name}"));
        match fs::rename(&path, &doomed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VolumeError::NotFound(name.into()));
            }
            other => other.map_err(failed("remove", &path))?,
        }
        let bytes = bytes(doomed.join("_data"));
        fs::remove_dir_all(&doomed).map_err(failed("remove", &doomed))?;
        Ok(bytes)
    }

    fn create(&self, volume: Volume) -> Result<Volume, VolumeError> {
        let name = volume.name.as_str();
        let path = self.path(name)?;
        let unfinished = self.dir.join(format!("{UNFINISHED}{name}"));
        fs::create_dir_all(unfinished.join("_data")).map_err(failed("make", &unfinished))?;
        let record = postcard::to_extend(&volume, vec![FORMAT])
            .map_err(|_| VolumeError::Damaged(name.into()))?;
        write_synced(&unfinished.join("volume"), &record)?;
        fs::rename(&unfinished, &path).map_err(failed("make", &path))?;
        sync(&self.dir)?;
        Ok(volume)
    }

    fn path(&self, name: &str) -> Result<PathBuf, VolumeError> {
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if (2..=NAME_LEN_MAX).contains(&name.len()) && begins_well && name.chars().all(good) {
            return Ok(self.dir.join(name));
        }
        Err(VolumeError::Name(name.chars().take(NAME_LEN_MAX).collect()))
    }

    fn names(&self) -> Result<Vec<String>, VolumeError> {
        let entries = fs::read_dir(&self.dir).map_err(failed("list", &self.dir))?;
        Ok(entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect())
    }
}

/// How many bytes the files below a folder take on the disk.
fn bytes(dir: PathBuf) -> u64 {
    let (mut bytes, mut dirs) = (0_u64, vec![dir]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            bytes = bytes.saturating_add(about.blocks().saturating_mul(BLOCK_BYTES));
            if about.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::Io { what, path, source }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), VolumeError> {
    let mut file = File::create(path).map_err(failed("make", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
}

fn sync(dir: &Path) -> Result<(), VolumeError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(test: &str) -> Volumes {
        let name = format!("skep-volumes-{test}-{}", std::process::id());
        Volumes::open(std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn a_volume_is_made_once_and_keeps_its_data() {
        let volumes = volumes("once");
        let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
        let made = volumes
            .ensure("db", &labels, &Labels::new(), Time(5))
            .unwrap();
        fs::write(volumes.data("db").unwrap().join("file"), "kept").unwrap();
        let again = volumes
            .ensure("db", &Labels::new(), &labels, Time(9))
            .unwrap();
        assert_eq!(again, made);
        assert_eq!(
            fs::read(volumes.data("db").unwrap().join("file")).unwrap(),
            b"kept"
        );
        let data = volumes.data("db").unwrap();
        assert_eq!(volumes.name_of(&data), Some("db".into()));
        assert_eq!(volumes.name_of(Path::new("/srv/db/_data")), None);
        assert_eq!(volumes.list().unwrap(), vec![made]);
        volumes.remove("db").unwrap();
        assert!(matches!(volumes.find("db"), Err(VolumeError::NotFound(_))));
        fs::remove_dir_all(volumes.dir).unwrap();
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let volumes = volumes("names");
        for name in [
            "",
            "a",
            "..",
            "../x",
            "a/b",
            ".new-x",
            "-ab",
            "a\0b",
            &"x".repeat(300),
        ] {
            let refused = volumes.ensure(name, &Labels::new(), &Labels::new(), Time(0));
            assert!(matches!(refused, Err(VolumeError::Name(_))), "{name}");
        }
        fs::remove_dir_all(volumes.dir).unwrap();
    }

    #[test]
    fn what_a_crash_left_half_made_is_swept() {
        let volumes = volumes("swept");
        fs::create_dir_all(volumes.dir.join(".new-db/_data")).unwrap();
        let volumes = Volumes::open(volumes.dir).unwrap();
        assert_eq!(fs::read_dir(&volumes.dir).unwrap().count(), 0);
        fs::remove_dir_all(volumes.dir).unwrap();
    }
}
