//! The ways to tasks of other nodes: the tunnel while there are peers, and a route to it for each
//! of their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::network::netlink::link::{self, MAIN_TABLE, Route};
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::path;
use crate::network::peers::{Peers, addresses};
use crate::network::tunnel::key::PrivateKey;
use crate::network::tunnel::{Plan, Tunnel, TunnelError};

/// What this node's end of the tunnels is made from.
#[derive(Clone, Debug)]
pub struct TunnelSettings {
    pub key: PrivateKey,
    /// The UDP port, if it is not the swarm's.
    pub port: Option<u16>,
}

/// Why tasks of other nodes cannot be reached. Users see this.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    #[error("cannot {what}: {source}")]
    Netlink {
        what: &'static str,
        source: NetlinkError,
    },
}

/// What is there of the ways.
#[derive(Debug, Default)]
pub struct Ways {
    tunnel: Option<Tunnel>,
    /// The peers that the tunnel knows.
    known: Peers,
    /// What is routed to it, with the longest packet where that is not the link's.
    routed: BTreeMap<Ipv4Addr, Option<u32>>,
}

impl Ways {
    /// Whether anything leads to other nodes.
    pub fn is_open(&self) -> bool {
        self.tunnel.is_some()
    }

    pub fn tunnel(&self) -> Option<&Tunnel> {
        self.tunnel.as_ref()
    }

    /// The longest packet that other nodes are sent; of those that are not known yet, too.
    pub fn mtu(&self) -> u32 {
        let tunnel = self.tunnel.as_ref();
        tunnel.map_or_else(path::mtu_elsewhere, |tunnel| tunnel.mtu)
    }

    /// Opens the tunnel of this name if there are peers, or closes it, and routes to it what the
    /// peers have; never what tasks have that are `here`. Packets are as long as the way to each
    /// peer lets them be at the moment.
    pub fn follow(
        &mut self,
        name: &str,
        settings: &TunnelSettings,
        peers: &Peers,
        here: &BTreeSet<Ipv4Addr>,
    ) -> Result<(), WayError> {
        let Some(own) = peers.own().filter(|_| !peers.is_empty()) else {
            // Its link goes with it, and the routes with the link.
            *self = Self::default();
            return Ok(());
        };
        let port = settings.port.unwrap_or(own.port);
        let mtus = peers.iter().map(|peer| path::mtu(peer.endpoint.ip()));
        let mtus: Vec<_> = mtus.collect();
        let mtu = mtus.iter().copied().max().unwrap_or_default();
        let plan = Plan {
            link: name,
            key: &settings.key,
            port,
            mtu,
        };
        let is_good = |tunnel: &&mut Tunnel| tunnel.port == port && tunnel.is_open();
        if self.tunnel.as_mut().filter(is_good).is_none() {
            *self = Self::default();
        }
        let tunnel = match &mut self.tunnel {
            Some(tunnel) => tunnel,
            None => self.tunnel.insert(Tunnel::open(plan)?),
        };
        if tunnel.mtu != mtu {
            tunnel.set_mtu(mtu)?;
        }
        if self.known != *peers {
            tunnel.set_peers(peers);
            self.known = peers.clone();
        }
        let own = peers.iter().zip(mtus);
        let wanted = own.flat_map(|(peer, own)| {
            let own = Some(own).filter(|own| *own < mtu);
            addresses(peer).map(move |address| (address, own))
        });
        let wanted = wanted
            .filter(|(address, _)| !here.contains(address))
            .collect();
        route(&mut self.routed, tunnel.link, wanted)
    }
}

/// Makes `routed` what is wanted.
fn route(
    routed: &mut BTreeMap<Ipv4Addr, Option<u32>>,
    link: u32,
    wanted: BTreeMap<Ipv4Addr, Option<u32>>,
) -> Result<(), WayError> {
    if *routed == wanted {
        return Ok(());
    }
    let failed = |what| move |source| WayError::Netlink { what, source };
    let way = |address, mtu| Route {
        to: Subnet::containing(address, 32),
        link,
        via: None,
        source: None,
        mtu,
        table: MAIN_TABLE,
    };
    let mut host = Socket::route().map_err(failed("set routes"))?;
    let gone = routed
        .keys()
        .filter(|address| !wanted.contains_key(address));
    for gone in gone.copied().collect::<Vec<_>>() {
        match link::remove_route(&mut host, way(gone, None)) {
            // A task that is here now took its place.
            Err(error) if error.is_gone() => {}
            removed => removed.map_err(failed("remove a route"))?,
        }
        routed.remove(&gone);
    }
    for (new, mtu) in wanted {
        if routed.get(&new) != Some(&mtu) {
            link::add_route(&mut host, way(new, mtu)).map_err(failed("add a route"))?;
            routed.insert(new, mtu);
        }
    }
    Ok(())
}
