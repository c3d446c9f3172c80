//! How a member is set up: its timing and limits, and how it reads a change of members.

use raft::Config;
use raft_proto::eraftpb::ConfChangeV2;

/// A leader is heard every 200 ms and missed after one to two seconds.
const HEARTBEAT_TICKS: usize = 2;
pub(super) const ELECTION_TICKS_MIN: usize = 10;
pub(super) const ELECTION_TICKS_MAX: usize = 20;

/// The most bytes that are proposed and not yet committed.
const UNCOMMITTED_BYTES_MAX: u64 = 16 << 20;
/// A message or a round of applying ends with the entry that crosses this.
const BATCH_BYTES_MAX: u64 = 1 << 20;
const INFLIGHT_MESSAGES_MAX: usize = 16;

pub(super) fn config(id: u64, applied: u64) -> Config {
    Config {
        id,
        applied,
        election_tick: ELECTION_TICKS_MIN,
        max_election_tick: ELECTION_TICKS_MAX,
        heartbeat_tick: HEARTBEAT_TICKS,
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
