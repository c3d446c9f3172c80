//! Where the state is kept.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{StatVfs, StatVfsMountFlags, statfs, statvfs};

use crate::api::context::Finding;
use crate::daemon::doctor::{fail, ok, warn};
use crate::host::clock::Stopwatch;

const CHECK: &str = "disk";
/// Below so much images and logs will not fit for long.
const FREE_BYTES_MIN: u64 = 256 << 20;
const FREE_PERCENT_MIN: u64 = 5;
/// A good card takes some milliseconds.
const SYNC_MAX: Duration = Duration::from_millis(500);
/// The kernel's numbers for file systems in memory: tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

pub fn examine(state_dir: &Path) -> Vec<Finding> {
    // A host whose daemon has never run has yet to make it.
    let mut dirs = state_dir.ancestors();
    let dir = dirs.find(|dir| dir.exists()).unwrap_or(state_dir);
    let place = dir.display();
    let system = match statvfs(dir) {
        Ok(system) => system,
        Err(error) => {
            let found = format!("{place} cannot be looked at: {error}");
            return vec![fail(CHECK, found, "mount its disk")];
        }
    };
    if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let found = format!("{place} is read-only, as after errors of the disk");
        let mend = "see dmesg; check the file system, or take another card";
        return vec![fail(CHECK, found, mend)];
    }
    let mut found = room(dir, &system);
    let is_in_memory = statfs(dir).is_ok_and(|of| IN_MEMORY.contains(&of.f_type));
    if is_in_memory {
        let what = format!("{place} is in memory: a reboot forgets this node and its volumes");
        found.push(warn(CHECK, what, "put --state-dir on a disk"));
    }
    if dir == state_dir {
        found.push(written(dir));
    }
    found
}

/// Whether there is room for more.
fn room(dir: &Path, system: &StatVfs) -> Vec<Finding> {
    let place = dir.display();
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let percent = |part: u64, all: u64| part.saturating_mul(100).checked_div(all).unwrap_or(100);
    let mut found = Vec::new();
    let (bytes, share) = (free >> 20, percent(system.f_bavail, system.f_blocks));
    if free < FREE_BYTES_MIN || share < FREE_PERCENT_MIN {
        found.push(warn(
            CHECK,
            format!("{place} has {bytes} MiB free ({share} %)"),
            "skep image prune -a, skep volume prune, or a larger disk",
        ));
    } else {
        found.push(ok(
            CHECK,
            format!("{place} has {bytes} MiB free ({share} %)"),
        ));
    }
    // File systems without a table of inodes have none to run out of.
    let share = percent(system.f_favail, system.f_files);
    if system.f_files > 0 && share < FREE_PERCENT_MIN {
        found.push(warn(
            CHECK,
            format!("{place} has {share} % of its inodes free"),
            "skep image prune -a, or a file system with more of them",
        ));
    }
    found
}

/// Writes as the daemon does, once.
fn written(dir: &Path) -> Finding {
    const MEND: &str = "see dmesg; a card that is worn or not genuine does this";
    let watch = Stopwatch::start();
    let path = dir.join("doctor");
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&path)?;
        file.write_all(&[0; 4096])?;
        file.sync_data()
    };
    let (written, took) = (write(), watch.elapsed());
    // If it cannot go it could not come.
    let _ = fs::remove_file(&path);
    let ms = took.as_millis();
    match written {
        Err(error) => fail(
            CHECK,
            format!("{} takes no writes: {error}", dir.display()),
            MEND,
        ),
        Ok(()) if took > SYNC_MAX => warn(CHECK, format!("a small write took {ms} ms"), MEND),
        Ok(()) => ok(CHECK, format!("a small write took {ms} ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::context::Outcome;
    use crate::daemon::doctor::scratch;

    #[test]
    fn a_directory_is_written_to_and_nothing_stays() {
        let dir = scratch(line!());
        let found = examine(&dir);
        assert!(
            found.iter().all(|found| found.outcome != Outcome::Failure),
            "{found:?}"
        );
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let found = examine(&dir.join("none"));
        assert!(
            found[0]
                .found
                .starts_with(&format!("{} has ", dir.display()))
        );
    }

    #[test]
    fn little_room_is_said_in_bytes_and_in_inodes() {
        let dir = scratch(line!());
        let mut system = statvfs(&dir).unwrap();
        (system.f_frsize, system.f_blocks, system.f_bavail) = (4096, 1 << 20, 1 << 19);
        (system.f_files, system.f_favail) = (1000, 500);
        let outcomes = |system: &StatVfs| {
            let found = room(&dir, system);
            found.iter().map(|found| found.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&system), [Outcome::Ok]);
        system.f_favail = 10;
        assert_eq!(outcomes(&system), [Outcome::Ok, Outcome::Warning]);
        system.f_files = 0;
        system.f_bavail = 100;
        assert_eq!(outcomes(&system), [Outcome::Warning]);
    }
}
