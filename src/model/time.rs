//! Cluster time: milliseconds since 1970, handed in as an argument wherever time matters.

use serde::{Deserialize, Serialize};

const NS_PER_MS: u64 = 1_000_000;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This moment and `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if the clock went backwards.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Whole milliseconds of a duration that Docker gives in nanoseconds, rounded up; negative ones
/// count as 0.
pub fn ms_of_ns(duration_ns: i64) -> u64 {
    u64::try_from(duration_ns).unwrap_or(0).div_ceil(NS_PER_MS)
}
