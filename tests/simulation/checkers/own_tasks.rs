//! A host runs only what a manager assigned to it, and no two hosts run the same task.

use skep::model::id::TaskId;

use crate::host::Host;

pub fn check(hosts: &[Host], host: usize, task: TaskId, starts: bool) {
    let own = &hosts[host];
    let node = own.node;
    assert!(
        own.assigned.contains(&task),
        "{task} was not given to {node}"
    );
    let elsewhere = starts && hosts.iter().any(|other| other.runs(task));
    assert!(!elsewhere, "{task} would run twice, now on {node}");
}
