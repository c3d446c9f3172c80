//! What this node knows of services and of its own tasks, and what follows from it: the rules for
//! packets, and names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::address::Subnet;
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::spec::service::PublishMode;
use crate::network::dns::names::Names;
use crate::network::rules::{NetworkRules, Rules, Targets};
use crate::wire::reach::{NetworkView, Reach, ServiceView, TaskView};

/// The services of the swarm, as the managers told of them.
#[derive(Debug, Default)]
pub struct Services {
    all: BTreeMap<ServiceId, Arc<ServiceView>>,
    /// Whether the managers have said all since this daemon began.
    is_told: bool,
    /// Tasks of this node that are about to end: they get no new connections, whatever the managers
    /// still say.
    pub withdrawn: BTreeSet<TaskId>,
}

impl Services {
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Takes in what the managers say, for a node. Packets do not reach other nodes yet: names and
    /// ports lead to the tasks that run here, never to an address that nothing answers at.
    pub fn hear(&mut self, news: Reach, node: NodeId) {
        for service in news.services {
            self.all.insert(service.id, here(service, node));
        }
        for id in news.removed {
            self.all.remove(&id);
        }
        if let Some(all) = news.all {
            let all: BTreeSet<_> = all.into_iter().collect();
            self.all.retain(|id, _| all.contains(id));
            self.is_told = true;
        }
        if !self.withdrawn.is_empty() {
            let tasks = self.all.values().flat_map(|service| &service.tasks);
            let listed: BTreeSet<_> = tasks.map(|task| task.id).collect();
            self.withdrawn.retain(|task| listed.contains(task));
        }
    }

    /// The names of all services.
    pub fn add_names(&self, names: &mut Names) {
        for service in self.all.values() {
            let tasks = || service.tasks.iter();
            if tasks().any(|task| self.withdrawn.contains(&task.id)) {
                let live = tasks().filter(|task| !self.withdrawn.contains(&task.id));
                let tasks = live.cloned().collect();
                let service = ServiceView {
                    tasks,
                    ..(**service).clone()
                };
                names.add_service(&service);
            } else {
                names.add_service(service);
            }
        }
    }

    /// What the services ask of the rules of a node.
    pub fn add_rules(&self, rules: &mut Rules, node: NodeId) {
        for service in self.all.values() {
            let networks = service.networks.iter().map(|own| &own.network);
            rules.networks.extend(networks.map(network_rules));
            self.add_service(rules, service, node);
        }
    }

    fn add_service(&self, rules: &mut Rules, service: &ServiceView, node: NodeId) {
        let live = |task: &&TaskView| !self.withdrawn.contains(&task.id);
        let on = |network: NetworkId, tasks: &mut dyn Iterator<Item = &TaskView>| {
            let own = tasks.flat_map(|task| &task.addresses);
            let own = own.filter(|(id, _)| *id == network);
            own.map(|(_, address)| *address).collect::<Vec<_>>()
        };
        let mut ingress = None;
        for own in &service.networks {
            if own.network.ingress {
                ingress = Some(own.network.id);
                continue;
            }
            if let Some(address) = own.address {
                let tasks = on(own.network.id, &mut service.tasks.iter().filter(live));
                rules.services.insert(address, tasks);
            }
        }
        let Some(ingress) = ingress else { return };
        for port in &service.ports {
            let is_here =
                |task: &&TaskView| port.publish_mode == PublishMode::Ingress || task.node == node;
            let mut tasks = service.tasks.iter().filter(live).filter(is_here);
            let targets = Targets {
                port: port.target_port,
                addresses: on(ingress, &mut tasks),
            };
            // The ports of other nodes are no matter of this one.
            if port.publish_mode == PublishMode::Ingress || !targets.addresses.is_empty() {
                let key = (port.protocol, port.published_port);
                rules.ports.insert(key, targets);
            }
        }
    }
}

/// What of a service is on the node.
fn here(service: Arc<ServiceView>, node: NodeId) -> Arc<ServiceView> {
    let is_here = |task: &&TaskView| task.node == node;
    if service.tasks.iter().all(|task| is_here(&task)) {
        return service;
    }
    let tasks = service.tasks.iter().filter(is_here).cloned().collect();
    Arc::new(ServiceView {
        tasks,
        ..(*service).clone()
    })
}

/// What the rules have to know of a network.
pub fn network_rules(network: &NetworkView) -> (Subnet, NetworkRules) {
    let rules = NetworkRules {
        internal: network.internal,
        ingress: network.ingress,
    };
    (network.subnet, rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_leads_to_its_tasks_on_this_node_alone() {
        let task = |number: u32| TaskView {
            id: TaskId(number.into()),
            name: format!("web.{number}"),
            node: NodeId(number.into()),
            addresses: Vec::new(),
        };
        let service = ServiceView {
            id: ServiceId(1),
            name: "web".into(),
            networks: Vec::new(),
            ports: Vec::new(),
            tasks: vec![task(1), task(2)],
        };
        let mut services = Services::default();
        let news = Reach {
            services: vec![Arc::new(service)],
            ..Reach::default()
        };
        services.hear(news, NodeId(2));
        assert_eq!(services.all[&ServiceId(1)].tasks, [task(2)]);
    }
}
