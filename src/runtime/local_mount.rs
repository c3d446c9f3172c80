//! What a volume with options is: another file system, or another folder, mounted over its own.

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

use crate::model::spec::Labels;

/// Words of `o` that are flags; the others are for the file system.
const FLAGS: [(&str, MountFlags, bool); 20] = [
    ("async", MountFlags::SYNCHRONOUS, false),
    ("atime", MountFlags::NOATIME, false),
    ("dev", MountFlags::NODEV, false),
    ("diratime", MountFlags::NODIRATIME, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
    ("noatime", MountFlags::NOATIME, true),
    ("nodev", MountFlags::NODEV, true),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("noexec", MountFlags::NOEXEC, true),
    ("nomand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
    ("norelatime", MountFlags::RELATIME, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("relatime", MountFlags::RELATIME, true),
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("suid", MountFlags::NOSUID, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
];

/// A mount that a volume's options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMount {
    pub device: String,
    kind: String,
    bind: Option<Bind>,
    flags: MountFlags,
    data: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bind {
    Alone,
    WithMountsBelow,
}

impl LocalMount {
    /// `None` if the volume is a folder like any other.
    pub fn of(options: &Labels) -> Option<Self> {
        let at = |name: &str| options.get(name).cloned().unwrap_or_default();
        let mut mount = Self {
            device: at("device"),
            kind: at("type"),
            bind: None,
            flags: MountFlags::empty(),
            data: Vec::new(),
        };
        for word in at("o").split(',').filter(|word| !word.is_empty()) {
            match (word, FLAGS.iter().find(|(name, ..)| *name == word)) {
                ("bind", _) => mount.bind = Some(Bind::Alone),
                ("rbind", _) => mount.bind = Some(Bind::WithMountsBelow),
                ("defaults", _) => {}
                (_, Some((_, flag, on))) => mount.flags.set(*flag, *on),
                (word, None) => mount.data.push(word.to_owned()),
            }
        }
        (!mount.device.is_empty()).then_some(mount)
    }

    /// The server, if it is named: the kernel knows addresses only.
    pub fn server(&self) -> Option<&str> {
        let remote = ["nfs", "cifs", "smb3"].iter();
        let remote = remote.clone().any(|kind| self.kind.starts_with(kind));
        let mut given = self
            .data
            .iter()
            .filter_map(|word| word.strip_prefix("addr="));
        let server = given.next().filter(|_| remote)?;
        server.parse::<IpAddr>().is_err().then_some(server)
    }

    /// Puts the server's address in the place of its name.
    pub fn set_address(&mut self, address: IpAddr) {
        for word in self
            .data
            .iter_mut()
            .filter(|word| word.starts_with("addr="))
        {
            *word = format!("addr={address}");
        }
    }

    /// Mounts it there.
    pub fn mount(&self, target: &Path) -> io::Result<()> {
        match self.bind {
            None => {
                let data = CString::new(self.data.join(","))?;
                let data = Some(data.as_c_str()).filter(|data| !data.is_empty());
                rustix::mount::mount(&self.device, target, &self.kind, self.flags, data)?;
            }
            Some(bind) => {
                match bind {
                    Bind::Alone => rustix::mount::mount_bind(&self.device, target)?,
                    Bind::WithMountsBelow => {
                        rustix::mount::mount_bind_recursive(&self.device, target)?;
                    }
                }
                // A bind mount takes its flags in a second step.
                if !self.flags.is_empty() {
                    let flags = self.flags | MountFlags::BIND;
                    if let Err(error) = rustix::mount::mount_remount(target, flags, "") {
                        unmount(target)?;
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes off what is mounted there; what a process of the host still uses goes when it lets go.
pub fn unmount(target: &Path) -> io::Result<()> {
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Err(rustix::io::Errno::BUSY) => {
            let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH;
            Ok(rustix::mount::unmount(target, flags)?)
        }
        result => Ok(result?),
    }
}

/// Whether something is mounted there.
pub fn is_mounted(target: &Path) -> io::Result<bool> {
    let target = match fs::canonicalize(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let target = target.to_string_lossy();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(places(&mounts).any(|place| place == target))
}

/// The mount points that `mountinfo` tells of.
fn places(mounts: &str) -> impl Iterator<Item = String> {
    let fields = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    fields.map(|field| {
        let escapes = [
            ("\\040", " "),
            ("\\011", "\t"),
            ("\\012", "\n"),
            ("\\134", "\\"),
        ];
        let plain = |text: String, (code, c): (&str, &str)| text.replace(code, c);
        escapes.into_iter().fold(field.to_owned(), plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, device: &str, o: &str) -> LocalMount {
        let options = [("type", kind), ("device", device), ("o", o)];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        LocalMount::of(&options.into()).unwrap()
    }

    #[test]
    fn words_are_flags_or_for_the_file_system() {
        let nfs = mount("nfs", ":/a", "addr=nas.local,rw,nolock,nosuid,noexec,exec");
        assert_eq!(nfs.flags, MountFlags::NOSUID);
        assert_eq!(nfs.data, ["addr=nas.local", "nolock"]);
        assert_eq!(mount("none", "/a", "bind,ro").bind, Some(Bind::Alone));
        assert_eq!(LocalMount::of(&Labels::new()), None);
    }

    #[test]
    fn a_servers_name_gives_way_to_its_address() {
        let mut nfs = mount("nfs4", ":/a", "addr=nas.local,ro");
        assert_eq!(nfs.server(), Some("nas.local"));
        nfs.set_address("10.0.0.9".parse().unwrap());
        assert_eq!((nfs.server(), &nfs.data[0][..]), (None, "addr=10.0.0.9"));
        assert_eq!(mount("tmpfs", "tmpfs", "addr=x").server(), None);
    }

    #[test]
    fn places_are_told_with_their_blanks() {
        let mounts = "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      40 25 0:40 / /a\\040b\\134 rw - tmpfs tmpfs rw\n";
        assert_eq!(places(mounts).collect::<Vec<_>>(), ["/", "/a b\\"]);
        assert!(is_mounted(Path::new("/proc")).unwrap());
        assert!(!is_mounted(Path::new("/proc/nowhere")).unwrap());
    }
}
