//! The chains that packets pass through on this host, whoever made them. They are only read.

use crate::network::netlink::message::{self, Attributes, Message, Received};
use crate::network::netlink::nftables::NFTABLES;
use crate::network::netlink::{NetlinkError, Socket};

const GET_CHAIN: u16 = NFTABLES | 4;
/// The family, and two fields that say nothing here.
const HEADER: usize = 4;

const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;

/// The policy of a chain that lets pass what none of its rules decides on.
const ACCEPT: u32 = 1;

/// A chain of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// `ip`, `ip6`, `inet` and so on.
    pub family: &'static str,
    pub table: String,
    pub name: String,
    /// Where packets come to it by themselves: one of [`super::Hook`]'s numbers. Other chains are
    /// entered from rules.
    pub hook: Option<u32>,
    /// Whether what none of its rules decides on is dropped.
    pub drops: bool,
}

/// Every chain of this network namespace.
pub fn all(socket: &mut Socket) -> Result<Vec<Chain>, NetlinkError> {
    socket.list(&Message::new(GET_CHAIN, 0, &[0; HEADER]), read)
}

/// Reads what the kernel says of a chain.
pub fn read(received: &Received<'_>) -> Option<Chain> {
    let (header, attributes) = received.split(HEADER)?;
    let text = |kind| attributes.find(kind).and_then(message::text);
    let hook = attributes.find(HOOK).map(Attributes);
    let hook = hook.and_then(|hook| hook.find(HOOK_NUMBER));
    let policy = attributes.find(POLICY).and_then(number);
    Some(Chain {
        family: family(*header.first()?),
        table: text(TABLE)?.to_owned(),
        name: text(NAME)?.to_owned(),
        hook: hook.and_then(number),
        drops: policy.is_some_and(|policy| policy != ACCEPT),
    })
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

impl Chain {
    /// As `nft list chain` takes it.
    pub fn path(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }

    /// Whether packets of IPv4 between hosts pass through it at this place.
    pub fn is_at(&self, hook: u32) -> bool {
        self.hook == Some(hook) && ["ip", "inet"].contains(&self.family)
    }
}

/// Makes a chain as somebody else may have, for tests.
#[cfg(test)]
pub(crate) fn foreign(table: &str, name: &str, hook: super::Hook, drops: bool) -> Vec<u8> {
    let mut batch = super::Batch::begin(table);
    batch.add_table();
    let mut message = batch.message(super::NEW_CHAIN, super::CREATE);
    message.text(NAME, name);
    message.nest(HOOK, |at| {
        at.number_be(HOOK_NUMBER, hook.number)
            .number_be(2, hook.priority.cast_unsigned());
    });
    message.number_be(POLICY, u32::from(!drops));
    message.text(7, hook.kind);
    batch.push(message);
    batch.finish().expect("it is short")
}
