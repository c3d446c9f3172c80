//! How far a job is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::answer::{text, uint};
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::cli::service::progress::{BARS_MAX, RUNNING, STATE_LENGTH_MAX, rank, short};

/// The rank of a task that has completed.
const COMPLETE: usize = RUNNING + 1;

/// Shows where the tasks of the job's last execution are; gives whether it is complete.
pub fn update(lines: &mut Lines, service: &Value, tasks: &[Value]) -> Result<bool, Failure> {
    let places = by_place(service, tasks);
    let job = service.pointer("/Spec/Mode/ReplicatedJob");
    let total = match job {
        Some(job) => uint(job, "/TotalCompletions"),
        None if places.is_empty() => {
            lines.set("job progress", "waiting for tasks")?;
            return Ok(false);
        }
        None => places.len() as u64,
    };
    let width = total.to_string().len();
    let is = |rank: usize| move |task: &&&Value| rank == self::rank(text(task, "/Status/State"));
    let complete = places.values().filter(is(COMPLETE)).count() as u64;
    lines.set(
        "job progress",
        &format!("{complete:width$} out of {total} complete"),
    )?;
    if let Some(job) = job {
        let concurrent = uint(job, "/MaxConcurrent");
        let active = places.values().filter(|task| {
            let rank = rank(text(task, "/Status/State"));
            rank < COMPLETE
        });
        let (active, width) = (active.count(), concurrent.to_string().len());
        let most = concurrent.min(total.saturating_sub(complete));
        lines.set(
            "active tasks",
            &format!("{active:width$} out of {most:width$} tasks"),
        )?;
    }
    for (place, task) in places.iter().filter(|_| total <= BARS_MAX) {
        let name = match job {
            Some(_) => format!("{}/{total}", uint(task, "/Slot") + 1),
            None => place.clone(),
        };
        let (error, state) = (text(task, "/Status/Err"), text(task, "/Status/State"));
        match error {
            "" => lines.bar(&name, state, STATE_LENGTH_MAX, rank(state), COMPLETE)?,
            error => lines.set(&name, &short(error))?,
        }
    }
    Ok(complete == total)
}

/// The task of each slot, or of each node, that is the least far.
fn by_place<'a>(service: &Value, tasks: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let iteration = uint(service, "/JobStatus/JobIteration/Index");
    let is_global = service.pointer("/Spec/Mode/GlobalJob").is_some();
    let mut places: BTreeMap<String, &Value> = BTreeMap::new();
    let of_execution = tasks.iter().filter(|task| {
        !task["JobIteration"].is_null() && uint(task, "/JobIteration/Index") == iteration
    });
    for task in of_execution {
        let place = match is_global {
            true => text(task, "/NodeID").to_owned(),
            false => format!("{:020}", uint(task, "/Slot")),
        };
        let far = |task: &Value| rank(text(task, "/Status/State"));
        let kept = places.get(&place).is_some_and(|old| far(old) <= far(task));
        if !kept && far(task) > 0 {
            places.insert(place, task);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(iteration: u64, slot: u64, state: &str) -> Value {
        json!({
            "Slot": slot, "NodeID": format!("n{slot}"), "JobIteration": {"Index": iteration},
            "Status": {"State": state},
        })
    }

    #[track_caller]
    fn check(mode: Value, tasks: &[Value], expect: bool) {
        let service = json!({"Spec": {"Mode": mode}, "JobStatus": {"JobIteration": {"Index": 1}}});
        let complete = update(&mut Lines::new(true), &service, tasks).unwrap();
        assert_eq!(complete, expect, "{tasks:?}");
    }

    #[test]
    fn a_job_is_complete_when_each_of_its_slots_is() {
        let job = || json!({"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 1}});
        check(job(), &[task(1, 0, "complete")], false);
        let other = [task(1, 0, "complete"), task(1, 1, "running")];
        check(job(), &other, false);
        let both = [
            task(1, 0, "complete"),
            task(1, 1, "failed"),
            task(1, 1, "complete"),
        ];
        check(job(), &both, true);
    }

    #[test]
    fn tasks_of_earlier_executions_do_not_count() {
        let job = json!({"ReplicatedJob": {"TotalCompletions": 1, "MaxConcurrent": 1}});
        check(job, &[task(0, 0, "complete")], false);
    }

    #[test]
    fn a_global_job_is_complete_when_it_is_on_every_node() {
        let job = || json!({"GlobalJob": {}});
        check(job(), &[], false);
        check(
            job(),
            &[task(1, 0, "complete"), task(1, 1, "starting")],
            false,
        );
        check(
            job(),
            &[task(1, 0, "complete"), task(1, 1, "complete")],
            true,
        );
    }
}
