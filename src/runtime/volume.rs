//! Named volumes of this host, the `local` driver: data that outlives containers, updates and
//! reboots.
//!
//! ```text
//! volumes/NAME/volume   labels and when it was made
//! volumes/NAME/_data/   what containers see
//! volumes/.new-NAME/    being made; swept at the next start
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::spec::Labels;
use crate::model::time::Time;

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
}

/// The volumes under one directory.
#[derive(Clone, Debug)]
pub struct Volumes {
    dir: PathBuf,
}

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
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the record of volume {0} is damaged")]
    Damaged(String),
}

impl Volumes {
    /// Opens the directory, making it if need be, and sweeps what a crash left half made.
    pub fn open(dir: PathBuf) -> Result<Self, VolumeError> {
        fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        let volumes = Self { dir };
        for name in volumes.names()? {
            if name.starts_with(UNFINISHED) {
                let path = volumes.dir.join(&name);
                fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(volumes)
    }

    /// The volume of that name, made if it is not there. Labels of a volume that is there stay.
    pub fn ensure(&self, name: &str, labels: &Labels, now: Time) -> Result<Volume, VolumeError> {
        match self.find(name) {
            Err(VolumeError::NotFound(_)) => self.create(name, labels, now),
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

    /// How many bytes a volume's files take on the disk.
    pub fn bytes(&self, name: &str) -> Result<u64, VolumeError> {
        let (mut bytes, mut dirs) = (0_u64, vec![self.data(name)?]);
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
        Ok(bytes)
    }

    /// Removes a volume with its data. The caller knows whether it is in use.
    pub fn remove(&self, name: &str) -> Result<(), VolumeError> {
        let path = self.path(name)?;
        let doomed = self.dir.join(format!("{UNFINISHED}{name}"));
        match fs::rename(&path, &doomed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VolumeError::NotFound(name.into()));
            }
            other => other.map_err(failed("remove", &path))?,
        }
        fs::remove_dir_all(&doomed).map_err(failed("remove", &doomed))
    }

    fn create(&self, name: &str, labels: &Labels, now: Time) -> Result<Volume, VolumeError> {
        let path = self.path(name)?;
        let volume = Volume {
            name: name.into(),
            labels: labels.clone(),
            created_at: now,
        };
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
        let made = volumes.ensure("db", &labels, Time(5)).unwrap();
        fs::write(volumes.data("db").unwrap().join("file"), "kept").unwrap();
        let again = volumes.ensure("db", &Labels::new(), Time(9)).unwrap();
        assert_eq!(again, made);
        assert_eq!(
            fs::read(volumes.data("db").unwrap().join("file")).unwrap(),
            b"kept"
        );
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
            let refused = volumes.ensure(name, &Labels::new(), Time(0));
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
