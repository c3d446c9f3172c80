//! The ways to tasks of other nodes: the tunnel while there are peers, and a route to it for each
//! of their addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::network::interface;
use crate::network::netlink::link::{self, MAIN_TABLE, Route};
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::peers::Peers;
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
    /// What is routed to it.
    routed: BTreeSet<Ipv4Addr>,
}

impl Ways {
    /// Opens the tunnel of this name if there are peers, or closes it, and routes to it what the
    /// peers have; never what tasks have that are `here`.
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
        let plan = Plan {
            link: name,
            key: &settings.key,
            port,
            mtu: interface::MTU,
        };
        let is_good = |tunnel: &&mut Tunnel| tunnel.port == port && tunnel.is_open();
        if self.tunnel.as_mut().filter(is_good).is_none() {
            *self = Self::default();
        }
        let tunnel = match &self.tunnel {
            Some(tunnel) => tunnel,
            None => self.tunnel.insert(Tunnel::open(plan)?),
        };
        if self.known != *peers {
            tunnel.set_peers(peers);
            self.known = peers.clone();
        }
        let wanted: BTreeSet<_> = &peers.addresses() - here;
        route(&mut self.routed, tunnel.link, wanted)
    }
}

/// Makes `routed` what is wanted.
fn route(
    routed: &mut BTreeSet<Ipv4Addr>,
    link: u32,
    wanted: BTreeSet<Ipv4Addr>,
) -> Result<(), WayError> {
    if *routed == wanted {
        return Ok(());
    }
    let failed = |what| move |source| WayError::Netlink { what, source };
    let way = |address| Route {
        to: Subnet::containing(address, 32),
        link,
        via: None,
        source: None,
        table: MAIN_TABLE,
    };
    let mut host = Socket::route().map_err(failed("set routes"))?;
    for gone in &*routed - &wanted {
        match link::remove_route(&mut host, way(gone)) {
            // A task that is here now took its place.
            Err(error) if error.is_gone() => {}
            removed => removed.map_err(failed("remove a route"))?,
        }
        routed.remove(&gone);
    }
    for new in wanted {
        if !routed.contains(&new) {
            link::add_route(&mut host, way(new)).map_err(failed("add a route"))?;
            routed.insert(new);
        }
    }
    Ok(())
}
