//! What a fleet costs at which nobody looks and in which nothing happens.

use std::time::Duration;

use crate::engine::pause;
use crate::fleet::host::Host;
use crate::fleet::report::Report;
use crate::fleet::{Fleet, HOSTS, MANAGERS};
use crate::process::{cpu_seconds, resident_mib, traffic, with_word, written_bytes};

const TASKS: usize = 30;

/// How long the fleet is left alone before it is watched, and how long it is.
const SETTLES: Duration = Duration::from_secs(20);
const WATCHED: Duration = Duration::from_secs(120);

/// What a host has used so far.
#[derive(Clone, Copy)]
struct Used {
    /// By its daemon.
    written_bytes: f64,
    cpu_seconds: f64,
    in_bytes: f64,
    out_bytes: f64,
    /// By those that keep its containers.
    keepers_written_bytes: f64,
    keepers_cpu_seconds: f64,
}

/// Measures the fleet with 30 tasks.
pub fn measure(fleet: &Fleet, report: &mut Report) {
    fleet.spread(0, TASKS / HOSTS);
    pause(SETTLES);
    let before: Vec<_> = fleet.hosts.iter().map(used).collect();
    pause(WATCHED);
    let after: Vec<_> = fleet.hosts.iter().map(used).collect();
    for (host, (before, after)) in fleet.hosts.iter().zip(before.into_iter().zip(after)) {
        note(host, before, after, report);
    }
    fleet.remove(0, "bench");
}

fn note(host: &Host, before: Used, after: Used, report: &mut Report) {
    let seconds = WATCHED.as_secs_f64();
    let written = after.written_bytes - before.written_bytes;
    let cpu = (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0;
    let kb_in = (after.in_bytes - before.in_bytes) / 1e3 / (seconds / 60.0);
    let kb_out = (after.out_bytes - before.out_bytes) / 1e3 / (seconds / 60.0);
    let resident = resident_mib(host.pid());
    if host.number < MANAGERS {
        report.note("idle manager of 3: written in 120 s, bytes", 0.0, written);
        report.tell("idle manager of 3: % of a core", cpu);
        report.tell("idle manager of 3: wire in, kB/min", kb_in);
        report.tell("idle manager of 3: wire out, kB/min", kb_out);
        report.note("idle manager of 3: resident, MiB", 12.0, resident);
    } else {
        report.note("idle worker: written in 120 s, bytes", 0.0, written);
        report.note("idle worker: % of a core", 0.05, cpu);
        report.note("idle worker: wire in, kB/min", 6.0, kb_in);
        report.note("idle worker: wire out, kB/min", 6.0, kb_out);
        report.note("idle worker: resident, MiB", 8.0, resident);
    }
    let written = after.keepers_written_bytes - before.keepers_written_bytes;
    let cpu = (after.keepers_cpu_seconds - before.keepers_cpu_seconds) / seconds * 100.0;
    report.note(
        "a host's 6 containers' shims: written in 120 s, bytes",
        0.0,
        written,
    );
    report.tell("a host's 6 containers' shims: % of a core", cpu);
}

fn used(host: &Host) -> Used {
    let daemon = host.pid();
    let (in_bytes, out_bytes) = traffic(daemon, "eth0");
    let mut keepers = with_word(host.dir.to_str().expect("a path in UTF-8"));
    keepers.retain(|pid| *pid != daemon);
    Used {
        written_bytes: written_bytes(daemon),
        cpu_seconds: cpu_seconds(daemon),
        in_bytes,
        out_bytes,
        keepers_written_bytes: keepers.iter().map(|pid| written_bytes(*pid)).sum(),
        keepers_cpu_seconds: keepers.iter().map(|pid| cpu_seconds(*pid)).sum(),
    }
}
