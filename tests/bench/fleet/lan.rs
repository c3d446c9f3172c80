//! Hosts as network namespaces on one bridge. None has a name, so nothing is left of them when this
//! process is gone, however it ends.

use std::process::{Command, Stdio};

use skep::network::namespace::Namespace;

/// A switch in a namespace of its own, and the namespaces of its hosts.
#[derive(Debug)]
pub struct Lan {
    switch: Namespace,
    hosts: Vec<Namespace>,
}

impl Lan {
    pub fn make(hosts: usize) -> Self {
        let switch = Namespace::create().expect("a namespace");
        let create = |_| Namespace::create().expect("a namespace");
        let lan = Self {
            switch,
            hosts: (0..hosts).map(create).collect(),
        };
        let bridge = path(&lan.switch);
        ip(&bridge, "link add br0 type bridge");
        ip(&bridge, "link set br0 up");
        for number in 0..hosts {
            let (host, address) = (lan.path(number), address(number));
            ip(&host, "link set lo up");
            let pair = format!("link add h{number} type veth peer name eth0 netns {host}");
            ip(&bridge, &pair);
            ip(&bridge, &format!("link set h{number} master br0 up"));
            ip(&host, &format!("addr add {address}/24 dev eth0"));
            ip(&host, "link set eth0 up");
            // Nobody is there, but a host has a way out.
            ip(&host, "route add default via 10.77.0.254");
        }
        lan
    }

    /// The path of a host's namespace.
    pub fn path(&self, number: usize) -> String {
        path(&self.hosts[number])
    }

    /// Takes a host's cable out, or puts it in again.
    pub fn plug(&self, number: usize, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        ip(&path(&self.switch), &format!("link set h{number} {state}"));
    }

    /// Makes a host's cable one of so many kb/s each way, with a buffer of a second; whether the
    /// kernel can do that.
    pub fn thin(&self, number: usize, kbit: u32) -> bool {
        let ends = [
            (path(&self.switch), format!("h{number}")),
            (self.path(number), "eth0".to_owned()),
        ];
        ends.iter().all(|(namespace, link)| {
            let shape = format!(
                "qdisc replace dev {link} root tbf rate {kbit}kbit burst 4kb latency 1000ms"
            );
            let status = within(namespace, "tc", &shape)
                .stderr(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        })
    }
}

pub fn address(number: usize) -> String {
    format!("10.77.0.{}", number + 1)
}

fn path(namespace: &Namespace) -> String {
    namespace.path().display().to_string()
}

#[track_caller]
fn ip(namespace: &str, arguments: &str) {
    let status = within(namespace, "ip", arguments).status();
    let status = status.expect("ip runs");
    assert!(status.success(), "ip {arguments}: {status}");
}

fn within(namespace: &str, program: &str, arguments: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={namespace}"))
        .arg(program)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null());
    command
}
