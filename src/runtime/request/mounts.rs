//! Mounts: binds, volumes, temporary file systems and files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::model::spec::mount::{Mount, MountKind as Kind, VolumeOptions};
use crate::runtime::plan::{FilePlan, MountKind, MountPlan, beside};
use crate::runtime::request::Refused;

/// What can be judged without a node.
pub fn check(mounts: &[Mount]) -> Result<(), Refused> {
    for (number, mount) in mounts.iter().enumerate() {
        check_target(&mount.target)?;
        if mounts[..number]
            .iter()
            .any(|other| other.target == mount.target)
        {
            let what = format!("mounting twice at {}", mount.target);
            return Err(Refused::Unsupported(what));
        }
        match &mount.kind {
            Kind::Bind => check_bind(mount)?,
            Kind::Volume => check_volume(mount)?,
            Kind::Tmpfs => check_tmpfs(mount)?,
            Kind::Other(name) => return Err(unsupported(format!("mount type {name}"))),
        }
    }
    Ok(())
}

/// Gives every mount its source on this node.
pub fn plan(
    mounts: &[Mount],
    volumes: &BTreeMap<String, PathBuf>,
    writable: &Path,
) -> Result<Vec<MountPlan>, Refused> {
    let place = |(number, mount): (usize, &Mount)| {
        let kind = match mount.kind {
            Kind::Tmpfs => tmpfs(mount),
            Kind::Volume => {
                let source = match mount.source.as_str() {
                    // A volume without a name is the container's own, and goes with it.
                    "" => Some(beside(writable, &format!("mount-{number}"))),
                    name => volumes.get(name).cloned(),
                };
                let source = source.ok_or_else(|| Refused::NoVolume(mount.source.clone()))?;
                let copy = !mount.volume.as_ref().is_some_and(|options| options.no_copy);
                MountKind::Volume { source, copy }
            }
            Kind::Bind | Kind::Other(_) => bind(mount),
        };
        Ok(MountPlan {
            target: mount.target.clone(),
            read_only: mount.read_only,
            kind,
        })
    };
    mounts.iter().enumerate().map(place).collect()
}

/// Files that are handed in: each has a target of its own.
pub fn check_files(files: &[FilePlan], mounts: &[MountPlan]) -> Result<(), Refused> {
    let mut taken: BTreeSet<_> = mounts.iter().map(|mount| mount.target.as_str()).collect();
    for file in files {
        check_target(&file.target)?;
        if !taken.insert(&file.target) {
            return Err(unsupported(format!("mounting twice at {}", file.target)));
        }
    }
    Ok(())
}

/// The image's own volumes, which stay writable under a read-only root, kept with the container.
pub fn image_volumes(targets: &[String], writable: &Path, taken: &[MountPlan]) -> Vec<MountPlan> {
    let free = |target: &&String| {
        check_target(target).is_ok() && !taken.iter().any(|mount| mount.target == **target)
    };
    let place = |(number, target): (usize, &String)| {
        let source = beside(writable, &format!("volume-{number}"));
        let kind = MountKind::Volume { source, copy: true };
        MountPlan {
            target: target.clone(),
            read_only: false,
            kind,
        }
    };
    targets.iter().filter(free).enumerate().map(place).collect()
}

fn check_target(target: &str) -> Result<(), Refused> {
    let path = Path::new(target);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let inside = path.components().count() > 1;
    if path.is_absolute() && inside && !climbs {
        return Ok(());
    }
    Err(Refused::Invalid {
        what: "mount target",
        value: target.to_owned(),
    })
}

fn check_bind(mount: &Mount) -> Result<(), Refused> {
    if !mount.source.starts_with('/') {
        let value = mount.source.clone();
        return Err(Refused::Invalid {
            what: "bind source",
            value,
        });
    }
    let options = mount.bind.clone().unwrap_or_default();
    match options.propagation.as_str() {
        "" | "private" | "rprivate" | "slave" | "rslave" => Ok(()),
        other => Err(unsupported(format!("bind propagation {other}"))),
    }
}

fn check_volume(mount: &Mount) -> Result<(), Refused> {
    let VolumeOptions {
        subpath, driver, ..
    } = mount.volume.clone().unwrap_or_default();
    if !subpath.is_empty() {
        return Err(unsupported("a volume subpath"));
    }
    let driver = driver.unwrap_or_default();
    if !matches!(driver.name.as_str(), "" | "local") {
        return Err(unsupported(format!("volume driver {}", driver.name)));
    }
    Ok(())
}

fn check_tmpfs(mount: &Mount) -> Result<(), Refused> {
    let options = mount.tmpfs.clone().unwrap_or_default();
    if !options.options.is_empty() {
        return Err(unsupported("options of a tmpfs beyond its size and mode"));
    }
    if options.size_bytes < 0 {
        let value = options.size_bytes.to_string();
        return Err(Refused::Invalid {
            what: "tmpfs size",
            value,
        });
    }
    Ok(())
}

fn tmpfs(mount: &Mount) -> MountKind {
    /// Docker's own, sticky and open to all.
    const MODE: u32 = 0o1777;
    let options = mount.tmpfs.clone().unwrap_or_default();
    let mode = if options.mode == 0 {
        MODE
    } else {
        options.mode & 0o7777
    };
    MountKind::Tmpfs {
        size_bytes: u64::try_from(options.size_bytes).unwrap_or(0),
        mode,
    }
}

fn bind(mount: &Mount) -> MountKind {
    let options = mount.bind.clone().unwrap_or_default();
    MountKind::Bind {
        source: PathBuf::from(&mount.source),
        create: options.create_mountpoint,
        recursive: !options.non_recursive,
        read_only_below: !options.read_only_non_recursive,
        slave: options.propagation.ends_with("slave"),
    }
}

fn unsupported(what: impl Into<String>) -> Refused {
    Refused::Unsupported(what.into())
}
