//! How a member is set up: its timing and limits, and how it reads a change of members.

use std::ops::Range;

use raft::Config;
use raft_proto::eraftpb::ConfChangeV2;

use crate::raft::node::TICK_MS;

/// How often a leader is heard, and when it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    heartbeat_ticks: usize,
    /// Who has heard a leader within so long votes for nobody else.
    lease_ticks: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_ticks: 2,
            lease_ticks: 10,
        }
    }
}

impl Timing {
    /// Both in ticks; `None` if a leader would be missed between two heartbeats.
    pub fn new(heartbeat: u32, election: u32) -> Option<Self> {
        let timing = Self {
            heartbeat_ticks: usize::try_from(heartbeat).ok()?,
            lease_ticks: usize::try_from(election).ok()?,
        };
        let holds = heartbeat > 0 && timing.lease_ticks > timing.heartbeat_ticks;
        (holds && election <= ELECTION_TICKS_MAX).then_some(timing)
    }

    pub fn heartbeat_ms(self) -> u64 {
        TICK_MS * self.heartbeat_ticks as u64
    }

    pub fn lease_ms(self) -> u64 {
        TICK_MS * self.lease_ticks as u64
    }

    /// After how many ticks a leader is missed. Whoever misses it first asks nobody whose lease has
    /// not run out, whenever the ticks of the two are.
    pub(super) fn missed_after(self) -> Range<usize> {
        let first = self.lease_ticks + 1;
        first..first + (self.lease_ticks * 6 / 10).max(2)
    }
}

/// An hour of ticks.
const ELECTION_TICKS_MAX: u32 = 36_000;

/// The most bytes that are proposed and not yet committed.
const UNCOMMITTED_BYTES_MAX: u64 = 16 << 20;
/// A message or a round of applying ends with the entry that crosses this.
const BATCH_BYTES_MAX: u64 = 1 << 20;
const INFLIGHT_MESSAGES_MAX: usize = 16;

pub(super) fn config(id: u64, applied: u64, timing: Timing) -> Config {
    let missed_after = timing.missed_after();
    Config {
        id,
        applied,
        election_tick: timing.lease_ticks,
        min_election_tick: missed_after.start,
        max_election_tick: missed_after.end,
        heartbeat_tick: timing.heartbeat_ticks,
        max_size_per_msg: BATCH_BYTES_MAX,
        max_committed_size_per_ready: BATCH_BYTES_MAX,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
        check_quorum: true,
        pre_vote: true,
        ..Config::default()
    }
}

/// The change of members in an entry; no bytes at all leave a joint configuration.
pub(super) fn members_change(data: &[u8]) -> Option<ConfChangeV2> {
    if data.is_empty() {
        return Some(ConfChangeV2::default());
    }
    postcard::from_bytes(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_missed_after_its_lease_and_never_between_two_heartbeats() {
        let default = Timing::default();
        assert_eq!(Timing::new(2, 10), Some(default));
        assert_eq!((default.heartbeat_ms(), default.lease_ms()), (200, 1_000));
        assert_eq!(default.missed_after(), 11..17);
        for (heartbeat, election) in [(1, 2), (2, 10), (30, 200), (1, ELECTION_TICKS_MAX)] {
            let timing = Timing::new(heartbeat, election).unwrap();
            config(1, 0, timing).validate().unwrap();
        }
        for (heartbeat, election) in [(0, 10), (10, 10), (11, 10), (1, ELECTION_TICKS_MAX + 1)] {
            assert_eq!(Timing::new(heartbeat, election), None);
        }
    }
}
