//! The tunnels between nodes: WireGuard, always encrypted. Packets of tasks that are on other nodes
//! are routed to one link, and leave this host as datagrams of one socket.
//!
//! ```text
//! task -> veth -> route 10.0.1.7/32 -> link -> hub -> socket -> UDP -> the other node
//! ```

pub mod key;
pub mod hub;
mod burst;
pub(super) mod device;
mod segments;
mod run;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::host::wait::{Beside, beside};
use crate::network::interface::{self, InterfaceError};
use crate::network::netlink::{NetlinkError, Socket, link};
use crate::network::peers::Peers;
use crate::network::tunnel::hub::{Heard, Hub};
use crate::network::tunnel::key::PrivateKey;
use crate::network::tunnel::run::{Carrier, Shared, carry};

/// What is told of a tunnel that is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The name of its link.
    pub link: &'a str,
    pub key: &'a PrivateKey,
    pub port: u16,
    /// The longest packet that it takes.
    pub mtu: u32,
}

/// Why nothing leads to the tasks of other nodes. Users see this.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("cannot make link {link}: {source}")]
    Link { link: String, source: io::Error },
    #[error("cannot listen at UDP port {port}: {source}")]
    Port { port: u16, source: io::Error },
    #[error("cannot start a thread for it: {0}")]
    Thread(#[source] io::Error),
    #[error("cannot {what} link {link}: {source}")]
    Netlink {
        what: &'static str,
        link: String,
        source: NetlinkError,
    },
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}

/// An open tunnel: to as many nodes as there are peers. It is gone when it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    /// The index of its link.
    pub link: u32,
    pub port: u16,
    pub mtu: u32,
    name: String,
    shared: Arc<Shared>,
    thread: Option<Beside>,
}

impl Tunnel {
    /// Opens a tunnel in the network namespace of this thread, with no peers.
    pub fn open(plan: Plan<'_>) -> Result<Self, TunnelError> {
        let Plan { port, .. } = plan;
        let name = plan.link;
        let socket = device::socket(port).map_err(|source| TunnelError::Port { port, source })?;
        let file = device::link(name).map_err(|source| TunnelError::Link {
            link: name.to_owned(),
            source,
        })?;
        let link = set_up(name, plan.mtu)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let shared = Arc::new(Shared {
            hub: Mutex::new(Hub::new(plan.key)),
            bell: bell.map_err(|error| TunnelError::Thread(error.into()))?,
            stopping: AtomicBool::new(false),
        });
        let carrier = Carrier { link: file, socket };
        let own = shared.clone();
        let thread = beside("tunnel", move || carry(&carrier, &own));
        Ok(Self {
            link,
            port,
            mtu: plan.mtu,
            name: name.to_owned(),
            shared,
            thread: Some(thread.map_err(TunnelError::Thread)?),
        })
    }

    /// From now on these are the peers.
    pub fn set_peers(&self, peers: &Peers) {
        let hub = self.shared.hub.lock();
        hub.unwrap_or_else(PoisonError::into_inner).set_peers(peers);
        self.shared.ring();
    }

    /// From now on this is the longest packet that it takes.
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), TunnelError> {
        let set = |mut socket: Socket| link::set_mtu(&mut socket, self.link, mtu);
        let set = Socket::route().and_then(set);
        set.map_err(failed("set the longest packet of", &self.name))?;
        self.mtu = mtu;
        Ok(())
    }

    /// Asks every peer for a sign of life: see [`Self::heard`] some seconds later.
    pub fn knock(&self) {
        let hub = self.shared.hub.lock();
        hub.unwrap_or_else(PoisonError::into_inner).knock();
        self.shared.ring();
    }

    /// Where each peer is, and how long ago it and this node last agreed on keys.
    pub fn heard(&self) -> Vec<Heard> {
        let hub = self.shared.hub.lock();
        hub.unwrap_or_else(PoisonError::into_inner).heard()
    }

    /// Whether it carries packets still.
    pub fn is_open(&self) -> bool {
        self.thread.as_ref().is_some_and(Beside::goes_on)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

fn set_up(name: &str, mtu: u32) -> Result<u32, TunnelError> {
    let failed = |what| failed(what, name);
    let mut socket = Socket::route().map_err(failed("find"))?;
    interface::open_to_loopback(name)?;
    let found = link::find(&mut socket, name).map_err(failed("find"))?;
    let found = found.ok_or_else(|| InterfaceError::Vanished(name.to_owned()))?;
    link::set_mtu(&mut socket, found.index, mtu).map_err(failed("set the longest packet of"))?;
    link::set_up(&mut socket, found.index).map_err(failed("bring up"))?;
    Ok(found.index)
}

fn failed(what: &'static str, link: &str) -> impl FnOnce(NetlinkError) -> TunnelError {
    let link = link.to_owned();
    move |source| TunnelError::Netlink { what, link, source }
}
