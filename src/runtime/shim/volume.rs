//! Fills an empty volume with what the image has where it is mounted, as Docker does.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

use crate::runtime::shim::root::Root;

/// Deepest folder that is copied; no image needs more, and a hostile one may have it.
const DEPTH_MAX: usize = 64;

/// Copies the image's folder at `target` into the volume if that is empty.
pub fn fill(root: &Root, target: &str, volume: &Path) -> io::Result<()> {
    if fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let from = match root.open_at(target, flags) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        other => other?,
    };
    let to = rustix::fs::open(volume, flags | OFlags::CLOEXEC, Mode::empty())?;
    copy_dir(&from, &to, DEPTH_MAX)
}

/// Copies entries and then the folder's own owner and mode. Nothing is followed: every name is
/// opened relative to its folder, and links are copied as they are.
fn copy_dir(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = rustix::fs::openat(from, name, flags, Mode::empty())?;
                let made = rustix::fs::openat(to, name, flags, Mode::empty())?;
                copy_dir(&inner, &made, depth - 1)?;
            }
            FileType::RegularFile => copy_file(from.as_fd(), to.as_fd(), name, mode)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, name)?;
            }
            FileType::Fifo => rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0)?,
            // Devices and sockets stay behind: a volume is a folder of the host.
            _ => continue,
        }
        let owner = (
            Some(Uid::from_raw(stat.st_uid)),
            Some(Gid::from_raw(stat.st_gid)),
        );
        rustix::fs::chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    Ok(rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?)
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    mode: Mode,
) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut source = fs::File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
    let mut target = fs::File::from(rustix::fs::openat(to, name, write, Mode::RUSR)?);
    io::copy(&mut source, &mut target)?;
    Ok(rustix::fs::fchmod(&target, mode)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn check(name: &str, test: impl FnOnce(&Path, &Path)) {
        let dir = std::env::temp_dir().join(format!("skep-fill-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("image/data/sub")).unwrap();
        fs::create_dir(dir.join("volume")).unwrap();
        fs::write(dir.join("image/data/sub/file"), "text").unwrap();
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(dir.join("image/data/sub/file"), mode).unwrap();
        symlink("/etc/passwd", dir.join("image/data/link")).unwrap();
        test(&dir.join("image"), &dir.join("volume"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn an_empty_volume_takes_the_images_files_with_their_modes() {
        check("empty", |image, volume| {
            fill(&Root::open(image).unwrap(), "/data", volume).unwrap();
            assert_eq!(fs::read_to_string(volume.join("sub/file")).unwrap(), "text");
            let mode = fs::metadata(volume.join("sub/file"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o640);
            assert_eq!(
                fs::read_link(volume.join("link")).unwrap(),
                Path::new("/etc/passwd")
            );
        });
    }

    #[test]
    fn a_used_volume_and_an_absent_folder_change_nothing() {
        check("used", |image, volume| {
            let root = Root::open(image).unwrap();
            fill(&root, "/absent", volume).unwrap();
            assert!(fs::read_dir(volume).unwrap().next().is_none());
            fs::write(volume.join("mine"), "").unwrap();
            fill(&root, "/data", volume).unwrap();
            assert_eq!(fs::read_dir(volume).unwrap().count(), 1);
        });
    }
}
