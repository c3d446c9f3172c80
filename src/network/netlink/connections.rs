//! The connections that the kernel keeps account of: where each was sent to begin with, and who
//! answers it.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::network::netlink::message::{Attributes, Message, Received};
use crate::network::netlink::{NetlinkError, Socket};

const CONNECTIONS: u16 = 1 << 8;
const GET: u16 = CONNECTIONS | 1;
const DELETE: u16 = CONNECTIONS | 2;
const HEADER: usize = 4;

const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ADDRESSES: u16 = 1;
const PORTS: u16 = 2;
const SOURCE: u16 = 1;
const DESTINATION: u16 = 2;
const PROTOCOL: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;

/// A flow of datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where it is sent to.
    pub to: SocketAddrV4,
    /// Who gets it.
    pub answers: Ipv4Addr,
    /// What names it to the kernel.
    original: Vec<u8>,
    id: Vec<u8>,
}

/// Every flow of UDP.
pub fn flows(socket: &mut Socket) -> Result<Vec<Flow>, NetlinkError> {
    socket.list(&Message::new(GET, 0, &header()), read)
}

/// Forgets a flow: its next datagram goes where a new one would. One that is gone is fine.
pub fn forget(socket: &mut Socket, flow: &Flow) -> Result<(), NetlinkError> {
    let mut message = Message::new(DELETE, 0, &header());
    message.nest(ORIGINAL, |original| {
        original.raw(&flow.original);
    });
    message.attr(ID, &flow.id);
    match socket.act(message) {
        Err(error) if error.is_gone() => Ok(()),
        done => done,
    }
}

/// Reads what the kernel says of a connection; `None` if it is no flow of UDP.
pub fn read(received: &Received<'_>) -> Option<Flow> {
    let (_, attributes) = received.split(HEADER)?;
    let original = attributes.find(ORIGINAL)?;
    let ports = Attributes(Attributes(original).find(PORTS)?);
    if ports.find(PROTOCOL)? != [UDP] {
        return None;
    }
    ports.find(SOURCE_PORT)?;
    let port = u16::from_be_bytes(ports.find(DESTINATION_PORT)?.try_into().ok()?);
    let to = SocketAddrV4::new(address(original, DESTINATION)?, port);
    Some(Flow {
        to,
        answers: address(attributes.find(REPLY)?, SOURCE)?,
        original: original.to_vec(),
        id: attributes.find(ID)?.to_vec(),
    })
}

fn address(tuple: &[u8], end: u16) -> Option<Ipv4Addr> {
    let addresses = Attributes(Attributes(tuple).find(ADDRESSES)?);
    let octets: [u8; 4] = addresses.find(end)?.try_into().ok()?;
    Some(octets.into())
}

fn header() -> [u8; HEADER] {
    [u8::try_from(libc::AF_INET).unwrap_or_default(), 0, 0, 0]
}
