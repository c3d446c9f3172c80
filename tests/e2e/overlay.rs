//! Networks between hosts, end to end: tasks of different hosts reach each other by name and by
//! virtual address, every host answers for a published port, nobody between can read any of it,
//! and nothing stays behind.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, sockopt};
use skep::network::namespace::Namespace;

use crate::fleet::Fleet;
use crate::host::Host;
use crate::networks::{ASK, answers_at, at, tally};

/// What every answer begins with.
const SECRET: &str = "nobody-else-reads-this";

/// Every frame of the network between the hosts is read here too.
struct Tap(OwnedFd);

impl Tap {
    fn on(fleet: &Fleet) -> Self {
        const EVERYTHING: u16 = 3;
        const ROOM: usize = 64 << 20;
        let path = format!("/run/netns/{}", fleet.lan.name());
        let switch = Namespace::at(Path::new(&path)).expect("the switch is there");
        let protocol = Protocol::from_raw(u32::from(EVERYTHING.to_be()).try_into().unwrap());
        let socket = switch.within(|| {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            rustix::net::socket_with(
                AddressFamily::PACKET,
                SocketType::RAW,
                flags,
                Some(protocol),
            )
        });
        let socket = socket.unwrap().expect("root may read every frame");
        sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).unwrap();
        Self(socket)
    }

    /// How many datagrams of tunnels went by; none of the frames may show what was said.
    fn count(&self) -> usize {
        let mut frame = vec![0; 64 << 10];
        let mut count = 0;
        while let Ok((length, _)) = rustix::net::recv(&self.0, &mut frame[..], RecvFlags::empty()) {
            let frame = &frame[..length];
            let shown = frame
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!shown, "a frame shows what was said");
            // An IPv4 header of 20 bytes behind one of Ethernet, and UDP to the swarm's port.
            let is_tunnel = frame.get(23) == Some(&17) && frame.get(36..38) == Some(&[0x12, 0xb5]);
            count += usize::from(is_tunnel);
        }
        count
    }
}

/// The container of a service on a host.
fn container(host: &Host, service: &str) -> String {
    let label = format!("label=com.docker.swarm.service.name={service}");
    let ids = host.skep(&["ps", "-q", "--no-trunc", "--filter", &label]);
    ids.lines().next().unwrap_or_default().to_owned()
}

fn inside(host: &Host, script: &str) -> String {
    let output = host.try_skep(&["exec", &container(host, "client"), "sh", "-c", script]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The addresses that a name has for the client on a host.
fn lookup(host: &Host, name: &str) -> Vec<Ipv4Addr> {
    let said = inside(host, &format!("busybox nslookup -type=a {name}"));
    let lines = said.lines().skip_while(|line| !line.starts_with("Name:"));
    let found = lines.filter_map(|line| line.strip_prefix("Address: "));
    let mut found: Vec<_> = found.filter_map(|text| text.parse().ok()).collect();
    found.sort_unstable();
    found
}

/// How often each task answers the client on a host that asks at these addresses.
fn answers(host: &Host, addresses: &[Ipv4Addr], count: u32) -> Vec<u32> {
    let addresses: Vec<_> = addresses.iter().map(Ipv4Addr::to_string).collect();
    let list = addresses.join(" ");
    let ask = "for to in $list; do ask busybox $to 80; done";
    tally(&inside(
        host,
        &format!("{ASK} list='{list}'; for i in $(seq {count}); do {ask}; done"),
    ))
}

#[test]
fn tasks_of_different_hosts_reach_each_other_and_every_host_answers_for_all() {
    let Some(fleet) = Fleet::start("overlay", 3) else {
        return;
    };
    let manager = fleet.manager();
    manager.skep(&["network", "create", "-d", "overlay", "front"]);
    let clients = [
        "service", "create", "--detach", "--name", "client", "--mode", "global",
    ];
    let on = ["--network", "front", "bb:1", "sleep", "1000"];
    manager.skep(&[&clients[..], &on].concat());
    let server =
        format!("echo {SECRET}-$(hostname) > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp");
    let web = "service create --detach --stop-grace-period 1s --name web --replicas 4 --network \
               front --publish 8080:80 bb:1 sh -c";
    let mut web: Vec<_> = web.split(' ').collect();
    web.push(&server);
    manager.skep(&web);
    let spread = |service| {
        let mut spread = fleet.spread(service);
        spread.sort_unstable();
        spread
    };
    manager.until("all tasks run", || {
        spread("web") == [1, 1, 2] && spread("client") == [1, 1, 1]
    });

    let tap = Tap::on(&fleet);
    let virtual_address = lookup(manager, "web");
    assert_eq!(virtual_address.len(), 1);
    for host in &fleet.hosts {
        host.until("all tasks have names", || {
            lookup(host, "tasks.web").len() == 4
        });
        assert_eq!(lookup(host, "web"), virtual_address);
        let tasks = lookup(host, "tasks.web");
        host.until("every task answers", || answers(host, &tasks, 1) == [1; 4]);
        assert_eq!(answers(host, &virtual_address, 8), [2; 4]);
        assert_eq!(lookup(host, "tasks.client").len(), 3);
    }
    // What is let in at one host and passed on to another is encrypted as well.
    for number in 0..3 {
        let here = fleet.lan.seat(number);
        assert_eq!(answers_at(&here, "127.0.0.1", 8080, 4), [1; 4]);
    }
    let carried = tap.count();
    assert!(carried > 100, "{carried} datagrams");
    for asked in 0..3 {
        let address = fleet.lan.seat(asked).address;
        for asking in 0..3 {
            let from = fleet.lan.seat(asking);
            assert_eq!(
                answers_at(&from, &address, 8080, 8),
                [2; 4],
                "{asking} asks {asked}"
            );
        }
    }

    a_host_that_is_gone_gets_nothing(&fleet);
    nothing_is_left(&fleet);
}

#[test]
fn much_gets_through_a_cable_that_loses_long_packets() {
    const BYTES: usize = 10 << 20;
    let Some(fleet) = Fleet::start("narrow", 2) else {
        return;
    };
    fleet.lan.narrow(1, 1280);
    let manager = fleet.manager();
    manager.skep(&["network", "create", "-d", "overlay", "front"]);
    let client = "service create --detach --stop-grace-period 1s --name client --mode global \
                  --network front bb:1 sleep 1000";
    manager.skep(&client.split_whitespace().collect::<Vec<_>>());
    let server = format!(
        "busybox dd if=/dev/zero of=/tmp/much bs={BYTES} count=1; \
         exec busybox httpd -f -p 80 -h /tmp"
    );
    let web = "service create --detach --stop-grace-period 1s --name web --replicas 2 \
               --replicas-max-per-node 1 --network front bb:1 sh -c";
    let web: Vec<_> = web.split_whitespace().chain([&server[..]]).collect();
    manager.skep(&web);
    for host in &fleet.hosts {
        host.until("both tasks have names", || {
            lookup(host, "tasks.web").len() == 2
        });
        let address = lookup(host, "web")[0];
        // One answer is that of this host, the other comes from the other.
        let ask = format!(
            "for i in 1 2; do printf 'GET /much HTTP/1.0\r\n\r\n' | busybox nc -w 5 {address} 80 \
             | busybox wc -c; done"
        );
        host.until("both answer", || {
            let counts = inside(host, &ask);
            counts.lines().count() == 2 && { counts.lines() }
                .all(|line| line.parse().is_ok_and(|n: usize| n > BYTES))
        });
    }
}

fn a_host_that_is_gone_gets_nothing(fleet: &Fleet) {
    let manager = fleet.manager();
    fleet.lan.plug(2, false);
    manager.until("its tasks are replaced", || {
        fleet.spread("web")[..2] == [2, 2]
    });
    for host in &fleet.hosts[..2] {
        host.until("its names are gone", || {
            lookup(host, "tasks.web").len() == 4
        });
        let address = lookup(host, "web");
        host.until("all others answer", || answers(host, &address, 8) == [2; 4]);
    }
    fleet.lan.plug(2, true);
    fleet.until_ready(3);
}

/// What is left of tasks that are gone is nothing.
fn nothing_is_left(fleet: &Fleet) {
    fleet.manager().skep(&["service", "rm", "web", "client"]);
    for (number, host) in fleet.hosts.iter().enumerate() {
        let seat = fleet.lan.seat(number);
        let links = || at(&seat, &["ip", "-br", "link"]);
        host.until("all links are gone", || links().lines().count() == 2);
        let routes = at(&seat, &["ip", "route"]);
        assert_eq!(routes.lines().count(), 2, "{routes}");
    }
}
