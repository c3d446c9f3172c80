//! Control groups, version 1, hybrid and version 2: made, joined, limited, killed and removed by
//! plain files. libcontainer only puts a container's first process into a group that is there
//! already, so that limits mean the same on every kernel.
//!
//! ```text
//! PARENT/shims   all shims: outside the daemon's own group, so that its end is not theirs
//! PARENT/ID      one container
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::plan::Limits;

pub mod figures;
pub mod devices;
pub mod offered;

/// Deepest nesting of groups that a container may leave behind and that is still removed.
const DEPTH_MAX: usize = 32;

/// How often a fork bomb is killed again before it is given up.
const KILL_ROUNDS_MAX: usize = 64;

const CPU_PERIOD_US: u64 = 100_000;

/// A file of a control group could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("no control groups are mounted under /sys/fs/cgroup")]
    NotMounted,
    #[error(
        "a {limit} limit needs the {controller} controller, which this kernel does not offer{}",
        mend(controller)
    )]
    NoController {
        limit: &'static str,
        controller: &'static str,
    },
    #[error("memory swappiness cannot be set with control groups version 2")]
    Swappiness,
}

/// Where this machine's hierarchies are mounted.
#[derive(Clone, Debug)]
pub enum Hierarchy {
    /// Version 2 only.
    Unified(PathBuf),
    /// Version 1: controllers by name, and hierarchies without one (systemd's, and the empty
    /// version 2 hierarchy of a hybrid machine).
    Legacy {
        controllers: BTreeMap<String, PathBuf>,
        others: Vec<PathBuf>,
    },
}

/// One group, in every hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    /// Relative to each hierarchy's root.
    path: PathBuf,
}

impl Hierarchy {
    /// Finds what is mounted.
    pub fn detect() -> Result<Self, CgroupError> {
        let path = "/proc/self/mountinfo";
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        Self::from_mountinfo(&text).ok_or(CgroupError::NotMounted)
    }

    fn from_mountinfo(text: &str) -> Option<Self> {
        let (mut unified, mut controllers, mut others) = (None, BTreeMap::new(), Vec::new());
        for line in text.lines() {
            let Some((before, after)) = line.split_once(" - ") else {
                continue;
            };
            let Some(point) = before.split(' ').nth(4) else {
                continue;
            };
            if !point.starts_with("/sys/fs/cgroup") {
                continue;
            }
            let mut after = after.split(' ');
            match (after.next(), after.nth(1)) {
                (Some("cgroup2"), _) if point == "/sys/fs/cgroup" => unified = Some(point.into()),
                (Some("cgroup2"), _) => others.push(point.into()),
                (Some("cgroup"), Some(options)) if options.contains("name=") => {
                    others.push(point.into());
                }
                (Some("cgroup"), Some(options)) => {
                    for name in options.split(',').filter(|name| is_controller(name)) {
                        controllers.insert(name.to_owned(), point.into());
                    }
                }
                _ => {}
            }
        }
        match unified {
            Some(root) => Some(Self::Unified(root)),
            None if controllers.is_empty() => None,
            None => Some(Self::Legacy {
                controllers,
                others,
            }),
        }
    }

    /// 1 or 2, as `docker info` has it.
    pub fn version(&self) -> u8 {
        match self {
            Self::Unified(_) => 2,
            Self::Legacy { .. } => 1,
        }
    }

    /// The group at `path`, which need not be there.
    pub fn group(&self, path: impl AsRef<Path>) -> Cgroup {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path).to_owned();
        Cgroup {
            hierarchy: self.clone(),
            path,
        }
    }
}

impl Cgroup {
    /// As libcontainer wants it named.
    pub fn absolute(&self) -> PathBuf {
        Path::new("/").join(&self.path)
    }

    /// Version 1's folders of this group by controller; none on version 2, where one mount shows
    /// everything.
    pub fn legacy_dirs(&self) -> BTreeMap<String, PathBuf> {
        match &self.hierarchy {
            Hierarchy::Unified(_) => BTreeMap::new(),
            Hierarchy::Legacy { controllers, .. } => controllers
                .iter()
                .map(|(name, root)| (name.clone(), root.join(&self.path)))
                .collect(),
        }
    }

    /// Makes the group and those above it in every hierarchy.
    pub fn create(&self) -> Result<(), CgroupError> {
        for root in self.roots() {
            let mut dir = root.clone();
            for part in &self.path {
                self.delegate(&dir);
                dir.push(part);
                match fs::create_dir(&dir) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(failed("make", &dir)(error));
                    }
                    _ => self.inherit_cpuset(&dir)?,
                }
            }
        }
        Ok(())
    }

    /// Moves a process into the group.
    pub fn add(&self, process: u32) -> Result<(), CgroupError> {
        let process = process.to_string();
        self.dirs()
            .iter()
            .try_for_each(|dir| put(dir, "cgroup.procs", &process))
    }

    /// Sets the limits of a group that has been made.
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        match self.hierarchy {
            Hierarchy::Unified(_) => self.limit_unified(limits),
            Hierarchy::Legacy { .. } => self.limit_legacy(limits),
        }
    }

    /// The processes in the group and in those below it.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        if let Some(dir) = self.dirs().first() {
            visit(dir, DEPTH_MAX, &mut |dir| {
                let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            });
        }
        found
    }

    /// The names of the groups in this one.
    pub fn children(&self) -> BTreeSet<String> {
        let entries = self
            .dirs()
            .into_iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten();
        let folders = entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Kills every process in the group, those forked meanwhile included.
    pub fn kill(&self) {
        if let Some(dir) = self.dirs().first()
            && put(dir, "cgroup.kill", "1").is_ok()
        {
            return;
        }
        let mut before = Vec::new();
        for _ in 0..KILL_ROUNDS_MAX {
            let now = self.processes();
            if now == before {
                break;
            }
            for pid in now
                .iter()
                .filter_map(|pid| rustix::process::Pid::from_raw(*pid))
            {
                // A process that is gone already is what is wanted.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            before = now;
        }
    }

    /// Removes the empty group from every hierarchy; one that is not there is removed already.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for dir in self.dirs() {
            visit(&dir, DEPTH_MAX, &mut |dir| {
                if let Err(error) = fs::remove_dir(dir)
                    && error.kind() != io::ErrorKind::NotFound
                    && first.is_ok()
                {
                    first = Err(failed("remove", dir)(error));
                }
            });
        }
        first
    }

    /// How many of the group's processes the kernel killed because memory ran out.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.hierarchy {
            Hierarchy::Unified(_) => "memory.events",
            Hierarchy::Legacy { .. } => "memory.oom_control",
        };
        let text = self.read("memory", file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or(0)
    }

    /// This group's folder for a controller.
    fn dir(&self, controller: &str) -> Option<PathBuf> {
        match &self.hierarchy {
            Hierarchy::Unified(root) => Some(root.join(&self.path)),
            Hierarchy::Legacy { controllers, .. } => controllers
                .get(controller)
                .map(|root| root.join(&self.path)),
        }
    }

    fn read(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.dir(controller)?.join(file)).ok()
    }

    fn roots(&self) -> Vec<PathBuf> {
        match &self.hierarchy {
            Hierarchy::Unified(root) => vec![root.clone()],
            Hierarchy::Legacy {
                controllers,
                others,
            } => {
                let mut roots: Vec<_> = controllers.values().chain(others).cloned().collect();
                roots.sort();
                roots.dedup();
                roots
            }
        }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.roots()
            .into_iter()
            .map(|root| root.join(&self.path))
            .collect()
    }

    /// Version 2 hands controllers down one level at a time. What a kernel lacks is found out when
    /// a limit asks for it.
    fn delegate(&self, dir: &Path) {
        if let Hierarchy::Unified(_) = self.hierarchy {
            for controller in ["+cpu", "+memory", "+pids", "+io"] {
                let _ = put(dir, "cgroup.subtree_control", controller);
            }
        }
    }

    /// Version 1's cpuset refuses processes until it has processors and memory nodes.
    fn inherit_cpuset(&self, dir: &Path) -> Result<(), CgroupError> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let Hierarchy::Legacy { .. } = self.hierarchy else {
                return Ok(());
            };
            let own = fs::read_to_string(dir.join(file)).unwrap_or_else(|_| "none".to_owned());
            if own.trim().is_empty()
                && let Some(above) = dir.parent()
                && let Ok(value) = fs::read_to_string(above.join(file))
            {
                put(dir, file, value.trim())?;
            }
        }
        Ok(())
    }

    fn limit_unified(&self, limits: &Limits) -> Result<(), CgroupError> {
        if limits.swappiness.is_some() {
            return Err(CgroupError::Swappiness);
        }
        if let Some(bytes) = limits.memory_bytes {
            self.set("memory", "memory", "memory.max", bytes)?;
            let swap = limits.swap_bytes.unwrap_or(0);
            self.set_if_there("memory", "memory.swap.max", swap)?;
        }
        if let Some(bytes) = limits.memory_reserved_bytes {
            self.set("memory reservation", "memory", "memory.low", bytes)?;
        }
        if let Some(nano) = limits.nano_cpus {
            let value = format!("{} {CPU_PERIOD_US}", quota_us(nano));
            self.set("cpu", "cpu", "cpu.max", value)?;
        }
        if let Some(pids) = limits.pids {
            self.set("pids", "pids", "pids.max", pids)?;
        }
        Ok(())
    }

    fn limit_legacy(&self, limits: &Limits) -> Result<(), CgroupError> {
        if let Some(bytes) = limits.memory_bytes {
            self.set("memory", "memory", "memory.limit_in_bytes", bytes)?;
            let both = bytes.saturating_add(limits.swap_bytes.unwrap_or(0));
            self.set_if_there("memory", "memory.memsw.limit_in_bytes", both)?;
        }
        if let Some(bytes) = limits.memory_reserved_bytes {
            self.set(
                "memory reservation",
                "memory",
                "memory.soft_limit_in_bytes",
                bytes,
            )?;
        }
        if let Some(percent) = limits.swappiness {
            self.set("swappiness", "memory", "memory.swappiness", percent)?;
        }
        if let Some(nano) = limits.nano_cpus {
            self.set("cpu", "cpu", "cpu.cfs_period_us", CPU_PERIOD_US)?;
            self.set("cpu", "cpu", "cpu.cfs_quota_us", quota_us(nano))?;
        }
        if let Some(pids) = limits.pids {
            self.set("pids", "pids", "pids.max", pids)?;
        }
        Ok(())
    }

    fn set(
        &self,
        limit: &'static str,
        controller: &'static str,
        file: &str,
        value: impl ToString,
    ) -> Result<(), CgroupError> {
        let dir = self.dir(controller).filter(|dir| dir.join(file).exists());
        let dir = dir.ok_or(CgroupError::NoController { limit, controller })?;
        put(&dir, file, &value.to_string())
    }

    /// Swap files are missing from kernels without swap accounting, where there is nothing to cap.
    fn set_if_there(&self, controller: &str, file: &str, value: u64) -> Result<(), CgroupError> {
        match self.dir(controller) {
            Some(dir) if dir.join(file).exists() => put(&dir, file, &value.to_string()),
            _ => Ok(()),
        }
    }
}

/// Microseconds of processor time per period; the kernel takes no less than a millisecond.
fn quota_us(nano_cpus: u64) -> u64 {
    (nano_cpus.saturating_mul(CPU_PERIOD_US) / 1_000_000_000).max(1000)
}

/// What brings a controller, where that is known: a Raspberry Pi boots without this one.
fn mend(controller: &str) -> &'static str {
    let memory = "; add cgroup_enable=memory to the kernel's command line and reboot";
    if controller == "memory" { memory } else { "" }
}

fn is_controller(option: &str) -> bool {
    !matches!(
        option,
        "rw" | "ro" | "xattr" | "noprefix" | "clone_children" | "cpuset_v2_mode"
    ) && !option.contains('=')
}

fn put(dir: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = dir.join(file);
    // Group files must not be created: a typo would make a plain file on a wrong mount.
    let opened = fs::OpenOptions::new().write(true).open(&path);
    opened
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(failed("write", path))
}

fn failed(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.into();
    move |source| CgroupError::Io { what, path, source }
}

/// Children first.
fn visit(dir: &Path, depth: usize, act: &mut impl FnMut(&Path)) {
    if depth > 0
        && let Ok(entries) = fs::read_dir(dir)
    {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                visit(&entry.path(), depth - 1, act);
            }
        }
    }
    act(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn a_missing_memory_controller_is_refused_with_its_mend() {
        assert!(mend("memory").contains("cgroup_enable=memory") && mend("pids").is_empty());
    }

    #[test]
    fn hybrid_machines_have_controllers_by_name_and_hierarchies_without() {
        let Some(Hierarchy::Legacy {
            controllers,
            others,
        }) = Hierarchy::from_mountinfo(V1)
        else {
            panic!("not version 1");
        };
        let names: Vec<_> = controllers.keys().map(String::as_str).collect();
        assert_eq!(names, ["cpu", "cpuacct", "memory"]);
        assert_eq!(others.len(), 2);
        let group = Hierarchy::Legacy {
            controllers,
            others,
        }
        .group("/skep/x");
        assert_eq!(group.roots().len(), 4);
    }

    #[test]
    fn a_version_2_mount_at_the_root_is_unified() {
        let text = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let hierarchy = Hierarchy::from_mountinfo(text).unwrap();
        assert_eq!(hierarchy.version(), 2);
        assert!(Hierarchy::from_mountinfo("1 2 0:3 / /proc rw - proc proc rw").is_none());
    }

    #[test]
    fn processor_shares_become_quotas() {
        assert_eq!(quota_us(500_000_000), 50_000);
        assert_eq!(quota_us(1), 1000);
        assert_eq!(quota_us(4_000_000_000), 400_000);
    }
}
