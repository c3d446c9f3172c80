//! What has passed a container's network interfaces.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use crate::runtime::containers::{Runtime, RuntimeError};
use crate::runtime::plan::Network;

/// A line for each interface, and a container has few.
const TABLE_BYTES_MAX: u64 = 64 << 10;
const LOOPBACK: &str = "lo";
/// The received ones of a line's numbers; as many sent ones follow.
const NUMBERS: usize = 8;

/// One interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received: Counters,
    pub sent: Counters,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

impl Runtime {
    /// The traffic of a running container's own interfaces, by name. One in the host's network has
    /// none of its own.
    pub fn traffic(&self, id: &str) -> Result<BTreeMap<String, Traffic>, RuntimeError> {
        let attempt = self.attempt(id)?;
        if attempt.bundle()?.plan.network == Network::Host {
            return Ok(BTreeMap::new());
        }
        let init = attempt.running()?.and_then(|running| running.init);
        let init = init.filter(|init| init.is_there());
        let init = init.ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
        let mut table = String::new();
        let read = File::open(format!("/proc/{}/net/dev", init.pid))
            .and_then(|file| file.take(TABLE_BYTES_MAX).read_to_string(&mut table));
        read.map_err(|source| RuntimeError::Io {
            what: "read the container's network interfaces",
            source,
        })?;
        Ok(parse(&table))
    }
}

/// The kernel's table: two lines of headings, then `name: numbers`.
fn parse(table: &str) -> BTreeMap<String, Traffic> {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let interfaces = lines.filter_map(|(name, numbers)| {
        let numbers = numbers.split_whitespace().map(str::parse);
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
        let (received, sent) = numbers.split_at_checked(NUMBERS)?;
        let traffic = Traffic {
            received: counters(received)?,
            sent: counters(sent)?,
        };
        Some((name.trim().to_owned(), traffic))
    });
    interfaces.filter(|(name, _)| name != LOOPBACK).collect()
}

fn counters(numbers: &[u64]) -> Option<Counters> {
    let [bytes, packets, errors, dropped, ..] = *numbers else {
        return None;
    };
    Some(Counters {
        bytes,
        packets,
        errors,
        dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_without_the_loopback_interface() {
        let table = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:    1896      24    0    0    0     0          0         0     1896      24    0    0
  eth0: 5103122    3475    1    2    0     0          0         0   209876    2890    3    4
 wrong: 1 2 3
";
        let all = parse(table);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["eth0"]);
        let received = Counters {
            bytes: 5_103_122,
            packets: 3475,
            errors: 1,
            dropped: 2,
        };
        let sent = Counters {
            bytes: 209_876,
            packets: 2890,
            errors: 3,
            dropped: 4,
        };
        assert_eq!(all["eth0"], Traffic { received, sent });
    }
}
