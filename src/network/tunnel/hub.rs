//! WireGuard without its IO: packets in, datagrams out, and the other way round. Every datagram may
//! be anybody's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};

use crate::model::id::NodeId;
use crate::network::peers::{Peers, addresses};
use crate::network::tunnel::key::PrivateKey;

/// Handshakes in a second, beyond which callers have to prove where they are. Each is looked at
/// twice.
const HANDSHAKES_MAX: u64 = 2 * 100;
/// Room for the longest packet, and what encryption adds.
const ROOM: usize = (64 << 10) + 256;
/// Ends have numbers of 24 bits: they come back in datagrams, beside the number of a session.
const NUMBER_MAX: u32 = 0xff_ffff;
const COOKIE_BYTES: usize = 64;
/// The first byte of the answer to a caller that has to prove where it is.
const COOKIE_REPLY: u8 = 3;

/// Where the results go.
pub trait Out {
    /// A datagram for another node.
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]);
    /// A packet for this host or its tasks.
    fn packet(&mut self, bytes: &[u8]);
}

/// This node's end of all its tunnels.
pub struct Hub {
    private: StaticSecret,
    public: PublicKey,
    limiter: Arc<RateLimiter>,
    ends: BTreeMap<u32, End>,
    by_key: BTreeMap<[u8; 32], u32>,
    by_address: BTreeMap<Ipv4Addr, u32>,
    last: u32,
    room: Vec<u8>,
    /// Whether all peers are to be asked for a sign of life.
    knocks: bool,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub node: NodeId,
    pub endpoint: SocketAddr,
    /// Since the last handshake, if there was one.
    pub ago: Option<Duration>,
}

struct End {
    node: NodeId,
    public_key: [u8; 32],
    tunn: Tunn,
    /// Where the managers say that the node is.
    told: SocketAddr,
    /// Where it was last heard from, or is told to be since.
    endpoint: SocketAddr,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    pub fn new(key: &PrivateKey) -> Self {
        let private = key.secret();
        let public = PublicKey::from(&private);
        Self {
            limiter: Arc::new(RateLimiter::new(&public, HANDSHAKES_MAX)),
            private,
            public,
            ends: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_address: BTreeMap::new(),
            last: 0,
            room: vec![0; ROOM],
            knocks: false,
        }
    }

    /// Whether there is nobody to talk to.
    pub fn is_idle(&self) -> bool {
        self.ends.is_empty()
    }

    /// From now on these are the peers. What goes on with those that stay goes on.
    pub fn set_peers(&mut self, peers: &Peers) {
        let stays = |end: &End| {
            let mut all = peers.iter();
            all.any(|peer| peer.node == end.node && peer.public_key == end.public_key)
        };
        self.ends.retain(|_, end| stays(end));
        self.by_key.clear();
        self.by_address.clear();
        let known = self.ends.iter().map(|(number, end)| (end.node, *number));
        let known: BTreeMap<_, _> = known.collect();
        for peer in peers.iter() {
            let number = known.get(&peer.node).copied();
            let number = number.unwrap_or_else(|| self.free_number());
            let end = self.ends.entry(number).or_insert_with(|| {
                let key = PublicKey::from(peer.public_key);
                let limiter = Some(self.limiter.clone());
                End {
                    node: peer.node,
                    public_key: peer.public_key,
                    tunn: Tunn::new(self.private.clone(), key, None, None, number, limiter),
                    told: peer.endpoint,
                    endpoint: peer.endpoint,
                }
            });
            if end.told != peer.endpoint {
                end.told = peer.endpoint;
                end.endpoint = peer.endpoint;
            }
            // A node that shows another's key gets nothing of the other's.
            self.by_key.entry(peer.public_key).or_insert(number);
            for address in addresses(peer) {
                self.by_address.insert(address, number);
            }
        }
    }

    fn free_number(&mut self) -> u32 {
        loop {
            self.last = (self.last + 1) & NUMBER_MAX;
            if !self.ends.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// A packet of this host or its tasks goes to the node that has its destination.
    pub fn send(&mut self, packet: &[u8], out: &mut impl Out) {
        let Some(IpAddr::V4(to)) = Tunn::dst_address(packet) else {
            return;
        };
        let number = self.by_address.get(&to);
        let Some(end) = number.and_then(|number| self.ends.get_mut(number)) else {
            return;
        };
        if packet.len() + ROOM_BESIDE > self.room.len() {
            return;
        }
        if let TunnResult::WriteToNetwork(bytes) = end.tunn.encapsulate(packet, &mut self.room) {
            out.datagram(end.endpoint, bytes);
        }
    }

    /// A datagram has come, from whomever.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], out: &mut impl Out) {
        if datagram.is_empty() || datagram.len() > self.room.len() {
            return;
        }
        let mut cookie = [0; COOKIE_BYTES];
        let verified = { &self.limiter }.verify_packet(Some(from.ip()), datagram, &mut cookie);
        let number = match verified {
            Ok(Packet::HandshakeInit(init)) => {
                let opened = parse_handshake_anon(&self.private, &self.public, &init);
                let peer = opened.ok().map(|opened| opened.peer_static_public);
                peer.and_then(|key| self.by_key.get(&key).copied())
            }
            Ok(Packet::HandshakeResponse(packet)) => Some(packet.receiver_idx >> 8),
            Ok(Packet::PacketCookieReply(packet)) => Some(packet.receiver_idx >> 8),
            Ok(Packet::PacketData(packet)) => Some(packet.receiver_idx >> 8),
            Err(TunnResult::WriteToNetwork(bytes)) => return out.datagram(from, bytes),
            Err(_) => return,
        };
        let Some((number, end)) =
            number.and_then(|number| Some((number, self.ends.get_mut(&number)?)))
        else {
            return;
        };
        match { &mut end.tunn }.decapsulate(Some(from.ip()), datagram, &mut self.room) {
            TunnResult::Done => {}
            TunnResult::Err(_) => return,
            TunnResult::WriteToNetwork(bytes) => {
                out.datagram(from, bytes);
                if bytes.first() == Some(&COOKIE_REPLY) {
                    return;
                }
                // What has waited for the session.
                while let TunnResult::WriteToNetwork(bytes) =
                    { &mut end.tunn }.decapsulate(None, &[], &mut self.room)
                {
                    out.datagram(from, bytes);
                }
            }
            TunnResult::WriteToTunnelV4(packet, source) => {
                // Nobody sends for another's address.
                if self.by_address.get(&source) == Some(&number) {
                    out.packet(packet);
                }
            }
            TunnResult::WriteToTunnelV6(..) => {}
        }
        end.endpoint = from;
    }

    /// Has all peers asked for a sign of life at the next [`Self::tick`].
    pub fn knock(&mut self) {
        self.knocks = true;
    }

    pub fn heard(&self) -> Vec<Heard> {
        let ends = self.ends.values().map(|end| Heard {
            node: end.node,
            endpoint: end.endpoint,
            ago: end.tunn.time_since_last_handshake(),
        });
        ends.collect()
    }

    /// Does what is due: new keys, signs of life. To be called some times in a second while packets
    /// flow.
    pub fn tick(&mut self, out: &mut impl Out) {
        self.limiter.reset_count();
        let knocks = std::mem::take(&mut self.knocks);
        for end in self.ends.values_mut() {
            if knocks
                && let TunnResult::WriteToNetwork(bytes) =
                    { &mut end.tunn }.format_handshake_initiation(&mut self.room, false)
            {
                out.datagram(end.endpoint, bytes);
            }
            if let TunnResult::WriteToNetwork(bytes) = end.tunn.update_timers(&mut self.room) {
                out.datagram(end.endpoint, bytes);
            }
        }
    }
}

/// What encryption adds at most, and the least room for a handshake.
const ROOM_BESIDE: usize = 148;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reach::{Peer, Peers as News};

    /// What came out, by place.
    #[derive(Default)]
    struct Seen {
        datagrams: Vec<(SocketAddr, Vec<u8>)>,
        packets: Vec<Vec<u8>>,
    }

    impl Out for Seen {
        fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
            self.datagrams.push((to, bytes.to_vec()));
        }

        fn packet(&mut self, bytes: &[u8]) {
            self.packets.push(bytes.to_vec());
        }
    }

    /// Hubs at places of their own; node N has the key N and the task 10.0.1.N.
    struct World(BTreeMap<SocketAddr, Hub>);

    fn place(node: u8) -> SocketAddr {
        ([192, 0, 2, node], 4789).into()
    }

    fn key(node: u8) -> PrivateKey {
        PrivateKey::from([node; 32])
    }

    fn peers(nodes: &[u8]) -> Peers {
        let peer = |node: &u8| Peer {
            node: NodeId((*node).into()),
            public_key: key(*node).public(),
            endpoint: place(*node),
            address: None,
            tasks: [Ipv4Addr::new(10, 0, 1, *node)].into(),
        };
        let mut peers = Peers::default();
        peers.hear(News {
            set: nodes.iter().map(peer).collect(),
            ..News::default()
        });
        peers
    }

    fn packet(from: u8, to: u8, text: &[u8]) -> Vec<u8> {
        let length = u8::try_from(20 + text.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, length, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 1, from, 10, 0, 1, to]);
        packet.extend(text);
        packet
    }

    impl World {
        fn new(nodes: &[u8]) -> Self {
            let hub = |node: &u8| {
                let mut hub = Hub::new(&key(*node));
                let others: Vec<_> = nodes.iter().copied().filter(|n| n != node).collect();
                hub.set_peers(&peers(&others));
                (place(*node), hub)
            };
            Self(nodes.iter().map(hub).collect())
        }

        fn hub(&mut self, node: u8) -> &mut Hub {
            self.0.get_mut(&place(node)).unwrap()
        }

        /// Carries what a node sends for as long as anything is on its way; the packets that come
        /// out anywhere, and every datagram.
        fn send(&mut self, at: u8, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
            let mut first = Seen::default();
            self.hub(at).send(packet, &mut first);
            let on_way = first.datagrams.into_iter();
            let mut on_way: Vec<_> = on_way.map(|(to, bytes)| (place(at), to, bytes)).collect();
            let (mut packets, mut carried) = (Vec::new(), Vec::new());
            while let Some((from, to, bytes)) = on_way.pop() {
                let mut seen = Seen::default();
                if let Some(hub) = self.0.get_mut(&to) {
                    hub.receive(from, &bytes, &mut seen);
                }
                packets.extend(seen.packets);
                let answers = seen.datagrams.into_iter();
                on_way.extend(answers.map(|(answer_to, bytes)| (to, answer_to, bytes)));
                carried.push(bytes);
            }
            (packets, carried)
        }
    }

    #[test]
    fn a_packet_comes_out_where_its_destination_is_and_nobody_can_read_it_on_the_way() {
        let mut world = World::new(&[1, 2, 3]);
        let sent = packet(1, 2, b"plain words");
        let (packets, carried) = world.send(1, &sent);
        assert_eq!(packets, [sent]);
        let is_plain = |bytes: &Vec<u8>| bytes.windows(5).any(|part| part == b"plain");
        assert!(carried.len() >= 3 && !carried.iter().any(is_plain));
        let answer = packet(2, 1, b"back");
        assert_eq!(world.send(2, &answer).0, [answer]);
        let lost = packet(1, 9, b"nobody");
        assert_eq!(world.send(1, &lost), (Vec::new(), Vec::new()));
    }

    #[test]
    fn nobody_sends_for_an_address_of_another() {
        let mut world = World::new(&[1, 2, 3]);
        let forged = packet(3, 2, b"not mine");
        assert_eq!(world.send(1, &forged).0, [] as [Vec<u8>; 0]);
        let own = packet(1, 2, b"mine");
        assert_eq!(world.send(1, &own).0, [own]);
    }

    #[test]
    fn who_is_no_peer_any_more_or_has_another_key_is_not_heard() {
        let mut world = World::new(&[1, 2]);
        let sent = packet(1, 2, b"one");
        assert_eq!(world.send(1, &sent).0.len(), 1);
        world.hub(2).set_peers(&peers(&[3]));
        assert_eq!(world.send(1, &sent).0.len(), 0);
        world.hub(2).set_peers(&peers(&[1]));
        // The session went with the peer; a new one begins when the old one is found dead.
        let mut new = Hub::new(&key(1));
        new.set_peers(&peers(&[2]));
        *world.hub(1) = new;
        assert_eq!(world.send(1, &sent).0.len(), 1);
        let mut stranger = Hub::new(&key(7));
        stranger.set_peers(&peers(&[2]));
        *world.hub(1) = stranger;
        assert_eq!(world.send(1, &sent).0.len(), 0);
    }

    #[test]
    fn answers_go_to_where_a_node_was_last_heard_from() {
        let mut world = World::new(&[1, 2]);
        world.send(1, &packet(1, 2, b"from home"));
        let moved = world.0.remove(&place(1)).unwrap();
        world.0.insert(place(8), moved);
        let mut seen = Seen::default();
        { world.0.get_mut(&place(8)) }
            .unwrap()
            .send(&packet(1, 2, b"from elsewhere"), &mut seen);
        for (to, bytes) in seen.datagrams {
            let mut out = Seen::default();
            { world.0.get_mut(&to).unwrap() }.receive(place(8), &bytes, &mut out);
        }
        let answer = packet(2, 1, b"there");
        assert_eq!(world.send(2, &answer).0, [answer]);
    }

    #[test]
    fn any_bytes_are_survived_and_change_nothing() {
        let mut world = World::new(&[1, 2]);
        let sent = packet(1, 2, b"one");
        let (_, carried) = world.send(1, &sent);
        let mut out = Seen::default();
        for datagram in &carried {
            for cut in 0..datagram.len() {
                world.hub(2).receive(place(9), &datagram[..cut], &mut out);
                let mut bent = datagram.clone();
                bent[cut] ^= 1;
                world.hub(2).receive(place(9), &bent, &mut out);
            }
        }
        for kind in 0..=255 {
            for length in [1, 4, 31, 32, 64, 92, 148, 1500] {
                world
                    .hub(2)
                    .receive(place(9), &vec![kind; length], &mut out);
            }
        }
        assert!(out.packets.is_empty());
        assert!(out.datagrams.iter().all(|(to, _)| *to == place(9)));
        let answer = packet(2, 1, b"two");
        assert_eq!(world.send(2, &answer).0, [answer]);
    }
}
