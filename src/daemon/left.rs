//! What is found of containers, as the agent sees it: mostly what an earlier daemon left.

use std::fs;
use std::io;
use std::path::Path;

use crate::agent::containers::{Condition, Exit, Found, Health, Record};
use crate::daemon::containers::{ContainersError, record_failed};
use crate::runtime::adopt::{Adopted, Found as State};
use crate::runtime::attempt::Exit as RuntimeExit;
use crate::runtime::containers::Runtime;
use crate::runtime::health::HealthStatus;

/// A record is a task's spec and little more.
const RECORD_BYTES_MAX: u64 = 1 << 20;

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

/// The agent's record of a container.
pub fn read_record(records_dir: &Path, id: &str) -> Result<Record, ContainersError> {
    let path = records_dir.join(id);
    let about = fs::metadata(&path).map_err(record_failed("read", id))?;
    if about.len() > RECORD_BYTES_MAX {
        return Err(record_failed("read", id)(
            io::ErrorKind::FileTooLarge.into(),
        ));
    }
    Ok(Record::decode(
        &fs::read(&path).map_err(record_failed("read", id))?,
    )?)
}
