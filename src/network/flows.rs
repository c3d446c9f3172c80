//! Flows of UDP have no end, and the kernel keeps each on its way for as long as it goes on. So
//! those that the rules would send elsewhere are forgotten when the rules change: their next
//! datagram goes to a task that is there.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::spec::service::Protocol;
use crate::network::netlink::connections::{self, Flow};
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::rules::Rules;

/// What changes for flows when rules take the place of others.
#[derive(Debug)]
pub struct Change<'a> {
    now: &'a Rules,
    /// Virtual addresses and ports that lead somewhere since now.
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<u16>,
}

impl<'a> Change<'a> {
    /// `None` if no flow is touched.
    pub fn between(before: Option<&Rules>, now: &'a Rules) -> Option<Self> {
        static NONE: Rules = Rules::none();
        let is_same = |before: &Rules| before.services == now.services && before.ports == now.ports;
        let before = before.unwrap_or(&NONE);
        if is_same(before) {
            return None;
        }
        let leads = |rules: &Rules| -> (BTreeSet<Ipv4Addr>, BTreeSet<u16>) {
            let addresses = rules.services.iter().filter(|(_, tasks)| !tasks.is_empty());
            let ports = rules.ports.iter().filter(|((protocol, _), targets)| {
                *protocol == Protocol::Udp && !targets.addresses.is_empty()
            });
            (
                addresses.map(|(address, _)| *address).collect(),
                ports.map(|((_, port), _)| *port).collect(),
            )
        };
        let (old, new) = (leads(before), leads(now));
        Some(Self {
            now,
            addresses: &new.0 - &old.0,
            ports: &new.1 - &old.1,
        })
    }

    /// Whether the rules would send the flow elsewhere.
    fn moves(&self, flow: &Flow) -> bool {
        let to = *flow.to.ip();
        if flow.answers == to {
            // Nobody has taken it so far.
            return self.addresses.contains(&to) || self.ports.contains(&flow.to.port());
        }
        let mut networks = self.now.networks.keys();
        if !networks.any(|subnet| subnet.contains(flow.answers)) {
            return false;
        }
        let tasks = self.now.services.get(&to).or_else(|| {
            let port = self.now.ports.get(&(Protocol::Udp, flow.to.port()));
            port.map(|targets| &targets.addresses)
        });
        tasks.is_none_or(|tasks| !tasks.contains(&flow.answers))
    }

    /// Forgets the flows that are to move.
    pub fn apply(&self) -> Result<(), NetlinkError> {
        let mut socket = Socket::netfilter()?;
        for flow in connections::flows(&mut socket)? {
            if self.moves(&flow) {
                connections::forget(&mut socket, &flow)?;
            }
        }
        Ok(())
    }
}
