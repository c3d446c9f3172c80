//! What a tunnel between two hosts carries, beside wireguard-go and the bare link. The hosts are
//! network namespaces joined by a pair of links, iperf3 sends one TCP connection each way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use skep::model::address::Subnet;
use skep::model::id::NodeId;
use skep::network::namespace::Namespace;
use skep::network::netlink::Socket;
use skep::network::netlink::link::{self, MAIN_TABLE, Pair, Route, Scope};
use skep::network::peers::Peers;
use skep::network::tunnel::key::PrivateKey;
use skep::network::tunnel::{Plan, Tunnel};
use skep::wire::reach::{Peer, Peers as Told};

use crate::figures::median;

const SECONDS: &str = "3";
const RUNS: usize = 3;
const MTU: u32 = 1420;

pub fn measure() {
    if !rustix::process::geteuid().is_root() || !is_there("iperf3") {
        println!("SKIPPED: what tunnels carry is measured as root, with iperf3");
        return;
    }
    let hosts = [0, 1].map(|_| Namespace::create().expect("a namespace"));
    join(&hosts);
    let _tunnels = [0, 1].map(|host| open(&hosts[host], host));
    let theirs = is_there("wireguard-go") && is_there("wg");
    if theirs {
        open_theirs(&hosts);
    } else {
        println!("wireguard-go is not installed: no tunnel to compare with");
    }
    // They take turns, so that a busy moment of the machine meets all.
    let mut carried = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        for (way, all) in carried.iter_mut().enumerate().take(2 + usize::from(theirs)) {
            all.push(gigabits(&hosts, address(way, 1)));
        }
    }
    for host in hosts.iter().enumerate().filter(|_| theirs) {
        // The program ends with its link.
        let gone = || {
            let mut socket = Socket::route().expect("a socket");
            let link = index(&mut socket, &name(host.0));
            link::remove(&mut socket, link).expect("a link goes");
        };
        host.1.within(gone).expect("a thread");
    }
    let [bare, ours, other] = carried;
    let other = Some(other).filter(|all| !all.is_empty()).map(median);
    let (bare, ours) = (median(bare), median(ours));
    println!("{:<52} {bare:>14.2}", "a bare link, Gb/s");
    let ratio = other.map_or(String::new(), |other| format!("{:.1} x", ours / other));
    let other = other.map_or_else(|| "-".into(), |other| format!("{other:.2}"));
    let what = "a tunnel (wireguard-go), Gb/s";
    println!("{what:<52} {ours:>14.2} {other:>14} {ratio:>8}");
}

/// A host's address on the bare link, in skep's tunnel and in the other's.
fn address(way: usize, host: usize) -> Ipv4Addr {
    let part = |number: usize| u8::try_from(number).expect("a small number");
    Ipv4Addr::new(10, 90 + part(way), 0, 1 + part(host))
}

fn join(hosts: &[Namespace; 2]) {
    let pair = Pair {
        name: "eth0",
        mac: [2, 0, 0, 0, 0, 1],
        peer: "eth0",
        peer_mac: [2, 0, 0, 0, 0, 2],
        peer_namespace: hosts[1].as_fd(),
        mtu: 1500,
    };
    let made = || link::add_pair(&mut Socket::route().expect("a socket"), pair);
    hosts[0].within(made).expect("a thread").expect("two links");
    for (host, namespace) in hosts.iter().enumerate() {
        namespace
            .within(|| give("eth0", 0, host))
            .expect("a thread");
    }
}

/// Gives a link its address, and the way to the other host's.
fn give(name: &str, way: usize, host: usize) {
    let mut socket = Socket::route().expect("a socket");
    let link = index(&mut socket, name);
    let own = address(way, host);
    link::add_address(&mut socket, link, own, Scope::Everywhere).expect("an address");
    link::set_up(&mut socket, link).expect("it comes up");
    let route = Route {
        to: Subnet::containing(own, 24),
        link,
        via: None,
        source: Some(own),
        mtu: None,
        table: MAIN_TABLE,
    };
    link::add_route(&mut socket, route).expect("a route");
}

fn index(socket: &mut Socket, name: &str) -> u32 {
    let link = link::find(socket, name).expect("links are listed");
    link.expect("the link is there").index
}

fn key(host: usize) -> PrivateKey {
    PrivateKey::from([u8::try_from(host + 1).expect("a small number"); 32])
}

fn open(namespace: &Namespace, host: usize) -> Tunnel {
    let other = 1 - host;
    let mut peers = Peers::default();
    peers.hear(Told {
        set: vec![Peer {
            node: NodeId(other as u128),
            public_key: key(other).public(),
            endpoint: (address(0, other), 4789).into(),
            address: None,
            tasks: [address(1, other)].into(),
        }],
        ..Told::default()
    });
    let opened = || {
        let plan = Plan {
            link: "wgsk0",
            key: &key(host),
            port: 4789,
            mtu: MTU,
        };
        let tunnel = Tunnel::open(plan).expect("a tunnel");
        tunnel.set_peers(&peers);
        give("wgsk0", 1, host);
        tunnel
    };
    namespace.within(opened).expect("a thread")
}

/// The name of wireguard-go's link: its programs share a folder.
fn name(host: usize) -> String {
    format!("wgbench{host}")
}

fn open_theirs(hosts: &[Namespace; 2]) {
    let dir = std::env::temp_dir();
    let keys = [0, 1].map(|host| {
        let file = dir.join(format!("skep-bench-wg{host}"));
        fs::write(&file, said(Command::new("wg").arg("genkey"))).expect("a key");
        let input = fs::File::open(&file).expect("a key");
        let public = said(Command::new("wg").arg("pubkey").stdin(input));
        (file, public.trim().to_owned())
    });
    for (host, namespace) in hosts.iter().enumerate() {
        let other = 1 - host;
        let mut start = within(namespace, "wireguard-go");
        start.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
        // It goes on in the background, and must not hold a pipe.
        let start = start
            .arg(name(host))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(start.status().expect("wireguard-go starts").success());
        let mut set = within(namespace, "wg");
        set.args(["set", &name(host), "listen-port", "4790", "private-key"]);
        set.arg(&keys[host].0).args(["peer", &keys[other].1]);
        set.args(["allowed-ips", &format!("{}/32", address(2, other))]);
        set.args(["endpoint", &format!("{}:4790", address(0, other))]);
        said(&mut set);
        namespace
            .within(|| give(&name(host), 2, host))
            .expect("a thread");
    }
    for (file, _) in keys {
        fs::remove_file(file).expect("a key goes");
    }
}

/// What the second host gets from the first, at one of its addresses.
fn gigabits(hosts: &[Namespace; 2], to: Ipv4Addr) -> f64 {
    let mut server = within(&hosts[1], "iperf3");
    server
        .args(["-s", "-1", "--forceflush"])
        .stdout(Stdio::piped());
    let mut server = server.spawn().expect("iperf3 starts");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("listening")));
    let mut client = within(&hosts[0], "iperf3");
    let client = client.args(["-J", "-t", SECONDS, "-c", &to.to_string()]);
    let report: serde_json::Value = serde_json::from_str(&said(client)).expect("JSON");
    lines.for_each(drop);
    server.wait().expect("it ends");
    let bits = report["end"]["sum_received"]["bits_per_second"].as_f64();
    bits.expect("a figure") / 1e9
}

fn within(namespace: &Namespace, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    let path = namespace.path();
    command
        .arg(format!("--net={}", path.display()))
        .arg(program);
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn is_there(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin"]
        .iter()
        .any(|dir| fs::exists(format!("{dir}/{program}")).unwrap_or(false))
}
