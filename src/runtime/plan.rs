//! What one attempt at a task runs, with every question answered: the only thing a shim reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::time::Time;
use crate::runtime::health::Check;

/// What stays hidden, as Docker has it.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What can be read but not written, as Docker has it.
pub const READ_ONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Memory that programs share, where no mount of the task takes its place; its size as Docker's.
pub const SHM_TARGET: &str = "/dev/shm";
pub const SHM_BYTES: u32 = 64 << 20;

/// A container about to be started. Built by `runtime::request`, stored in the attempt's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Kept for whoever lists containers; the shim does not read them.
    pub labels: BTreeMap<String, String>,
    pub origin: Origin,
    /// Unpacked image layers, the lowest first.
    pub layers: Vec<PathBuf>,
    /// The writable layer, a folder; what goes with it lies [`beside`] it.
    pub writable: PathBuf,
    pub process: ProcessPlan,
    pub hostname: String,
    pub domain: String,
    pub network: Network,
    pub resolver: Resolver,
    pub mounts: Vec<MountPlan>,
    /// Secrets and configs; their content is handed to the shim apart, and lies on no disk.
    pub files: Vec<FilePlan>,
    pub read_only: bool,
    pub sysctls: BTreeMap<String, String>,
    pub limits: Limits,
    pub security: Security,
    /// How its health is checked, if it is.
    pub check: Option<Check>,
    /// A network namespace that is there already, for a container that is on networks.
    pub namespace: Option<PathBuf>,
    /// Device files of the host.
    pub devices: Vec<DevicePlan>,
    pub log: LogPlan,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogPlan {
    /// Into a ring in the run directory; the host's limits hold for each.
    Ring { bytes: Option<u32> },
    /// Nowhere.
    None,
    /// Into a ring on the disk, beside the writable layer.
    Local { bytes: u32 },
    /// Into systemd's journal with these fields, and into a ring as well.
    Journald { fields: Vec<(String, String)> },
}

impl LogPlan {
    /// The driver's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ring { .. } => "ring",
            Self::None => "none",
            Self::Local { .. } => "local",
            Self::Journald { .. } => "journald",
        }
    }
}

impl Default for LogPlan {
    fn default() -> Self {
        Self::Ring { bytes: None }
    }
}

/// A device file that a container has; what it stands for is looked up when the container starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    pub source: PathBuf,
    pub target: PathBuf,
    /// Of `r`, `w` and `m`.
    pub access: String,
}

impl Plan {
    /// What the overlay needs to work with, on the disk of the writable layer.
    pub fn work(&self) -> PathBuf {
        beside(&self.writable, "work")
    }

    /// The log, if it is on the disk.
    pub fn log_dir(&self) -> PathBuf {
        beside(&self.writable, "log")
    }

    /// Whether a folder lies beside the writable layer and so belongs to the container.
    pub fn is_own(&self, dir: &Path) -> bool {
        dir.with_extension("") == self.writable
    }

    /// Every folder that goes with the container.
    pub fn own_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.writable.clone(), self.work()];
        if matches!(self.log, LogPlan::Local { .. }) {
            dirs.push(self.log_dir());
        }
        for mount in &self.mounts {
            match &mount.kind {
                MountKind::Volume { source, .. } if self.is_own(source) => {
                    dirs.push(source.clone())
                }
                _ => {}
            }
        }
        dirs
    }
}

/// A folder beside a writable layer. One for all of them together would be a folder more to write
/// for each container.
pub fn beside(writable: &Path, name: &str) -> PathBuf {
    let mut path = writable.as_os_str().to_owned();
    path.push(".");
    path.push(name);
    path.into()
}

/// Where a container comes from, kept for whoever lists containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The container's name, for users.
    pub name: String,
    /// The image as the spec names it, and its id.
    pub image: String,
    pub image_id: String,
    pub created: Time,
}

/// The process itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    pub args: Vec<String>,
    pub env: Vec<String>,
    /// Absolute; made if the image lacks it.
    pub dir: String,
    /// `user[:group]`, names or numbers, resolved inside the image; empty is root.
    pub user: String,
    /// Supplementary groups, names or numbers.
    pub groups: Vec<String>,
    pub tty: bool,
    /// Run under a small pid 1 that reaps and forwards signals.
    pub init: bool,
    pub ulimits: Vec<UlimitPlan>,
    pub oom_score_adj: i32,
    /// What asks it to end.
    pub stop_signal: i32,
    /// Its standard input never ends, and has nothing to read.
    pub open_stdin: bool,
}

/// One resource limit; `u64::MAX` is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UlimitPlan {
    /// As in `RLIMIT_…`, lower case: `nofile`.
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// Which network namespace the container runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own, with nothing but loopback.
    #[default]
    Own,
    Host,
}

/// What `/etc/hosts` and `/etc/resolv.conf` say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolver {
    /// Address and names.
    pub hosts: Vec<(String, String)>,
    /// Empty: the host's.
    pub nameservers: Vec<String>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// One mount, its source resolved to a path of this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MountPlan {
    pub target: String,
    pub read_only: bool,
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MountKind {
    Bind {
        source: PathBuf,
        /// Make the source if it is not there, instead of failing.
        create: bool,
        recursive: bool,
        /// A read-only bind is so in the mounts below it too.
        read_only_below: bool,
        slave: bool,
    },
    /// A folder of this host. An empty one is first filled with what the image has at the target.
    Volume {
        source: PathBuf,
        copy: bool,
    },
    Tmpfs {
        size_bytes: u64,
        mode: u32,
    },
}

/// A file handed in with its content, which the container cannot write to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    pub target: String,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    /// How many bytes of the content are this file's.
    pub bytes: u64,
}

/// Limits that control groups enforce; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    /// Memory kept when others press, not a limit.
    pub memory_reserved_bytes: Option<u64>,
    /// Swap beyond the memory limit; `None` is none when memory is limited.
    pub swap_bytes: Option<u64>,
    pub swappiness: Option<u8>,
    pub nano_cpus: Option<u64>,
    pub pids: Option<u64>,
}

/// What the process may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Security {
    /// `CAP_…` names.
    pub capabilities: Vec<String>,
    pub no_new_privileges: bool,
    /// Docker's default profile; only a spec that says `unconfined` turns it off.
    pub seccomp: bool,
    /// Hide kernel interfaces under /proc and /sys, as Docker does.
    pub mask_paths: bool,
}

/// Docker's default capabilities.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
            no_new_privileges: true,
            seccomp: true,
            mask_paths: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_folders_are_those_beside_its_writable_layer_and_no_others() {
        let volume = |source: &str| MountPlan {
            target: "/data".into(),
            read_only: false,
            kind: MountKind::Volume {
                source: source.into(),
                copy: true,
            },
        };
        let plan = Plan {
            writable: "/layers/ab".into(),
            mounts: ["/layers/ab.volume-0", "/layers/abc.volume-0", "/volumes/v"]
                .map(volume)
                .to_vec(),
            ..Plan::default()
        };
        let own = ["/layers/ab", "/layers/ab.work", "/layers/ab.volume-0"];
        assert_eq!(plan.own_dirs(), own.map(PathBuf::from));
    }
}
