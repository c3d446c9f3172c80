//! Images that go from host to host: a fleet that no registry can be reached from.

use crate::host::Host;
use crate::lan::Lan;
use crate::{image, tools};

/// A manager and its workers, of which none has an image.
struct Fleet {
    hosts: Vec<Host>,
    _lan: Lan,
}

impl Fleet {
    fn start(test: &str, count: usize) -> Option<Self> {
        if !tools::root() {
            return None;
        }
        let lan = Lan::make(test, count)?;
        let host = |number| Host::at(&format!("{test}{number}"), lan.seat(number));
        let hosts: Vec<Host> = (0..count).map(host).collect();
        hosts[0].skep(&["swarm", "init"]);
        let token = hosts[0].skep(&["swarm", "join-token", "-q", "worker"]);
        let at = format!("{}:2377", lan.seat(0).address);
        for host in &hosts[1..] {
            host.skep(&["swarm", "join", "--token", token.trim(), &at]);
        }
        let fleet = Self { hosts, _lan: lan };
        let manager = fleet.manager();
        manager.until("all nodes are ready", || {
            let states = manager.skep(&["node", "ls", "--format", "{{.Status}}"]);
            states.lines().filter(|state| *state == "Ready").count() == count
        });
        Some(fleet)
    }

    fn manager(&self) -> &Host {
        &self.hosts[0]
    }
}

/// The names of the images of a host, but for the one that is built in.
fn images(host: &Host) -> Vec<String> {
    let format = "{{.Repository}}:{{.Tag}}";
    let images = host.skep(&["image", "ls", "--format", format]);
    let images = images.lines().filter(|name| !name.starts_with("hello:"));
    images.map(str::to_owned).collect()
}

#[test]
fn an_image_that_is_loaded_on_the_manager_runs_on_every_node_without_a_registry() {
    let Some(busybox) = tools::busybox() else {
        return tools::skipped("no static busybox, and it could not be installed");
    };
    let Some(fleet) = Fleet::start("sharing", 3) else {
        return;
    };
    let manager = fleet.manager();
    manager.load_as(busybox, "team/app:1", &image::plain());
    let create = "service create -q --name app --mode global --stop-grace-period 1s team/app:1 \
                  sh -c";
    let mut create: Vec<&str> = create.split_whitespace().collect();
    create.push("echo I run; exec sleep 1000");
    manager.skep(&create);
    assert_eq!(manager.running("app"), 3);
    for host in &fleet.hosts {
        assert_eq!(images(host), ["team/app:1"]);
    }
    for worker in &fleet.hosts[1..] {
        assert!(worker.log().contains("came from 10.77.0.1:2377"));
    }

    // A new build under the same name; what is nowhere is said to be.
    let mut newer = image::plain();
    newer["Labels"] = serde_json::json!({"build": "2"});
    manager.load_as(busybox, "team/app:1", &newer);
    let update = ["service", "update", "-q", "--image", "team/app:1", "app"];
    manager.skep(&update);
    let id = manager.skep(&["image", "inspect", "--format", "{{.Id}}", "team/app:1"]);
    for host in &fleet.hosts {
        let container = host.skep(&["container", "ls", "-q"]);
        let args = [
            "container",
            "inspect",
            "--format",
            "{{.Image}}",
            container.trim(),
        ];
        assert_eq!(host.skep(&args), id);
    }
    let create = "service create -d --no-resolve-image --name none 10.77.0.1:5000/none:1";
    manager.skep(&create.split(' ').collect::<Vec<_>>());
    let nowhere = "No such image: 10.77.0.1:5000/none:1: cannot reach 10.77.0.1:5000: ";
    manager.until("the task tells why it does not run", || {
        let tasks = manager.skep(&["service", "ps", "--no-trunc", "none"]);
        tasks.contains(nowhere)
    });
}

#[test]
fn archives_that_lie_beside_the_state_are_loaded_at_the_start_and_not_pruned() {
    let Some(busybox) = tools::busybox() else {
        return tools::skipped("no static busybox, and it could not be installed");
    };
    let Some(mut host) = Host::swarm("archives") else {
        return;
    };
    host.stop_daemon();
    let folder = host.path("state/images.d");
    std::fs::create_dir_all(&folder).expect("a folder for archives");
    let mut config = image::plain();
    config["Labels"] = serde_json::json!({"of": "the card"});
    image::busybox_archive(busybox, &folder.join("app.tar"), "app:1", &config);
    host.start_daemon();
    let create = "service create -q --name app --stop-grace-period 1s app:1 sleep 1000";
    host.skep(&create.split_whitespace().collect::<Vec<_>>());
    assert_eq!(host.running("app"), 1);
    host.skep(&["service", "rm", "app"]);
    host.until("its container is gone", || {
        host.skep(&["container", "ls", "-aq"]).is_empty()
    });
    host.skep(&["image", "prune", "-af"]);
    assert_eq!(images(&host), ["app:1"]);
}

#[test]
fn images_that_tasks_brought_go_when_the_disk_is_filling_and_what_somebody_loaded_stays() {
    let Some(busybox) = tools::busybox() else {
        return tools::skipped("no static busybox, and it could not be installed");
    };
    let Some(mut fleet) = Fleet::start("garbage", 2) else {
        return;
    };
    let build = |number: &str| {
        let mut config = image::plain();
        config["Labels"] = serde_json::json!({"build": number});
        config
    };
    let run = |fleet: &Fleet, name: &str| {
        let image = format!("{name}:1");
        fleet.manager().load_as(busybox, &image, &build(name));
        let create = format!(
            "service create -q --name {name} --constraint node.role==worker {image} sleep 1000"
        );
        let create: Vec<_> = create.split(' ').collect();
        fleet.manager().skep(&create);
    };
    let sorted = |host: &Host| {
        let mut names = images(host);
        names.sort();
        names
    };
    fleet.hosts[1].load_as(busybox, "mine:1", &build("mine"));
    for name in ["old", "kept"] {
        run(&fleet, name);
    }
    assert_eq!(sorted(&fleet.hosts[1]), ["kept:1", "mine:1", "old:1"]);
    fleet.manager().skep(&["service", "rm", "old"]);
    let worker = &fleet.hosts[1];
    worker.until("only one runs", || {
        worker.skep(&["container", "ls", "-aq"]).lines().count() == 1
    });

    // Every disk is that full, and nobody has used them for long.
    fleet.hosts[1].stop_daemon();
    let path = fleet.hosts[1].path("state/images/uses");
    let uses = std::fs::read_to_string(&path).expect("what tasks used");
    assert_eq!(uses.lines().count(), 2, "{uses}");
    let long_ago = uses.lines().map(|line| {
        let (image, _) = line.split_once(' ').expect("an image and a time");
        format!("{image} 1\n")
    });
    std::fs::write(&path, long_ago.collect::<String>()).expect("the same, long ago");
    let full = [
        "--image-gc-high-threshold",
        "0",
        "--image-gc-low-threshold",
        "0",
    ];
    fleet.hosts[1].add_flags(&full);
    fleet.hosts[1].start_daemon();
    run(&fleet, "new");
    assert_eq!(sorted(&fleet.hosts[1]), ["kept:1", "mine:1", "new:1"]);
    assert!(fleet.hosts[1].log().contains("the disk was filling"));
    // The manager's were loaded by hand, and are nowhere else.
    assert_eq!(sorted(fleet.manager()), ["kept:1", "new:1", "old:1"]);
}
