//! The names that tasks know each other by: on each of its networks a task finds services, their
//! tasks, and the aliases of both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::model::id::NetworkId;
use crate::wire::reach::ServiceView;

/// What a name of a service begins with to stand for each of its tasks.
const EACH: &str = "tasks.";

/// Who asks, and what may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The networks that are asked from an address; in their order.
    askers: BTreeMap<Ipv4Addr, Vec<NetworkId>>,
    /// Whom to ask in place of the host's name servers.
    others: BTreeMap<Ipv4Addr, Vec<IpAddr>>,
    /// Those on no network that leads out of the swarm: nothing of them leaves it, no question
    /// either.
    inward: BTreeSet<Ipv4Addr>,
    names: BTreeMap<NetworkId, BTreeMap<String, BTreeSet<Ipv4Addr>>>,
}

impl Names {
    /// A task of this node that may ask, from whichever of its addresses.
    pub fn add_asker(
        &mut self,
        addresses: &[(NetworkId, Ipv4Addr)],
        others: &[IpAddr],
        leads_out: bool,
    ) {
        let networks: Vec<_> = addresses.iter().map(|(network, _)| *network).collect();
        for (_, address) in addresses {
            self.askers.insert(*address, networks.clone());
            if !leads_out {
                self.inward.insert(*address);
            }
            if !others.is_empty() {
                self.others.insert(*address, others.to_vec());
            }
        }
    }

    /// The names of a service and its tasks.
    pub fn add_service(&mut self, service: &ServiceView) {
        for own in service.networks.iter().filter(|own| !own.network.ingress) {
            let names = self.names.entry(own.network.id).or_default();
            let mut add = |name: &str, address| {
                let name = name.to_ascii_lowercase();
                names.entry(name).or_default().insert(address);
            };
            for name in own.aliases.iter().chain([&service.name]) {
                own.address
                    .into_iter()
                    .for_each(|address| add(name, address));
            }
            for task in &service.tasks {
                let on_network = |(network, _): &&(NetworkId, Ipv4Addr)| *network == own.network.id;
                let Some((_, address)) = task.addresses.iter().find(on_network) else {
                    continue;
                };
                add(&task.name, *address);
                add(&format!("{}.{}", task.name, task.id), *address);
                for name in own.aliases.iter().chain([&service.name]) {
                    add(&format!("{EACH}{name}"), *address);
                    if own.address.is_none() {
                        add(name, *address);
                    }
                }
            }
        }
    }

    /// Whether an address is that of a task that may ask.
    pub fn knows(&self, asker: Ipv4Addr) -> bool {
        self.askers.contains_key(&asker)
    }

    /// Whether others may be asked for a task.
    pub fn leads_out(&self, asker: Ipv4Addr) -> bool {
        !self.inward.contains(&asker)
    }

    /// Whom to ask what the swarm does not know; `None` if it is the host's name servers.
    pub fn others(&self, asker: Ipv4Addr) -> Option<&[IpAddr]> {
        self.others.get(&asker).map(Vec::as_slice)
    }

    /// The addresses that a name has for whoever asks from an address; `None` if it has none, and
    /// others may be asked.
    pub fn find(&self, asker: Ipv4Addr, name: &str) -> Option<&BTreeSet<Ipv4Addr>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let networks = self.askers.get(&asker)?.iter();
        { networks }.find_map(|network| self.names.get(network)?.get(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{NodeId, ServiceId, TaskId};
    use crate::wire::reach::{NetworkView, ServiceNetwork, TaskView};

    const A: NetworkId = NetworkId(1);
    const B: NetworkId = NetworkId(2);

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn network(id: NetworkId, vip: Option<&str>, alias: &str) -> ServiceNetwork {
        ServiceNetwork {
            network: NetworkView {
                id,
                name: format!("n{}", id.0),
                subnet: format!("10.0.{}.0/24", id.0).parse().unwrap(),
                internal: false,
                ingress: false,
            },
            address: vip.map(address),
            aliases: vec![alias.into()],
        }
    }

    fn task(id: u128, name: &str, on_a: &str) -> TaskView {
        TaskView {
            id: TaskId(id),
            name: name.into(),
            node: NodeId(1),
            addresses: vec![(A, address(on_a))],
        }
    }

    fn names() -> Names {
        let mut names = Names::default();
        names.add_asker(
            &[(A, address("10.0.1.9")), (B, address("10.0.2.9"))],
            &[],
            true,
        );
        names.add_asker(&[(B, address("10.0.2.8"))], &[], false);
        names.add_service(&ServiceView {
            id: ServiceId(1),
            name: "Web".into(),
            networks: vec![network(A, Some("10.0.1.2"), "front")],
            ports: Vec::new(),
            tasks: vec![task(1, "Web.1", "10.0.1.3"), task(2, "Web.2", "10.0.1.4")],
        });
        names.add_service(&ServiceView {
            id: ServiceId(2),
            name: "db".into(),
            networks: vec![network(A, None, "store")],
            ports: Vec::new(),
            tasks: vec![task(3, "db.1", "10.0.1.5"), task(4, "db.2", "10.0.1.6")],
        });
        names
    }

    #[track_caller]
    fn check(asker: &str, name: &str, expected: &[&str]) {
        let names = names();
        let found = names.find(address(asker), name).into_iter().flatten();
        let found: Vec<_> = found.map(ToString::to_string).collect();
        assert_eq!(found, expected, "{name} from {asker}");
    }

    #[test]
    fn a_service_goes_by_its_name_and_aliases() {
        for name in ["web", "WEB", "web.", "front"] {
            check("10.0.1.9", name, &["10.0.1.2"]);
        }
        check("10.0.2.9", "web", &["10.0.1.2"]);
        check("10.0.1.9", "webb", &[]);
    }

    #[test]
    fn each_task_of_a_service_can_be_asked_for() {
        check("10.0.1.9", "tasks.web", &["10.0.1.3", "10.0.1.4"]);
        check("10.0.1.9", "tasks.front", &["10.0.1.3", "10.0.1.4"]);
        check("10.0.1.9", "web.2", &["10.0.1.4"]);
        check("10.0.1.9", &format!("web.2.{}", TaskId(2)), &["10.0.1.4"]);
    }

    #[test]
    fn a_service_without_a_virtual_address_goes_by_those_of_its_tasks() {
        for name in ["db", "tasks.db", "store"] {
            check("10.0.1.9", name, &["10.0.1.5", "10.0.1.6"]);
        }
    }

    #[test]
    fn whoever_is_not_on_the_network_finds_nothing() {
        check("10.0.2.8", "web", &[]);
        check("192.0.2.1", "web", &[]);
        assert!(names().knows(address("10.0.2.8")) && !names().knows(address("192.0.2.1")));
    }
}
