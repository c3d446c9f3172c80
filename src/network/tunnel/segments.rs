//! Long packets: a link gives the packets of a TCP connection in one piece, and takes them so. Each
//! piece has a header that says how it is to be cut.
//!
//! ```text
//! flags u8, kind u8, headers u16, segment u16, where the checksum begins u16, and its place u16
//! ```

use std::net::Ipv4Addr;

pub const HEADER_BYTES: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
const WHOLE: u8 = 0;
const SEGMENTS: u8 = 1;

const IP_HEADER: usize = 20;
const TCP: u8 = 6;
/// The longest that a packet can be.
const PACKET_MAX: usize = 65_535;

/// Places in an IP header, and in that of TCP.
const LENGTH: usize = 2;
const ID: usize = 4;
const IP_CHECKSUM: usize = 10;
const SEQUENCE: usize = 4;
const FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;

const FIN: u8 = 1;
const PUSH: u8 = 8;
const ACK: u8 = 16;
const CONGESTION_REDUCED: u8 = 128;

/// Where the headers of a TCP packet end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tcp {
    ip: usize,
    all: usize,
}

impl Tcp {
    fn of(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        let ip = usize::from(first & 15) * 4;
        let is_tcp = first >> 4 == 4 && ip >= IP_HEADER && packet.get(9) == Some(&TCP);
        let words = packet.get(ip + 12)? >> 4;
        let all = ip + usize::from(words) * 4;
        (is_tcp && words >= 5 && all <= packet.len()).then_some(Self { ip, all })
    }

    /// Sets both checksums and the length of a packet.
    fn seal(self, packet: &mut [u8]) {
        self.seal_ip(packet);
        put(packet, self.ip + TCP_CHECKSUM, 0);
        let sum = !fold(sum(&packet[self.ip..]) + self.pseudo(packet));
        put(packet, self.ip + TCP_CHECKSUM, sum);
    }

    fn seal_ip(self, packet: &mut [u8]) {
        put(packet, LENGTH, low(packet.len()));
        put(packet, IP_CHECKSUM, 0);
        let sum = !fold(sum(&packet[..self.ip]));
        put(packet, IP_CHECKSUM, sum);
    }

    /// What the checksum counts beside the packet's own bytes.
    fn pseudo(self, packet: &[u8]) -> u64 {
        sum(&packet[12..IP_HEADER]) + u64::from(TCP) + (packet.len() - self.ip) as u64
    }
}

/// Gives the packets that bytes from a link stand for, each with its checksums.
pub fn cut(bytes: &mut [u8], piece: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    let Some((header, packet)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() else {
        return;
    };
    let field = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    match header[1] & !CONGESTION_REDUCED {
        WHOLE => {
            let (start, place) = (field(6), field(6) + field(8));
            if header[0] & NEEDS_CHECKSUM != 0 {
                if place + 2 > packet.len() {
                    return;
                }
                let sum = !fold(sum(&packet[start..]));
                put(packet, place, sum);
            }
            each(packet);
        }
        SEGMENTS => cut_tcp(packet, field(4), piece, each),
        _ => {}
    }
}

fn cut_tcp(packet: &[u8], segment: usize, piece: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    let Some(tcp) = Tcp::of(packet).filter(|_| segment > 0) else {
        return;
    };
    let (headers, data) = packet.split_at(tcp.all);
    let sequence = number(headers, tcp.ip + SEQUENCE);
    let id = u16::from_be_bytes([headers[ID], headers[ID + 1]]);
    let last = data.len().div_ceil(segment).saturating_sub(1);
    for (place, part) in data.chunks(segment).enumerate() {
        piece.clear();
        piece.extend_from_slice(headers);
        piece.extend_from_slice(part);
        put(piece, ID, id.wrapping_add(low(place)));
        let begins = u32::try_from(place * segment).unwrap_or_default();
        let begins = sequence.wrapping_add(begins).to_be_bytes();
        piece[tcp.ip + SEQUENCE..][..4].copy_from_slice(&begins);
        if place != last {
            piece[tcp.ip + FLAGS] &= !(FIN | PUSH);
        }
        if place > 0 {
            piece[tcp.ip + FLAGS] &= !CONGESTION_REDUCED;
        }
        tcp.seal(piece);
        each(piece);
    }
}

/// Joins packets of one connection that follow each other, for a link.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The header of the link, and the packet so far.
    bytes: Vec<u8>,
    /// Of a packet that others may follow.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    tcp: Tcp,
    segment: usize,
    count: usize,
    /// The place in the connection where the next one begins.
    next: u32,
}

impl Joiner {
    /// Takes a packet, and writes what no other can follow any more.
    pub fn push(&mut self, packet: &[u8], mut write: impl FnMut(&[u8])) {
        let tcp = joinable(packet);
        if let (Some(tcp), Some(open)) = (tcp, &mut self.open) {
            let own = &self.bytes[HEADER_BYTES..];
            let length = packet.len() - tcp.all;
            let fits = length <= open.segment && own.len() + length <= PACKET_MAX;
            let begins = number(packet, tcp.ip + SEQUENCE);
            if fits && begins == open.next && tcp == open.tcp && is_alike(own, packet, tcp) {
                self.bytes.extend_from_slice(&packet[tcp.all..]);
                open.count += 1;
                open.next = begins.wrapping_add(u32::try_from(length).unwrap_or_default());
                let pushed = packet[tcp.ip + FLAGS] & PUSH;
                self.bytes[HEADER_BYTES + tcp.ip + FLAGS] |= pushed;
                if length < open.segment || pushed != 0 {
                    self.flush(write);
                }
                return;
            }
        }
        self.flush(&mut write);
        self.bytes.resize(HEADER_BYTES, 0);
        self.bytes.extend_from_slice(packet);
        let is_open = |tcp: &Tcp| packet[tcp.ip + FLAGS] & PUSH == 0;
        self.open = tcp.filter(is_open).map(|tcp| {
            let segment = packet.len() - tcp.all;
            let begins = number(packet, tcp.ip + SEQUENCE);
            Open {
                tcp,
                segment,
                count: 1,
                next: begins.wrapping_add(u32::try_from(segment).unwrap_or_default()),
            }
        });
        if self.open.is_none() {
            self.flush(write);
        }
    }

    /// Writes what is left.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8])) {
        if let Some(open) = self.open.take().filter(|open| open.count > 1) {
            let (header, packet) = self.bytes.split_at_mut(HEADER_BYTES);
            let Tcp { ip, all } = open.tcp;
            open.tcp.seal_ip(packet);
            // The rest of the sum is the kernel's.
            let sum = fold(open.tcp.pseudo(packet));
            put(packet, ip + TCP_CHECKSUM, sum);
            header[..2].copy_from_slice(&[NEEDS_CHECKSUM, SEGMENTS]);
            for (place, value) in [(2, all), (4, open.segment), (6, ip), (8, TCP_CHECKSUM)] {
                header[place..place + 2].copy_from_slice(&low(value).to_ne_bytes());
            }
        }
        if !self.bytes.is_empty() {
            write(&self.bytes);
            self.bytes.clear();
        }
    }
}

/// A packet that may be joined to others: data of a connection that is well and nothing else.
fn joinable(packet: &[u8]) -> Option<Tcp> {
    let tcp = Tcp::of(packet).filter(|tcp| tcp.ip == IP_HEADER && packet.len() > tcp.all)?;
    let is_whole = packet[6] & 0x3f == 0 && packet[7] == 0;
    let is_all = packet[LENGTH..LENGTH + 2] == low(packet.len()).to_be_bytes();
    let is_data = packet[tcp.ip + FLAGS] & !PUSH == ACK;
    // Joined packets get new sums: one that is wrong must not become right.
    let is_right = || fold(sum(&packet[tcp.ip..]) + tcp.pseudo(packet)) == u16::MAX;
    (is_whole && is_all && is_data && is_right()).then_some(tcp)
}

/// Whether two packets differ in nothing but their data and their place.
fn is_alike(one: &[u8], other: &[u8], tcp: Tcp) -> bool {
    let same = |from: usize, to: usize| one[from..to] == other[from..to];
    // Kind of service; fragments and time to live; addresses and ports; what is acknowledged and
    // the length of the header; window; options.
    same(1, 2)
        && same(6, 9)
        && same(12, tcp.ip + 4)
        && same(tcp.ip + 8, tcp.ip + 13)
        && same(tcp.ip + 14, tcp.ip + TCP_CHECKSUM)
        && same(tcp.ip + TCP_CHECKSUM + 2, tcp.all)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from(Ipv4Addr::new(
        bytes[at],
        bytes[at + 1],
        bytes[at + 2],
        bytes[at + 3],
    ))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn low(value: usize) -> u16 {
    u16::try_from(value & 0xffff).unwrap_or_default()
}

/// The sum of all numbers of 16 bits, in more bits than they need.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_be_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    whole + u64::from(u32::from_be_bytes(last))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    /// A packet of a connection that carries these bytes from a place on.
    fn packet(sequence: u32, data: &[u8], flags: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, TCP, 0, 0];
        packet.extend([10, 0, 1, 1, 10, 0, 1, 2, 0, 80, 1, 1]);
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 9, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        packet.extend(data);
        Tcp { ip: 20, all: 40 }.seal(&mut packet);
        packet
    }

    fn join(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut joiner, mut written) = (Joiner::default(), Vec::new());
        for packet in packets {
            joiner.push(packet, |bytes| written.push(bytes.to_vec()));
        }
        joiner.flush(|bytes| written.push(bytes.to_vec()));
        written
    }

    fn cut_all(written: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let (mut piece, mut packets) = (Vec::new(), Vec::new());
        for mut bytes in written {
            cut(&mut bytes, &mut piece, |packet| {
                packets.push(packet.to_vec())
            });
        }
        packets
    }

    /// As they are but for the number that each packet has, which cutting counts up.
    fn unnumbered(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        for packet in &mut packets {
            put(packet, ID, 0);
            Tcp { ip: 20, all: 40 }.seal_ip(packet);
        }
        packets
    }

    #[test]
    fn packets_that_follow_each_other_become_one_and_are_cut_into_the_same() {
        let parts = [
            packet(100, &[1; 50], ACK),
            packet(150, &[2; 50], ACK),
            packet(200, &[3; 20], ACK | PUSH),
        ];
        let written = join(&parts);
        assert_eq!(written.len(), 1);
        assert_eq!(written[0].len(), HEADER_BYTES + 40 + 120);
        assert_eq!(unnumbered(cut_all(written)), unnumbered(parts.to_vec()));
    }

    #[test]
    fn packets_that_do_not_follow_each_other_stay_as_they_are() {
        let first = packet(100, &[1; 50], ACK);
        let mut wrong = packet(150, &[2; 50], ACK);
        wrong[60] ^= 1;
        let mut other_window = packet(150, &[2; 50], ACK);
        other_window[34] = 7;
        Tcp { ip: 20, all: 40 }.seal(&mut other_window);
        for (what, second) in [
            ("a gap", packet(151, &[2; 50], ACK)),
            ("a longer one", packet(150, &[2; 51], ACK)),
            ("the end", packet(150, &[2; 50], ACK | FIN)),
            ("nothing in it", packet(150, &[], ACK)),
            ("a wrong sum", wrong),
            ("another window", other_window),
            ("cut short", packet(150, &[2; 50], ACK)[..80].to_vec()),
            ("no packet", vec![0x45; 3]),
        ] {
            let both = [first.clone(), second];
            let written = join(&both);
            assert_eq!(written.len(), 2, "{what}");
            assert_eq!(cut_all(written), both, "{what}");
        }
    }

    #[test]
    fn a_sum_that_is_left_to_the_link_is_made() {
        let whole = packet(1, b"words", ACK);
        let mut given = vec![NEEDS_CHECKSUM, WHOLE, 0, 0, 0, 0];
        given.extend(20_u16.to_ne_bytes());
        given.extend(16_u16.to_ne_bytes());
        given.extend(&whole);
        let pseudo = fold(Tcp { ip: 20, all: 40 }.pseudo(&whole));
        put(&mut given[HEADER_BYTES..], 20 + TCP_CHECKSUM, pseudo);
        assert_eq!(cut_all(vec![given]), [whole]);
    }

    #[test]
    fn no_bytes_whatever_make_it_fall_over() {
        let mut rng = Rng::from_seed(1);
        let long = join(&[packet(0, &[1; 50], ACK), packet(50, &[1; 50], ACK)]).remove(0);
        for _ in 0..20_000 {
            let mut bytes = long.clone();
            for _ in 0..=rng.below(6) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = rng.next_u64().to_le_bytes()[0];
            }
            bytes.truncate(usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap());
            join(&[bytes.clone(), bytes.clone()]);
            cut_all(vec![bytes]);
        }
    }
}
