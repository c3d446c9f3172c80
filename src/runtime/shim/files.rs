//! Files handed in with their content, secrets and configs: they lie in a file system of memory
//! that only the shim and its container see, and that ends with them.
//!
//! ```text
//! FILES/secrets/…   what is wanted below /run/secrets, mounted there as one folder
//! FILES/N           each other file, mounted at its target
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::mount::MountFlags;

use crate::runtime::plan::{FilePlan, Plan};

/// Where secrets are, by Docker's custom.
pub const SECRETS_DIR: &str = "/run/secrets";

/// More than a page on any machine: what each file takes beyond its own bytes.
const PAGE_BYTES: u64 = 64 << 10;

/// Which file lies where, and what is mounted from there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Layout {
    /// For each file of the plan.
    files: Vec<PathBuf>,
    /// Targets in the container and what is mounted there.
    mounts: Vec<(String, PathBuf)>,
}

/// Takes the files' content from standard input and writes them below `dir`. Standard input is
/// left without any.
pub fn place(plan: &Plan, dir: &Path) -> io::Result<()> {
    if plan.files.is_empty() {
        return Ok(());
    }
    let mut content = io::stdin().lock();
    fs::DirBuilder::new().mode(0o700).create(dir)?;
    mount(
        dir,
        plan.files.iter().map(|file| file.bytes + PAGE_BYTES).sum(),
    )?;
    for (file, path) in plan.files.iter().zip(layout(plan).files) {
        write(file, &dir.join(path), &mut content)?;
    }
    drop(content);
    // The content must not stay in memory twice.
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(null)?)
}

/// What to mount where in the container, from the files below `dir`.
pub fn mounts(plan: &Plan, dir: &Path) -> Vec<(String, PathBuf)> {
    let mounts = layout(plan).mounts.into_iter();
    mounts
        .map(|(target, path)| (target, dir.join(path)))
        .collect()
}

fn layout(plan: &Plan) -> Layout {
    let secrets = Path::new(SECRETS_DIR);
    // A folder of the user's is not hidden: then each file is mounted into it.
    let is_taken = |target: &str| Path::new(target).starts_with(secrets);
    let taken = plan.mounts.iter().any(|mount| is_taken(&mount.target));
    let mut layout = Layout::default();
    let mut has_folder = false;
    for (number, file) in plan.files.iter().enumerate() {
        match Path::new(&file.target).strip_prefix(secrets) {
            Ok(inside) if !taken => {
                has_folder = true;
                layout.files.push(Path::new("secrets").join(inside));
            }
            _ => {
                let path = PathBuf::from(number.to_string());
                layout.files.push(path.clone());
                layout.mounts.push((file.target.clone(), path));
            }
        }
    }
    if has_folder {
        layout
            .mounts
            .push((SECRETS_DIR.to_owned(), "secrets".into()));
    }
    layout
}

/// Older kernels do not know how to keep a file system out of swap.
fn mount(dir: &Path, bytes: u64) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let mount = |options: String| {
        let data = std::ffi::CString::new(options).map_err(|_| rustix::io::Errno::INVAL)?;
        rustix::mount::mount("tmpfs", dir, "tmpfs", flags, Some(data.as_c_str()))
    };
    let options = format!("mode=755,size={}", bytes + PAGE_BYTES);
    match mount(format!("{options},noswap")) {
        Err(rustix::io::Errno::INVAL) => Ok(mount(options)?),
        result => Ok(result?),
    }
}

fn write(file: &FilePlan, path: &Path, content: &mut impl Read) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)?;
    }
    let mut to = File::create_new(path)?;
    let written = io::copy(&mut content.take(file.bytes), &mut to)?;
    if written != file.bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
    rustix::fs::fchown(&to, Some(uid), Some(gid))?;
    to.set_permissions(fs::Permissions::from_mode(file.mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::plan::{MountKind, MountPlan};

    fn plan(targets: &[&str], mounted: &[&str]) -> Plan {
        let file = |target: &&str| FilePlan {
            target: (*target).to_owned(),
            ..FilePlan::default()
        };
        let mount = |target: &&str| MountPlan {
            target: (*target).to_owned(),
            read_only: false,
            kind: MountKind::Tmpfs {
                size_bytes: 0,
                mode: 0o700,
            },
        };
        Plan {
            files: targets.iter().map(file).collect(),
            mounts: mounted.iter().map(mount).collect(),
            ..Plan::default()
        }
    }

    #[track_caller]
    fn check(plan: &Plan, files: &[&str], mounted: &[(&str, &str)]) {
        let layout = layout(plan);
        assert_eq!(
            layout.files,
            files.iter().map(PathBuf::from).collect::<Vec<_>>()
        );
        let mounted = mounted
            .iter()
            .map(|(to, from)| ((*to).to_owned(), PathBuf::from(from)));
        assert_eq!(layout.mounts, mounted.collect::<Vec<_>>());
    }

    #[test]
    fn secrets_share_one_mount_unless_the_user_has_one_there() {
        let files = ["/run/secrets/key", "/site.conf", "/run/secrets/db/token"];
        let folder = [("/site.conf", "1"), ("/run/secrets", "secrets")];
        check(
            &plan(&files, &["/run", "/run/secrets2"]),
            &["secrets/key", "1", "secrets/db/token"],
            &folder,
        );
        let each = [(files[0], "0"), (files[1], "1"), (files[2], "2")];
        check(&plan(&files, &["/run/secrets"]), &["0", "1", "2"], &each);
        check(&plan(&files, &["/run/secrets/x"]), &["0", "1", "2"], &each);
    }
}
