//! The only reader of the clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::time::Time;

/// The beginning of 2025: it has never been earlier where this program runs.
const EARLIEST: Time = Time(1_735_689_600_000);

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the wall clock"
)]
pub fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Whether a clock that shows this can have been set. A board without a battery starts long before.
pub fn is_set(now: Time) -> bool {
    now >= EARLIEST
}

/// Whether something keeps the clock right; `None` if the kernel does not say.
pub fn is_synchronized() -> Option<bool> {
    // SAFETY: all zeros ask for the state and change nothing.
    #[allow(unsafe_code)]
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills in what it is given, which outlives it.
    #[allow(unsafe_code)]
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

/// Measures how long something takes, whatever happens to the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the monotonic clock"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
