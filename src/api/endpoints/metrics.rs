//! `metrics`: what Prometheus asks for, under the names that dockerd and Swarm have.

use std::fs;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::containers;
use crate::api::context::Context;
use crate::api::convert::words::{NODE_STATES, word};
use crate::api::endpoints::system::go_architecture;
use crate::api::facts;
use crate::api::failure::Failure;
use crate::api::prometheus::Metrics;
use crate::manager::figures::Figures;
use crate::runtime::adopt::Found;
use crate::wire::control::{Request, Response};

/// What the kernel counts processor time of processes in.
const TICKS_PER_SECOND: f64 = 100.0;

pub async fn show(call: Call) -> Result<Answer, Failure> {
    let context = &*call.context;
    let mut metrics = Metrics::default();
    engine(context, &mut metrics)?;
    process(&mut metrics);
    let membership = context.cluster.membership();
    let is_manager = u8::from(membership.is_manager);
    let help = "Whether this node is a manager or not";
    metrics.gauge("swarm_node_manager", help, is_manager);
    if let Some(node) = membership.node {
        let swarm = match membership.is_manager {
            true => call.ask(Request::Cluster).await.ok(),
            false => None,
        };
        let swarm_id = match swarm {
            Some(Response::Cluster(cluster)) => cluster.id.to_string(),
            _ => String::new(),
        };
        let labels = [("swarm_id", &swarm_id[..]), ("node_id", &node.to_string())];
        let help = "Information related to the swarm";
        metrics.info("swarm_node_info", help, &labels);
    }
    if let Some(figures) = context.cluster.figures().await {
        manager(&figures, &mut metrics);
    }
    Ok(answer::metrics(metrics.into_text()))
}

fn engine(context: &Context, metrics: &mut Metrics) -> Result<(), Failure> {
    let about = &context.host.description;
    let (os, os_version) = facts::operating_system();
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", option_env!("SKEP_COMMIT").unwrap_or_default()),
        (
            "architecture",
            go_architecture(&about.platform.architecture),
        ),
        ("graphdriver", "overlayfs"),
        ("kernel", &about.kernel),
        ("os", &os),
        ("os_type", &about.platform.os),
        ("os_version", &os_version),
        ("daemon_id", &context.host.id),
    ];
    let help = "The information related to the engine and the OS it is running on";
    metrics.info("engine_daemon_engine_info", help, &labels);
    let cpus = about.resources.nano_cpus / 1_000_000_000;
    let help = "The number of cpus that the host system of the engine has";
    metrics.gauge("engine_daemon_engine_cpus_cpus", help, cpus);
    let help = "The number of bytes of memory that the host system of the engine has";
    let memory = about.resources.memory_bytes;
    metrics.gauge("engine_daemon_engine_memory_bytes", help, memory);
    let (mut running, mut stopped) = (0, 0);
    for container in containers::all(context)? {
        match container.state {
            Found::Running(_) => running += 1,
            Found::Prepared | Found::Ended(..) => stopped += 1,
        }
    }
    let states = [("paused", 0), ("running", running), ("stopped", stopped)];
    let help = "The count of containers in various states";
    metrics.gauges(
        "engine_daemon_container_states_containers",
        help,
        "state",
        states,
    );
    let help = "The number of events logged";
    metrics.counter("engine_daemon_events_total", help, context.events.count());
    let help = "The number of current subscribers to events";
    let listeners = context.events.listeners();
    metrics.gauge("engine_daemon_events_subscribers_total", help, listeners);
    Ok(())
}

fn manager(figures: &Figures, metrics: &mut Metrics) {
    let help = "Indicates if this manager node is a leader";
    metrics.gauge("swarm_manager_leader", help, u8::from(figures.leads));
    let nodes = figures.nodes.iter();
    let words: Vec<_> = nodes
        .map(|(state, count)| (word(*state, &NODE_STATES), *count))
        .collect();
    let nodes = words.iter().map(|(word, count)| (word.as_str(), *count));
    metrics.gauges("swarm_manager_nodes", "The number of nodes", "state", nodes);
    let tasks = figures.tasks.iter();
    let tasks = tasks.map(|(state, count)| (state.name(), *count));
    let help = "The number of tasks in the cluster object store";
    metrics.gauges("swarm_manager_tasks_total", help, "state", tasks);
    for (what, count) in [
        ("services", figures.services),
        ("networks", figures.networks),
        ("secrets", figures.secrets),
        ("configs", figures.configs),
    ] {
        let name = format!("swarm_manager_{what}_total");
        let help = format!("The number of {what} in the cluster object store");
        metrics.gauge(&name, &help, count);
    }
    let help = "The index of the last log entry that was applied";
    metrics.gauge("swarm_raft_applied_index", help, figures.applied);
    for (name, help, histogram) in [
        (
            "swarm_raft_transaction_latency_seconds",
            "Raft transaction latency",
            &figures.tallies.transactions,
        ),
        (
            "swarm_raft_snapshot_latency_seconds",
            "Raft create snapshot latency",
            &figures.tallies.checkpoints,
        ),
        (
            "swarm_dispatcher_scheduling_delay_seconds",
            "Scheduling delay is the time a task takes to go from NEW to RUNNING state",
            &figures.tallies.scheduling,
        ),
    ] {
        metrics.histogram(name, help, histogram);
    }
}

/// What Prometheus' clients say of every process; what the kernel does not tell is left out.
fn process(metrics: &mut Metrics) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        let help = "Total user and system CPU time spent in seconds";
        metrics.counter("process_cpu_seconds_total", help, seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, field, help) in [
        (
            "process_resident_memory_bytes",
            "VmRSS:",
            "Resident memory size in bytes",
        ),
        (
            "process_virtual_memory_bytes",
            "VmSize:",
            "Virtual memory size in bytes",
        ),
    ] {
        if let Some(bytes) = status_bytes(&status, field) {
            metrics.gauge(name, help, bytes);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let help = "Number of open file descriptors";
        metrics.gauge("process_open_fds", help, open.count());
    }
}

/// The name of the program, in brackets, may have anything in it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_time_and_memory_of_a_process() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4 1 2 3 4 150 50 7 8 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("12 (a"), None);
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(12_288));
        assert_eq!(status_bytes("", "VmRSS:"), None);
    }
}
