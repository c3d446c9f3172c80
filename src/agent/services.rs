//! How the services of this node's tasks are reached: as managers say it, and, on a host that has
//! started without one, as it was when they last did, by way of the tasks that run here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::task::{Moves, Task};
use crate::agent::{Agent, Effect};
use crate::model::id::{NodeId, ServiceId, TaskId};
use crate::model::time::Time;
use crate::wire::reach::{Reach, ServiceView, TaskView};

/// The services that managers told of.
#[derive(Debug, Default)]
pub struct Services {
    all: BTreeMap<ServiceId, Arc<ServiceView>>,
    /// Whether they have done so since this daemon began.
    is_told: bool,
    /// The tasks that the node's networks lead to as long as they have not.
    alone: Option<BTreeSet<TaskId>>,
}

/// What is kept of services, for the day when a daemon starts without a manager.
pub type KeptServices = BTreeMap<ServiceId, Arc<ServiceView>>;

impl Services {
    /// Takes in what the managers say.
    pub(super) fn hear(&mut self, news: &Reach) {
        let set = news.services.iter();
        self.all.extend(set.map(|one| (one.id, Arc::clone(one))));
        for id in &news.removed {
            self.all.remove(id);
        }
        if let Some(all) = &news.all {
            let all: BTreeSet<_> = all.iter().collect();
            self.all.retain(|id, _| all.contains(id));
            self.is_told = true;
        }
    }

    /// Takes in what an earlier daemon had kept.
    pub(super) fn recall(&mut self, service: Arc<ServiceView>) {
        self.all.insert(service.id, service);
    }

    /// What is to be kept of the services of these tasks.
    pub(super) fn kept<'a>(
        &self,
        tasks: impl Iterator<Item = &'a Task>,
        before: &KeptServices,
    ) -> KeptServices {
        let ids: BTreeSet<_> = tasks.map(Task::service).collect();
        let known = ids.into_iter().filter_map(|id| self.all.get(&id));
        let kept = known.map(|now| {
            let same = before.get(&now.id).filter(|kept| is_as(kept, now));
            let kept = same.map_or_else(|| Arc::new(with_tasks(now, Vec::new())), Arc::clone);
            (now.id, kept)
        });
        kept.collect()
    }

    /// What the networks of a node are to know by way of these tasks of its own.
    fn by_way_of(&self, node: NodeId, tasks: &[&Task]) -> Reach {
        let services = self.all.values().map(|service| {
            let own = tasks.iter().filter(|task| task.service() == service.id);
            let own = own.map(|task| task.view(node)).collect();
            Arc::new(with_tasks(service, own))
        });
        Reach {
            services: services.collect(),
            all: Some(self.all.keys().copied().collect()),
            ..Reach::default()
        }
    }
}

/// Whether it differs in nothing but its tasks.
fn is_as(kept: &ServiceView, now: &ServiceView) -> bool {
    let ServiceView {
        id,
        name,
        networks,
        ports,
        tasks: _,
    } = now;
    kept.id == *id && kept.name == *name && kept.networks == *networks && kept.ports == *ports
}

fn with_tasks(service: &ServiceView, tasks: Vec<TaskView>) -> ServiceView {
    ServiceView {
        id: service.id,
        name: service.name.clone(),
        networks: service.networks.clone(),
        ports: service.ports.clone(),
        tasks,
    }
}

impl Agent {
    /// When the node's networks are to lead to its own tasks, if no manager speaks up before.
    pub(super) fn reach_due(&self) -> Option<Time> {
        let is_reached = self.services.is_told || self.services.alone.is_some();
        let none = is_reached || self.services.all.is_empty();
        self.solitude.begins().filter(|_| !none)
    }

    /// Has the node's networks lead to its own tasks, as long as no manager has said how services
    /// are reached.
    pub(super) fn reach_alone(&mut self, now: Time, moves: &mut Moves) {
        let is_reached = self.services.is_told || self.services.all.is_empty();
        if is_reached || !self.solitude.has_begun(now) {
            return;
        }
        let tasks: Vec<_> = self.tasks.values().filter(|task| task.serves()).collect();
        let ids = tasks.iter().map(|task| task.attempt().task).collect();
        if self.services.alone.as_ref() != Some(&ids) {
            let reach = self.services.by_way_of(self.node, &tasks);
            self.services.alone = Some(ids);
            moves.effects.push(Effect::Reach(reach));
        }
    }
}
