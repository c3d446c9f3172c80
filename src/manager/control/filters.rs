//! Docker's filters: an object is kept if for each key one of the values fits it. Filters that
//! Docker does not know are refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::manager::control::lookup;
use crate::model::id::{NodeId, ServiceId};
use crate::model::object::{Network, Node, Service, Task, TaskState};
use crate::model::spec::Labels;
use crate::model::spec::node::Role;
use crate::model::spec::service::ServiceMode;
use crate::model::state::State;
use crate::wire::control::{Filters, ObjectKind, Refusal};

/// Filters whose keys are known.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a>(&'a Filters);

pub fn nodes(filters: &Filters) -> Result<Wanted<'_>, Refusal> {
    let known = ["id", "label", "membership", "name", "node.label", "role"];
    let wanted = known_only(filters, ObjectKind::Node, &known)?;
    wanted.only(ObjectKind::Node, "role", &["worker", "manager"])?;
    wanted.only(ObjectKind::Node, "membership", &["accepted", "pending"])?;
    Ok(wanted)
}

pub fn services(filters: &Filters) -> Result<Wanted<'_>, Refusal> {
    let known = ["id", "label", "mode", "name", "runtime"];
    let wanted = known_only(filters, ObjectKind::Service, &known)?;
    let modes = ["replicated", "global", "replicated-job", "global-job"];
    wanted.only(ObjectKind::Service, "mode", &modes)?;
    Ok(wanted)
}

pub fn networks(filters: &Filters) -> Result<Wanted<'_>, Refusal> {
    let known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    known_only(filters, ObjectKind::Network, &known)
}

/// Secrets and configs.
pub fn resources(filters: &Filters, kind: ObjectKind) -> Result<Wanted<'_>, Refusal> {
    known_only(filters, kind, &["id", "label", "name", "names"])
}

/// The tasks that are wanted, found through their services or nodes if those are given.
pub fn tasks(state: &State, filters: &Filters) -> Result<Vec<Arc<Task>>, Refusal> {
    let known = [
        "_up-to-date",
        "desired-state",
        "id",
        "label",
        "name",
        "node",
        "runtime",
        "service",
    ];
    let wanted = known_only(filters, ObjectKind::Task, &known)?;
    let states = TaskState::ALL.map(TaskState::name);
    wanted.only(ObjectKind::Task, "desired-state", &states)?;
    let services = wanted.values("service").map(|references| {
        let found = references.iter().map(|name| lookup::service(state, name));
        let ids = found.filter_map(|found| found.ok().map(|service| service.id));
        // A service that is gone still has tasks, by its whole id.
        let gone = references.iter().filter_map(|text| text.parse().ok());
        ids.chain(gone).collect::<BTreeSet<ServiceId>>()
    });
    let nodes = wanted.values("node").map(|references| {
        let found = references.iter().map(|name| lookup::node(state, name));
        let ids = found.filter_map(|found| found.ok().map(|node| node.id));
        ids.collect::<BTreeSet<NodeId>>()
    });
    let keeps = |task: &&Arc<Task>| {
        wanted.keeps_task(state, task)
            && services
                .as_ref()
                .is_none_or(|ids| ids.contains(&task.service))
            && nodes
                .as_ref()
                .is_none_or(|ids| task.node.is_some_and(|id| ids.contains(&id)))
    };
    Ok(match (&services, &nodes) {
        (Some(ids), _) => {
            let tasks = ids.iter().flat_map(|id| state.tasks_of_service(*id));
            tasks.filter(keeps).cloned().collect()
        }
        (None, Some(ids)) => {
            let tasks = ids.iter().flat_map(|id| state.tasks_of_node(*id));
            tasks.filter(keeps).cloned().collect()
        }
        (None, None) => state.tasks().iter().filter(keeps).cloned().collect(),
    })
}

fn known_only<'a>(
    filters: &'a Filters,
    kind: ObjectKind,
    known: &[&str],
) -> Result<Wanted<'a>, Refusal> {
    match filters.0.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(Wanted(filters)),
        Some(key) => Err(Refusal::UnknownFilter {
            kind,
            key: key.clone(),
            known: known.join(", "),
        }),
    }
}

impl<'a> Wanted<'a> {
    fn values(self, key: &str) -> Option<&'a BTreeSet<String>> {
        self.0.0.get(key).filter(|values| !values.is_empty())
    }

    /// Refuses what no object can have, rather than find nothing.
    fn only(self, kind: ObjectKind, key: &str, known: &[&str]) -> Result<(), Refusal> {
        let mut values = self.values(key).into_iter().flatten();
        match values.find(|value| !known.contains(&value.as_str())) {
            None => Ok(()),
            Some(value) => Err(Refusal::UnknownFilterValue {
                kind,
                key: key.to_owned(),
                value: value.clone(),
                known: known.join(", "),
            }),
        }
    }

    /// Whether one of the key's values fits, or none is given.
    fn fits(self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_none_or(|values| values.iter().any(|value| fits(value)))
    }

    /// Whether every label asked for is there, as `KEY` or as `KEY=VALUE`.
    fn has_labels(self, key: &str, labels: &Labels) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        };
        let wanted = self.values(key);
        wanted.is_none_or(|wanted| wanted.iter().all(|label| has(label)))
    }

    /// The filters that every kind has; names and ids by their start.
    pub fn keeps(self, id: &str, name: &str, labels: &Labels) -> bool {
        self.fits("id", |start| id.starts_with(start))
            && self.fits("name", |start| name.starts_with(start))
            && self.fits("names", |whole| name == whole)
            && self.has_labels("label", labels)
    }

    pub fn keeps_node(self, node: &Node) -> bool {
        let role = match node.spec.role {
            Role::Worker => "worker",
            Role::Manager => "manager",
        };
        let hostname = &node.description.hostname;
        self.keeps(
            &node.id.to_string(),
            hostname,
            &node.description.engine.labels,
        ) && self.has_labels("node.label", &node.spec.labels)
            && self.fits("role", |wanted| wanted == role)
            && self.fits("membership", |wanted| wanted == "accepted")
    }

    pub fn keeps_service(self, service: &Service) -> bool {
        let mode = match service.spec.mode {
            ServiceMode::Replicated { .. } => "replicated",
            ServiceMode::Global => "global",
            ServiceMode::ReplicatedJob { .. } => "replicated-job",
            ServiceMode::GlobalJob => "global-job",
        };
        self.keeps(
            &service.id.to_string(),
            &service.spec.name,
            &service.spec.labels,
        ) && self.fits("mode", |wanted| wanted == mode)
            && self.fits("runtime", |wanted| wanted == "container")
    }

    pub fn keeps_network(self, network: &Network, in_use: bool) -> bool {
        let kind = if network.predefined {
            "builtin"
        } else {
            "custom"
        };
        let scope = if network.predefined { "local" } else { "swarm" };
        let driver = network.spec.driver_name();
        self.keeps(
            &network.id.to_string(),
            &network.spec.name,
            &network.spec.labels,
        ) && self.fits("driver", |wanted| driver == wanted)
            && self.fits("type", |wanted| wanted == kind)
            && self.fits("scope", |wanted| wanted == scope)
            && self.fits("dangling", |wanted| {
                ["true", "1"].contains(&wanted) != in_use
            })
    }

    fn keeps_task(self, state: &State, task: &Task) -> bool {
        let service = state.services().find(task.service);
        let current = service.is_some_and(|s| s.task_version == task.task_version);
        let desired = match task.desired_state {
            TaskState::Ready => "accepted",
            state if state <= TaskState::Running => "running",
            _ => "shutdown",
        };
        let name = || format!("{}.{}", task.name(), task.id);
        self.fits("id", |start| task.id.to_string().starts_with(start))
            && self.fits("name", |start| name().starts_with(start))
            && self.has_labels("label", &task.spec.container.labels)
            && self.fits("desired-state", |wanted| wanted == desired)
            && self.fits("runtime", |wanted| wanted == "container")
            && self.fits("_up-to-date", |wanted| (wanted == "true") == current)
    }
}
