//! Waiting until a service runs as asked, and showing how far it is.

mod job;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_lite::future;
use serde_json::Value;

use crate::cli::answer::{filters_of, int, text, uint};
use crate::cli::client::{Client, with_query};
use crate::cli::context::{Context, print};
use crate::cli::ending::Endings;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::host::clock::Stopwatch;
use crate::host::wait::sleep;

const POLL_MS: u64 = 200;
const MONITOR_NS: i64 = 5_000_000_000;
/// More tasks than this are only counted.
const BARS_MAX: u64 = 20;
const ERROR_LENGTH_MAX: usize = 60;
const STATE_LENGTH_MAX: usize = 9;

/// The states in their order; a task that runs has made the last of its steps.
const STATES: [&str; 13] = [
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
];
const RUNNING: usize = 9;

/// Waits until all tasks of the services run, one service after the other, and each has done so for
/// its monitor time; or for Ctrl-C.
pub async fn wait(context: &Context, ids: &[String], quiet: bool) -> Result<(), Failure> {
    let mut endings = Endings::listen()?;
    let interrupted = async {
        endings.next().await?;
        print("Operation continuing in background.\n")?;
        let program = &context.program;
        ids.iter().try_for_each(|id| {
            print(&format!(
                "Use `{program} service ps {id}` to check progress.\n"
            ))
        })
    };
    let watched = async {
        for id in ids {
            watch(context, id, quiet).await?;
        }
        Ok(())
    };
    future::or(interrupted, watched).await
}

async fn watch(context: &Context, id: &str, quiet: bool) -> Result<(), Failure> {
    let mut view = View {
        lines: Lines::new(quiet),
        slots: BTreeMap::new(),
        done: false,
    };
    let mut since: Option<Stopwatch> = None;
    let (mut rolls_back, mut last_word) = (false, None);
    loop {
        let service = context
            .client
            .get(&format!("/services/{id}?insertDefaults=false"))
            .await?;
        match text(&service, "/UpdateStatus/State") {
            "updating" => rolls_back = false,
            "completed" if since.is_none() => return Ok(()),
            "paused" => return Err(paused("update", &service)),
            "rollback_paused" => return Err(paused("rollback", &service)),
            "rollback_started" => {
                let message = text(&service, "/UpdateStatus/Message");
                if !rolls_back && !message.is_empty() {
                    view.lines.set("rollback", message)?;
                }
                rolls_back = true;
            }
            "rollback_completed" => {
                if since.is_none() {
                    last_word = Some(text(&service, "/UpdateStatus/Message").to_owned());
                }
                rolls_back = true;
            }
            _ => {}
        }
        let monitor = monitor(&service);
        if since.is_some_and(|since| since.elapsed() >= monitor) {
            view.lines
                .set("verify", &format!("Service {id} converged"))?;
            let last_word = last_word.map(|word| view.lines.set("rollback", &word));
            return last_word.unwrap_or(Ok(()));
        }
        let tasks = up_to_date(&context.client, id).await?;
        if is_job(&service) {
            if job::update(&mut view.lines, &service, &tasks)? {
                return view.lines.say("job complete");
            }
            sleep(Duration::from_millis(POLL_MS)).await;
            continue;
        }
        let converged = view.update(&service, &tasks, rolls_back)?;
        since = match (converged, since) {
            (true, since) => {
                let since = since.unwrap_or_else(Stopwatch::start);
                let left = monitor.saturating_sub(since.elapsed()).as_secs() + 1;
                let text = format!("Waiting {left} seconds to verify that tasks are stable...");
                view.lines.set("verify", &text)?;
                Some(since)
            }
            (false, Some(_)) => {
                view.lines.set("verify", "Detected task failure")?;
                None
            }
            (false, None) => None,
        };
        sleep(Duration::from_millis(POLL_MS)).await;
    }
}

fn paused(what: &str, service: &Value) -> Failure {
    let message = text(service, "/UpdateStatus/Message");
    Failure::Reported(format!("service {what} paused: {message}"))
}

fn monitor(service: &Value) -> Duration {
    let given = int(service, "/Spec/UpdateConfig/Monitor");
    let monitor = if given > 0 { given } else { MONITOR_NS };
    Duration::from_nanos(u64::try_from(monitor).unwrap_or_default())
}

fn is_job(service: &Value) -> bool {
    let mode = &service["Spec"]["Mode"];
    mode["ReplicatedJob"].is_object() || mode["GlobalJob"].is_object()
}

/// An error that fits a line.
fn short(error: &str) -> String {
    let line = error.replace('\n', " ");
    line.chars().take(ERROR_LENGTH_MAX).collect()
}

/// The tasks of the newest spec that are on nodes which are there.
async fn up_to_date(client: &Client, id: &str) -> Result<Vec<Value>, Failure> {
    let filters = filters_of(&[("_up-to-date", "true"), ("service", id)]);
    let tasks = client
        .get(&with_query("/tasks", &[("filters", &filters)]))
        .await?;
    let nodes = client.get("/nodes").await?;
    let nodes = nodes.as_array().cloned().unwrap_or_default();
    let up: Vec<&str> = nodes
        .iter()
        .filter(|node| text(node, "/Status/State") != "down")
        .map(|node| text(node, "/ID"))
        .collect();
    let mut tasks = tasks.as_array().cloned().unwrap_or_default();
    tasks.retain(|task| {
        let node = text(task, "/NodeID");
        node.is_empty() || up.contains(&node)
    });
    Ok(tasks)
}

struct View {
    lines: Lines,
    /// Each slot's line, in the order in which the slots came up.
    slots: BTreeMap<String, usize>,
    done: bool,
}

impl View {
    /// Shows where the tasks are; gives whether all are where they should be.
    fn update(&mut self, service: &Value, tasks: &[Value], back: bool) -> Result<bool, Failure> {
        let slots = by_slot(tasks);
        let mode = &service["Spec"]["Mode"];
        let goal = "running";
        let total = match mode["Replicated"].is_object() {
            true => uint(mode, "/Replicated/Replicas"),
            false => u64::try_from(slots.len()).unwrap_or_default(),
        };
        if self.slots.is_empty() && self.lines.is_empty() {
            self.overall(0, total, back)?;
            for slot in 1..=total {
                if total <= BARS_MAX {
                    self.lines.set(&format!("{slot}/{total}"), " ")?;
                }
            }
        }
        if self.done
            && slots
                .values()
                .any(|task| text(task, "/Status/State") != goal)
        {
            self.done = false;
        }
        let mut there = 0;
        for (slot, task) in &slots {
            let next = self.slots.len() + 1;
            let at = *self.slots.entry(slot.clone()).or_insert(next);
            if !self.done && total <= BARS_MAX && u64::try_from(at).is_ok_and(|at| at <= total) {
                self.task(&format!("{at}/{total}"), task, back)?;
            }
            there += u64::from(text(task, "/Status/State") == goal);
        }
        if !self.done {
            self.overall(there, total, back)?;
            self.done = there == total;
        }
        Ok(there == total)
    }

    fn overall(&mut self, there: u64, total: u64, back: bool) -> Result<(), Failure> {
        let back = if back { "rolling back update: " } else { "" };
        let text = format!("{back}{there} out of {total} tasks");
        self.lines.set("overall progress", &text)
    }

    fn task(&mut self, line: &str, task: &Value, back: bool) -> Result<(), Failure> {
        let error = text(task, "/Status/Err");
        if !error.is_empty() {
            return self.lines.set(line, &short(error));
        }
        let state = text(task, "/Status/State");
        let (rank, desired) = (rank(state), rank(text(task, "/DesiredState")));
        if rank > RUNNING || desired > RUNNING {
            return Ok(());
        }
        let done = if back { RUNNING - rank } else { rank };
        self.lines.bar(line, state, STATE_LENGTH_MAX, done, RUNNING)
    }
}

/// The task of each slot that counts: the one that is wanted, and of those the least far.
fn by_slot(tasks: &[Value]) -> BTreeMap<String, &Value> {
    let mut slots: BTreeMap<String, &Value> = BTreeMap::new();
    let order = |task: &Value| {
        (
            rank(text(task, "/DesiredState")),
            rank(text(task, "/Status/State")),
        )
    };
    for task in tasks
        .iter()
        .filter(|task| order(task).0 > 0 && order(task).1 > 0)
    {
        let slot = match uint(task, "/Slot") {
            0 => text(task, "/NodeID").to_owned(),
            slot => format!("{slot:020}"),
        };
        let old = slots
            .get(&slot)
            .is_some_and(|old| order(old) <= order(task));
        if !old {
            slots.insert(slot, task);
        }
    }
    slots
}

/// A state's place in the order from 1 on; 0 for one that is unknown.
fn rank(state: &str) -> usize {
    STATES
        .iter()
        .position(|known| *known == state)
        .map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(slot: u64, desired: &str, state: &str) -> Value {
        json!({"Slot": slot, "NodeID": "n", "DesiredState": desired, "Status": {"State": state}})
    }

    #[test]
    fn the_task_that_is_wanted_counts_for_its_slot() {
        let tasks = [
            task(1, "shutdown", "failed"),
            task(1, "running", "starting"),
            task(2, "running", "running"),
            task(2, "running", "preparing"),
            task(3, "remove", "running"),
        ];
        let slots = by_slot(&tasks);
        let states: Vec<&str> = slots
            .values()
            .map(|task| text(task, "/Status/State"))
            .collect();
        assert_eq!(states, ["starting", "preparing"]);
    }

    #[test]
    fn a_service_has_converged_when_every_replica_runs() {
        let service = json!({"Spec": {"Mode": {"Replicated": {"Replicas": 2}}}});
        let mut view = View {
            lines: Lines::new(true),
            slots: BTreeMap::new(),
            done: false,
        };
        let mut update = |tasks: &[Value]| view.update(&service, tasks, false).unwrap();
        assert!(!update(&[task(1, "running", "running")]));
        assert!(update(&[
            task(1, "running", "running"),
            task(2, "running", "running")
        ]));
        assert!(!update(&[
            task(1, "running", "running"),
            task(2, "running", "failed")
        ]));
    }
}
