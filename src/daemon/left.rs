//! What is found of containers, as the agent sees it: mostly what an earlier daemon left.

use crate::agent::containers::{Condition, Exit, Found, Health};
use crate::runtime::adopt::{Adopted, Found as State};
use crate::runtime::attempt::Exit as RuntimeExit;
use crate::runtime::containers::Runtime;
use crate::runtime::health::HealthStatus;

pub fn is_running(found: &Found) -> bool {
    matches!(found.condition, Condition::Running { .. })
}

/// What has become of an adopted container; `None` if it was never started.
pub fn condition(adopted: &Adopted) -> Option<Condition> {
    match &adopted.state {
        State::Running(running) => {
            let pid = running
                .init
                .map_or(0, |init| u32::try_from(init.pid).unwrap_or(0));
            Some(Condition::Running {
                pid,
                since: running.started,
                stopped: adopted.stopped,
            })
        }
        State::Ended(_, exit) => Some(Condition::Ended(seen(exit))),
        State::Prepared => None,
    }
}

pub fn seen(exit: &RuntimeExit) -> Exit {
    Exit {
        code: exit.code.map(|code| u8::try_from(code).unwrap_or(u8::MAX)),
        oom_killed: exit.oom_killed,
        log_tail: exit.tail.clone(),
        at: exit.finished,
    }
}

/// What the check of a container has found so far.
pub fn health(runtime: &Runtime, id: &str) -> Health {
    let found = runtime.health(id).ok().flatten();
    found.map_or(Health::Unchecked, |found| seen_health(found.status))
}

pub fn seen_health(status: HealthStatus) -> Health {
    match status {
        HealthStatus::Starting => Health::Starting,
        HealthStatus::Healthy => Health::Healthy,
        HealthStatus::Unhealthy => Health::Unhealthy,
    }
}
