//! Batches for nf_tables: one table of ours, made anew in one transaction. What is not ours is
//! never named.

pub mod chains;
pub mod rule;

use std::net::Ipv4Addr;

use crate::network::netlink::message::{APPEND, CREATE, Message, TooLong};
use crate::network::netlink::nftables::rule::Rule;

/// The part of the kernel and its kinds of messages.
const NFTABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = NFTABLES;
const DELETE_TABLE: u16 = NFTABLES | 2;
const NEW_CHAIN: u16 = NFTABLES | 3;
const NEW_RULE: u16 = NFTABLES | 6;
const NEW_SET: u16 = NFTABLES | 9;
const NEW_ELEMENTS: u16 = NFTABLES | 12;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// Elements of one message: an attribute holds them all and must stay below 64 KiB.
const ELEMENTS_AT_ONCE: usize = 300;

const MAP: u32 = 8;
const INTERVALS: u32 = 4;
const INTERVAL_END: u32 = 1;
const VERDICT_TYPE: u32 = 0xffff_ff00;

/// Types of keys and values as `nft` shows them; the kernel takes their lengths only.
pub const ADDRESS: Type = Type {
    number: 7,
    bytes: 4,
};
pub const PROTOCOL: Type = Type {
    number: 12,
    bytes: 4,
};
pub const PORT: Type = Type {
    number: 13,
    bytes: 4,
};
pub const LINK: Type = Type {
    number: 41,
    bytes: 16,
};
const NUMBER: Type = Type {
    number: 0,
    bytes: 4,
};

/// What a field of a key or a value is.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    number: u32,
    bytes: u32,
}

/// Where a chain is hooked into the way of packets.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    pub kind: &'static str,
    pub number: u32,
    pub priority: i32,
}

pub const PREROUTING: u32 = 0;
pub const INPUT: u32 = 1;
pub const FORWARD: u32 = 2;
pub const OUTPUT: u32 = 3;
pub const POSTROUTING: u32 = 4;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    Goto(String),
}

/// What an element of a map stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Verdict(Verdict),
    Bytes(Vec<u8>),
}

/// A transaction on one table.
#[derive(Debug)]
pub struct Batch {
    table: String,
    bytes: Vec<u8>,
    sequence: u32,
    too_long: bool,
}

impl Batch {
    /// A transaction after which the table holds what the batch puts into it and nothing else.
    pub fn replace(table: &str) -> Self {
        let mut batch = Self::begin(table);
        // It must be there to be removed.
        batch.add_table();
        batch.delete_table();
        batch.add_table();
        batch
    }

    /// A transaction after which there is no such table.
    pub fn remove(table: &str) -> Self {
        let mut batch = Self::begin(table);
        batch.add_table();
        batch.delete_table();
        batch
    }

    fn begin(table: &str) -> Self {
        let mut batch = Self {
            table: table.to_owned(),
            bytes: Vec::new(),
            sequence: 0,
            too_long: false,
        };
        batch.push(Message::new(BATCH_BEGIN, 0, &batch_header()));
        batch
    }

    /// The whole transaction as it is sent.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLong> {
        self.push(Message::new(BATCH_END, 0, &batch_header()));
        if self.too_long {
            return Err(TooLong);
        }
        Ok(self.bytes)
    }

    pub fn chain(&mut self, name: &str, hook: Option<Hook>) {
        let mut message = self.message(NEW_CHAIN, CREATE);
        message.text(3, name);
        if let Some(hook) = hook {
            message.nest(4, |at| {
                at.number_be(1, hook.number)
                    .number_be(2, hook.priority.cast_unsigned());
            });
            message.text(7, hook.kind);
        }
        self.push(message);
    }

    pub fn rule(&mut self, chain: &str, fill: impl FnOnce(&mut Rule<'_>)) {
        let mut message = self.message(NEW_RULE, CREATE | APPEND);
        message.text(2, chain);
        message.nest(4, |list| fill(&mut Rule::new(list)));
        self.push(message);
    }

    /// A set of keys.
    pub fn set(&mut self, name: &str, key: &[Type], keys: impl IntoIterator<Item = Vec<u8>>) {
        self.add_set(name, 0, key, None);
        self.add_elements(name, keys.into_iter().map(|key| (key, 0, None)));
    }

    /// A set of subnets.
    pub fn subnets(&mut self, name: &str, subnets: impl IntoIterator<Item = Range>) {
        self.add_set(name, INTERVALS, &[ADDRESS], None);
        self.add_ranges(name, subnets.into_iter().map(|range| (range, None)));
    }

    /// A map from subnets to verdicts.
    pub fn subnet_map(&mut self, name: &str, map: impl IntoIterator<Item = (Range, Verdict)>) {
        self.add_set(name, INTERVALS | MAP, &[ADDRESS], Some(VERDICT_TYPE));
        let value = |verdict| Some(Value::Verdict(verdict));
        let ranges = map
            .into_iter()
            .map(|(range, verdict)| (range, value(verdict)));
        self.add_ranges(name, ranges);
    }

    /// A map from keys to verdicts.
    pub fn verdict_map(
        &mut self,
        name: &str,
        key: &[Type],
        map: impl IntoIterator<Item = (Vec<u8>, Verdict)>,
    ) {
        self.add_set(name, MAP, key, Some(VERDICT_TYPE));
        let value = |verdict| Some(Value::Verdict(verdict));
        let elements = map
            .into_iter()
            .map(|(key, verdict)| (key, 0, value(verdict)));
        self.add_elements(name, elements);
    }

    /// A list: a map from 0, 1, 2 and so on to values.
    pub fn list(&mut self, name: &str, value: &[Type], values: impl IntoIterator<Item = Vec<u8>>) {
        let mut message = self.set_message(name, MAP, &[NUMBER]);
        let (kind, bytes) = joined(value);
        message.number_be(6, kind).number_be(7, bytes);
        self.push(message);
        let numbered = (0_u32..).zip(values);
        let elements =
            numbered.map(|(at, value)| (at.to_ne_bytes().to_vec(), 0, Some(Value::Bytes(value))));
        self.add_elements(name, elements);
    }

    fn add_table(&mut self) {
        let mut message = self.message(NEW_TABLE, CREATE);
        message.number_be(2, 0);
        self.push(message);
    }

    fn delete_table(&mut self) {
        let message = self.message(DELETE_TABLE, 0);
        self.push(message);
    }

    fn add_set(&mut self, name: &str, flags: u32, key: &[Type], value: Option<u32>) {
        let mut message = self.set_message(name, flags, key);
        if let Some(value) = value {
            message.number_be(6, value);
        }
        self.push(message);
    }

    fn set_message(&self, name: &str, flags: u32, key: &[Type]) -> Message {
        let mut message = self.message(NEW_SET, CREATE);
        let (kind, bytes) = joined(key);
        message
            .text(2, name)
            .number_be(3, flags)
            .number_be(4, kind)
            .number_be(5, bytes)
            // Counts up, as every set of a transaction has a number of its own.
            .number_be(10, self.sequence);
        message
    }

    fn add_ranges(&mut self, name: &str, ranges: impl Iterator<Item = (Range, Option<Value>)>) {
        let ends = ranges.flat_map(|(range, value)| {
            let end = u32::from(range.1).checked_add(1);
            let end = end.map(|end| (end.to_be_bytes().to_vec(), INTERVAL_END, None));
            let start = (range.0.octets().to_vec(), 0, value);
            [Some(start), end].into_iter().flatten()
        });
        self.add_elements(name, ends);
    }

    fn add_elements(
        &mut self,
        set: &str,
        elements: impl Iterator<Item = (Vec<u8>, u32, Option<Value>)>,
    ) {
        let elements: Vec<_> = elements.collect();
        for some in elements.chunks(ELEMENTS_AT_ONCE) {
            let mut message = self.message(NEW_ELEMENTS, CREATE);
            message.text(2, set).nest(3, |list| {
                for (key, flags, value) in some {
                    list.nest(1, |element| {
                        element.nest(1, |data| {
                            data.attr(1, key);
                        });
                        if let Some(value) = value {
                            element.nest(2, |data| put_value(data, value));
                        }
                        if *flags != 0 {
                            element.number_be(3, *flags);
                        }
                    });
                }
            });
            self.push(message);
        }
    }

    /// A message about the table.
    fn message(&self, kind: u16, flags: u16) -> Message {
        let family = u8::try_from(libc::NFPROTO_IPV4).unwrap_or_default();
        let mut message = Message::new(kind, flags, &[family, 0, 0, 0]);
        message.text(1, &self.table);
        message
    }

    fn push(&mut self, message: Message) {
        self.sequence += 1;
        match message.finish(self.sequence) {
            Ok(bytes) => self.bytes.extend(bytes),
            Err(TooLong) => self.too_long = true,
        }
    }
}

/// The first and the last address of some that follow each other.
pub type Range = (Ipv4Addr, Ipv4Addr);

fn batch_header() -> [u8; 4] {
    let [high, low] = (NFTABLES >> 8).to_be_bytes();
    [0, 0, high, low]
}

/// The type and the length of several fields, one behind the other.
fn joined(types: &[Type]) -> (u32, u32) {
    let kind = types.iter().fold(0, |sum, field| sum << 6 | field.number);
    (kind, types.iter().map(|field| field.bytes).sum())
}

fn put_value(data: &mut Message, value: &Value) {
    match value {
        Value::Bytes(bytes) => {
            data.attr(1, bytes);
        }
        Value::Verdict(verdict) => put_verdict(data, verdict),
    }
}

fn put_verdict(data: &mut Message, verdict: &Verdict) {
    const GOTO: i32 = -4;
    data.nest(2, |own| {
        let code = match verdict {
            Verdict::Accept => 1,
            Verdict::Drop => 0,
            Verdict::Goto(_) => GOTO,
        };
        own.number_be(1, code.cast_unsigned());
        if let Verdict::Goto(chain) = verdict {
            own.text(2, chain);
        }
    });
}
