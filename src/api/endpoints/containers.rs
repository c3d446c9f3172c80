//! `/containers`: those of this host, shown and signalled. They are made by services alone.

use std::time::Duration;

use futures_lite::{future, stream};
use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::{Call, pass_over};
use crate::api::containers::{self, SERVICE_NAME, exit_code, find, find_running};
use crate::api::convert::container as convert;
use crate::api::endpoints::volumes::has_label;
use crate::api::facts;
use crate::api::failure::Failure;
use crate::api::types::exec::{PruneReport, Top, WaitResult};
use crate::api::types::timestamp::rfc3339;
use crate::host::clock;
use crate::host::wait::sleep;
use crate::model::spec::container::STOP_GRACE_PERIOD_NS;
use crate::model::time::Time;
use crate::runtime::adopt::Found;
use crate::runtime::listing::Listed;
use crate::runtime::processes::Process;
use crate::runtime::signal;
use crate::wire::control::Filters;

const KEYS: [&str; 9] = [
    "ancestor", "exited", "health", "id", "label", "name", "network", "status", "volume",
];
const TICKS_PER_S: u64 = 100;
const NS_PER_S: i64 = 1_000_000_000;

pub async fn list(call: Call) -> Result<Answer, Failure> {
    let filters = call.query.filters()?;
    if let Some(key) = filters.0.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Failure::bad(format!("invalid filter '{key}'")));
    }
    let limit: Option<i64> = call.query.number("limit")?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let everything = call.query.flag("all")
        || limit.is_some()
        || ["status", "exited"]
            .iter()
            .any(|key| filters.0.contains_key(*key));
    let mut found = containers::all(&call.context)?;
    found.retain(|c| (everything || c.is_running()) && fits(&filters, c));
    found.truncate(limit.unwrap_or(usize::MAX));
    let now = clock::now();
    let shown = found
        .iter()
        .map(|container| convert::show_summary(container, now));
    Ok(answer::json(&shown.collect::<Vec<_>>()))
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    let container = find(&call.context, call.name())?;
    let mut shown = convert::show(&container);
    let execs = call.context.execs.running_in(&container.plan.id);
    shown.exec_ids = Some(execs).filter(|execs| !execs.is_empty());
    Ok(answer::json(&shown))
}

/// `docker run` and `docker create`.
pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    pass_over(call.request.body_mut()).await;
    Err(Failure::bad(
        "skep runs containers as tasks of services: use service create --name NAME IMAGE",
    ))
}

/// What changes a single container behind its service's back.
pub async fn belongs(call: Call) -> Result<Answer, Failure> {
    let container = find(&call.context, call.name())?;
    let service = container
        .plan
        .labels
        .get(SERVICE_NAME)
        .map_or("", String::as_str);
    Err(Failure::conflict(format!(
        "container {} belongs to service {service}: update, scale or remove the service",
        container.plan.origin.name
    )))
}

pub async fn kill(call: Call) -> Result<Answer, Failure> {
    let name = match call.query.text("signal") {
        "" => "KILL",
        name => name,
    };
    let number =
        signal::parse(name).ok_or_else(|| Failure::bad(format!("Invalid signal: {name}")))?;
    let container = find(&call.context, call.name())?;
    if !container.is_running() {
        let id = &container.plan.id;
        let message = format!(
            "cannot kill container: {}: container {id} is not running",
            call.name()
        );
        return Err(Failure::conflict(message));
    }
    call.context
        .host
        .runtime
        .signal(&container.plan.id, number)?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Stops a container; its service will start another.
pub async fn stop(call: Call) -> Result<Answer, Failure> {
    let container = find(&call.context, call.name())?;
    if !container.is_running() {
        return Ok(answer::empty(StatusCode::NOT_MODIFIED));
    }
    let grace: Option<i64> = call.query.number("t")?;
    let grace = grace.unwrap_or(STOP_GRACE_PERIOD_NS / NS_PER_S);
    let runtime = &call.context.host.runtime;
    let id = &container.plan.id;
    let number = match call.query.text("signal") {
        "" => container.plan.process.stop_signal,
        name => {
            signal::parse(name).ok_or_else(|| Failure::bad(format!("Invalid signal: {name}")))?
        }
    };
    runtime.signal(id, number)?;
    let ended = async { runtime.wait(id).await.map(|_| true) };
    let late = async {
        match u64::try_from(grace) {
            Ok(seconds) => sleep(Duration::from_secs(seconds)).await,
            // Docker's -1: as long as it takes.
            Err(_) => future::pending().await,
        }
        Ok(false)
    };
    if !future::or(ended, late).await? {
        runtime.kill(id)?;
        runtime.wait(id).await?;
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Answers when the container has ended. The head goes at once: clients wait for it.
pub async fn wait(call: Call) -> Result<Answer, Failure> {
    let container = find(&call.context, call.name())?;
    let id = container.plan.id;
    let runtime = call.context.host.runtime.clone();
    let line = stream::once_future(async move {
        let exit = runtime.wait(&id).await;
        let exit = exit.map_err(|error| answer::Broken(error.to_string()))?;
        answer::line(&WaitResult {
            status_code: exit_code(exit.code).into(),
            error: None,
        })
    });
    Ok(answer::stream("application/json", line))
}

pub async fn top(call: Call) -> Result<Answer, Failure> {
    let container = find_running(&call.context, call.name())?;
    let processes = call.context.host.runtime.processes(&container.plan.id)?;
    let boot_s = facts::boot_s();
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    Ok(answer::json(&Top {
        titles: titles.map(str::to_owned).into(),
        processes: processes
            .iter()
            .map(|process| row(process, boot_s))
            .collect(),
    }))
}

/// Containers that ended go when their tasks do: there is nothing to prune.
pub async fn prune(_: Call) -> Result<Answer, Failure> {
    let containers_deleted = Some(Vec::new());
    Ok(answer::json(&PruneReport {
        containers_deleted,
        ..PruneReport::default()
    }))
}

pub async fn attach(call: Call) -> Result<Answer, Failure> {
    find(&call.context, call.name())?;
    Err(Failure::unsupported(
        "skep does not attach to containers: use logs -f or exec",
    ))
}

/// `docker cp` and `docker diff`.
pub async fn files(call: Call) -> Result<Answer, Failure> {
    find(&call.context, call.name())?;
    Err(Failure::unsupported(
        "skep does not read or write a container's files yet",
    ))
}

fn row(process: &Process, boot_s: u64) -> Vec<String> {
    let used_s = process.used / TICKS_PER_S;
    let time = format!(
        "{:02}:{:02}:{:02}",
        used_s / 3600,
        used_s / 60 % 60,
        used_s % 60
    );
    let began_s = process.began / TICKS_PER_S;
    let uid = process.uid.to_string();
    let (pid, parent) = (process.pid.to_string(), process.parent.to_string());
    let began = rfc3339(Time(boot_s.saturating_add(began_s).saturating_mul(1000)));
    // Hours and minutes.
    let began = began.get(11..16).unwrap_or_default().to_owned();
    vec![
        uid,
        pid,
        parent,
        "0".into(),
        began,
        "?".into(),
        time,
        process.command.clone(),
    ]
}

fn fits(filters: &Filters, container: &Listed) -> bool {
    let plan = &container.plan;
    filters.0.iter().all(|(key, values)| match key.as_str() {
        // All labels, any of the others.
        "label" => values.iter().all(|value| has_label(&plan.labels, value)),
        key => values.iter().any(|value| fits_one(key, value, container)),
    })
}

fn fits_one(key: &str, value: &str, container: &Listed) -> bool {
    let plan = &container.plan;
    match key {
        "ancestor" => {
            let tagged = format!("{value}:latest");
            let id = plan.origin.image_id.trim_start_matches("sha256:");
            plan.origin.image == value
                || plan.origin.image == tagged
                || id.starts_with(value.trim_start_matches("sha256:"))
        }
        "exited" => match &container.state {
            Found::Ended(_, exit) => value.parse() == Ok(exit_code(exit.code)),
            _ => false,
        },
        "health" => containers::health_word(container) == value,
        "id" => plan.id.starts_with(value),
        "name" => format!("/{}", plan.origin.name).contains(value),
        "network" => convert::network_name(plan.network) == value,
        "status" => containers::state_word(&container.state) == value,
        _ => plan.mounts.iter().any(|mount| {
            let mount = convert::show_mount(mount);
            mount.name == value || mount.destination == value
        }),
    }
}
