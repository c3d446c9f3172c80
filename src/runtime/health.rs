//! Whether a container is well, as Docker judges it: a command is run in it again and again.
//!
//! ```text
//! starting --success--> healthy <--success--+
//!     |                    |                |
//!     +--- failures in a row, as many as retries ---> unhealthy
//! ```
//!
//! Failures during the start period do not count until the first success.

use serde::{Deserialize, Serialize};

use crate::model::time::Time;

/// How many results are kept, and how much of what each said.
const LOG_MAX: usize = 5;
pub const OUTPUT_BYTES: usize = 4096;

/// A health check with every default filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// As it was asked for: `CMD` and words, or `CMD-SHELL` and a line.
    pub test: Vec<String>,
    /// What is run.
    pub args: Vec<String>,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub start_period_ms: u64,
    /// The interval during the start period, until the first success.
    pub start_interval_ms: u64,
    pub retries: u32,
}

/// What a container's health check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last results, the oldest first.
    pub log: Vec<Probe>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

/// One result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub began: Time,
    pub ended: Time,
    /// 0 is a success; -1 if it could not be run or took too long.
    pub code: i32,
    pub output: String,
}

impl Health {
    /// How long to wait for the next probe of a container that has run since `started`.
    pub fn wait_ms(&self, check: &Check, started: Time, now: Time) -> u64 {
        let begins = now.since_ms(started) < check.start_period_ms;
        let interval_ms = match self.status {
            HealthStatus::Starting if begins => check.start_interval_ms,
            _ => check.interval_ms,
        };
        let last = self.log.last().map_or(started, |probe| probe.ended);
        // A clock that was set back must not hold probes up.
        last.plus_ms(interval_ms).since_ms(now).min(interval_ms)
    }

    /// Takes in a result and says whether the status is another now.
    pub fn take(&mut self, check: &Check, started: Time, probe: Probe) -> bool {
        let before = self.status;
        let begins = probe.began.since_ms(started) < check.start_period_ms;
        match (probe.code, self.status) {
            (0, _) => {
                self.failing_streak = 0;
                self.status = HealthStatus::Healthy;
            }
            (_, HealthStatus::Starting) if begins => {}
            _ => {
                self.failing_streak = self.failing_streak.saturating_add(1);
                if self.failing_streak >= check.retries {
                    self.status = HealthStatus::Unhealthy;
                }
            }
        }
        self.log.push(probe);
        let surplus = self.log.len().saturating_sub(LOG_MAX);
        self.log.drain(..surplus);
        self.status != before
    }
}

impl HealthStatus {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 10 s, every second in the first 5 s; three failures in a row are too many.
    fn check() -> Check {
        Check {
            interval_ms: 10_000,
            start_period_ms: 5_000,
            start_interval_ms: 1_000,
            retries: 3,
            ..Check::default()
        }
    }

    /// `code@second` each: the status after it, and when the next one is due.
    #[track_caller]
    fn story(probes: &str, expect: &str) {
        let (mut health, check) = (Health::default(), check());
        let mut told = Vec::new();
        for word in probes.split_whitespace() {
            let (code, second) = word.split_once('@').unwrap();
            let at = Time(second.parse::<u64>().unwrap() * 1000);
            let probe = Probe {
                began: at,
                ended: at,
                code: code.parse().unwrap(),
                output: String::new(),
            };
            health.take(&check, Time(0), probe);
            let wait_ms = health.wait_ms(&check, Time(0), at);
            told.push(format!("{}+{}", health.status.name(), wait_ms / 1000));
        }
        assert_eq!(told.join(" "), expect, "{probes}");
    }

    #[test]
    fn a_success_is_healthy_and_failures_in_a_row_are_not() {
        story(
            "0@10 1@20 1@30 0@40",
            "healthy+10 healthy+10 healthy+10 healthy+10",
        );
        story(
            "0@10 1@20 1@30 2@40 0@50",
            "healthy+10 healthy+10 healthy+10 unhealthy+10 healthy+10",
        );
    }

    #[test]
    fn failures_count_in_the_start_period_only_after_a_success() {
        story(
            "1@1 1@2 1@3 1@4 1@5 1@15 1@25",
            "starting+1 starting+1 starting+1 starting+1 starting+10 starting+10 unhealthy+10",
        );
        story(
            "0@1 1@2 1@3 1@4",
            "healthy+10 healthy+10 healthy+10 unhealthy+10",
        );
    }

    #[test]
    fn the_first_probe_comes_an_interval_after_the_start_and_a_clock_set_back_changes_little() {
        let (health, mut check) = (Health::default(), check());
        assert_eq!(health.wait_ms(&check, Time(1000), Time(1000)), 1_000);
        check.start_period_ms = 0;
        assert_eq!(health.wait_ms(&check, Time(1000), Time(4000)), 7_000);
        assert_eq!(health.wait_ms(&check, Time(90_000), Time(1)), 10_000);
        assert_eq!(health.wait_ms(&check, Time(0), Time(90_000)), 0);
    }

    #[test]
    fn the_last_results_are_kept() {
        let mut health = Health::default();
        for code in 1..9 {
            let probe = Probe {
                code,
                ..Probe::default()
            };
            let changed = health.take(&check(), Time(0), probe);
            assert!(!changed, "all lie in the start period");
        }
        let codes: Vec<_> = health.log.iter().map(|probe| probe.code).collect();
        assert_eq!(codes, [4, 5, 6, 7, 8]);
    }
}
