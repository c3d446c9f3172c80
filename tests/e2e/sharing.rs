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
