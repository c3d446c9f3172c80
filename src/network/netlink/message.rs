//! Messages to the kernel's network parts, written and read attribute by attribute.
//!
//! ```text
//! message:    length u32, kind u16, flags u16, sequence u32, port u32, header, attributes
//! attribute:  length u16, kind u16, value, padded to 4 bytes; a nested one holds attributes
//! ```
//!
//! Numbers are in the machine's order, but for those of netfilter. What the kernel sends is
//! trusted no further than bytes of a file: lengths are checked, and what does not fit ends the
//! reading.

pub const REQUEST: u16 = 1;
pub const ACK: u16 = 4;
pub const DUMP: u16 = 0x300;
pub const CREATE: u16 = 0x400;
pub const EXCLUSIVE: u16 = 0x200;
pub const REPLACE: u16 = 0x100;
pub const APPEND: u16 = 0x800;

/// Kinds that every part of the kernel uses.
pub const ERROR: u16 = 2;
pub const DONE: u16 = 3;

/// The flag of a dump during which things changed.
pub const DUMP_INTERRUPTED: u16 = 0x10;

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

/// A message on its way to the kernel.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
    too_long: bool,
}

/// The message has an attribute that is longer than attributes can be.
#[derive(Debug, thiserror::Error)]
#[error("a netlink attribute is longer than 64 KiB")]
pub struct TooLong;

impl Message {
    /// A message with the header that its kind asks for.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(header);
        pad(&mut bytes);
        Self {
            bytes,
            too_long: false,
        }
    }

    pub fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nest_raw(kind, |message| message.bytes.extend(value))
    }

    /// An attribute that holds others.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nest_raw(kind | NESTED, fill)
    }

    /// A text with the zero at its end.
    pub fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.nest_raw(kind, |message| {
            message.bytes.extend(text.bytes());
            message.bytes.push(0);
        })
    }

    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// A number as netfilter takes it.
    pub fn number_be(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// Bytes between attributes: the header of a nested message.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        pad(&mut self.bytes);
        self
    }

    /// The finished bytes, with the number that the answer will name.
    pub fn finish(mut self, sequence: u32) -> Result<Vec<u8>, TooLong> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| TooLong)?;
        if self.too_long {
            return Err(TooLong);
        }
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Ok(self.bytes)
    }

    /// Sets more flags.
    pub fn set_flags(&mut self, flags: u16) {
        let [low, high] = flags.to_ne_bytes();
        self.bytes[6] |= low;
        self.bytes[7] |= high;
    }

    fn nest_raw(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        pad(&mut self.bytes);
        self
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The header of so many bytes, and the attributes after it.
    pub fn split(&self, header: usize) -> Option<(&'a [u8], Attributes<'a>)> {
        let (header, rest) = self.body.split_at_checked(header)?;
        Some((header, Attributes(rest)))
    }

    /// The error of an answer: 0 is none, else a positive number.
    pub fn error(&self) -> Option<i32> {
        let code = i32::from_ne_bytes(*self.body.first_chunk()?);
        (self.kind == ERROR).then_some(code.saturating_neg())
    }

    /// What the kernel says of its error, if it says anything.
    pub fn complaint(&self) -> Option<&'a str> {
        const CAPPED: u16 = 0x100;
        const TEXT: u16 = 1;
        let cause = self.body.get(4..)?;
        let length = u32::from_ne_bytes(*cause.first_chunk()?);
        let skipped = match self.flags & CAPPED {
            0 => usize::try_from(length).ok()?.next_multiple_of(4),
            _ => HEADER_BYTES,
        };
        let attributes = Attributes(cause.get(skipped..)?);
        text(attributes.find(TEXT)?)
    }
}

/// The messages in what was received at once.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        let length = usize::try_from(u32::from_ne_bytes(*self.0.first_chunk()?)).ok()?;
        let message = self.0.get(..length)?;
        let (header, body) = message.split_first_chunk::<HEADER_BYTES>()?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            body,
        })
    }
}

/// The attributes of a message, or of an attribute that holds some.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of a kind.
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(own, value)| (own == kind).then_some(value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let header = *self.0.first_chunk::<ATTRIBUTE_BYTES>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK;
        let value = self.0.get(ATTRIBUTE_BYTES..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A text up to its zero.
pub fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|byte| *byte == 0);
    std::str::from_utf8(&value[..end.unwrap_or(value.len())]).ok()
}

/// A number in the machine's order.
pub fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    fn sample() -> Vec<u8> {
        let mut message = Message::new(16, CREATE, &[7; 6]);
        message.text(3, "veth0").nest(18, |link| {
            link.text(1, "veth").number(2, 9);
        });
        message.finish(5).unwrap()
    }

    #[test]
    fn a_message_reads_as_it_was_written() {
        let bytes = [sample(), sample()].concat();
        let all: Vec<_> = Messages(&bytes).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].kind, all[1].sequence), (16, 5));
        assert_eq!(all[1].flags, CREATE | REQUEST);
        let (header, attributes) = all[1].split(8).unwrap();
        assert_eq!(header, [7, 7, 7, 7, 7, 7, 0, 0]);
        assert_eq!(attributes.find(3).and_then(text), Some("veth0"));
        let link = Attributes(attributes.find(18).unwrap());
        assert_eq!(link.find(1).and_then(text), Some("veth"));
        assert_eq!(link.find(2).and_then(number), Some(9));
        assert_eq!(link.find(4), None);
    }

    #[test]
    fn an_attribute_ends_at_64_kib() {
        let mut message = Message::new(1, 0, &[]);
        message.attr(1, &[0; 65_531]);
        assert!(message.clone().finish(0).is_ok());
        message.nest(2, |nested| {
            nested.attr(1, &[0; 65_531]);
        });
        assert!(message.finish(0).is_err());
    }

    #[test]
    fn an_error_is_told_with_the_kernels_words() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend((-17_i32).to_ne_bytes());
        bytes.extend(sample());
        let mut words = Message::new(0, 0, &[]);
        words.text(1, "File exists");
        bytes.extend(&words.finish(0).unwrap()[HEADER_BYTES..]);
        let received = Received {
            kind: ERROR,
            flags: 0,
            sequence: 0,
            body: &bytes[HEADER_BYTES..],
        };
        assert_eq!(received.error(), Some(17));
        assert_eq!(received.complaint(), Some("File exists"));
    }

    #[test]
    fn no_bytes_whatever_make_reading_fall_over() {
        let mut rng = Rng::from_seed(1);
        for _ in 0..20_000 {
            let mut bytes = [sample(), sample()].concat();
            for _ in 0..=rng.below(6) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = rng.next_u64().to_le_bytes()[0];
            }
            bytes.truncate(usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap());
            for message in Messages(&bytes) {
                let _ = (message.error(), message.complaint());
                let nested = message.split(8).into_iter().flat_map(|(_, all)| all);
                let _ = nested
                    .map(|(_, value)| Attributes(value).count())
                    .sum::<usize>();
            }
        }
    }
}
