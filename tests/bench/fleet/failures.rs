//! How soon a swarm goes on without a host that is gone.

use std::time::Duration;

use serde_json::Value;
use skep::host::clock::Stopwatch;

use crate::engine::pause;
use crate::fleet::host::seconds_until;
use crate::fleet::report::Report;
use crate::fleet::{Fleet, HOSTS, MANAGERS, TASKS_PER_HOST, service};

/// The workers.
const FIRST: usize = MANAGERS;
const SECOND: usize = MANAGERS + 1;

/// How long a daemon is away that comes back in time.
const AWAY: Duration = Duration::from_millis(2_500);

/// After that, whatever does not come back is long missed.
const LONG: Duration = Duration::from_secs(9);

/// Time between two tries to create a service.
const GAP: Duration = Duration::from_millis(10);

/// Measures all failures; with `stopped` also the one that takes a minute.
pub fn measure(fleet: &mut Fleet, report: &mut Report, stopped: bool) {
    let name = "worker killed, no goodbye, until its 3 tasks run elsewhere, s";
    report.note(name, 7.0, lose(fleet, FIRST, kill));
    come_back(fleet, FIRST);
    let name = "worker's link cut until its 3 tasks run elsewhere, s";
    report.note(
        name,
        7.0,
        lose(fleet, SECOND, |fleet, worker| {
            fleet.lan.plug(worker, false);
        }),
    );
    come_back(fleet, SECOND);
    let name = "daemon killed and back in 3 s: new tasks";
    report.note(name, 0.0, restart(fleet, FIRST) as f64);
    let (seconds, tries) = lose_leader(fleet);
    report.note(
        "leader killed, no goodbye, until a create is accepted, s",
        1.5,
        seconds,
    );
    report.tell("the same: creates that were refused before", tries as f64);
    if stopped {
        let name = "worker's daemon gets SIGTERM, link down, until they run, s";
        report.note(
            name,
            1.0,
            lose(fleet, FIRST, |fleet, worker| {
                fleet.hosts[worker].stop_daemon();
                fleet.lan.plug(worker, false);
            }),
        );
        come_back(fleet, FIRST);
    }
    let mut left = None;
    let name = "worker leaves until its 3 tasks run elsewhere, s";
    report.note(
        name,
        1.0,
        lose(fleet, SECOND, |fleet, worker| {
            left = Some(fleet.hosts[worker].begin_to_leave());
        }),
    );
    left.and_then(|left| left.join());
}

/// The daemon and the cable go at once, so nobody says anything.
fn kill(fleet: &mut Fleet, host: usize) {
    fleet.lan.plug(host, false);
    fleet.hosts[host].kill_daemon();
}

/// From the loss of a host until all tasks run on the others.
fn lose(fleet: &mut Fleet, host: usize, lose: impl FnOnce(&mut Fleet, usize)) -> f64 {
    let leader = fleet.leader();
    fleet.spread(leader, TASKS_PER_HOST);
    let lost = fleet.node(leader, host)["ID"].clone();
    let watch = Stopwatch::start();
    lose(fleet, host);
    seconds_until("its tasks run elsewhere", || {
        let tasks = fleet.running(leader);
        let elsewhere = tasks.iter().filter(|task| task["NodeID"] != lost);
        elsewhere.count() == TASKS_PER_HOST * HOSTS
    });
    watch.elapsed().as_secs_f64()
}

/// Brings a lost host back, and ends the service.
fn come_back(fleet: &mut Fleet, host: usize) {
    fleet.lan.plug(host, true);
    fleet.hosts[host].start_daemon();
    let leader = fleet.leader();
    fleet.until_all_ready(leader);
    fleet.remove(leader, "bench");
}

/// How many tasks are made because a daemon was killed that came back soon.
fn restart(fleet: &mut Fleet, host: usize) -> usize {
    let leader = fleet.leader();
    fleet.spread(leader, TASKS_PER_HOST);
    let ids = |fleet: &Fleet| -> Vec<Value> {
        let tasks = fleet.hosts[leader].list("/v1.41/tasks");
        tasks.iter().map(|task| task["ID"].clone()).collect()
    };
    let before = ids(fleet);
    fleet.hosts[host].kill_daemon();
    pause(AWAY);
    fleet.hosts[host].start_daemon();
    fleet.until_all_ready(leader);
    pause(LONG);
    let after = ids(fleet);
    fleet.remove(leader, "bench");
    after.iter().filter(|id| !before.contains(id)).count()
}

/// From the loss of the leader until another manager has accepted a service; how many it refused.
fn lose_leader(fleet: &mut Fleet) -> (f64, usize) {
    let leader = fleet.leader();
    let other = (leader + 1) % MANAGERS;
    let mut tries = 0;
    let watch = Stopwatch::start();
    kill(fleet, leader);
    seconds_until("a service is accepted", || {
        let spec = service(&format!("after{tries}"), "bb:1", 1);
        let created = fleet.hosts[other].try_call("POST", "/v1.41/services/create", &spec);
        if created.is_none() {
            tries += 1;
            pause(GAP);
        }
        created.is_some()
    });
    let seconds = watch.elapsed().as_secs_f64();
    fleet.lan.plug(leader, true);
    fleet.hosts[leader].start_daemon();
    fleet.until_all_ready(other);
    fleet.remove(other, &format!("after{tries}"));
    (seconds, tries)
}
