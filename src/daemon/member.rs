//! Which node of which swarm this host is: one small file, written before anything else of the
//! swarm may count and removed first of all when the host leaves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::id::NodeId;

const FORMAT: u8 = 1;
const RECORD_BYTES_MAX: u64 = 4096;

/// This host's place in its swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub node: NodeId,
    /// The address that other nodes reach this one at.
    pub address: String,
    /// The raft id of this host's manager.
    pub raft_id: u64,
}

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is damaged: remove it to start this host outside any swarm", .0.display())]
    Damaged(PathBuf),
}

/// Reads the file of `state_dir`; `None` if the host is in no swarm.
pub fn load(state_dir: &Path) -> Result<Option<Member>, MemberError> {
    let path = file(state_dir);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path)(error)),
        Ok(about) if about.len() > RECORD_BYTES_MAX => return Err(MemberError::Damaged(path)),
        Ok(_) => {}
    }
    let bytes = fs::read(&path).map_err(failed("read", &path))?;
    let body = bytes.split_first().filter(|(format, _)| **format == FORMAT);
    let member = body.and_then(|(_, body)| postcard::from_bytes(body).ok());
    member.map(Some).ok_or(MemberError::Damaged(path))
}

/// Writes the file whole, or not at all.
pub fn store(state_dir: &Path, member: &Member) -> Result<(), MemberError> {
    let path = file(state_dir);
    let unfinished = path.with_extension("new");
    let bytes = postcard::to_extend(member, vec![FORMAT])
        .map_err(|_| MemberError::Damaged(path.clone()))?;
    File::create(&unfinished)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .map_err(failed("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(failed("write", &path))?;
    sync(state_dir)
}

/// Removes the file: from here on the host is in no swarm.
pub fn forget(state_dir: &Path) -> Result<(), MemberError> {
    let path = file(state_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path)(error))
        }
        _ => sync(state_dir),
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("member")
}

fn sync(dir: &Path) -> Result<(), MemberError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MemberError {
    let path = path.to_owned();
    move |source| MemberError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_remembered_until_it_leaves_and_damage_is_told_from_absence() {
        let dir = std::env::temp_dir().join(format!("skep-member-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(load(&dir).unwrap(), None);
        let member = Member {
            node: NodeId(7),
            address: "10.0.0.1".into(),
            raft_id: 1,
        };
        store(&dir, &member).unwrap();
        assert_eq!(load(&dir).unwrap(), Some(member));
        fs::write(file(&dir), [9, 9]).unwrap();
        assert!(matches!(load(&dir), Err(MemberError::Damaged(_))));
        forget(&dir).unwrap();
        assert_eq!(load(&dir).unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
