//! Lines in the log about callers that were refused. Anybody can cause them, so there is a limit.

use std::fmt;
use std::time::Duration;

use crate::host::clock::Stopwatch;

/// At most so many lines in so long.
const LINES: u32 = 40;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Lines {
    since: Stopwatch,
    shown: u32,
    left_out: u32,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            since: Stopwatch::start(),
            shown: 0,
            left_out: 0,
        }
    }
}

impl Lines {
    pub fn warn(&mut self, line: fmt::Arguments<'_>) {
        if self.since.elapsed() >= WINDOW {
            if self.left_out > 0 {
                tracing::warn!("{} more lines like the next were left out", self.left_out);
            }
            *self = Self::default();
        }
        if self.shown < LINES {
            self.shown += 1;
            tracing::warn!("{line}");
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}
