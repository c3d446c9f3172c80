//! What a container uses, read from its group's files.

use std::collections::BTreeMap;

use crate::runtime::cgroup::{Cgroup, Hierarchy};

/// Nanoseconds in one tick of version 1's user and system times.
const NS_PER_TICK: u64 = 10_000_000;

/// A reading of the counters. What a kernel does not count is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub cpu: Cpu,
    pub memory: Memory,
    pub pids: u64,
    pub pids_limit: Option<u64>,
    pub block: Vec<BlockDevice>,
}

/// Processor time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub used_bytes: u64,
    pub peak_bytes: u64,
    pub limit_bytes: Option<u64>,
    pub oom_kills: u64,
    /// The kernel's `memory.stat`, under its own names.
    pub detail: BTreeMap<String, u64>,
}

/// Traffic with one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockDevice {
    pub major: u64,
    pub minor: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

impl Cgroup {
    /// Reads every counter now.
    pub fn figures(&self) -> Figures {
        let (cpu, memory, block) = match self.hierarchy {
            Hierarchy::Unified(_) => (
                self.cpu_unified(),
                self.memory_unified(),
                self.block_unified(),
            ),
            Hierarchy::Legacy { .. } => {
                (self.cpu_legacy(), self.memory_legacy(), self.block_legacy())
            }
        };
        let memory = Memory {
            oom_kills: self.oom_kills(),
            ..memory
        };
        let pids = self.number("pids", "pids.current");
        Figures {
            cpu,
            memory,
            pids,
            pids_limit: self.limit_of("pids", "pids.max"),
            block,
        }
    }

    fn cpu_unified(&self) -> Cpu {
        let stat = table(&self.text("cpu", "cpu.stat"));
        let micro = |name: &str| stat.get(name).copied().unwrap_or(0).saturating_mul(1000);
        let count = |name: &str| stat.get(name).copied().unwrap_or(0);
        Cpu {
            total_ns: micro("usage_usec"),
            user_ns: micro("user_usec"),
            system_ns: micro("system_usec"),
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_ns: micro("throttled_usec"),
        }
    }

    fn cpu_legacy(&self) -> Cpu {
        let stat = table(&self.text("cpu", "cpu.stat"));
        let ticks = table(&self.text("cpuacct", "cpuacct.stat"));
        let of = |table: &BTreeMap<String, u64>, name| table.get(name).copied().unwrap_or(0);
        Cpu {
            total_ns: self.number("cpuacct", "cpuacct.usage"),
            user_ns: of(&ticks, "user").saturating_mul(NS_PER_TICK),
            system_ns: of(&ticks, "system").saturating_mul(NS_PER_TICK),
            periods: of(&stat, "nr_periods"),
            throttled_periods: of(&stat, "nr_throttled"),
            throttled_ns: of(&stat, "throttled_time"),
        }
    }

    fn memory_unified(&self) -> Memory {
        Memory {
            used_bytes: self.number("memory", "memory.current"),
            peak_bytes: self.number("memory", "memory.peak"),
            limit_bytes: self.limit_of("memory", "memory.max"),
            oom_kills: 0,
            detail: table(&self.text("memory", "memory.stat")),
        }
    }

    fn memory_legacy(&self) -> Memory {
        Memory {
            used_bytes: self.number("memory", "memory.usage_in_bytes"),
            peak_bytes: self.number("memory", "memory.max_usage_in_bytes"),
            limit_bytes: self.limit_of("memory", "memory.limit_in_bytes"),
            oom_kills: 0,
            detail: table(&self.text("memory", "memory.stat")),
        }
    }

    fn block_unified(&self) -> Vec<BlockDevice> {
        let text = self.text("io", "io.stat");
        text.lines().filter_map(device_unified).collect()
    }

    fn block_legacy(&self) -> Vec<BlockDevice> {
        let mut devices = BTreeMap::new();
        let bytes = self.text("blkio", "blkio.throttle.io_service_bytes_recursive");
        for (device, operation, value) in bytes.lines().filter_map(line_legacy) {
            let entry: &mut BlockDevice = devices.entry(device).or_default();
            match operation {
                "Read" => entry.read_bytes = value,
                "Write" => entry.written_bytes = value,
                _ => {}
            }
        }
        let counts = self.text("blkio", "blkio.throttle.io_serviced_recursive");
        for (device, operation, value) in counts.lines().filter_map(line_legacy) {
            let entry = devices.entry(device).or_default();
            match operation {
                "Read" => entry.reads = value,
                "Write" => entry.writes = value,
                _ => {}
            }
        }
        let named = devices.into_iter();
        named
            .map(|((major, minor), device)| BlockDevice {
                major,
                minor,
                ..device
            })
            .collect()
    }

    fn text(&self, controller: &str, file: &str) -> String {
        self.read(controller, file).unwrap_or_default()
    }

    fn number(&self, controller: &str, file: &str) -> u64 {
        self.text(controller, file).trim().parse().unwrap_or(0)
    }

    /// `max`, and the huge number that means it in version 1, are no limit.
    fn limit_of(&self, controller: &str, file: &str) -> Option<u64> {
        let limit: u64 = self.text(controller, file).trim().parse().ok()?;
        (limit < i64::MAX as u64 / 2).then_some(limit)
    }
}

/// Lines of a name and a number.
fn table(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`
fn device_unified(line: &str) -> Option<BlockDevice> {
    let (device, rest) = line.split_once(' ')?;
    let (major, minor) = numbers(device)?;
    let mut found = BlockDevice {
        major,
        minor,
        ..BlockDevice::default()
    };
    for (name, value) in rest.split(' ').filter_map(|field| field.split_once('=')) {
        let value = value.parse().unwrap_or(0);
        match name {
            "rbytes" => found.read_bytes = value,
            "wbytes" => found.written_bytes = value,
            "rios" => found.reads = value,
            "wios" => found.writes = value,
            _ => {}
        }
    }
    Some(found)
}

/// `8:0 Read 123`
fn line_legacy(line: &str) -> Option<((u64, u64), &str, u64)> {
    let mut fields = line.split(' ');
    let device = numbers(fields.next()?)?;
    Some((device, fields.next()?, fields.next()?.parse().ok()?))
}

fn numbers(device: &str) -> Option<(u64, u64)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_lines_of_a_device_are_read_by_name() {
        let device = device_unified("8:16 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0").unwrap();
        assert_eq!((device.major, device.minor), (8, 16));
        assert_eq!((device.read_bytes, device.written_bytes), (10, 20));
        assert_eq!((device.reads, device.writes), (3, 4));
        assert!(device_unified("rubbish").is_none());
    }

    #[test]
    fn version_1_lines_without_a_device_are_left_out() {
        assert_eq!(line_legacy("8:0 Read 123"), Some(((8, 0), "Read", 123)));
        assert_eq!(line_legacy("Total 5"), None);
    }

    #[test]
    fn tables_leave_out_what_is_not_a_number() {
        let table = table("usage_usec 5\nodd\nname x\n");
        assert_eq!(
            table.into_iter().collect::<Vec<_>>(),
            [("usage_usec".to_owned(), 5)]
        );
    }
}
