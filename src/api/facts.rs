//! What `info` says of the kernel and the distribution, read where they tell it.

use std::collections::BTreeSet;
use std::fs;

/// The drivers that are built in, by Docker's names.
pub const LOG_DRIVERS: &[&str] = &["journald", "local", "none", "ring"];
pub const NETWORK_DRIVERS: &[&str] = &["host", "null"];
pub const VOLUME_DRIVERS: &[&str] = &["local"];

const FILE_BYTES_MAX: usize = 1 << 20;

/// The kernel's control groups, as far as limits need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers(BTreeSet<String>);

impl Controllers {
    /// Those that this host has.
    pub fn of_host(cgroup_version: u8) -> Self {
        match cgroup_version {
            2 => Self::unified(&read("/sys/fs/cgroup/cgroup.controllers")),
            _ => Self::legacy(&read("/proc/cgroups")),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Docker's warnings about limits that cannot be kept.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = [
            ("memory", "WARNING: No memory limit support"),
            ("cpu", "WARNING: No cpu cfs quota support"),
            ("cpuset", "WARNING: No cpuset support"),
            ("pids", "WARNING: No pids limit support"),
        ];
        let missing = warnings.into_iter().filter(|(name, _)| !self.has(name));
        missing.map(|(_, warning)| warning.to_owned()).collect()
    }

    fn unified(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// `/proc/cgroups`: name, hierarchy, groups, enabled.
    fn legacy(text: &str) -> Self {
        let enabled = |line: &str| {
            let mut fields = line.split_whitespace();
            let name = fields.next()?;
            (fields.nth(2)? == "1").then(|| name.to_owned())
        };
        Self(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(enabled)
                .collect(),
        )
    }
}

/// `Debian GNU/Linux 12 (bookworm)`.
pub fn operating_system() -> (String, String) {
    let text = read("/etc/os-release");
    let name = os_release(&text, "PRETTY_NAME").unwrap_or_else(|| "Linux".into());
    (name, os_release(&text, "VERSION_ID").unwrap_or_default())
}

/// Whether a switch under `/proc/sys` is on.
pub fn is_on(switch: &str) -> bool {
    read(&format!("/proc/sys/{switch}")).trim() == "1"
}

/// When this host started, in seconds since 1970.
pub fn boot_s() -> u64 {
    boot_line(&read("/proc/stat")).unwrap_or(0)
}

/// How many files this process has open.
pub fn open_files() -> u64 {
    let count = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    u64::try_from(count).unwrap_or(0)
}

fn boot_line(stat: &str) -> Option<u64> {
    let mut lines = stat.lines().filter_map(|line| line.strip_prefix("btime "));
    lines.next()?.trim().parse().ok()
}

fn os_release(text: &str, key: &str) -> Option<String> {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Some(values.next()?.trim().trim_matches(['"', '\'']).to_owned())
}

fn read(path: &str) -> String {
    let mut text = fs::read_to_string(path).unwrap_or_default();
    text.truncate(text.floor_char_boundary(FILE_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_found_in_both_hierarchies() {
        let unified = Controllers::unified("cpuset cpu io memory pids\n");
        assert!(unified.has("memory") && unified.warnings().is_empty());
        let legacy = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n\
                      cpu\t2\t1\t1\ncpuset\t3\t1\t1\nmemory\t0\t1\t0\npids\t4\t1\t1\n";
        let legacy = Controllers::legacy(legacy);
        assert!(legacy.has("cpu") && !legacy.has("memory"));
        assert_eq!(legacy.warnings(), ["WARNING: No memory limit support"]);
    }

    #[test]
    fn the_kernel_tells_when_it_started() {
        assert_eq!(
            boot_line("cpu 1 2\nbtime 1795428000\nprocesses 3\n"),
            Some(1_795_428_000)
        );
        assert_eq!(boot_line("cpu 1 2\n"), None);
    }

    #[test]
    fn the_distribution_tells_its_name() {
        let text =
            "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\n";
        let name = os_release(text, "PRETTY_NAME");
        assert_eq!(name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(os_release(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_release(text, "PRETTY"), None);
    }
}
