//! A node is sent only the secrets that a task of its own names, and a container is prepared with
//! all that its task names.

use std::sync::Arc;

use skep::agent::containers::Record;
use skep::model::id::NodeId;
use skep::model::state::State;
use skep::wire::dependency::{Dependency, named_by};
use skep::wire::session::ToAgent;

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

pub fn prepared(record: &Record, dependencies: &[Arc<Dependency>]) {
    for id in named_by(&record.assignment.spec.container) {
        let there = dependencies.iter().any(|dependency| dependency.id == id);
        let name = record.assignment.task_name();
        assert!(there, "{name} is prepared without {id:?}");
    }
}
