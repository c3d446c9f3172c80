//! A task's interfaces: one for each of its networks, all that leaves them goes by this host.
//!
//! ```text
//!  task                                    host
//!  eth0  10.0.1.7/32  ---- veth ----  sk1a2b…   (no address)
//!    10.0.1.0/24 via ROUTER               10.0.1.7 dev sk1a2b…
//!    default     via ROUTER
//! ```
//!
//! The router's address is on the link by decree: neither side ever asks for a neighbour, so a
//! host without a default route works too. A task with several networks has a routing table for
//! each, so that answers leave by the interface that they were asked at.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use crate::model::address::Subnet;
use crate::network::namespace::Namespace;
use crate::network::netlink::link::{self, MAIN_TABLE, Mac, Pair, Route, Scope};
use crate::network::netlink::{NetlinkError, Socket};

/// What every host's end of an interface has: no two ends are on one link.
const HOST_MAC: Mac = [0x02, 0x53, 0x4b, 0x45, 0x50, 0x01];

/// Where the tables of a task's interfaces begin.
const TABLE_FIRST: u32 = 100;

/// One interface of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The host's end.
    pub link: String,
    pub address: Ipv4Addr,
    pub subnet: Subnet,
    /// Whether it leads out of its network.
    pub leads_out: bool,
}

/// Why a task's interfaces could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error("cannot {what} {on}: {source}")]
    Netlink {
        what: &'static str,
        on: String,
        source: NetlinkError,
    },
    #[error("cannot set {path}: {source}")]
    Setting { path: String, source: io::Error },
    #[error("cannot make a network namespace: {0}")]
    Namespace(#[source] io::Error),
    #[error("link {0} has gone as soon as it was made")]
    Vanished(String),
}

/// Makes the interfaces of a task in its namespace, and their ends on this host; `mtu` is the
/// longest packet that they take.
pub fn set_up(
    host: &mut Socket,
    namespace: &Namespace,
    interfaces: &[Interface],
    router: Ipv4Addr,
    mtu: u32,
) -> Result<(), InterfaceError> {
    for (number, interface) in interfaces.iter().enumerate() {
        join(host, namespace, interface, inside(number), mtu)?;
        connect(host, interface, router)?;
    }
    let inside = namespace.within(|| set_up_inside(interfaces, router));
    inside.map_err(InterfaceError::Namespace)?
}

/// Removes the host's ends, and with them the task's.
pub fn remove(host: &mut Socket, interfaces: &[Interface]) -> Result<(), InterfaceError> {
    let links = link::all(host).map_err(failed("list", "links"))?;
    let names = |link: &&link::Link| interfaces.iter().any(|own| own.link == link.name);
    for link in links.iter().filter(names) {
        remove_link(host, link)?;
    }
    Ok(())
}

/// Removes a link; one that is gone is fine.
pub fn remove_link(host: &mut Socket, link: &link::Link) -> Result<(), InterfaceError> {
    match link::remove(host, link.index) {
        Err(error) if error.is_gone() => Ok(()),
        removed => removed.map_err(failed("remove link", &link.name)),
    }
}

/// Lets this host pass packets on, and gives it the address that its tasks know it by.
pub fn open_host(host: &mut Socket, router: Ipv4Addr) -> Result<(), InterfaceError> {
    set("ipv4/ip_forward", "1")?;
    let lo = index(host, "lo")?;
    link::set_up(host, lo).map_err(failed("bring up link", "lo"))?;
    let added = link::add_address(host, lo, router, Scope::Host);
    added.map_err(failed("give an address to", "lo"))
}

/// Takes the address back; what was passed on for others still is.
pub fn close_host(host: &mut Socket, router: Ipv4Addr) -> Result<(), InterfaceError> {
    let lo = index(host, "lo")?;
    match link::remove_address(host, lo, router) {
        Err(error) if error.is_gone() => Ok(()),
        removed => removed.map_err(failed("take an address from", "lo")),
    }
}

/// Makes the pair.
fn join(
    host: &mut Socket,
    namespace: &Namespace,
    interface: &Interface,
    inside: String,
    mtu: u32,
) -> Result<(), InterfaceError> {
    let pair = Pair {
        name: &interface.link,
        mac: HOST_MAC,
        peer: &inside,
        peer_mac: mac(interface.address),
        peer_namespace: namespace.as_fd(),
        mtu,
    };
    link::add_pair(host, pair).map_err(failed("make link", &interface.link))
}

/// The host's end: up, and the way to the task's address.
fn connect(
    host: &mut Socket,
    interface: &Interface,
    router: Ipv4Addr,
) -> Result<(), InterfaceError> {
    let name = interface.link.as_str();
    let failed = |what| failed(what, name);
    open_to_loopback(name)?;
    let link = index(host, name)?;
    link::set_up(host, link).map_err(failed("bring up link"))?;
    let route = Route {
        to: Subnet::containing(interface.address, 32),
        link,
        via: None,
        source: Some(router),
        mtu: None,
        table: MAIN_TABLE,
    };
    link::add_route(host, route).map_err(failed("add a route to link"))?;
    let mac = mac(interface.address);
    let neighbour = link::add_neighbour(host, link, interface.address, mac);
    neighbour.map_err(failed("add a neighbour to link"))
}

/// Lets a link of this host pass on what comes by it, and take part in what this host itself says
/// to published ports.
pub fn open_to_loopback(name: &str) -> Result<(), InterfaceError> {
    // A host without IPv6 has no such setting, and needs none.
    let quiet = set(&format!("ipv6/conf/{name}/disable_ipv6"), "1");
    quiet.or_else(ignore_missing)?;
    // What comes from this host's own loopback address leads to published ports.
    set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    set(&format!("ipv4/conf/{name}/forwarding"), "1")
}

/// The task's side, from within its namespace.
fn set_up_inside(interfaces: &[Interface], router: Ipv4Addr) -> Result<(), InterfaceError> {
    let mut socket = Socket::route().map_err(failed("open", "a socket"))?;
    let lo = index(&mut socket, "lo")?;
    link::set_up(&mut socket, lo).map_err(failed("bring up link", "lo"))?;
    // What comes back to where it was sent from is meant to.
    set("ipv4/conf/all/accept_redirects", "0")?;
    let way_out = interfaces.iter().position(|interface| interface.leads_out);
    for (number, interface) in interfaces.iter().enumerate() {
        let name = inside(number);
        let failed = |what| failed(what, &name);
        set(&format!("ipv4/conf/{name}/accept_redirects"), "0")?;
        let quiet = set(&format!("ipv6/conf/{name}/disable_ipv6"), "1");
        quiet.or_else(ignore_missing)?;
        let link = index(&mut socket, &name)?;
        let address = interface.address;
        let added = link::add_address(&mut socket, link, address, Scope::Everywhere);
        added.map_err(failed("give an address to"))?;
        link::set_up(&mut socket, link).map_err(failed("bring up link"))?;
        let neighbour = link::add_neighbour(&mut socket, link, router, HOST_MAC);
        neighbour.map_err(failed("add a neighbour to"))?;
        let own_table = (TABLE_FIRST..).nth(number).filter(|_| interfaces.len() > 1);
        let everything = Subnet::containing(Ipv4Addr::UNSPECIFIED, 0);
        let mut ways = vec![(interface.subnet, MAIN_TABLE)];
        ways.extend((way_out == Some(number)).then_some((everything, MAIN_TABLE)));
        ways.extend(own_table.map(|table| (everything, table)));
        if number == 0 {
            // Names are asked of the router, also by those who reach nothing else.
            ways.push((Subnet::containing(router, 32), MAIN_TABLE));
        }
        for (to, table) in ways {
            let route = Route {
                to,
                link,
                via: Some(router).filter(|router| to.first() != *router || to.bits() < 32),
                source: Some(address),
                mtu: None,
                table,
            };
            link::add_route(&mut socket, route).map_err(failed("add a route to"))?;
        }
        if let Some(table) = own_table {
            let rule = link::add_rule(&mut socket, address, table, table);
            rule.map_err(failed("add a rule for"))?;
        }
    }
    Ok(())
}

/// The name of a task's interface.
pub fn inside(number: usize) -> String {
    format!("eth{number}")
}

/// Docker's way to make a hardware address of one of its network.
fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

fn index(socket: &mut Socket, name: &str) -> Result<u32, InterfaceError> {
    let link = link::find(socket, name).map_err(failed("find link", name))?;
    let link = link.ok_or_else(|| InterfaceError::Vanished(name.to_owned()))?;
    Ok(link.index)
}

/// Changes a setting of the network namespace that the thread is in.
pub fn set(name: &str, value: &str) -> Result<(), InterfaceError> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).map_err(|source| InterfaceError::Setting { path, source })
}

fn ignore_missing(error: InterfaceError) -> Result<(), InterfaceError> {
    match error {
        InterfaceError::Setting { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        error => Err(error),
    }
}

fn failed(what: &'static str, on: &str) -> impl FnOnce(NetlinkError) -> InterfaceError {
    let on = on.to_owned();
    move |source| InterfaceError::Netlink { what, on, source }
}
