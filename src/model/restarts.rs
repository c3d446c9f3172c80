//! When a task that has ended is run again: by managers as a new task in its slot, by an agent that
//! no manager can reach as a further attempt of the same task. Both draw on one record.

use crate::model::object::{RestartRecord, TaskState};
use crate::model::spec::Labels;
use crate::model::spec::task::{RestartCondition, RestartPolicy};
use crate::model::time::{Time, ms_of_ns};

const BACKOFF_FIRST_MS: u64 = 500;
const BACKOFF_MS_MAX: u64 = 300_000;
/// The step at which the back-off has reached its longest.
pub const BACKOFF_STEP_MAX: u8 = 11;
/// A task that was up for so long has recovered.
const RECOVERED_AFTER_MS: u64 = 600_000;
/// Swarm's delay, for services that want no back-off and give no delay.
const DELAY_WITHOUT_BACKOFF_MS: u64 = 5_000;
/// The label with which a service says that it wants no back-off.
const BACKOFF_LABEL: &str = "skep.restart-backoff";
/// The label with which a service says whether its node may restart it without a manager.
const ALONE_LABEL: &str = "skep.restart-alone";

/// How a task ended, as far as that matters for what comes next.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub state: TaskState,
    /// It is one of a job, which is done when it completes.
    pub of_job: bool,
    pub up_since: Time,
    pub at: Time,
}

impl Ending {
    /// Whether the policy lets a task be followed by another after such an end.
    pub fn may_be_followed(&self, policy: &RestartPolicy) -> bool {
        let is_complete = self.state == TaskState::Complete;
        match policy.condition.unwrap_or_default() {
            RestartCondition::Any => !(self.of_job && is_complete),
            RestartCondition::OnFailure => !is_complete,
            RestartCondition::None => false,
        }
    }
}

impl RestartRecord {
    /// What the record amounts to with one restart more, decided on `now`; `None` if the policy
    /// allows none.
    #[must_use]
    pub fn next(
        self,
        labels: &Labels,
        policy: &RestartPolicy,
        ending: &Ending,
        now: Time,
    ) -> Option<Self> {
        let window_ms = ms_of_ns(policy.window_ns.unwrap_or(0));
        let window_over = window_ms > 0 && now.since_ms(self.window_start) > window_ms;
        let attempts = if window_over { 0 } else { self.attempts };
        let counted = Self { attempts, ..self };
        if !ending.may_be_followed(policy) || counted.uses_up(policy) {
            return None;
        }
        let recovered = ending.at.since_ms(ending.up_since) >= RECOVERED_AFTER_MS;
        let step = if recovered { 0 } else { self.backoff_step };
        Some(Self {
            not_before: now.plus_ms(delay_ms(labels, policy, step)),
            attempts: attempts.saturating_add(1),
            window_start: if attempts == 0 {
                now
            } else {
                self.window_start
            },
            backoff_step: step.saturating_add(1).min(BACKOFF_STEP_MAX),
        })
    }

    /// Whether the record has come further than another of the same task.
    pub fn is_beyond(&self, other: &Self) -> bool {
        (self.window_start, self.attempts) > (other.window_start, other.attempts)
    }

    /// Whether these are all the restarts that the policy allows in one window.
    pub fn uses_up(&self, policy: &RestartPolicy) -> bool {
        let attempts = u64::from(self.attempts);
        policy
            .max_attempts
            .is_some_and(|max| max > 0 && attempts >= max)
    }
}

/// Whether a node that no manager can reach restarts tasks of such a service by itself. A job may
/// have been done elsewhere meanwhile, so it must ask for it.
pub fn goes_on_alone(labels: &Labels, of_job: bool) -> bool {
    let label = labels.get(ALONE_LABEL);
    label.map_or(!of_job, |value| value == "true")
}

/// The larger of the policy's delay and the back-off.
fn delay_ms(labels: &Labels, policy: &RestartPolicy, step: u8) -> u64 {
    let given = policy.delay_ns.map(ms_of_ns);
    match labels.get(BACKOFF_LABEL).is_some_and(|v| v == "false") {
        true => given.unwrap_or(DELAY_WITHOUT_BACKOFF_MS),
        false => given.unwrap_or(0).max(backoff_ms(step)),
    }
}

/// 0, 0.5 s, 1 s, 2 s, … 5 min.
fn backoff_ms(step: u8) -> u64 {
    match step {
        0 => 0,
        step => (BACKOFF_FIRST_MS << (step.min(BACKOFF_STEP_MAX) - 1)).min(BACKOFF_MS_MAX),
    }
}
