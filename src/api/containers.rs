//! The host's containers as Docker names and shows them.

use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::model::time::Time;
use crate::runtime::adopt::Found;
use crate::runtime::health::HealthStatus;
use crate::runtime::listing::Listed;

/// Label that Docker's tools know a task's container by.
pub const SERVICE_ID: &str = "com.docker.swarm.service.id";
pub const TASK_ID: &str = "com.docker.swarm.task.id";
pub const NODE_ID: &str = "com.docker.swarm.node.id";
pub const SERVICE_NAME: &str = "com.docker.swarm.service.name";

/// Every container of the host, the newest first.
pub fn all(context: &Context) -> Result<Vec<Listed>, Failure> {
    let mut containers = context.host.runtime.list()?;
    containers.sort_by_key(|container| std::cmp::Reverse(container.plan.origin.created));
    Ok(containers)
}

/// The container with that id, name, or beginning of an id.
pub fn find(context: &Context, reference: &str) -> Result<Listed, Failure> {
    let name = reference.strip_prefix('/').unwrap_or(reference);
    let mut containers = context.host.runtime.list()?;
    let exact = |c: &Listed| c.plan.id == name || c.plan.origin.name == name;
    if let Some(at) = containers.iter().position(exact) {
        return Ok(containers.swap_remove(at));
    }
    containers.retain(|container| !name.is_empty() && container.plan.id.starts_with(name));
    if containers.len() > 1 {
        let message = format!("Multiple IDs found with provided prefix: {name}");
        return Err(Failure::bad(message));
    }
    let found = containers.pop();
    found.ok_or_else(|| Failure::not_found(format!("No such container: {reference}")))
}

/// A running container, or the failure that Docker gives for another.
pub fn find_running(context: &Context, reference: &str) -> Result<Listed, Failure> {
    let container = find(context, reference)?;
    match container.is_running() {
        true => Ok(container),
        false => Err(not_running(&container.plan.id)),
    }
}

pub fn not_running(id: &str) -> Failure {
    Failure::conflict(format!("container {id} is not running"))
}

/// Docker's word for where a container is in its life.
pub fn state_word(state: &Found) -> &'static str {
    match state {
        Found::Prepared => "created",
        Found::Running(_) => "running",
        Found::Ended(..) => "exited",
    }
}

/// Docker's word for how a container's health is; a dead one has none.
pub fn health_word(container: &Listed) -> &'static str {
    match (&container.state, &container.health) {
        (Found::Running(_), Some(health)) => health.status.name(),
        _ => "none",
    }
}

/// `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`.
pub fn status_text(state: &Found, health: Option<HealthStatus>, now: Time) -> String {
    match state {
        Found::Prepared => "Created".into(),
        Found::Running(running) => {
            let health = match health {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{health}", for_people(now.since_ms(running.started)))
        }
        Found::Ended(_, exit) => {
            let ago = for_people(now.since_ms(exit.finished));
            format!("Exited ({}) {ago} ago", exit_code(exit.code))
        }
    }
}

/// What is shown when nobody saw the end: as after a kill.
pub fn exit_code(code: Option<i32>) -> i32 {
    code.unwrap_or(137)
}

/// A span of time as Docker words it.
fn for_people(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::attempt::{Exit, ProcessMark, Running};

    #[track_caller]
    fn check(ms: u64, expect: &str) {
        assert_eq!(for_people(ms), expect);
    }

    #[test]
    fn spans_are_worded_as_docker_does() {
        check(999, "Less than a second");
        check(1000, "1 second");
        check(59_999, "59 seconds");
        check(60_000, "About a minute");
        check(3_599_000, "59 minutes");
        check(3_600_000, "About an hour");
        check(47 * 3_600_000, "47 hours");
        check(48 * 3_600_000, "2 days");
        check(15 * 86_400_000, "2 weeks");
        check(100 * 86_400_000, "3 months");
        check(800 * 86_400_000, "2 years");
    }

    #[test]
    fn states_are_worded_as_docker_does() {
        let mark = ProcessMark { pid: 2, began: 1 };
        let running = Running {
            shim: mark,
            init: Some(mark),
            started: Time(1000),
        };
        let now = Time(4000);
        let up = |health| status_text(&Found::Running(running), health, now);
        assert_eq!(up(None), "Up 3 seconds");
        let starting = Some(HealthStatus::Starting);
        assert_eq!(up(starting), "Up 3 seconds (health: starting)");
        assert_eq!(up(Some(HealthStatus::Healthy)), "Up 3 seconds (healthy)");
        let exit = Exit {
            code: Some(3),
            finished: Time(2000),
            ..Exit::default()
        };
        assert_eq!(
            status_text(&Found::Ended(running, exit), starting, now),
            "Exited (3) 2 seconds ago"
        );
        assert_eq!(status_text(&Found::Prepared, None, now), "Created");
    }
}
