//! Whether this kernel has what networks are made from: each is made once, in a namespace of its
//! own that goes with it, and nothing of it stays.

use std::io;
use std::os::fd::AsFd;

use crate::model::address::Subnet;
use crate::model::spec::service::Protocol;
use crate::network::namespace::Namespace;
use crate::network::netlink::link::{Pair, add_pair};
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::rules::{NetworkRules, Rules, Targets};
use crate::network::tunnel::device;

/// What is missing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("cannot make a network namespace: {0}")]
    Namespace(#[from] io::Error),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Pairs of links, which tasks have their networks by.
pub fn pairs() -> Result<(), ProbeError> {
    let (here, there) = (Namespace::create()?, Namespace::create()?);
    let peer_namespace = there.as_fd();
    let made = here.within(|| {
        let pair = Pair {
            name: "a",
            mac: [2, 0, 0, 0, 0, 1],
            peer: "b",
            peer_mac: [2, 0, 0, 0, 0, 2],
            peer_namespace,
            mtu: 1_280,
        };
        add_pair(&mut Socket::route()?, pair)
    });
    Ok(made??)
}

/// Packet rules of every kind that a node with networks has.
pub fn rules() -> Result<(), ProbeError> {
    let made = Namespace::create()?.within(|| {
        let batch = sample().batch().map_err(NetlinkError::from)?;
        Socket::netfilter()?.commit(&batch)
    });
    Ok(made??)
}

/// The device that tunnels to other nodes go by.
pub fn tunnels() -> Result<(), ProbeError> {
    let made = Namespace::create()?.within(|| device::link("skepprobe"));
    Ok(made?.map(drop)?)
}

/// One of everything.
fn sample() -> Rules {
    let subnet = Subnet::containing([10, 0, 0, 0].into(), 24);
    let task = [10, 0, 0, 2].into();
    let ingress = NetworkRules {
        ingress: true,
        internal: false,
    };
    let targets = Targets {
        port: 80,
        addresses: vec![task],
    };
    Rules {
        table: "skep-probe".into(),
        prefix: "sk".into(),
        router: Some([169, 254, 1, 1].into()),
        tunnel: "wgsk".into(),
        address: Some([10, 0, 0, 1].into()),
        nodes: [[10, 0, 0, 9].into()].into(),
        links: [("sk0".into(), task)].into(),
        itself: [(task, task)].into(),
        networks: [(subnet, ingress)].into(),
        services: [([10, 0, 0, 3].into(), vec![task])].into(),
        ports: [((Protocol::Tcp, 80), targets)].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_them_or_says_why_not() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root may make network namespaces");
            return;
        }
        for (what, made) in [
            ("pairs", pairs()),
            ("rules", rules()),
            ("tunnels", tunnels()),
        ] {
            if let Err(error) = made {
                // The tests of networks would fail as well.
                assert!(!error.to_string().is_empty(), "{what}");
                eprintln!("skipped: no {what} here: {error}");
            }
        }
        let links = crate::network::netlink::link::all(&mut Socket::route().unwrap()).unwrap();
        assert!(links.iter().all(|link| link.name != "skepprobe"));
    }
}
