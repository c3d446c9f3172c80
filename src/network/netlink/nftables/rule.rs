//! Rules: what is looked at in a packet, and what becomes of it.

use std::net::Ipv4Addr;

use crate::network::netlink::message::Message;
use crate::network::netlink::nftables::{Verdict, put_verdict};

/// The first of the registers of four bytes; longer values take several.
pub const R0: u32 = 8;

/// What a rule does with a packet, step by step; a step that does not fit ends the rule.
#[derive(Debug)]
pub struct Rule<'a>(&'a mut Message);

/// A field that packets or their connections have.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    LinkIn,
    LinkOut,
    Protocol,
    Source,
    Destination,
    DestinationPort,
    /// Bits of TCP, see [`SYN`] and [`RST`].
    TcpFlags,
    /// Bits: established and related connections, see [`KNOWN`].
    State,
    /// Bits of what was done to the connection, see [`REDIRECTED`].
    Status,
    /// Whether the destination is an address of this host, see [`LOCAL`].
    DestinationKind,
}

/// Of established and related connections.
pub const KNOWN: u32 = 2 | 4;
/// A connection whose destination was changed.
pub const REDIRECTED: u32 = 0x20;
/// The bits of the packets that open a TCP connection, and of those that break it off.
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
/// An address of this host itself.
pub const LOCAL: u32 = 2;

impl<'a> Rule<'a> {
    pub(super) fn new(steps: &'a mut Message) -> Self {
        Self(steps)
    }

    /// Loads a field into a register.
    pub fn load(&mut self, field: Field, register: u32) -> &mut Self {
        const META: &str = "meta";
        match field {
            Field::LinkIn => self.keyed(META, 6, register),
            Field::LinkOut => self.keyed(META, 7, register),
            Field::Protocol => self.keyed(META, 16, register),
            Field::Source => self.payload(1, 12, 4, register),
            Field::Destination => self.payload(1, 16, 4, register),
            Field::DestinationPort => self.payload(2, 2, 2, register),
            Field::TcpFlags => self.payload(2, 13, 1, register),
            Field::State => self.connection(0, register),
            Field::Status => self.connection(2, register),
            Field::DestinationKind => self.step("fib", |fib| {
                fib.number_be(1, register).number_be(2, 3).number_be(3, 2);
            }),
        }
    }

    /// Goes on if the register begins with these bytes.
    pub fn equal(&mut self, register: u32, bytes: &[u8]) -> &mut Self {
        self.compare(register, 0, bytes)
    }

    /// Goes on unless the register begins with these bytes.
    pub fn not_equal(&mut self, register: u32, bytes: &[u8]) -> &mut Self {
        self.compare(register, 1, bytes)
    }

    /// Goes on if one of the bits is set in the register.
    pub fn any_bit(&mut self, register: u32, bits: u32) -> &mut Self {
        self.mask(register, &bits.to_ne_bytes());
        self.not_equal(register, &[0; 4])
    }

    /// Keeps of the register what the mask has.
    pub fn mask(&mut self, register: u32, mask: &[u8]) -> &mut Self {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        self.step("bitwise", |bitwise| {
            bitwise
                .number_be(1, register)
                .number_be(2, register)
                .number_be(3, length)
                .nest(4, |data| {
                    data.attr(1, mask);
                })
                .nest(5, |data| {
                    data.attr(1, &vec![0; mask.len()]);
                });
        })
    }

    /// Goes on if the registers are in a set.
    pub fn is_in(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, register, None, false)
    }

    /// Goes on if the registers are not in a set.
    pub fn is_not_in(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, register, None, true)
    }

    /// Does what a map says of the registers, if it says anything.
    pub fn follow(&mut self, map: &str, register: u32) -> &mut Self {
        self.lookup(map, register, Some(0), false)
    }

    /// Looks up what a list has at the place in the register.
    pub fn at(&mut self, list: &str, register: u32) -> &mut Self {
        self.lookup(list, register, Some(register), false)
    }

    /// Loads a number below `count`, the next one for each packet.
    pub fn turn(&mut self, count: u32, register: u32) -> &mut Self {
        self.step("numgen", |numgen| {
            numgen
                .number_be(1, register)
                .number_be(2, count)
                .number_be(3, 0)
                .number_be(4, 0);
        })
    }

    /// Sends the connection to the address in a register, and to the port in another.
    pub fn redirect(&mut self, address: u32, port: Option<u32>) -> &mut Self {
        self.translate(1, address, port)
    }

    /// Gives the connection this source address.
    pub fn source(&mut self, address: Ipv4Addr, register: u32) -> &mut Self {
        self.step("immediate", |immediate| {
            immediate.number_be(1, register).nest(2, |data| {
                data.attr(1, &address.octets());
            });
        });
        self.translate(0, register, None)
    }

    /// Gives the connection the address of the link that it leaves by.
    pub fn masquerade(&mut self) -> &mut Self {
        self.step("masq", |_| {})
    }

    /// Says in a packet that opens a TCP connection how long packets may be on its way, unless it
    /// says less.
    pub fn fit_to_way(&mut self, register: u32) -> &mut Self {
        const SEGMENT: u32 = 3;
        const OPTION: u8 = 2;
        self.keyed("rt", SEGMENT, register);
        // Two bytes, from the machine's order to the wire's.
        self.step("byteorder", |order| {
            order.number_be(1, register).number_be(2, register);
            order.number_be(3, 1).number_be(4, 2).number_be(5, 2);
        });
        self.step("exthdr", |option| {
            option
                .attr(2, &[OPTION])
                .number_be(3, 2)
                .number_be(4, 2)
                .number_be(6, 1)
                .number_be(7, register);
        })
    }

    /// Ends a TCP connection with a reset.
    pub fn reset(&mut self) -> &mut Self {
        self.step("reject", |reject| {
            reject.number_be(1, 1).attr(2, &[0]);
        })
    }

    /// Says that nobody is there.
    pub fn refuse(&mut self) -> &mut Self {
        const PORT_UNREACHABLE: u8 = 3;
        self.step("reject", |reject| {
            reject.number_be(1, 0).attr(2, &[PORT_UNREACHABLE]);
        })
    }

    pub fn verdict(&mut self, verdict: &Verdict) -> &mut Self {
        self.step("immediate", |immediate| {
            immediate
                .number_be(1, 0)
                .nest(2, |data| put_verdict(data, verdict));
        })
    }

    fn step(&mut self, name: &str, fill: impl FnOnce(&mut Message)) -> &mut Self {
        self.0.nest(1, |step| {
            step.text(1, name).nest(2, fill);
        });
        self
    }

    fn keyed(&mut self, name: &str, key: u32, register: u32) -> &mut Self {
        self.step(name, |own| {
            own.number_be(1, register).number_be(2, key);
        })
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.step("payload", |payload| {
            payload
                .number_be(1, register)
                .number_be(2, base)
                .number_be(3, offset)
                .number_be(4, length);
        })
    }

    fn connection(&mut self, key: u32, register: u32) -> &mut Self {
        self.keyed("ct", key, register)
    }

    fn compare(&mut self, register: u32, operation: u32, bytes: &[u8]) -> &mut Self {
        self.step("cmp", |compare| {
            compare
                .number_be(1, register)
                .number_be(2, operation)
                .nest(3, |data| {
                    data.attr(1, bytes);
                });
        })
    }

    fn lookup(&mut self, set: &str, from: u32, to: Option<u32>, invert: bool) -> &mut Self {
        self.step("lookup", |lookup| {
            lookup.text(1, set).number_be(2, from);
            if let Some(to) = to {
                lookup.number_be(3, to);
            }
            if invert {
                lookup.number_be(5, 1);
            }
        })
    }

    fn translate(&mut self, kind: u32, address: u32, port: Option<u32>) -> &mut Self {
        const IPV4: u32 = 2;
        self.step("nat", |nat| {
            nat.number_be(1, kind)
                .number_be(2, IPV4)
                .number_be(3, address)
                .number_be(4, address);
            if let Some(port) = port {
                nat.number_be(5, port).number_be(6, port);
            }
        })
    }
}
