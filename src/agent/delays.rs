//! How long an agent waits before it tries again.

use crate::model::spec::container::STOP_GRACE_PERIOD_NS;
use crate::model::time::ms_of_ns;
use crate::wire::session::Assignment;

/// What outlives SIGKILL (a process that waits for a dead disk) is killed again this often.
pub const KILL_AGAIN_MS: u64 = 10_000;

/// A container that could not be removed is tried again after this, and then after twice as long
/// each time, so often doubled.
const REMOVE_AGAIN_MS: u64 = 10_000;
const REMOVE_DOUBLINGS_MAX: u32 = 6;

/// What could not be prepared but may be later (the disk was full, a registry did not answer) is
/// tried again after this, and then after twice as long each time, so often in all. Then the task
/// is rejected, so that another node can have it.
const PREPARE_AGAIN_MS: u64 = 1_000;
pub const PREPARE_TRIES: u32 = 6;

/// A node that leaves tries so often to remove a container.
pub const REMOVE_TRIES: u32 = 4;

/// How long a container may take to stop before it is killed.
pub fn grace_ms(assignment: &Assignment) -> u64 {
    let grace_ns = assignment.spec.container.stop_grace_period_ns;
    ms_of_ns(grace_ns.unwrap_or(STOP_GRACE_PERIOD_NS))
}

/// How long to wait after so many preparations that failed.
pub fn prepare_again_ms(tries: u32) -> u64 {
    PREPARE_AGAIN_MS << tries.saturating_sub(1).min(PREPARE_TRIES)
}

/// How long to wait after so many removals that failed.
pub fn remove_again_ms(tries: u32) -> u64 {
    let doublings = tries.saturating_sub(1).min(REMOVE_DOUBLINGS_MAX);
    REMOVE_AGAIN_MS << doublings
}
