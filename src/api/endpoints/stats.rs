//! `/containers/{id}/stats`: what a container uses, once or every second.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_lite::stream;

use crate::api::answer::{self, Answer, Broken};
use crate::api::call::Call;
use crate::api::containers::find;
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::types::stats as json;
use crate::api::types::timestamp::{NEVER, rfc3339_nano};
use crate::host::clock;
use crate::host::wait::sleep;
use crate::model::time::Time;
use crate::runtime::adopt::Found;
use crate::runtime::cgroup::figures::{BlockDevice, Figures};
use crate::runtime::listing::Listed;
use crate::runtime::traffic::Traffic;

/// Docker's own interval.
const INTERVAL: Duration = Duration::from_secs(1);
const NS_PER_TICK: u64 = 10_000_000;

/// One reading.
struct Reading {
    at: Time,
    figures: Figures,
    traffic: BTreeMap<String, Traffic>,
    host_cpu_ns: u64,
}

pub async fn stats(call: Call) -> Result<Answer, Failure> {
    let container = find(&call.context, call.name())?;
    let stream = !call.query.has("stream") || call.query.flag("stream");
    let once = call.query.flag("one-shot");
    if !stream {
        let before = read(&call.context, &container);
        let before = match once || !container.is_running() {
            true => None,
            false => {
                sleep(INTERVAL).await;
                before
            }
        };
        let now = read(&call.context, &container);
        return Ok(answer::json(&show(
            &call.context,
            &container,
            before.as_ref(),
            now.as_ref(),
        )));
    }
    let context = call.context.clone();
    let lines = stream::unfold(None, move |before: Option<Reading>| {
        let (context, container) = (context.clone(), container.clone());
        async move {
            if before.is_some() {
                sleep(INTERVAL).await;
            }
            // A container that is gone has no more figures.
            let now = read(&context, &container)?;
            let line = line(&context, &container, before.as_ref(), &now);
            Some((line, Some(now)))
        }
    });
    Ok(answer::stream("application/json", lines))
}

fn line(
    context: &Context,
    container: &Listed,
    before: Option<&Reading>,
    now: &Reading,
) -> Result<bytes::Bytes, Broken> {
    answer::line(&show(context, container, before, Some(now)))
}

/// None if the container does not run.
fn read(context: &Context, container: &Listed) -> Option<Reading> {
    let Found::Running(running) = container.state else {
        return None;
    };
    if !running.shim.is_there() {
        return None;
    }
    let runtime = &context.host.runtime;
    Some(Reading {
        at: clock::now(),
        figures: runtime.figures(&container.plan.id).ok()?,
        traffic: runtime.traffic(&container.plan.id).ok()?,
        host_cpu_ns: host_cpu_ns(&std::fs::read_to_string("/proc/stat").ok()?),
    })
}

fn show(
    context: &Context,
    container: &Listed,
    before: Option<&Reading>,
    now: Option<&Reading>,
) -> json::Stats {
    let cpus = context.host.description.resources.nano_cpus / 1_000_000_000;
    let cpus = u32::try_from(cpus).unwrap_or(0);
    let time =
        |reading: Option<&Reading>| reading.map_or_else(|| NEVER.into(), |r| rfc3339_nano(r.at));
    let cpu = |reading: Option<&Reading>| reading.map(|r| show_cpu(r, cpus)).unwrap_or_default();
    let figures = now.map(|reading| &reading.figures);
    json::Stats {
        name: format!("/{}", container.plan.origin.name),
        id: container.plan.id.clone(),
        read: time(now),
        preread: time(before),
        pids_stats: figures.map(show_pids).unwrap_or_default(),
        blkio_stats: figures.map(|f| show_block(&f.block)).unwrap_or_default(),
        num_procs: 0,
        cpu_stats: cpu(now),
        precpu_stats: cpu(before),
        memory_stats: figures.map(|f| show_memory(context, f)).unwrap_or_default(),
        networks: now.map(|r| show_traffic(&r.traffic)).unwrap_or_default(),
    }
}

fn show_pids(figures: &Figures) -> json::PidsStats {
    json::PidsStats {
        current: figures.pids,
        // Docker's "no limit".
        limit: figures.pids_limit.unwrap_or(u64::MAX),
    }
}

fn show_cpu(reading: &Reading, cpus: u32) -> json::CpuStats {
    let cpu = &reading.figures.cpu;
    json::CpuStats {
        cpu_usage: json::CpuUsage {
            total_usage: cpu.total_ns,
            percpu_usage: Vec::new(),
            usage_in_kernelmode: cpu.system_ns,
            usage_in_usermode: cpu.user_ns,
        },
        system_cpu_usage: reading.host_cpu_ns,
        online_cpus: cpus,
        throttling_data: json::ThrottlingData {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
    }
}

fn show_memory(context: &Context, figures: &Figures) -> json::MemoryStats {
    let memory = &figures.memory;
    let host = context.host.description.resources.memory_bytes;
    json::MemoryStats {
        usage: memory.used_bytes,
        max_usage: memory.peak_bytes,
        stats: memory.detail.clone(),
        failcnt: 0,
        limit: memory
            .limit_bytes
            .unwrap_or_else(|| u64::try_from(host).unwrap_or(0)),
    }
}

fn show_traffic(interfaces: &BTreeMap<String, Traffic>) -> BTreeMap<String, json::NetworkStats> {
    let show = |Traffic { received, sent }: &Traffic| json::NetworkStats {
        rx_bytes: received.bytes,
        rx_packets: received.packets,
        rx_errors: received.errors,
        rx_dropped: received.dropped,
        tx_bytes: sent.bytes,
        tx_packets: sent.packets,
        tx_errors: sent.errors,
        tx_dropped: sent.dropped,
    };
    let shown = interfaces
        .iter()
        .map(|(name, traffic)| (name.clone(), show(traffic)));
    shown.collect()
}

fn show_block(devices: &[BlockDevice]) -> json::BlkioStats {
    let entries = |read: fn(&BlockDevice) -> [u64; 2]| {
        let of = |device: &BlockDevice| {
            let [read, write] = read(device);
            let entry = |op: &str, value| json::BlkioEntry {
                major: device.major,
                minor: device.minor,
                op: op.into(),
                value,
            };
            [entry("read", read), entry("write", write)]
        };
        Some(devices.iter().flat_map(of).collect())
    };
    json::BlkioStats {
        io_service_bytes_recursive: entries(|d| [d.read_bytes, d.written_bytes]),
        io_serviced_recursive: entries(|d| [d.reads, d.writes]),
    }
}

/// All processors' time since boot, idle included: the first line of `/proc/stat`.
fn host_cpu_ns(stat: &str) -> u64 {
    let line = stat.lines().next().unwrap_or("");
    // Guest time is part of user time.
    let ticks = line
        .split_whitespace()
        .skip(1)
        .take(7)
        .filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>().saturating_mul(NS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_processor_time_is_the_sum_of_its_parts() {
        let stat = "cpu  1 2 3 4 5 6 7 8 100 0\ncpu0 1 1 1 1\n";
        assert_eq!(host_cpu_ns(stat), 28 * NS_PER_TICK);
        assert_eq!(host_cpu_ns(""), 0);
    }
}
