//! Networks of a host, end to end: tasks reach each other by name and virtual address, the world
//! reaches them by published ports, and nothing stays behind.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::host::Host;
use crate::lan::{Lan, Seat};
use crate::tools;

/// Answers with the name of its container.
const SERVER: &str = "hostname > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// Asks a server for its page: Debian's static busybox resolves no names by itself, and its wget
/// not even addresses.
pub const ASK: &str =
    "ask() { printf 'GET / HTTP/1.0\\r\\n\\r\\n' | $1 nc -w 5 $2 $3 | tail -n 1; }; ";

/// A host that is a swarm of one, and one more machine on its network.
struct Town {
    host: Host,
    /// Ends after the host.
    lan: Lan,
}

impl Town {
    fn build(test: &str) -> Option<Self> {
        if !tools::root() {
            return None;
        }
        let Some(busybox) = tools::busybox() else {
            tools::skipped("no static busybox, and it could not be installed");
            return None;
        };
        let lan = Lan::make(test, 2)?;
        let host = Host::at(test, lan.seat(0));
        host.skep(&["swarm", "init"]);
        host.load(busybox);
        Some(Self { host, lan })
    }

    /// Creates a service; what it runs is the last word.
    #[track_caller]
    fn create(&self, options: &str, script: &str) {
        let mut args = vec!["service", "create", "-q", "--stop-grace-period", "1s"];
        args.extend(options.split_whitespace());
        args.extend(["bb:1", "sh", "-c", script]);
        self.host.skep(&args);
    }

    #[track_caller]
    fn refused(&self, options: &str) -> String {
        let mut args = vec!["service", "create", "-q"];
        args.extend(options.split_whitespace());
        args.extend(["bb:1", "true"]);
        let output = self.host.try_skep(&args);
        assert!(!output.status.success(), "{options} was not refused");
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }

    /// The containers of a service's running tasks.
    fn containers(&self, service: &str) -> Vec<String> {
        let label = format!("label=com.docker.swarm.service.name={service}");
        let args = ["ps", "-q", "--no-trunc", "--filter", &label];
        let ids = self.host.skep(&args);
        ids.lines().map(str::to_owned).collect()
    }

    /// What a program of busybox says within a task of a service; empty if it fails.
    fn inside(&self, service: &str, program: &str) -> String {
        let container = self.containers(service).remove(0);
        let mut args = vec!["exec", &container, "busybox"];
        args.extend(program.split_whitespace());
        let output = self.host.try_skep(&args);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How often each container answers `count` requests, made within a task of a service.
    fn answers_inside(&self, service: &str, address: &str, count: u32) -> Vec<u32> {
        let loops = format!("{ASK} for i in $(seq {count}); do ask busybox {address} 80; done");
        let container = self.containers(service).remove(0);
        let output = self
            .host
            .try_skep(&["exec", &container, "sh", "-c", &loops]);
        tally(&String::from_utf8_lossy(&output.stdout))
    }

    /// The addresses that a name has within a task of a service.
    fn lookup(&self, service: &str, name: &str) -> Vec<String> {
        let said = self.inside(service, &format!("nslookup -type=a {name}"));
        let lines = said.lines().skip_while(|line| !line.starts_with("Name:"));
        let found = lines.filter_map(|line| line.strip_prefix("Address: "));
        let mut found: Vec<_> = found.map(str::to_owned).collect();
        found.sort();
        found
    }

    fn format(&self, service: &str, format: &str) -> String {
        let args = ["service", "inspect", service, "--format", format];
        self.host.skep(&args).trim().to_owned()
    }

    fn here(&self) -> Seat {
        self.lan.seat(0)
    }
}

/// How often each line comes.
pub fn tally(lines: &str) -> Vec<u32> {
    let mut counts = BTreeMap::<&str, u32>::new();
    for line in lines.lines() {
        *counts.entry(line).or_default() += 1;
    }
    counts.into_values().collect()
}

/// What a program says on a machine of the network.
pub fn at(seat: &Seat, program: &[&str]) -> String {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{}", seat.namespace))
        .args(program)
        .stdin(Stdio::null());
    let output = command.output().expect("nsenter runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How often each container answers `count` requests that come from a machine of the network.
pub fn answers_at(seat: &Seat, address: &str, port: u16, count: u32) -> Vec<u32> {
    let busybox = tools::busybox().expect("busybox is there").display();
    let loops = format!("{ASK} for i in $(seq {count}); do ask {busybox} {address} {port}; done");
    tally(&at(seat, &["sh", "-c", &loops]))
}

#[test]
fn services_are_reached_by_name_by_virtual_address_and_by_published_port() {
    let Some(town) = Town::build("nets") else {
        return;
    };
    let host = &town.host;
    host.skep(&["network", "create", "-d", "overlay", "front"]);
    host.skep(&["network", "create", "-d", "overlay", "back"]);
    town.create("--name client --network front", "sleep 1000");
    town.create("--name stranger --network back", "sleep 1000");
    let options = "--name web --replicas 2 --network name=front,alias=www \
                   --publish published=8080,target=80";
    town.create(options, SERVER);

    // By name, from inside.
    let virtual_addresses = "{{range .Endpoint.VirtualIPs}}{{.Addr}} {{end}}";
    let shown = town.format("web", virtual_addresses);
    let address = town.lookup("client", "web");
    assert_eq!(address.len(), 1, "{address:?}");
    assert!(shown.contains(&format!("{}/24", address[0])), "{shown}");
    assert_eq!(town.lookup("client", "www"), address);
    let tasks = town.lookup("client", "tasks.web");
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    assert_eq!(town.lookup("client", "web.1").len(), 1);
    assert_eq!(town.lookup("client", "nobody"), [""; 0]);
    assert_eq!(
        town.lookup("stranger", "web"),
        [""; 0],
        "of another network"
    );
    let networks = host.skep(&["service", "ps", "-q", "--no-trunc", "web"]);
    let task = networks.lines().next().unwrap();
    let attached = "{{range .NetworksAttachments}}{{.Network.Spec.Name}} {{end}}";
    let attached = host.skep(&["inspect", "--type", "task", task, "--format", attached]);
    assert_eq!(attached.trim(), "front ingress");

    // By address and port, spread over the tasks.
    let inside = |service, to: &str| town.answers_inside(service, to, 10);
    assert_eq!(inside("client", &address[0]), [5, 5]);
    assert_eq!(inside("client", &tasks[0]), [10]);
    assert_eq!(town.answers_inside("stranger", &tasks[0], 1), [0; 0]);
    let (here, outside) = (town.here(), town.lan.seat(1));
    assert_eq!(answers_at(&outside, &here.address, 8080, 10), [5, 5]);
    assert_eq!(answers_at(&here, "127.0.0.1", 8080, 10), [5, 5]);
    let ports = host.skep(&["service", "ls", "--format", "{{.Name}} {{.Ports}}"]);
    assert!(ports.contains("web *:8080->80/tcp"), "{ports}");

    // What is taken is refused, what is free is given.
    let taken = town.refused("--name other --publish 8080:80");
    assert!(
        taken.contains("port '8080' is already in use by service 'web'"),
        "{taken}"
    );
    let unknown = town.refused("--name other --network nowhere");
    assert!(unknown.contains("network nowhere not found"), "{unknown}");
    let options = "--name other --publish 80 --publish published=8081,target=80,mode=host";
    town.create(options, SERVER);
    let given = town.format(
        "other",
        "{{range .Endpoint.Ports}}{{.PublishedPort}} {{end}}",
    );
    assert_eq!(given, "30000 8081");
    for port in [30000, 8081] {
        let answers = || answers_at(&outside, &here.address, port, 2) == [2];
        host.until(&format!("port {port} answers"), answers);
    }

    nothing_is_left(&town);
}

/// A task of a service that is gone answers nobody, and what is left is nothing.
fn nothing_is_left(town: &Town) {
    let (host, here, outside) = (&town.host, town.here(), town.lan.seat(1));
    host.skep(&["service", "rm", "web", "other", "client", "stranger"]);
    host.until("port 8080 answers nobody", || {
        answers_at(&outside, &here.address, 8080, 1).is_empty()
    });
    let links = || at(&here, &["ip", "-br", "link"]);
    host.until("all links are gone", || links().lines().count() == 2);
    host.skep(&["network", "rm", "front", "back"]);
    host.skep(&["swarm", "leave", "--force"]);
    let addresses = at(&here, &["ip", "-br", "-4", "addr", "show", "lo"]);
    assert!(!addresses.contains("169.254"), "{addresses}");
}

#[test]
fn no_request_is_lost_when_tasks_leave_or_the_daemon_is_killed() {
    let Some(mut town) = Town::build("calm") else {
        return;
    };
    let options = "--name web --replicas 3 --publish 8080:80";
    // It ends at once when told to: whoever still sent to it would see that.
    let stops = "trap 'kill $!; exit 0' TERM; hostname > /tmp/index.html; \
                 busybox httpd -f -p 80 -h /tmp & wait";
    town.create(options, stops);
    let (here, outside) = (town.here(), town.lan.seat(1));
    let answered = || answers_at(&outside, &here.address, 8080, 12) == [4, 4, 4];
    town.host.until("all three tasks are reached", answered);

    let busybox = tools::busybox().expect("busybox is there").display();
    let script = format!(
        "{ASK} while test -e {0}; do ask {busybox} {1} 8080 | grep -q . && echo good || echo bad; \
         done; echo over",
        town.host.path("go-on").display(),
        here.address,
    );
    std::fs::write(town.host.path("go-on"), "").unwrap();
    let mut requests = Command::new("nsenter");
    requests
        .arg(format!("--net=/run/netns/{}", outside.namespace))
        .args(["sh", "-c", &script])
        .stdin(Stdio::null());
    let requests = crate::host::Lines::of(requests);
    requests.until("good");
    town.host.skep(&["service", "scale", "web=1"]);
    town.host
        .until("two tasks have left", || town.containers("web").len() == 1);
    town.host.kill_daemon();
    for _ in 0..20 {
        assert_eq!(requests.next("while no daemon runs"), "good");
    }
    town.host.start_daemon();
    town.host.skep(&["service", "scale", "web=2"]);
    std::fs::remove_file(town.host.path("go-on")).unwrap();
    loop {
        match requests.next("the end").as_str() {
            "over" => break,
            line => assert_eq!(line, "good"),
        }
    }
    let answered = || answers_at(&outside, &here.address, 8080, 10) == [5, 5];
    town.host.until("both tasks are reached", answered);
}
