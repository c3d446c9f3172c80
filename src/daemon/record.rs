//! Small files that this host keeps about itself: a format number, then postcard. Each is written
//! whole or not at all, and readable by root only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

const FORMAT: u8 = 1;
const RECORD_BYTES_MAX: u64 = 64 << 10;
const OWNER_ONLY: u32 = 0o600;

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is damaged: {hint}", path.display())]
    Damaged { path: PathBuf, hint: &'static str },
}

/// A kind of file, and what to do about one that is damaged.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub hint: &'static str,
}

impl Kind {
    /// Reads the file of `dir`; `None` if there is none.
    pub fn load<T: DeserializeOwned>(self, dir: &Path) -> Result<Option<T>, RecordError> {
        let path = dir.join(self.name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed("open", &path))?,
        };
        let mut bytes = Vec::new();
        let mut limited = file.take(RECORD_BYTES_MAX);
        limited
            .read_to_end(&mut bytes)
            .map_err(failed("read", &path))?;
        let body = bytes.split_first().filter(|(format, _)| **format == FORMAT);
        let record = body.and_then(|(_, body)| postcard::take_from_bytes(body).ok());
        let record = record
            .filter(|(_, rest)| rest.is_empty())
            .map(|(record, _)| record);
        record.map(Some).ok_or_else(|| self.damaged(path))
    }

    /// Writes the file of `dir`.
    pub fn store<T: Serialize>(self, dir: &Path, record: &T) -> Result<(), RecordError> {
        let path = dir.join(self.name);
        let unfinished = path.with_extension("new");
        let bytes = postcard::to_extend(record, vec![FORMAT]);
        let bytes = bytes.map_err(|_| self.damaged(path.clone()))?;
        // One that a crash left behind may have another mode.
        remove(&unfinished)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(OWNER_ONLY);
        let written = options.open(&unfinished);
        written
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .map_err(failed("write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(failed("write", &path))?;
        sync(dir)
    }

    /// Removes the file of `dir`.
    pub fn forget(self, dir: &Path) -> Result<(), RecordError> {
        remove(&dir.join(self.name))?;
        sync(dir)
    }

    fn damaged(self, path: PathBuf) -> RecordError {
        let hint = self.hint;
        RecordError::Damaged { path, hint }
    }
}

fn remove(path: &Path) -> Result<(), RecordError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync(dir: &Path) -> Result<(), RecordError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |source| RecordError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KIND: Kind = Kind {
        name: "thing",
        hint: "make a new one",
    };

    #[test]
    fn a_record_is_kept_until_it_is_forgotten_and_damage_is_told_from_absence() {
        let dir = std::env::temp_dir().join(format!("skep-record-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(KIND.load::<u64>(&dir).unwrap(), None);
        fs::write(dir.join("thing.new"), "left by a crash").unwrap();
        KIND.store(&dir, &7_u64).unwrap();
        assert_eq!(KIND.load::<u64>(&dir).unwrap(), Some(7));
        let mode = fs::metadata(dir.join("thing"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);

        let large = usize::try_from(RECORD_BYTES_MAX).unwrap() + 1;
        for damage in [vec![], vec![9, 9], vec![FORMAT], vec![FORMAT; large]] {
            fs::write(dir.join("thing"), damage).unwrap();
            let error = KIND.load::<String>(&dir).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("thing is damaged: make a new one")
            );
        }
        KIND.forget(&dir).unwrap();
        assert_eq!(KIND.load::<u64>(&dir).unwrap(), None);
        KIND.forget(&dir).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }
}
