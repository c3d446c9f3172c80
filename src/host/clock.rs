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
