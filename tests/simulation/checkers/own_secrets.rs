//! A node is sent only the secrets that a task of its own names, and a container is prepared with
//! all that its task names.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep::agent::containers::{Kept, KeptId, Record};
use skep::model::id::NodeId;
use skep::model::state::State;
use skep::wire::dependency::{Dependency, named_by};
use skep::wire::session::ToAgent;

use crate::host::Host;

pub fn sent(state: &State, node: NodeId, message: &ToAgent) {
    let ToAgent::Dependencies { set, .. } = message else {
        return;
    };
    for dependency in set {
        let needed = state
            .tasks_of_node(node)
            .any(|task| named_by(&task.spec.container).contains(&dependency.id));
        assert!(
            needed,
            "{node} was sent {dependency:?}, which no task of its names"
        );
    }
}

/// A host's disk has only what its tasks need.
pub fn kept(host: &Host) {
    let tasks = host.kept.values().filter_map(|kept| match kept {
        Kept::Task(record) => Some(named_by(&record.assignment.spec.container)),
        Kept::Dependency(_) | Kept::Service(_) => None,
    });
    let needed: BTreeSet<_> = tasks.flatten().collect();
    for id in host.kept.keys() {
        if let KeptId::Dependency(id) = id {
            assert!(
                needed.contains(id),
                "{} keeps {id:?} for no task",
                host.node
            );
        }
    }
}

pub fn prepared(record: &Record, dependencies: &[Arc<Dependency>]) {
    for id in named_by(&record.assignment.spec.container) {
        let there = dependencies.iter().any(|dependency| dependency.id == id);
        let name = record.assignment.task_name();
        assert!(there, "{name} is prepared without {id:?}");
    }
}
