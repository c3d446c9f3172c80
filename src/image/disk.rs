//! The store's own steps on the disk, each with the path in its error.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FOR_ALL: u32 = 0o555;
const PROGRAM_MODE: u32 = 0o755;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct DiskError {
    /// A verb.
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    pub source: io::Error,
}

impl DiskError {
    /// Whether there was no room, which there may be later.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded)
    }
}

/// One call that changes the disk or makes it durable.
fn step<T>(
    doing: &'static str,
    path: &Path,
    run: impl FnOnce(&Path) -> io::Result<T>,
) -> Result<T, DiskError> {
    #[cfg(test)]
    power::note(doing, path);
    let result = may_go_on().and_then(|()| run(path));
    result.map_err(|source| DiskError {
        doing,
        path: path.to_owned(),
        source,
    })
}

/// Creates a directory that only its owner may enter.
pub fn create_dir(path: &Path) -> Result<(), DiskError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    step("create", path, |path| builder.create(path))
}

/// Lets nobody but the owner into a directory: layers hold setuid programs and devices.
pub fn close_to_others(path: &Path) -> Result<(), DiskError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o700);
    step("set the mode of", path, |path| {
        fs::set_permissions(path, mode)
    })
}

/// Lets every user into a directory: the root of a layer that says nothing else.
pub fn open_to_all(path: &Path) -> Result<(), DiskError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o755);
    step("set the mode of", path, |path| {
        fs::set_permissions(path, mode)
    })
}

/// Creates a file with these bytes; a later sync of the file system makes them durable.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    step("write", path, |path| fs::write(path, bytes))
}

/// Creates a file with these bytes and makes them durable; its name is not yet.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    step("write", path, |path| {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    })
}

/// Renames, replacing what is there.
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    step("rename to", to, |to| fs::rename(from, to))
}

/// Makes the names in a directory durable.
pub fn sync_dir(path: &Path) -> Result<(), DiskError> {
    step("sync", path, |path| File::open(path)?.sync_all())
}

/// Makes everything on the file system of `path` durable: cheaper than a sync of each of a layer's
/// thousands of files.
pub fn sync_file_system(path: &Path) -> Result<(), DiskError> {
    step("sync", path, |path| {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    })
}

/// Gives a program a second name, or copies it where that cannot be or not all may run it.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), DiskError> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::unix::fs::PermissionsExt;
    step("create", to, |to| {
        let for_all = fs::metadata(from)?.permissions().mode() & FOR_ALL == FOR_ALL;
        // /proc/self/exe is a link to follow.
        let link = || rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW);
        if for_all && link().is_ok() {
            return Ok(());
        }
        fs::copy(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(PROGRAM_MODE))
    })
}

/// Removes a file, or a directory and all below it; links are not followed, and what is not there
/// is no error.
pub fn remove_tree(path: &Path) -> Result<(), DiskError> {
    step("remove", path, |path| {
        let removed = match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    })
}

/// The names in a directory.
pub fn names(path: &Path) -> Result<Vec<String>, DiskError> {
    let read = || -> io::Result<Vec<String>> {
        let entries: Vec<fs::DirEntry> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        let names = entries
            .into_iter()
            .filter_map(|e| e.file_name().into_string().ok());
        Ok(names.collect())
    };
    read().map_err(|source| DiskError {
        doing: "list",
        path: path.to_owned(),
        source,
    })
}

/// A whole file, if it is not larger than `max`.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    use std::io::Read;
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    };
    read().map_err(|source| DiskError {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

/// Always, but for tests that let the power fail at a chosen step.
pub fn may_go_on() -> io::Result<()> {
    #[cfg(test)]
    return power::may_go_on();
    #[cfg(not(test))]
    Ok(())
}

#[cfg(test)]
pub mod power {
    use std::cell::{Cell, RefCell};
    use std::io;
    use std::path::{Path, PathBuf};

    thread_local! {
        static STEPS_LEFT: Cell<Option<u64>> = const { Cell::new(None) };
        static NOTES: RefCell<Vec<(&'static str, PathBuf)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn note(doing: &'static str, path: &Path) {
        NOTES.with_borrow_mut(|notes| notes.push((doing, path.to_owned())));
    }

    /// What this thread did to the disk since the last call.
    pub fn notes() -> Vec<(&'static str, PathBuf)> {
        NOTES.take()
    }

    /// After so many steps of this thread everything fails, cleaning up included: the disk stays
    /// as it is at that moment. `None` is mains power.
    pub fn fail_after(steps: Option<u64>) {
        STEPS_LEFT.set(steps);
    }

    /// How many steps there were left.
    pub fn steps_left() -> Option<u64> {
        STEPS_LEFT.get()
    }

    pub(super) fn may_go_on() -> io::Result<()> {
        match STEPS_LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power failed")),
            Some(left) => {
                STEPS_LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
