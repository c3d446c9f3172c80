//! The device files of a plan: what they stand for on this host, now.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::runtime::cgroup::devices::DeviceRule;
use crate::runtime::plan::DevicePlan;

/// A device that cannot be given to a container.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("cannot look at device {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no device", .0.display())]
    Other(PathBuf),
}

/// A device file that was found.
#[derive(Debug)]
pub struct Device {
    target: PathBuf,
    mode: u32,
    uid: u32,
    gid: u32,
    pub rule: DeviceRule,
}

/// Looks all of them up; links lead to what they point to.
pub fn find(plans: &[DevicePlan]) -> Result<Vec<Device>, DeviceError> {
    plans.iter().map(look).collect()
}

fn look(plan: &DevicePlan) -> Result<Device, DeviceError> {
    let path = plan.source.clone();
    let about = fs::metadata(&path).map_err(|source| DeviceError::Io {
        path: path.clone(),
        source,
    })?;
    let kind = about.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return Err(DeviceError::Other(path));
    }
    Ok(Device {
        target: plan.target.clone(),
        mode: about.mode() & 0o777,
        uid: about.uid(),
        gid: about.gid(),
        rule: DeviceRule {
            is_block: kind.is_block_device(),
            major: rustix::fs::major(about.rdev()),
            minor: rustix::fs::minor(about.rdev()),
            access: plan.access.clone(),
        },
    })
}

impl Device {
    /// The node that libcontainer makes.
    pub fn node(&self) -> Value {
        json!({
            "path": self.target,
            "type": self.letter(),
            "major": self.rule.major,
            "minor": self.rule.minor,
            "fileMode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        })
    }

    /// The line of version 1's list.
    pub fn list_entry(&self) -> Value {
        json!({
            "allow": true,
            "type": self.letter(),
            "major": self.rule.major,
            "minor": self.rule.minor,
            "access": self.rule.access,
        })
    }

    fn letter(&self) -> &'static str {
        if self.rule.is_block { "b" } else { "c" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(source: &str) -> DevicePlan {
        DevicePlan {
            source: source.into(),
            target: "/dev/mine".into(),
            access: "r".into(),
        }
    }

    #[test]
    fn a_device_is_told_by_its_numbers_and_what_is_none_is_named() {
        let found = find(&[plan("/dev/null")]).unwrap();
        let node = found[0].node();
        assert_eq!(
            (&node["path"], &node["type"]),
            (&json!("/dev/mine"), &json!("c"))
        );
        assert_eq!((&node["major"], &node["minor"]), (&json!(1), &json!(3)));
        assert_eq!(found[0].list_entry()["access"], "r");
        let error = find(&[plan("/dev")]).unwrap_err().to_string();
        assert_eq!(error, "/dev is no device");
        let error = find(&[plan("/dev/nope")]).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot look at device /dev/nope: No such file"),
            "{error}"
        );
    }
}
