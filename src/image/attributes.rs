//! Owner, mode, times and extended attributes of what a layer unpacks to.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::image::header::Member;

const OPAQUE: &str = "trusted.overlay.opaque";
const CAPABILITY: &[u8] = b"security.capability";
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Sets owner, mode and extended attributes of an open file or directory. The order matters: a
/// change of owner clears setuid bits and file capabilities.
pub fn set(fd: impl AsFd, member: &Member) -> io::Result<()> {
    let owner = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    rustix::fs::fchown(&fd, Some(owner.0), Some(owner.1))?;
    rustix::fs::fchmod(&fd, mode(member))?;
    for (name, value) in &member.xattrs {
        if !is_wanted(name) {
            continue;
        }
        match rustix::fs::fsetxattr(&fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            // Not every file system has these; a program's capabilities it must have.
            Err(Errno::OPNOTSUPP) if name != CAPABILITY => {}
            set => set?,
        }
    }
    Ok(())
}

/// Sets owner and times of what cannot be opened, a link itself and not what it points to.
pub fn own_and_date(parent: impl AsFd, name: &OsStr, member: &Member) -> io::Result<()> {
    let owner = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    let this = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&parent, name, Some(owner.0), Some(owner.1), this)?;
    Ok(rustix::fs::utimensat(&parent, name, &times(member), this)?)
}

/// Makes a directory hide what lower layers have in it.
pub fn set_opaque(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(
        fd,
        OPAQUE,
        b"y",
        XattrFlags::empty(),
    )?)
}

/// The permission bits, setuid, setgid and sticky included.
pub fn mode(member: &Member) -> Mode {
    Mode::from_raw_mode(member.mode & 0o7777)
}

/// The time of the last change, for both times that can be set.
pub fn times(member: &Member) -> Timestamps {
    let time = Timespec {
        tv_sec: member.mtime_s,
        tv_nsec: member.mtime_ns.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Never `trusted.*` or `user.overlay.*`: they would speak to overlayfs in the archive's name.
fn is_wanted(name: &[u8]) -> bool {
    let user = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    user || name == CAPABILITY || ACLS.contains(&name)
}
