//! Places of this host that containers share, or that are named after them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::agent::containers::Found;

/// What every container has mounted over; the files lie in the folder `etc`.
const MOUNTED_FOLDERS: [&str; 4] = ["dev", "etc", "proc", "sys"];
const MOUNTED_FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// Makes the layer of what every container has mounted over. Where an image lacks such a file or
/// folder it is found here, and need not be made in the writable layer of each container: on a
/// card that costs every start a folder and its inodes, twice with the file system's own journal.
pub fn make_mount_points(dir: &Path) -> io::Result<()> {
    let make_dir = |path: PathBuf| {
        fs::create_dir_all(&path)?;
        // Containers see these as they are, whatever the daemon's umask.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    make_dir(dir.to_owned())?;
    MOUNTED_FOLDERS
        .iter()
        .try_for_each(|name| make_dir(dir.join(name)))?;
    for name in MOUNTED_FILES {
        let path = dir.join("etc").join(name);
        File::options().create(true).append(true).open(&path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Removes what is named after a container that is gone: a power cut leaves writable layers.
pub fn sweep(dir: &Path, found: &[Found]) {
    let known = |name: &str| {
        let name_of = |found: &Found| found.record.attempt.container.to_string();
        found.iter().any(|found| name_of(found) == name)
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // What lies beside a writable layer has its name and an ending.
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split('.').next());
        if !owner.is_some_and(known) {
            // What cannot be removed now is tried again at the next start.
            let _ = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_made_once_and_are_for_everybody_to_see() {
        let dir = std::env::temp_dir().join(format!("skep-mounts-{}", std::process::id()));
        for _ in 0..2 {
            make_mount_points(&dir).unwrap();
        }
        let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("etc"), mode("dev")), (0o755, 0o755, 0o755));
        assert_eq!((mode("etc/hosts"), mode("etc/resolv.conf")), (0o644, 0o644));
        assert_eq!(fs::read(dir.join("etc/hosts")).unwrap(), b"");
        fs::remove_dir_all(dir).unwrap();
    }
}
