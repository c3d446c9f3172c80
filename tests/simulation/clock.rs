//! A machine's clock, which may be off and be set.

use skep::model::time::Time;

#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How far it is ahead; behind, if negative.
    ahead_ms: i64,
}

impl Clock {
    /// What it shows at a moment.
    pub fn at(self, now: Time) -> Time {
        Time(now.0.saturating_add_signed(self.ahead_ms))
    }

    /// When it will show a moment.
    pub fn when(self, shown: Time) -> Time {
        Time(shown.0.saturating_add_signed(-self.ahead_ms))
    }

    pub fn set(&mut self, ahead_ms: i64) {
        self.ahead_ms = ahead_ms;
    }
}
