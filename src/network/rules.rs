//! What happens to packets, as one table of packet rules: made from what the managers say and what
//! is on this node, and put in place whole. So a daemon that starts again, or one that missed
//! something, ends with the same rules.
//!
//! ```text
//! prerouting  a task sends from its own address, and not to this host's loopback
//!             from the tunnel comes what is for a network, and from a network nothing else does
//!             virtual address -> one of the service's tasks in turn
//!             published port  -> one of the service's tasks in turn
//! forward     connections begin with what the way has room for
//!             within a network; out of it, unless it is internal; into it by published ports, here
//!             or at another node
//! input       an internal network asks this host for names and nothing else
//! postrouting a task that reaches itself, and loopback, come from the router's address;
//!             what comes from outside and goes to another node comes from this node's address;
//!             what leaves the networks comes from this host's
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::address::Subnet;
use crate::model::spec::service::Protocol;
use crate::network::netlink::message::TooLong;
use crate::network::netlink::nftables::rule::{
    Field, KNOWN, LOCAL, R0, REDIRECTED, RST, Rule, SYN,
};
use crate::network::netlink::nftables::{
    ADDRESS, Batch, FORWARD, Hook, INPUT, LINK, OUTPUT, PORT, POSTROUTING, PREROUTING, PROTOCOL,
    Range, Verdict,
};

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// What the links begin with that tasks' addresses may come by, whichever daemon of this machine
/// has made them: those of tasks, those of tunnels, and loopback.
const OURS: [&[u8]; 3] = [LINKS.as_bytes(), TUNNELS.as_bytes(), b"lo\0"];
pub const LINKS: &str = "sk";
pub const TUNNELS: &str = "wgsk";

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Everything that the rules are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub table: String,
    /// What the names of tasks' links on this host begin with.
    pub prefix: String,
    pub router: Option<Ipv4Addr>,
    /// The link that leads to the tasks of other nodes.
    pub tunnel: String,
    /// This node's own address in the ingress network.
    pub address: Option<Ipv4Addr>,
    /// Those of other nodes: what comes from them they have let in.
    pub nodes: BTreeSet<Ipv4Addr>,
    /// The links of this host's tasks, and the address that may come from each.
    pub links: BTreeMap<String, Ipv4Addr>,
    /// From which to which of its own addresses a task may come by way of this host.
    pub itself: BTreeSet<(Ipv4Addr, Ipv4Addr)>,
    pub networks: BTreeMap<Subnet, NetworkRules>,
    /// Virtual addresses, each with the addresses that stand behind it.
    pub services: BTreeMap<Ipv4Addr, Vec<Ipv4Addr>>,
    /// Published ports.
    pub ports: BTreeMap<(Protocol, u16), Targets>,
}

/// What a network lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkRules {
    pub internal: bool,
    /// Entered by published ports only, its tasks do not even reach each other.
    pub ingress: bool,
}

/// Where a published port leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub port: u16,
    pub addresses: Vec<Ipv4Addr>,
}

impl Rules {
    /// For a host that does nothing with packets.
    pub const fn none() -> Self {
        Self {
            table: String::new(),
            prefix: String::new(),
            router: None,
            tunnel: String::new(),
            address: None,
            nodes: BTreeSet::new(),
            links: BTreeMap::new(),
            itself: BTreeSet::new(),
            networks: BTreeMap::new(),
            services: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }

    /// The transaction that puts the rules in place of whatever was there.
    pub fn batch(&self) -> Result<Vec<u8>, TooLong> {
        let mut batch = Batch::replace(&self.table);
        self.sets(&mut batch);
        self.services(&mut batch);
        self.prerouting(&mut batch);
        self.shorten(&mut batch);
        self.forward(&mut batch);
        self.input(&mut batch);
        self.postrouting(&mut batch);
        batch.finish()
    }

    fn sets(&self, batch: &mut Batch) {
        let own = self.links.iter().map(|(link, address)| {
            let mut key = link_name(link);
            key.extend(address.octets());
            key
        });
        batch.set("own", &[LINK, ADDRESS], own);
        let itself = self.itself.iter();
        let itself = itself.map(|(from, to)| [from.octets(), to.octets()].concat());
        batch.set("itself", &[ADDRESS, ADDRESS], itself);
        batch.subnets(
            "networks",
            self.networks.keys().map(|subnet| range(*subnet)),
        );
        let nodes = self.nodes.iter().map(|node| node.octets().to_vec());
        batch.set("nodes", &[ADDRESS], nodes);
        let some = |wanted: fn(&NetworkRules) -> bool| {
            let networks = self.networks.iter().filter(move |(_, rules)| wanted(rules));
            networks.map(|(subnet, _)| range(*subnet))
        };
        batch.subnets("ingress", some(|rules| rules.ingress));
        batch.subnets("internal", some(|rules| rules.internal));
    }

    /// A chain for each virtual address and each published port, and the maps that lead to them.
    fn services(&self, batch: &mut Batch) {
        let live = self.services.iter().filter(|(_, tasks)| !tasks.is_empty());
        let (mut addresses, mut ports) = (Vec::new(), Vec::new());
        for (address, tasks) in live {
            let name = format!("vip-{address}");
            batch.chain(&name, None);
            batch.list(
                &name,
                &[ADDRESS],
                tasks.iter().map(|task| task.octets().to_vec()),
            );
            batch.rule(&name, |rule| {
                rule.turn(count(tasks), R0).at(&name, R0).redirect(R0, None);
            });
            addresses.push((address.octets().to_vec(), Verdict::Goto(name)));
        }
        for ((protocol, port), targets) in &self.ports {
            if targets.addresses.is_empty() {
                continue;
            }
            let number = protocol_number(*protocol);
            let name = format!("port-{number}-{port}");
            batch.chain(&name, None);
            let tasks = targets.addresses.iter().map(|task| {
                let mut value = task.octets().to_vec();
                value.extend(port_field(targets.port));
                value
            });
            batch.list(&name, &[ADDRESS, PORT], tasks);
            batch.rule(&name, |rule| {
                rule.turn(count(&targets.addresses), R0)
                    .at(&name, R0)
                    .redirect(R0, Some(R0 + 1));
            });
            let mut key = vec![number, 0, 0, 0];
            key.extend(port_field(*port));
            ports.push((key, Verdict::Goto(name)));
        }
        batch.verdict_map("services", &[ADDRESS], addresses);
        batch.verdict_map("ports", &[PROTOCOL, PORT], ports);
    }

    fn prerouting(&self, batch: &mut Batch) {
        batch.chain("check", Some(hook("filter", PREROUTING, -300)));
        batch.rule("check", |rule| {
            self.sent_by_task(rule)
                .load(Field::LinkIn, R0)
                .load(Field::Source, R0 + 4)
                .is_not_in("own", R0)
                .verdict(&Verdict::Drop);
        });
        batch.rule("check", |rule| {
            self.sent_by_task(rule)
                .load(Field::Destination, R0)
                .equal(R0, &[127])
                .verdict(&Verdict::Drop);
        });
        self.check_wires(batch);
        for (name, number) in [("arrive", PREROUTING), ("begin", OUTPUT)] {
            batch.chain(name, Some(hook("nat", number, -100)));
            batch.rule(name, |rule| {
                rule.load(Field::Destination, R0).follow("services", R0);
            });
            batch.rule(name, |rule| {
                // What tasks ask for names stays so, whoever publishes its port.
                if let Some(router) = self.router {
                    rule.load(Field::Destination, R0)
                        .not_equal(R0, &router.octets());
                }
                rule.load(Field::DestinationKind, R0)
                    .equal(R0, &LOCAL.to_ne_bytes())
                    .load(Field::Protocol, R0)
                    .load(Field::DestinationPort, R0 + 1)
                    .follow("ports", R0);
            });
        }
    }

    /// What comes neither from a task of this host nor from the host itself.
    fn check_wires(&self, batch: &mut Batch) {
        batch.rule("check", |rule| {
            rule.load(Field::LinkIn, R0)
                .equal(R0, &link_name(&self.tunnel))
                .load(Field::Destination, R0)
                .is_not_in("networks", R0)
                .verdict(&Verdict::Drop);
        });
        // Addresses of tasks come by the tunnel, which knows whose they are.
        batch.rule("check", |rule| {
            rule.load(Field::LinkIn, R0);
            for ours in OURS {
                rule.not_equal(R0, ours);
            }
            rule.load(Field::Source, R0)
                .is_in("networks", R0)
                .verdict(&Verdict::Drop);
        });
    }

    /// Both ends of a connection learn how long packets may be on its way: where that is less than
    /// what their own links take, nobody on the way has to complain.
    fn shorten(&self, batch: &mut Batch) {
        batch.chain("shorten", Some(hook("filter", FORWARD, -150)));
        for end in [Field::Source, Field::Destination] {
            batch.rule("shorten", |rule| {
                rule.load(end, R0)
                    .is_in("networks", R0)
                    .load(Field::Protocol, R0)
                    .equal(R0, &[TCP])
                    .load(Field::TcpFlags, R0)
                    .mask(R0, &[SYN | RST])
                    .equal(R0, &[SYN])
                    .fit_to_way(R0);
            });
        }
    }

    fn forward(&self, batch: &mut Batch) {
        for (subnet, rules) in &self.networks {
            let name = network_chain(*subnet);
            batch.chain(&name, None);
            self.fill_network(batch, &name, *subnet, *rules);
        }
        let networks = self.networks.keys();
        let map = networks.map(|subnet| (range(*subnet), Verdict::Goto(network_chain(*subnet))));
        batch.subnet_map("leave", map);
        batch.chain("forward", Some(hook("filter", FORWARD, 0)));
        batch.rule("forward", |rule| {
            accept_known(rule);
        });
        // Nothing of a network ever leaves it unchanged: a virtual address without tasks, an
        // address that nobody has.
        batch.rule("forward", |rule| {
            self.lost(rule)
                .load(Field::Protocol, R0)
                .equal(R0, &[TCP])
                .reset();
        });
        batch.rule("forward", |rule| {
            self.lost(rule).refuse();
        });
        batch.rule("forward", |rule| {
            rule.load(Field::LinkIn, R0)
                .equal(R0, &link_name(&self.tunnel))
                .load(Field::Source, R0)
                .is_in("nodes", R0)
                .verdict(&Verdict::Accept);
        });
        batch.rule("forward", |rule| {
            rule.load(Field::Source, R0)
                .is_in("internal", R0)
                .load(Field::Destination, R0)
                .is_in("ingress", R0)
                .verdict(&Verdict::Drop);
        });
        batch.rule("forward", |rule| {
            rule.load(Field::Destination, R0)
                .is_in("ingress", R0)
                .load(Field::Status, R0)
                .any_bit(R0, REDIRECTED)
                .verdict(&Verdict::Accept);
        });
        batch.rule("forward", |rule| {
            rule.load(Field::Source, R0).follow("leave", R0);
        });
        batch.rule("forward", |rule| {
            to_networks(rule).verdict(&Verdict::Drop);
        });
    }

    /// What may be sent from a network.
    fn fill_network(&self, batch: &mut Batch, name: &str, subnet: Subnet, rules: NetworkRules) {
        if !rules.ingress {
            batch.rule(name, |rule| {
                rule.load(Field::Destination, R0)
                    .mask(R0, &mask(subnet))
                    .equal(R0, &subnet.first().octets())
                    .verdict(&Verdict::Accept);
            });
        }
        batch.rule(name, |rule| {
            to_networks(rule).verdict(&Verdict::Drop);
        });
        let verdict = if rules.internal {
            Verdict::Drop
        } else {
            Verdict::Accept
        };
        batch.rule(name, |rule| {
            rule.verdict(&verdict);
        });
    }

    fn input(&self, batch: &mut Batch) {
        batch.chain("input", Some(hook("filter", INPUT, 0)));
        batch.rule("input", |rule| {
            accept_known(rule);
        });
        if let Some(router) = self.router {
            for protocol in [UDP, TCP] {
                batch.rule("input", |rule| {
                    rule.load(Field::Destination, R0)
                        .equal(R0, &router.octets())
                        .load(Field::Protocol, R0)
                        .equal(R0, &[protocol])
                        .load(Field::DestinationPort, R0)
                        .equal(R0, &DNS_PORT.to_be_bytes())
                        .verdict(&Verdict::Accept);
                });
            }
        }
        batch.rule("input", |rule| {
            self.sent_by_task(rule)
                .load(Field::Source, R0)
                .is_in("internal", R0)
                .verdict(&Verdict::Drop);
        });
    }

    fn postrouting(&self, batch: &mut Batch) {
        batch.chain("depart", Some(hook("nat", POSTROUTING, 100)));
        if let Some(router) = self.router {
            batch.rule("depart", |rule| {
                self.sent_to_task(rule)
                    .load(Field::Source, R0)
                    .load(Field::Destination, R0 + 1)
                    .is_in("itself", R0)
                    .source(router, R0);
            });
            batch.rule("depart", |rule| {
                self.sent_to_task(rule)
                    .load(Field::Source, R0)
                    .equal(R0, &[127])
                    .source(router, R0);
            });
        }
        if let Some(address) = self.address {
            for is_published in [true, false] {
                batch.rule("depart", |rule| {
                    rule.load(Field::LinkOut, R0)
                        .equal(R0, &link_name(&self.tunnel));
                    match is_published {
                        // Whoever asks, it is this node that passes it on.
                        true => rule.load(Field::Destination, R0).is_in("ingress", R0),
                        false => rule.load(Field::Source, R0).is_not_in("networks", R0),
                    };
                    rule.source(address, R0);
                });
            }
        }
        batch.rule("depart", |rule| {
            self.elsewhere(rule)
                .load(Field::Source, R0)
                .is_in("networks", R0)
                .masquerade();
        });
    }

    fn sent_by_task<'r, 'm>(&self, rule: &'r mut Rule<'m>) -> &'r mut Rule<'m> {
        rule.load(Field::LinkIn, R0)
            .equal(R0, self.prefix.as_bytes())
    }

    fn sent_to_task<'r, 'm>(&self, rule: &'r mut Rule<'m>) -> &'r mut Rule<'m> {
        rule.load(Field::LinkOut, R0)
            .equal(R0, self.prefix.as_bytes())
    }

    /// Leaves by a link that no task is behind, here or on another node.
    fn elsewhere<'r, 'm>(&self, rule: &'r mut Rule<'m>) -> &'r mut Rule<'m> {
        rule.load(Field::LinkOut, R0)
            .not_equal(R0, self.prefix.as_bytes())
            .not_equal(R0, &link_name(&self.tunnel))
    }

    /// Is for a network, and about to leave by a link that no task is behind.
    fn lost<'r, 'm>(&self, rule: &'r mut Rule<'m>) -> &'r mut Rule<'m> {
        to_networks(self.elsewhere(rule))
    }
}

fn to_networks<'r, 'm>(rule: &'r mut Rule<'m>) -> &'r mut Rule<'m> {
    rule.load(Field::Destination, R0).is_in("networks", R0)
}

fn accept_known(rule: &mut Rule<'_>) {
    rule.load(Field::State, R0)
        .any_bit(R0, KNOWN)
        .verdict(&Verdict::Accept);
}

fn hook(kind: &'static str, number: u32, priority: i32) -> Hook {
    Hook {
        kind,
        number,
        priority,
    }
}

fn network_chain(subnet: Subnet) -> String {
    format!("net-{}-{}", subnet.first(), subnet.bits())
}

fn range(subnet: Subnet) -> Range {
    (subnet.first(), subnet.last())
}

fn mask(subnet: Subnet) -> [u8; 4] {
    let free = subnet.first().to_bits() ^ subnet.last().to_bits();
    (!free).to_be_bytes()
}

/// A link's name as the kernel compares it: with zeros to its full length.
fn link_name(link: &str) -> Vec<u8> {
    let mut name = link.as_bytes().to_vec();
    name.resize(libc::IFNAMSIZ, 0);
    name
}

fn port_field(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
        Protocol::Sctp => 132,
    }
}

fn count(list: &[Ipv4Addr]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
