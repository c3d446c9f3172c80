//! What passes between tasks, in namespaces that stand for a host, its tasks and the world outside.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::model::address::Subnet;
use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::model::spec::service::PortConfig;
use crate::network::interface::set;
use crate::network::namespace::Namespace;
use crate::network::netlink::Socket;
use crate::network::netlink::link::{self, Pair, Route, Scope};
use crate::network::netlink::message::{Message, Received, text};
use crate::network::node::{Networks, Order, Settings};
use crate::network::tunnel::key::PrivateKey;
use crate::network::ways::TunnelSettings;
use crate::wire::reach::{Attachment, NetworkView, Reach, ServiceNetwork, ServiceView, TaskView};

mod flows;

const ROUTER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const NODE: NodeId = NodeId(1);
/// What gets no answer is dropped.
const PATIENCE: Duration = Duration::from_millis(300);

/// A host with tasks, and one more machine.
struct Scene {
    host: Namespace,
    outside: Namespace,
    networks: Networks,
    tasks: Vec<(TaskId, Vec<Attachment>)>,
}

#[derive(Clone, Copy)]
struct From<'a>(&'a Namespace);

impl Scene {
    /// `None` without the rights for it.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let networks = Networks::new(Settings {
            name: "skep-test".into(),
            router: ROUTER,
            node: NODE,
            tunnel: tunnel(1),
        });
        let scene = Self {
            host: Namespace::create().unwrap(),
            outside: Namespace::create().unwrap(),
            networks,
            tasks: Vec::new(),
        };
        let pair = Pair {
            name: "eth0",
            mac: [2, 0, 0, 0, 0, 1],
            peer: "eth0",
            peer_mac: [2, 0, 0, 0, 0, 2],
            peer_namespace: scene.outside.as_fd(),
            mtu: 1500,
        };
        let made = scene.host.within(|| {
            link::add_pair(&mut Socket::route().unwrap(), pair).unwrap();
            give("eth0", HOST, Some(OUTSIDE));
            scene.networks.adopt([]).unwrap();
        });
        made.unwrap();
        scene
            .outside
            .within(|| give("eth0", OUTSIDE, None))
            .unwrap();
        Some(scene)
    }

    /// A task with an address on each network, and a look into its namespace.
    fn task(&mut self, id: u128, on: &[(NetworkView, &str)]) -> Namespace {
        let attachments = on.iter().map(|(network, address)| Attachment {
            network: network.clone(),
            address: address.parse().unwrap(),
        });
        let attachments: Vec<_> = attachments.collect();
        let attach = || {
            self.networks.expect(&container(id));
            let path = self.networks.attach(order(id, &attachments)).unwrap();
            let namespace = Namespace::at(&path).unwrap();
            self.networks.started(&container(id));
            namespace
        };
        let namespace = self.host.within(attach).unwrap();
        self.tasks.push((TaskId(id), attachments));
        namespace
    }

    /// A service of these tasks is told of, and no other.
    fn tell(&self, tasks: &[u128], networks: &[(NetworkView, &str)], ports: &[PortConfig]) {
        let views = self.tasks.iter().filter(|(id, _)| tasks.contains(&id.0));
        let views = views.map(|(id, own)| TaskView {
            id: *id,
            name: format!("web.{}", id.0),
            node: NODE,
            addresses: own
                .iter()
                .map(|own| (own.network.id, own.address))
                .collect(),
        });
        let networks = networks.iter().map(|(network, address)| ServiceNetwork {
            network: network.clone(),
            address: address.parse().ok(),
            aliases: Vec::new(),
        });
        self.networks.hear(Reach {
            services: vec![Arc::new(ServiceView {
                id: ServiceId(1),
                name: "web".into(),
                networks: networks.collect(),
                ports: ports.to_vec(),
                tasks: views.collect(),
            })],
            all: Some(vec![ServiceId(1)]),
            ..Reach::default()
        });
        self.host
            .within(|| self.networks.take_in().unwrap())
            .unwrap();
    }

    fn on_host(&self, deed: impl FnOnce(&Networks) + Send) {
        self.host.within(|| deed(&self.networks)).unwrap();
    }
}

/// A node's end of the tunnels.
fn tunnel(node: u8) -> TunnelSettings {
    TunnelSettings {
        key: PrivateKey::from([node; 32]),
        port: None,
    }
}

impl From<'_> {
    fn connect(self, to: &str) -> Result<TcpStream, std::io::Error> {
        let to: SocketAddr = to.parse().unwrap();
        self.0
            .within(|| TcpStream::connect_timeout(&to, PATIENCE))?
    }

    /// Which of the listeners a connection comes to, and from where.
    fn reaches(self, to: &str, listeners: &[&TcpListener]) -> (usize, SocketAddr) {
        let _stream = self.connect(to).unwrap();
        let mut waiting: Vec<_> = listeners
            .iter()
            .map(|listener| PollFd::new(listener, PollFlags::IN))
            .collect();
        let limit = Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        assert_eq!(poll(&mut waiting, Some(&limit)), Ok(1), "nobody heard");
        let heard = waiting.iter().position(|fd| !fd.revents().is_empty());
        let (_, from) = listeners[heard.unwrap()].accept().unwrap();
        (heard.unwrap(), from)
    }

    fn is_refused(self, to: &str) -> bool {
        let error = self.connect(to).unwrap_err();
        error.kind() == std::io::ErrorKind::ConnectionRefused
    }

    fn is_dropped(self, to: &str) -> bool {
        let error = self.connect(to).unwrap_err();
        error.kind() == std::io::ErrorKind::TimedOut
    }
}

fn give(name: &str, address: Ipv4Addr, gateway: Option<Ipv4Addr>) {
    let mut socket = Socket::route().unwrap();
    for name in ["lo", name] {
        let link = link::find(&mut socket, name).unwrap().unwrap();
        link::set_up(&mut socket, link.index).unwrap();
    }
    let link = link::find(&mut socket, name).unwrap().unwrap().index;
    link::add_address(&mut socket, link, address, Scope::Everywhere).unwrap();
    let route = |to, via| Route {
        to,
        link,
        via,
        source: None,
        mtu: None,
        table: link::MAIN_TABLE,
    };
    link::add_route(&mut socket, route(Subnet::containing(address, 24), None)).unwrap();
    if gateway.is_some() {
        let all = Subnet::containing(Ipv4Addr::UNSPECIFIED, 0);
        link::add_route(&mut socket, route(all, gateway)).unwrap();
    }
}

fn listen(within: &Namespace, port: u16) -> TcpListener {
    let address = (Ipv4Addr::UNSPECIFIED, port);
    within
        .within(|| TcpListener::bind(address))
        .unwrap()
        .unwrap()
}

fn order(id: u128, attachments: &[Attachment]) -> Order {
    Order {
        container: container(id),
        task: TaskId(id),
        attachments: attachments.to_vec(),
        nameservers: Vec::new(),
    }
}

fn container(id: u128) -> String {
    format!("{id:064x}").chars().rev().collect()
}

fn network(id: u128, flag: &str) -> NetworkView {
    NetworkView {
        id: NetworkId(id),
        name: format!("n{id}"),
        subnet: format!("10.0.{id}.0/24").parse().unwrap(),
        internal: flag == "internal",
        ingress: flag == "ingress",
    }
}

fn port(published: u16, target: u16) -> PortConfig {
    PortConfig {
        target_port: target,
        published_port: published,
        ..PortConfig::default()
    }
}

/// Links and tables of packet rules of a namespace.
fn left(within: &Namespace) -> Vec<String> {
    const GET_TABLE: u16 = 10 << 8 | 1;
    let read = |received: &Received<'_>| {
        let (_, attributes) = received.split(4)?;
        attributes.find(1).and_then(text).map(str::to_owned)
    };
    let look = || {
        let links = link::all(&mut Socket::route().unwrap()).unwrap();
        let mut socket = Socket::netfilter().unwrap();
        let message = Message::new(GET_TABLE, 0, &[2, 0, 0, 0]);
        let tables = socket.list(&message, read).unwrap();
        links
            .into_iter()
            .map(|link| link.name)
            .chain(tables)
            .collect()
    };
    within.within(look).unwrap()
}

#[test]
fn connections_spread_over_the_tasks_behind_a_virtual_address_and_a_published_port() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (front, ingress) = (network(1, ""), network(9, "ingress"));
    let client = scene.task(1, &[(front.clone(), "10.0.1.11")]);
    let on = |n| {
        [
            (front.clone(), format!("10.0.1.2{n}")),
            (ingress.clone(), format!("10.0.9.2{n}")),
        ]
    };
    let (two, three) = (on(2), on(3));
    let two = scene.task(2, &two.each_ref().map(|(n, a)| (n.clone(), a.as_str())));
    let three = scene.task(3, &three.each_ref().map(|(n, a)| (n.clone(), a.as_str())));
    let networks = [(front, "10.0.1.100"), (ingress, "10.0.9.100")];
    let ports = [port(8080, 80), port(53, 80)];
    scene.tell(&[2, 3], &networks, &ports);
    let (a, b) = (listen(&two, 80), listen(&three, 80));
    let both = [&a, &b];
    let count = |from: From<'_>, to: &str| {
        let hits = (0..10).filter(|_| from.reaches(to, &both).0 == 0);
        hits.count()
    };
    assert_eq!(count(From(&client), "10.0.1.100:80"), 5);
    assert_eq!(count(From(&scene.outside), "192.0.2.1:8080"), 5);
    assert_eq!(count(From(&scene.host), "127.0.0.1:8080"), 5);
    assert_eq!(count(From(&scene.host), "192.0.2.1:8080"), 5);
    assert_eq!(count(From(&client), "192.0.2.1:8080"), 5);
    // A task reaches itself through the address that stands for it.
    assert_eq!(count(From(&two), "10.0.1.100:80"), 5);
    assert_eq!(count(From(&two), "192.0.2.1:8080"), 5);
    // Who publishes the port of names does not get what tasks ask the router.
    assert_eq!(count(From(&client), "192.0.2.1:53"), 5);
    assert!(From(&client).is_refused("169.254.1.1:53"));

    let (_, from) = From(&client).reaches("10.0.1.100:80", &both);
    assert_eq!(from.ip(), Ipv4Addr::new(10, 0, 1, 11));
    let (_, from) = From(&scene.outside).reaches("192.0.2.1:8080", &both);
    assert_eq!(from.ip(), OUTSIDE, "the client's own address");

    scene.on_host(|networks| networks.withdraw(&container(2)).unwrap());
    assert_eq!(count(From(&client), "10.0.1.100:80"), 0);
    assert_eq!(count(From(&scene.outside), "192.0.2.1:8080"), 0);
    scene.on_host(|networks| networks.detach(&container(3)).unwrap());
    assert!(From(&client).is_refused("10.0.1.100:80"));
    assert!(From(&scene.outside).is_refused("192.0.2.1:8080"));
}

#[test]
fn a_network_over_a_machine_that_the_host_reaches_otherwise_is_refused() {
    let Some(scene) = Scene::new() else { return };
    let lan = NetworkView {
        subnet: "192.0.2.128/25".parse().unwrap(),
        ..network(1, "")
    };
    let address = "192.0.2.130".parse().unwrap();
    let attachment = Attachment {
        network: lan,
        address,
    };
    scene.on_host(|networks| {
        networks.expect(&container(1));
        let error = networks.attach(order(1, &[attachment])).unwrap_err();
        let expect = "network n1 (192.0.2.128/25) overlaps 192.0.2.0/24, to which this host has a \
                      route";
        assert!(error.to_string().starts_with(expect), "{error}");
    });
    assert_eq!(left(&scene.host), ["lo", "eth0"]);
}

#[test]
fn tasks_reach_their_networks_and_the_outside_and_nothing_else() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (front, back, closed) = (network(1, ""), network(2, ""), network(3, "internal"));
    let one = scene.task(1, &[(front.clone(), "10.0.1.11")]);
    let two = scene.task(2, &[(front, "10.0.1.12"), (back.clone(), "10.0.2.12")]);
    let three = scene.task(3, &[(back, "10.0.2.13"), (closed.clone(), "10.0.3.13")]);
    let four = scene.task(4, &[(closed, "10.0.3.14")]);
    scene.tell(&[], &[], &[]);
    let at = |within: &Namespace| listen(within, 80);
    let outside = at(&scene.outside);
    let host = at(&scene.host);

    for (from, to, server, own) in [
        (&one, "10.0.1.12", &two, "10.0.1.11"),
        (&two, "10.0.2.13", &three, "10.0.2.12"),
        (&three, "10.0.3.14", &four, "10.0.3.13"),
        (&four, "10.0.3.13", &three, "10.0.3.14"),
        (&scene.host, "10.0.1.11", &one, "169.254.1.1"),
    ] {
        let listener = at(server);
        let (_, seen) = From(from).reaches(&format!("{to}:80"), &[&listener]);
        assert_eq!(seen.ip().to_string(), own);
    }
    for from in [&one, &two, &three] {
        let (_, seen) = From(from).reaches("192.0.2.9:80", &[&outside]);
        assert_eq!(seen.ip(), HOST);
        From(from).reaches("192.0.2.1:80", &[&host]);
    }
    let listeners = [at(&one), at(&two), at(&three), at(&four)];
    for (from, to) in [
        (&one, "10.0.2.13"),
        (&two, "10.0.3.14"),
        (&one, "10.0.3.14"),
    ] {
        assert!(From(from).is_dropped(&format!("{to}:80")), "{to}");
    }
    // It has no way out; one that it makes for itself ends at the rules.
    let way_out = || {
        let mut socket = Socket::route().unwrap();
        let link = link::find(&mut socket, "eth0").unwrap().unwrap().index;
        let route = Route {
            to: Subnet::containing(Ipv4Addr::UNSPECIFIED, 0),
            link,
            via: Some(ROUTER),
            source: None,
            mtu: None,
            table: link::MAIN_TABLE,
        };
        link::add_route(&mut socket, route).unwrap();
    };
    let error = From(&four).connect("192.0.2.9:80").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
    four.within(way_out).unwrap();
    for to in ["192.0.2.9", "192.0.2.1", "10.0.1.11"] {
        assert!(From(&four).is_dropped(&format!("{to}:80")), "{to}");
    }
    drop(listeners);
}

#[test]
fn a_task_cannot_send_from_an_address_that_is_not_its_own() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let front = network(1, "");
    let one = scene.task(1, &[(front.clone(), "10.0.1.11")]);
    let two = scene.task(2, &[(front, "10.0.1.12")]);
    scene.tell(&[], &[], &[]);
    let listener = listen(&two, 80);
    From(&one).reaches("10.0.1.12:80", &[&listener]);
    let steal = || {
        let mut socket = Socket::route().unwrap();
        let link = link::find(&mut socket, "eth0").unwrap().unwrap().index;
        let stolen = Ipv4Addr::new(10, 0, 1, 99);
        link::add_address(&mut socket, link, stolen, Scope::Everywhere).unwrap();
        let route = Route {
            to: "10.0.1.0/24".parse().unwrap(),
            link,
            via: Some(ROUTER),
            source: Some(stolen),
            mtu: None,
            table: link::MAIN_TABLE,
        };
        link::add_route(&mut socket, route).unwrap();
    };
    one.within(steal).unwrap();
    assert!(From(&one).is_dropped("10.0.1.12:80"));
}

#[test]
fn a_daemon_that_comes_back_keeps_what_runs_and_one_that_leaves_leaves_nothing() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let front = network(1, "");
    let _one = scene.task(1, &[(front.clone(), "10.0.1.11")]);
    let two = scene.task(2, &[(front.clone(), "10.0.1.12")]);
    let networks = [(front, "10.0.1.100")];
    scene.tell(&[2], &networks, &[]);
    let before = left(&scene.host);
    assert_eq!(before.len(), 2 + 2 + 1, "{before:?}");

    // Another one adopts one task of two.
    scene.networks = Networks::new(Settings {
        name: "skep-test".into(),
        router: ROUTER,
        node: NODE,
        tunnel: tunnel(1),
    });
    let (task, attachments) = scene.tasks[1].clone();
    let order = order(task.0, &attachments);
    scene.on_host(|networks| networks.adopt([order]).unwrap());
    assert_eq!(left(&scene.host).len(), 2 + 1 + 1);
    let client = scene.task(3, &[(network(1, ""), "10.0.1.13")]);
    scene.tell(&[2], &networks, &[]);
    From(&client).reaches("10.0.1.100:80", &[&listen(&two, 80)]);

    scene.on_host(|networks| networks.remove().unwrap());
    assert_eq!(left(&scene.host), ["lo", "eth0"]);
    let bind = || TcpListener::bind(SocketAddrV4::new(ROUTER, 53)).is_err();
    assert!(
        scene.host.within(bind).unwrap(),
        "the router's address is gone"
    );
}

#[test]
fn hundreds_of_services_fit_into_one_transaction() {
    let Some(scene) = Scene::new() else { return };
    let front = network(1, "");
    let services = (1..=500_u32).map(|number| {
        let address = Ipv4Addr::from(0x0a00_8000 + number);
        let task = |place: u32| TaskView {
            id: TaskId(u128::from(number * 10 + place)),
            name: format!("s{number}.{place}"),
            node: NODE,
            addresses: vec![(front.id, Ipv4Addr::from(0x0a01_0000 + number * 10 + place))],
        };
        Arc::new(ServiceView {
            id: ServiceId(u128::from(number)),
            name: format!("s{number}"),
            networks: vec![ServiceNetwork {
                network: front.clone(),
                address: Some(address),
                aliases: Vec::new(),
            }],
            ports: Vec::new(),
            tasks: (1..=5).map(task).collect(),
        })
    });
    scene.networks.hear(Reach {
        services: services.collect(),
        all: Some((1..=500).map(ServiceId).collect()),
        ..Reach::default()
    });
    scene.on_host(|networks| assert!(!networks.take_in().unwrap()));
    assert!(left(&scene.host).contains(&"skep-test".to_owned()));
    let setting = || set("ipv4/no_such_setting", "1").is_err();
    assert!(scene.host.within(setting).unwrap());
}
