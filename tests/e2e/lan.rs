//! A network of its own for a test: hosts as network namespaces on one bridge.

use std::process::{Command, Stdio};

use crate::tools;

/// A bridge in a namespace of its own, and the namespaces of its hosts. It ends with the test.
#[derive(Debug)]
pub struct Lan {
    name: String,
    hosts: usize,
}

/// A host's place in a [`Lan`].
#[derive(Clone, Debug)]
pub struct Seat {
    pub namespace: String,
    pub hostname: String,
    pub address: String,
}

impl Lan {
    /// Makes the network; `None`, with the reason said, where that is not possible.
    pub fn make(test: &str, hosts: usize) -> Option<Self> {
        if !tools::iproute() {
            tools::skipped("there is no \"ip\", and it could not be installed");
            return None;
        }
        let name = format!("{test}{}", std::process::id());
        let lan = Self { name, hosts };
        let bridge = &lan.name;
        ip(&format!("netns add {bridge}"));
        ip(&format!("-n {bridge} link add br0 type bridge"));
        ip(&format!("-n {bridge} link set br0 up"));
        for number in 0..hosts {
            let Seat {
                namespace, address, ..
            } = lan.seat(number);
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!(
                "-n {bridge} link add h{number} type veth peer name eth0 netns {namespace}"
            ));
            ip(&format!("-n {bridge} link set h{number} master br0 up"));
            ip(&format!("-n {namespace} addr add {address}/24 dev eth0"));
            ip(&format!("-n {namespace} link set eth0 up"));
            // Nobody is there, but a host has a way out.
            ip(&format!("-n {namespace} route add default via 10.77.0.254"));
        }
        Some(lan)
    }

    pub fn seat(&self, number: usize) -> Seat {
        Seat {
            namespace: format!("{}-{number}", self.name),
            hostname: format!("host{number}"),
            address: format!("10.77.0.{}", number + 1),
        }
    }

    /// Makes the cable of a host one that loses longer packets than these, and says nothing.
    pub fn narrow(&self, number: usize, mtu: u32) {
        let (switch, host) = (&self.name, self.seat(number).namespace);
        ip(&format!("-n {switch} link set h{number} mtu {mtu}"));
        ip(&format!("-n {host} link set eth0 mtu {mtu}"));
    }

    /// The namespace of the switch that joins the hosts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives a host an address, or takes it away.
    pub fn address(&self, number: usize, address: &str, is_its: bool) {
        let verb = if is_its { "add" } else { "del" };
        let namespace = self.seat(number).namespace;
        ip(&format!("-n {namespace} addr {verb} {address}/24 dev eth0"));
        if !is_its {
            // The way out went with the last address.
            let route = format!("-n {namespace} route replace default via 10.77.0.254 dev eth0");
            let _ = command(&route).stderr(Stdio::null()).status();
        }
    }

    /// Gives a host another address in the place of its own.
    pub fn renumber(&self, number: usize, address: &str) {
        let Seat {
            namespace,
            address: old,
            ..
        } = self.seat(number);
        ip(&format!("-n {namespace} addr del {old}/24 dev eth0"));
        ip(&format!("-n {namespace} addr add {address}/24 dev eth0"));
        ip(&format!(
            "-n {namespace} route replace default via 10.77.0.254"
        ));
    }

    /// Lets a host ask anew who has which address, as an announcement would.
    pub fn forget_neighbours(&self, number: usize) {
        let namespace = self.seat(number).namespace;
        ip(&format!("-n {namespace} neigh flush dev eth0"));
    }

    /// Takes a host's cable out, or puts it in again.
    pub fn plug(&self, number: usize, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        ip(&format!("-n {} link set h{number} {state}", self.name));
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|number| self.seat(number).namespace);
        for namespace in hosts.chain([self.name.clone()]) {
            let _ = command(&format!("netns del {namespace}")).status();
        }
    }
}

#[track_caller]
fn ip(arguments: &str) {
    let status = command(arguments).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}: {status}");
}

fn command(arguments: &str) -> Command {
    let mut command = Command::new("ip");
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null());
    command
}
