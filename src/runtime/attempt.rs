//! The folder of one attempt, under the run directory, and the records in it.
//!
//! ```text
//! containers/ID/
//!   bundle        what to run            written by the daemon, read by the shim
//!   shim          who runs it            written by the shim, before and after it starts
//!   health        what checks found      written by the daemon
//!   exit          how it ended           written by the shim
//!   log.N         output, oldest half and newest half of the ring
//!   config.json   what libcontainer reads; rootfs/ its mount point, state/ its own notes
//!   etc/          hosts, hostname and resolv.conf of the container
//!   files/        secrets and configs, in memory and for the shim's and the container's eyes only
//!   layers/       links to the layers, with short names for the mount call
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::time::Time;
use crate::runtime::health::Health;
use crate::runtime::plan::Plan;

/// The first byte of every record here; a new shape gets a new number and its own decoder.
const FORMAT: u8 = 1;

/// Most bytes of any record here.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of log kept with a failed attempt's exit.
pub const TAIL_BYTES: usize = 4096;

/// Where an attempt's files lie.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub dir: PathBuf,
}

/// What a shim is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The group that holds this daemon's containers and shims.
    pub cgroup_parent: PathBuf,
    /// Most bytes of log kept.
    pub log_bytes: u32,
    pub plan: Plan,
}

/// An attempt's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub shim: ProcessMark,
    /// The container's first process; none until it is about to start.
    pub init: Option<ProcessMark>,
    pub started: Time,
}

/// A process told from a later one with the same number by when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    pub pid: i32,
    /// Clock ticks since boot.
    pub began: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, or 128 and the signal; unknown if the shim was killed.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub oom_killed: bool,
    pub finished: Time,
    /// The end of the output of an attempt that failed.
    pub tail: Vec<u8>,
}

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} has format {found}, which this version does not know")]
    Format { path: PathBuf, found: u8 },
    #[error("{path} is damaged")]
    Damaged { path: PathBuf },
}

impl Attempt {
    pub fn bundle_path(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    pub fn exit_path(&self) -> PathBuf {
        self.dir.join("exit")
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub fn etc(&self) -> PathBuf {
        self.dir.join("etc")
    }

    /// Where this program appears for a container that wants it as pid 1.
    pub fn init(&self) -> PathBuf {
        self.dir.join("init")
    }

    /// Where the shim mounts a file system of memory.
    pub fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    pub fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    pub fn bundle(&self) -> Result<Bundle, RecordError> {
        read(&self.bundle_path())
    }

    pub fn write_bundle(&self, bundle: &Bundle) -> Result<(), RecordError> {
        write(&self.bundle_path(), bundle)
    }

    /// The attempt's processes, if a shim ever ran.
    pub fn running(&self) -> Result<Option<Running>, RecordError> {
        optional(read(&self.dir.join("shim")))
    }

    pub fn write_running(&self, running: &Running) -> Result<(), RecordError> {
        write(&self.dir.join("shim"), running)
    }

    /// When it was asked to stop, if it was.
    pub fn stopped(&self) -> Result<Option<Time>, RecordError> {
        optional(read(&self.dir.join("stopped")))
    }

    pub fn write_stopped(&self, at: Time) -> Result<(), RecordError> {
        write(&self.dir.join("stopped"), &at)
    }

    /// What its health check has found, if it has found anything.
    pub fn health(&self) -> Result<Option<Health>, RecordError> {
        optional(read(&self.dir.join("health")))
    }

    pub fn write_health(&self, health: &Health) -> Result<(), RecordError> {
        write(&self.dir.join("health"), health)
    }

    /// How it ended, if it did and its shim could say so.
    pub fn exit(&self) -> Result<Option<Exit>, RecordError> {
        optional(read(&self.exit_path()))
    }

    pub fn write_exit(&self, exit: &Exit) -> Result<(), RecordError> {
        write(&self.exit_path(), exit)
    }
}

impl ProcessMark {
    /// The mark of a process that lives now; one that only waits to be reaped does not.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything; what follows its last parenthesis does not.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        let began = fields.nth(18)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { pid, began })
    }

    pub fn is_there(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }
}

/// Reads a record: a format number and then postcard.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RecordError> {
    let io = |source| RecordError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(io)?;
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| RecordError::Damaged {
            path: path.to_owned(),
        }),
        Some((&found, _)) => Err(RecordError::Format {
            path: path.to_owned(),
            found,
        }),
        None => Err(RecordError::Damaged {
            path: path.to_owned(),
        }),
    }
}

/// Writes a record whole or not at all. Nothing is synced: the run directory does not outlive a
/// reboot.
pub fn write<T: Serialize>(path: &Path, record: &T) -> Result<(), RecordError> {
    let io = |source| RecordError::Io {
        what: "write",
        path: path.to_owned(),
        source,
    };
    let bytes = postcard::to_extend(record, vec![FORMAT]).map_err(|_| RecordError::Damaged {
        path: path.to_owned(),
    })?;
    let temporary = path.with_extension("new");
    File::create(&temporary)
        .and_then(|mut file| file.write_all(&bytes))
        .map_err(io)?;
    fs::rename(&temporary, path).map_err(io)
}

fn optional<T>(result: Result<T, RecordError>) -> Result<Option<T>, RecordError> {
    match result {
        Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str) -> Attempt {
        let dir = std::env::temp_dir().join(format!("skep-attempt-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Attempt { dir }
    }

    #[test]
    fn records_come_back_as_written_and_absent_ones_are_none() {
        let attempt = attempt("records");
        assert!(attempt.exit().unwrap().is_none());
        let exit = Exit {
            code: Some(137),
            signal: Some(9),
            oom_killed: true,
            ..Exit::default()
        };
        attempt.write_exit(&exit).unwrap();
        assert_eq!(attempt.exit().unwrap(), Some(exit));
        fs::remove_dir_all(&attempt.dir).unwrap();
    }

    #[test]
    fn a_cut_or_foreign_record_is_an_error_and_not_an_absence() {
        let attempt = attempt("damaged");
        attempt.write_bundle(&Bundle::default()).unwrap();
        let bytes = fs::read(attempt.bundle_path()).unwrap();
        for length in 0..bytes.len() {
            fs::write(attempt.bundle_path(), &bytes[..length]).unwrap();
            assert!(attempt.bundle().is_err(), "{length} bytes");
        }
        fs::write(attempt.exit_path(), [9, 0]).unwrap();
        assert!(matches!(
            attempt.exit(),
            Err(RecordError::Format { found: 9, .. })
        ));
        fs::remove_dir_all(&attempt.dir).unwrap();
    }

    #[test]
    fn a_process_is_told_from_another_with_its_number() {
        let me = ProcessMark::of(std::process::id() as i32).unwrap();
        assert!(me.is_there());
        assert!(
            !ProcessMark {
                began: me.began + 1,
                ..me
            }
            .is_there()
        );
    }
}
