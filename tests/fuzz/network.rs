//! What must hold for any bytes that tasks, the kernel and whoever finds the tunnels' port send.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use std::net::{Ipv4Addr, SocketAddr};

use skep::model::address::Subnet;
use skep::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use skep::network::dns::answer::{Reply, failure, reply};
use skep::network::dns::names::Names;
use skep::network::netlink::connections;
use skep::network::netlink::message::Messages;
use skep::network::peers::Peers;
use skep::network::tunnel::hub::{Hub, Out};
use skep::network::tunnel::key::PrivateKey;
use skep::wire::reach::{NetworkView, Peer, Peers as Told, ServiceNetwork, ServiceView, TaskView};

const NETWORK: NetworkId = NetworkId(1);
const ASKER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
/// What a path surely carries whole.
const DATAGRAM_BYTES_MAX: usize = 1232;

/// A question is ignored, passed on, or answered with its own number and in a size that fits.
pub fn dns_question(bytes: &[u8]) {
    let names = names();
    for is_datagram in [true, false] {
        if let Reply::Answer(answer) = reply(&names, ASKER, bytes, is_datagram) {
            assert_eq!(answer[..2], bytes[..2], "its number");
            assert!(answer[2] & 0x80 != 0, "it is an answer");
            assert!(!is_datagram || answer.len() <= DATAGRAM_BYTES_MAX);
        }
    }
    if let Some(answer) = failure(bytes) {
        assert_eq!(answer[..2], bytes[..2]);
    }
}

/// The service `web` with two hundred tasks, of whom one asks.
fn names() -> Names {
    let task = |last: u8| TaskView {
        id: TaskId(last.into()),
        name: format!("web.{last}"),
        node: NodeId(1),
        addresses: vec![(NETWORK, Ipv4Addr::new(10, 0, 1, last))],
    };
    let mut names = Names::default();
    names.add_asker(&[(NETWORK, ASKER)], &[], true);
    names.add_service(&ServiceView {
        id: ServiceId(1),
        name: "web".into(),
        networks: vec![ServiceNetwork {
            network: NetworkView {
                id: NETWORK,
                name: "front".into(),
                subnet: Subnet::containing(ASKER, 24),
                internal: false,
                ingress: false,
            },
            address: Some([10, 0, 1, 2].into()),
            aliases: vec!["www".into()],
        }],
        ports: Vec::new(),
        tasks: (3..203).map(task).collect(),
    });
    names
}

/// What the kernel says is read as far as it can be.
pub fn netlink(bytes: &[u8]) {
    for message in Messages(bytes) {
        let _ = (message.error(), message.complaint());
        let _ = connections::read(&message);
    }
}

/// Who has no key gets nothing through, and no more back than was sent.
pub fn tunnel(bytes: &[u8]) {
    struct Nothing(usize);

    impl Out for Nothing {
        fn datagram(&mut self, _: SocketAddr, bytes: &[u8]) {
            assert!(bytes.len() <= self.0, "no more than was sent");
        }

        fn packet(&mut self, _: &[u8]) {
            panic!("a packet came through");
        }
    }

    let [own, other] = [1, 2].map(|byte| PrivateKey::from([byte; 32]));
    let mut peers = Peers::default();
    peers.hear(Told {
        set: vec![Peer {
            node: NodeId(2),
            public_key: other.public(),
            endpoint: ([192, 0, 2, 2], 4789).into(),
            address: None,
            tasks: [ASKER].into(),
        }],
        ..Told::default()
    });
    let mut hub = Hub::new(&own);
    hub.set_peers(&peers);
    hub.receive(([192, 0, 2, 9], 7).into(), bytes, &mut Nothing(bytes.len()));
}
