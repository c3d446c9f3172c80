//! Links, their addresses, and the ways packets take.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{
    AF_INET, AF_UNSPEC, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_MTU, IFLA_NET_NS_FD,
    NDA_DST, NDA_LLADDR, NUD_PERMANENT, RTA_DST, RTA_GATEWAY, RTA_METRICS, RTA_OIF, RTA_PREFSRC,
    RTA_TABLE, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR,
    RTM_NEWLINK, RTM_NEWNEIGH, RTM_NEWROUTE, RTM_NEWRULE, RTN_UNICAST, RTPROT_STATIC,
};

use crate::model::address::Subnet;
use crate::network::netlink::message::{
    CREATE, EXCLUSIVE, Message, REPLACE, Received, number, text,
};
use crate::network::netlink::{NetlinkError, Socket};

/// Attributes that libc has no names for.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const RULE_SOURCE: u16 = 2;
const RULE_PRIORITY: u16 = 6;
const RULE_TABLE: u16 = 15;
const TO_TABLE: u8 = 1;
const ON_LINK: u32 = 4;
const METRIC_MTU: u16 = 2;

const LINK_HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;

/// The table that packets without a rule of their own go by.
pub const MAIN_TABLE: u32 = 254;

/// A link's hardware address.
pub type Mac = [u8; 6];

/// A link of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
}

/// A pair of links: what goes in at one comes out at the other.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub name: &'a str,
    pub mac: Mac,
    /// The other end, in another namespace.
    pub peer: &'a str,
    pub peer_mac: Mac,
    pub peer_namespace: BorrowedFd<'a>,
    pub mtu: u32,
}

/// A way to a subnet.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub to: Subnet,
    pub link: u32,
    /// On the link whatever its addresses are.
    pub via: Option<Ipv4Addr>,
    /// The address that own packets get.
    pub source: Option<Ipv4Addr>,
    /// The longest packet, if it is not that of the link.
    pub mtu: Option<u32>,
    pub table: u32,
}

/// Makes a pair of links; neither is up.
pub fn add_pair(socket: &mut Socket, pair: Pair<'_>) -> Result<(), NetlinkError> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCLUSIVE, &link_header(0, 0, 0));
    message
        .text(IFLA_IFNAME, pair.name)
        .attr(IFLA_ADDRESS, &pair.mac)
        .number(IFLA_MTU, pair.mtu)
        .nest(IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
                data.nest(VETH_PEER, |peer| {
                    peer.raw(&link_header(0, 0, 0))
                        .text(IFLA_IFNAME, pair.peer)
                        .attr(IFLA_ADDRESS, &pair.peer_mac)
                        .number(IFLA_MTU, pair.mtu)
                        .number(
                            IFLA_NET_NS_FD,
                            pair.peer_namespace.as_raw_fd().cast_unsigned(),
                        );
                });
            });
        });
    socket.act(message)
}

/// The link of a name; `None` if there is none.
pub fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = Message::new(RTM_GETLINK, 0, &link_header(0, 0, 0));
    message.text(IFLA_IFNAME, name);
    match socket.get(message, read_link) {
        Err(error) if error.is_gone() => Ok(None),
        found => found.map(Some),
    }
}

/// Every link of the namespace.
pub fn all(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let message = Message::new(RTM_GETLINK, 0, &link_header(0, 0, 0));
    socket.list(&message, read_link)
}

fn read_link(received: &Received<'_>) -> Option<Link> {
    let (header, attributes) = received.split(LINK_HEADER)?;
    let name = attributes.find(IFLA_IFNAME).and_then(text)?;
    Some(Link {
        index: number(header.get(4..8)?)?,
        name: name.to_owned(),
    })
}

pub fn set_up(socket: &mut Socket, link: u32) -> Result<(), NetlinkError> {
    let up = IFF_UP.cast_unsigned();
    socket.act(Message::new(RTM_NEWLINK, 0, &link_header(link, up, up)))
}

/// Says how long the longest packet of a link is.
pub fn set_mtu(socket: &mut Socket, link: u32, mtu: u32) -> Result<(), NetlinkError> {
    let mut message = Message::new(RTM_NEWLINK, 0, &link_header(link, 0, 0));
    message.number(IFLA_MTU, mtu);
    socket.act(message)
}

/// Removes a link, and the other end if it is one of a pair.
pub fn remove(socket: &mut Socket, link: u32) -> Result<(), NetlinkError> {
    socket.act(Message::new(RTM_DELLINK, 0, &link_header(link, 0, 0)))
}

/// How far an address is known: everywhere, or on this host only. Only the former is chosen as
/// the source of what is sent without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere = 0,
    Host = 254,
}

/// Gives a link an address, and no way to others.
pub fn add_address(
    socket: &mut Socket,
    link: u32,
    address: Ipv4Addr,
    scope: Scope,
) -> Result<(), NetlinkError> {
    socket.act(address_message(
        RTM_NEWADDR,
        CREATE | REPLACE,
        link,
        address,
        scope,
    ))
}

/// Takes an address from a link.
pub fn remove_address(
    socket: &mut Socket,
    link: u32,
    address: Ipv4Addr,
) -> Result<(), NetlinkError> {
    socket.act(address_message(RTM_DELADDR, 0, link, address, Scope::Host))
}

fn address_message(kind: u16, flags: u16, link: u32, address: Ipv4Addr, scope: Scope) -> Message {
    const ALL_BITS: u8 = 32;
    let mut header = [family(AF_INET), ALL_BITS, 0, scope as u8, 0, 0, 0, 0];
    header[4..].copy_from_slice(&link.to_ne_bytes());
    let mut message = Message::new(kind, flags, &header);
    message
        .attr(LOCAL, &address.octets())
        .attr(ADDRESS, &address.octets());
    message
}

/// Adds a route, in place of one to the same subnet.
pub fn add_route(socket: &mut Socket, route: Route) -> Result<(), NetlinkError> {
    socket.act(route_message(RTM_NEWROUTE, CREATE | REPLACE, route))
}

/// Removes a route; one to the same subnet by another link stays.
pub fn remove_route(socket: &mut Socket, route: Route) -> Result<(), NetlinkError> {
    socket.act(route_message(RTM_DELROUTE, 0, route))
}

fn route_message(kind: u16, flags: u16, route: Route) -> Message {
    const SCOPE_LINK: u8 = 253;
    let scope = if route.via.is_some() { 0 } else { SCOPE_LINK };
    let protocol = RTPROT_STATIC;
    let mut header = [0; ROUTE_HEADER];
    header[..8].copy_from_slice(&[
        family(AF_INET),
        route.to.bits(),
        0,
        0,
        0,
        protocol,
        scope,
        RTN_UNICAST,
    ]);
    if route.via.is_some() {
        header[8..].copy_from_slice(&ON_LINK.to_ne_bytes());
    }
    let mut message = Message::new(kind, flags, &header);
    message
        .attr(RTA_DST, &route.to.first().octets())
        .number(RTA_OIF, route.link)
        .number(RTA_TABLE, route.table);
    if let Some(via) = route.via {
        message.attr(RTA_GATEWAY, &via.octets());
    }
    if let Some(source) = route.source {
        message.attr(RTA_PREFSRC, &source.octets());
    }
    if let Some(mtu) = route.mtu {
        message.nest(RTA_METRICS, |metrics| {
            metrics.number(METRIC_MTU, mtu);
        });
    }
    message
}

/// The subnets that the main table has routes to, each with its link; the default route is none.
pub fn routes(socket: &mut Socket) -> Result<Vec<(Subnet, u32)>, NetlinkError> {
    let mut header = [0; ROUTE_HEADER];
    header[0] = family(AF_INET);
    let message = Message::new(RTM_GETROUTE, 0, &header);
    socket.list(&message, read_route)
}

fn read_route(received: &Received<'_>) -> Option<(Subnet, u32)> {
    let (header, attributes) = received.split(ROUTE_HEADER)?;
    let table = attributes.find(RTA_TABLE).and_then(number)?;
    let to: [u8; 4] = attributes.find(RTA_DST)?.try_into().ok()?;
    let link = attributes.find(RTA_OIF).and_then(number)?;
    let is_way = header[7] == RTN_UNICAST && table == MAIN_TABLE;
    is_way.then(|| (Subnet::containing(to.into(), header[1]), link))
}

/// Tells a link for good which hardware an address has.
pub fn add_neighbour(
    socket: &mut Socket,
    link: u32,
    address: Ipv4Addr,
    mac: Mac,
) -> Result<(), NetlinkError> {
    let mut header = [0; 12];
    header[0] = family(AF_INET);
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    let mut message = Message::new(RTM_NEWNEIGH, CREATE | REPLACE, &header);
    message
        .attr(NDA_DST, &address.octets())
        .attr(NDA_LLADDR, &mac);
    socket.act(message)
}

/// Packets from an address go by a table of their own.
pub fn add_rule(
    socket: &mut Socket,
    from: Ipv4Addr,
    table: u32,
    priority: u32,
) -> Result<(), NetlinkError> {
    let mut header = [0; 12];
    header[0] = family(AF_INET);
    header[2] = 32;
    header[7] = TO_TABLE;
    let mut message = Message::new(RTM_NEWRULE, CREATE | EXCLUSIVE, &header);
    message
        .attr(RULE_SOURCE, &from.octets())
        .number(RULE_PRIORITY, priority)
        .number(RULE_TABLE, table);
    socket.act(message)
}

fn link_header(link: u32, flags: u32, change: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[0] = family(AF_UNSPEC);
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn family(family: libc::c_int) -> u8 {
    u8::try_from(family).unwrap_or_default()
}
