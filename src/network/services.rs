//! What this node knows of services and of its own tasks, and what follows from it: the rules for
//! packets, and names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::address::Subnet;
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::spec::service::PublishMode;
use crate::network::dns::names::Names;
use crate::network::peers::Peers;
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

    /// Takes in what the managers say.
    pub fn hear(&mut self, news: Reach) {
        for service in news.services {
            self.all.insert(service.id, service);
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
    pub fn add_names(&self, names: &mut Names, way: Way<'_>) {
        for service in self.all.values() {
            if service.tasks.iter().all(|task| self.serves(task, way)) {
                names.add_service(service);
                continue;
            }
            let live = service.tasks.iter().filter(|task| self.serves(task, way));
            names.add_service(&ServiceView {
                tasks: live.cloned().collect(),
                ..(**service).clone()
            });
        }
    }

    /// What the services ask of the rules of a node.
    pub fn add_rules(&self, rules: &mut Rules, way: Way<'_>) {
        for service in self.all.values() {
            let networks = service.networks.iter().map(|own| &own.network);
            rules.networks.extend(networks.map(network_rules));
            self.add_service(rules, service, way);
        }
    }

    fn add_service(&self, rules: &mut Rules, service: &ServiceView, way: Way<'_>) {
        let live = |task: &&TaskView| self.serves(task, way);
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
            let is_entered = |task: &&TaskView| {
                let is_here = task.node == way.node;
                is_here || port.publish_mode == PublishMode::Ingress && way.peers.passes_on()
            };
            let mut tasks = service.tasks.iter().filter(live).filter(is_entered);
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

    /// Whether a task is sent new connections.
    fn serves(&self, task: &TaskView, way: Way<'_>) -> bool {
        let is_near = task.node == way.node || way.peers.leads_to(task.node);
        is_near && !self.withdrawn.contains(&task.id)
    }
}

/// Which tasks a node's packets get to: its own, and those of the nodes that tunnels lead to.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    pub node: NodeId,
    pub peers: &'a Peers,
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
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::spec::service::PortConfig;
    use crate::network::peers::tests::peer;
    use crate::wire::reach::{Peers as Told, ServiceNetwork, TunnelView};

    const FRONT: NetworkId = NetworkId(1);
    const INGRESS: NetworkId = NetworkId(2);

    fn network(id: NetworkId) -> ServiceNetwork {
        let last = u8::try_from(id.0).unwrap();
        ServiceNetwork {
            network: NetworkView {
                id,
                name: String::new(),
                subnet: Subnet::containing([10, 0, last, 0].into(), 24),
                internal: false,
                ingress: id == INGRESS,
            },
            address: Some([10, 0, last, 100].into()),
            aliases: Vec::new(),
        }
    }

    /// `10.0.NETWORK.TASK`, as they are told of a service with a task on each of three nodes.
    fn targets(peers: &Peers) -> [Vec<[u8; 4]>; 2] {
        let task = |number: u8| TaskView {
            id: TaskId(number.into()),
            name: format!("web.{number}"),
            node: NodeId(number.into()),
            addresses: [FRONT, INGRESS]
                .map(|id| (id, [10, 0, u8::try_from(id.0).unwrap(), number].into()))
                .into(),
        };
        let service = ServiceView {
            id: ServiceId(1),
            name: "web".into(),
            networks: vec![network(FRONT), network(INGRESS)],
            ports: vec![PortConfig {
                published_port: 8080,
                target_port: 80,
                ..PortConfig::default()
            }],
            tasks: [1, 2, 3].map(task).into(),
        };
        let mut services = Services::default();
        services.hear(Reach {
            services: vec![Arc::new(service)],
            ..Reach::default()
        });
        let (mut rules, node) = (Rules::default(), NodeId(2));
        services.add_rules(&mut rules, Way { node, peers });
        let octets = |all: &Vec<Ipv4Addr>| all.iter().map(Ipv4Addr::octets).collect::<Vec<_>>();
        let inside = rules.services.values().flat_map(octets).collect();
        let published = rules.ports.values().map(|targets| &targets.addresses);
        [inside, published.flat_map(octets).collect()]
    }

    #[test]
    fn a_service_leads_to_the_tasks_of_this_node_and_of_those_that_tunnels_lead_to() {
        let mut peers = Peers::default();
        let (here, away) = ([10, 0, 1, 2], [10, 0, 1, 3]);
        assert_eq!(targets(&peers), [vec![here], vec![[10, 0, 2, 2]]]);
        peers.hear(Told {
            set: vec![peer(3, "10.0.1.3")],
            ..Told::default()
        });
        assert_eq!(targets(&peers)[0], [here, away]);
        // Answers would not come back to a node without an address of its own.
        assert_eq!(targets(&peers)[1], [[10, 0, 2, 2]]);
        peers.hear(Told {
            own: Some(TunnelView {
                port: 4789,
                address: Some([10, 0, 2, 102].into()),
            }),
            ..Told::default()
        });
        assert_eq!(targets(&peers)[1], [[10, 0, 2, 2], [10, 0, 2, 3]]);
    }
}
