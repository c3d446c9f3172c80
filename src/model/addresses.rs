//! Which addresses of each network are taken, kept up to date as nodes, services and tasks come
//! and go.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::id::NetworkId;
use crate::model::object::{Node, Service, Task};

/// The addresses that nodes, services and tasks have.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses(BTreeSet<(NetworkId, Ipv4Addr)>);

impl Addresses {
    pub fn is_taken(&self, network: NetworkId, address: Ipv4Addr) -> bool {
        self.0.contains(&(network, address))
    }

    pub fn add_node(&mut self, node: &Node) {
        self.0.extend(node.ingress);
    }

    pub fn remove_node(&mut self, node: &Node) {
        self.remove(node.ingress.as_slice());
    }

    pub fn add_service(&mut self, service: &Service) {
        self.0.extend(&service.endpoint.addresses);
    }

    pub fn remove_service(&mut self, service: &Service) {
        self.remove(&service.endpoint.addresses);
    }

    /// A task keeps its addresses as long as something of it may run.
    pub fn add_task(&mut self, task: &Task) {
        if !task.status.state.is_terminal() {
            self.0.extend(&task.addresses);
        }
    }

    pub fn remove_task(&mut self, task: &Task) {
        if !task.status.state.is_terminal() {
            self.remove(&task.addresses);
        }
    }

    fn remove(&mut self, addresses: &[(NetworkId, Ipv4Addr)]) {
        for address in addresses {
            self.0.remove(address);
        }
    }
}
