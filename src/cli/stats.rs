//! `stats`: what containers use, now or again and again.

use std::time::Duration;

use serde_json::Value;

use crate::cli::answer::{id, int, list, text, uint};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT, Flag, Kind, NO_TRUNC, Parsed};
use crate::cli::table::{Listing, Row};
use crate::cli::units;
use crate::host::clock::Stopwatch;
use crate::host::wait::sleep;

/// `stats`.
pub const STATS: Command = Command {
    names: &["container stats", "stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    args: Args::AtLeast(0),
    flags: &[
        Flag::new(
            "all",
            Kind::Switch,
            "Show all containers (default shows just running)",
        )
        .short('a'),
        FORMAT,
        Flag::new(
            "no-stream",
            Kind::Switch,
            "Disable streaming stats and only pull the first result",
        ),
        NO_TRUNC,
    ],
    run: Run(|context, parsed| Box::pin(stats(context, parsed))),
};

const ROUND_MS: u64 = 1000;

const LISTING: Listing = Listing {
    fields: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t\
            {{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
};

async fn stats(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let stream = !parsed.on("no-stream");
    loop {
        let started = Stopwatch::start();
        let names = match parsed.args.is_empty() {
            true => running(&context, parsed.on("all")).await?,
            false => parsed.args.clone(),
        };
        let rows = rows(&context, &parsed, &names).await?;
        let text = LISTING.render(&rows, parsed.text("format"), false)?;
        if !stream {
            return print(&text);
        }
        // The cursor goes to the corner and each line is cleared, which flickers less than all.
        let cleared = text.replace('\n', "\x1b[K\n");
        print(&format!("\x1b[H{cleared}\x1b[J"))?;
        sleep(Duration::from_millis(ROUND_MS).saturating_sub(started.elapsed())).await;
    }
}

async fn running(context: &Context, all: bool) -> Result<Vec<String>, Error> {
    let query: &[(&str, &str)] = if all { &[("all", "1")] } else { &[] };
    let containers = context
        .client
        .get(&with_query("/containers/json", query))
        .await?;
    Ok(list(&containers, "")
        .iter()
        .map(|c| text(c, "/Id").to_owned())
        .collect())
}

/// Asks about all containers at once: each answer waits for the end of a measured span.
async fn rows(context: &Context, parsed: &Parsed, names: &[String]) -> Result<Vec<Row>, Failure> {
    let asked = names.iter().map(|name| {
        let client = context.client.clone();
        let path = format!("/containers/{}/stats?stream=0", escape(name));
        context
            .executor
            .spawn(async move { client.get(&path).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut rows = Vec::new();
    for (name, answer) in names.iter().zip(asked) {
        match answer.await {
            Ok(stats) => rows.push(row(name, &stats, parsed.on("no-trunc"))),
            // It was listed and is gone since; one that was asked for by name is missed.
            Err(Error::Daemon { .. }) if parsed.args.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(rows)
}

fn row(name: &str, stats: &Value, whole: bool) -> Row {
    let (used, limit) = (memory(stats), uint(stats, "/memory_stats/limit"));
    let (read, written) = block_bytes(stats);
    let networks = stats["networks"].as_object();
    let bytes = |field: &str| -> u64 {
        networks
            .into_iter()
            .flatten()
            .map(|(_, network)| uint(network, field))
            .sum()
    };
    let pair = |a: u64, b: u64| format!("{} / {}", units::size(a, 3), units::size(b, 3));
    let usage = format!(
        "{} / {}",
        units::size_binary(used),
        units::size_binary(limit)
    );
    let own = match text(stats, "/id") {
        "" => name,
        id => id,
    };
    let mut row = Row::default();
    row.set("Container", id(name, whole))
        .set("ID", id(own, whole))
        .set("Name", text(stats, "/name").trim_start_matches('/'))
        .set("CPUPerc", format!("{:.2}%", cpu_percent(stats)))
        .set("MemUsage", usage)
        .set("MemPerc", format!("{:.2}%", percent(used, limit)))
        .set("NetIO", pair(bytes("/rx_bytes"), bytes("/tx_bytes")))
        .set("BlockIO", pair(read, written))
        .set("PIDs", uint(stats, "/pids_stats/current").to_string());
    row
}

/// Memory in use without the cache that can be given back.
fn memory(stats: &Value) -> u64 {
    let usage = uint(stats, "/memory_stats/usage");
    let fields = [
        "/memory_stats/stats/total_inactive_file",
        "/memory_stats/stats/inactive_file",
    ];
    let cache = fields
        .iter()
        .map(|field| uint(stats, field))
        .find(|cache| *cache > 0);
    cache
        .filter(|cache| *cache < usage)
        .map_or(usage, |cache| usage - cache)
}

fn cpu_percent(stats: &Value) -> f64 {
    let delta = |field: &str| {
        let at = |when: &str| int(&stats[when], field);
        u64::try_from(at("cpu_stats") - at("precpu_stats")).unwrap_or_default()
    };
    let (own, system) = (delta("/cpu_usage/total_usage"), delta("/system_cpu_usage"));
    let cpus = uint(stats, "/cpu_stats/online_cpus").max(1);
    percent(own.saturating_mul(cpus), system)
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64 * 100.0,
    }
}

fn block_bytes(stats: &Value) -> (u64, u64) {
    let mut sums = (0, 0);
    for entry in list(stats, "/blkio_stats/io_service_bytes_recursive") {
        match text(entry, "/op").chars().next() {
            Some('r' | 'R') => sums.0 += uint(entry, "/value"),
            Some('w' | 'W') => sums.1 += uint(entry, "/value"),
            _ => {}
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn use_is_told_as_shares() {
        let stats = json!({
            "name": "/web.1", "id": "c",
            "cpu_stats": {
                "cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2,
            },
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 0},
            "memory_stats": {
                "usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20},
            },
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}]},
            "pids_stats": {"current": 4},
        });
        let row = row("c", &stats, false);
        assert_eq!(row.text("CPUPerc"), "20.00%");
        assert_eq!(row.text("MemUsage"), "2MiB / 8MiB");
        assert_eq!(row.text("MemPerc"), "25.00%");
        assert_eq!(row.text("BlockIO"), "5B / 0B");
        assert_eq!(row.text("PIDs"), "4");
    }

    #[test]
    fn a_container_that_has_just_ended_has_no_shares() {
        let row = row("c", &json!({}), false);
        assert_eq!(row.text("CPUPerc"), "0.00%");
        assert_eq!(row.text("MemUsage"), "0B / 0B");
    }
}
