//! `info`: the daemon and its host, told to people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::answer::{int, is_on, list, text, texts, uint};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT_INSPECT, Parsed};
use crate::cli::units;
use crate::cli::version::OWN;
use crate::template::Template;

/// `info`.
pub const INFO: Command = Command {
    names: &["system info", "info"],
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    args: Args::None,
    flags: &[FORMAT_INSPECT],
    run: Run(|context, parsed| Box::pin(info(context, parsed))),
};

const NS_PER_MS: i64 = 1_000_000;

async fn info(context: Context, parsed: Parsed) -> Result<(), Failure> {
    match parsed.text("format").filter(|f| !f.is_empty()) {
        Some("json") => print(&format!("{}\n", context.client.get_text("/info").await?)),
        Some(format) => {
            let template = Template::parse(format)?;
            let info = context.client.get("/info").await?;
            print(&format!("{}\n", template.render(&info)?))
        }
        None => {
            print(&format!("Client:\n Version:    {OWN}\n\nServer:\n"))?;
            let info = context.client.get("/info").await?;
            print(&tell(&info))?;
            let warnings = texts(&info, "/Warnings");
            if warnings.is_empty() {
                Ok(())
            } else {
                warn(&warnings)
            }
        }
    }
}

fn warn(warnings: &[&str]) -> Result<(), Failure> {
    print_error_bytes(format!("{}\n", warnings.join("\n")).as_bytes())
}

fn tell(info: &Value) -> String {
    let mut out = String::new();
    let at = |pointer| text(info, pointer);
    let number = |pointer| uint(info, pointer);
    line(&mut out, "Containers", number("/Containers"));
    line(&mut out, " Running", number("/ContainersRunning"));
    line(&mut out, " Paused", number("/ContainersPaused"));
    line(&mut out, " Stopped", number("/ContainersStopped"));
    line(&mut out, "Images", number("/Images"));
    line(&mut out, "Server Version", at("/ServerVersion"));
    line(&mut out, "Storage Driver", at("/Driver"));
    for pair in list(info, "/DriverStatus") {
        line(
            &mut out,
            &format!(" {}", text(pair, "/0")),
            text(pair, "/1"),
        );
    }
    line(&mut out, "Logging Driver", at("/LoggingDriver"));
    line(&mut out, "Cgroup Driver", at("/CgroupDriver"));
    line(&mut out, "Cgroup Version", at("/CgroupVersion"));
    out.push_str(" Plugins:\n");
    for (title, field) in [
        ("Volume", "/Volume"),
        ("Network", "/Network"),
        ("Log", "/Log"),
    ] {
        line(
            &mut out,
            &format!(" {title}"),
            texts(&info["Plugins"], field).join(" "),
        );
    }
    line(&mut out, "Swarm", at("/Swarm/LocalNodeState"));
    swarm(&mut out, &info["Swarm"]);
    let runtimes = info["Runtimes"].as_object();
    let names: Vec<&str> = runtimes
        .into_iter()
        .flatten()
        .map(|(n, _)| n.as_str())
        .collect();
    line(&mut out, "Runtimes", names.join(" "));
    line(&mut out, "Default Runtime", at("/DefaultRuntime"));
    line(&mut out, "Init Binary", at("/InitBinary"));
    security(&mut out, info);
    host(&mut out, info);
    out.push('\n');
    out
}

fn host(out: &mut String, info: &Value) {
    let at = |pointer| text(info, pointer);
    line(out, "Kernel Version", at("/KernelVersion"));
    line(out, "Operating System", at("/OperatingSystem"));
    line(out, "OSType", at("/OSType"));
    line(out, "Architecture", at("/Architecture"));
    line(out, "CPUs", uint(info, "/NCPU"));
    line(
        out,
        "Total Memory",
        units::size_binary(uint(info, "/MemTotal")),
    );
    line(out, "Name", at("/Name"));
    line(out, "ID", at("/ID"));
    line(out, "Docker Root Dir", at("/DockerRootDir"));
    line(out, "Debug Mode", is_on(info, "/Debug"));
    let labels = texts(info, "/Labels");
    if !labels.is_empty() {
        out.push_str(" Labels:\n");
        labels
            .iter()
            .for_each(|label| out.push_str(&format!("  {label}\n")));
    }
    line(out, "Experimental", is_on(info, "/ExperimentalBuild"));
    line(
        out,
        "Live Restore Enabled",
        is_on(info, "/LiveRestoreEnabled"),
    );
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, " {name}: {value}");
}

fn swarm(out: &mut String, swarm: &Value) {
    if matches!(text(swarm, "/LocalNodeState"), "" | "inactive" | "locked") {
        return;
    }
    line(out, " NodeID", text(swarm, "/NodeID"));
    if !text(swarm, "/Error").is_empty() {
        line(out, " Error", text(swarm, "/Error"));
    }
    let is_manager = is_on(swarm, "/ControlAvailable");
    line(out, " Is Manager", is_manager);
    let cluster = &swarm["Cluster"];
    if is_manager && cluster.is_object() {
        line(out, " ClusterID", text(cluster, "/ID"));
        line(out, " Managers", uint(swarm, "/Managers"));
        line(out, " Nodes", uint(swarm, "/Nodes"));
        settings(out, cluster);
    }
    line(out, " Node Address", text(swarm, "/NodeAddr"));
    let mut managers: Vec<&str> = list(swarm, "/RemoteManagers")
        .iter()
        .map(|m| text(m, "/Addr"))
        .collect();
    managers.sort_unstable();
    if !managers.is_empty() {
        out.push_str("  Manager Addresses:\n");
        managers
            .iter()
            .for_each(|manager| out.push_str(&format!("   {manager}\n")));
    }
}

fn settings(out: &mut String, cluster: &Value) {
    let pools = texts(cluster, "/DefaultAddrPool");
    if !pools.is_empty() {
        out.push_str(&format!("  Default Address Pool: {}  \n", pools.join("  ")));
        line(out, " SubnetSize", uint(cluster, "/SubnetSize"));
    }
    line(out, " Data Path Port", uint(cluster, "/DataPathPort"));
    let spec = &cluster["Spec"];
    out.push_str("  Orchestration:\n");
    let limit = int(spec, "/Orchestration/TaskHistoryRetentionLimit");
    line(out, "  Task History Retention Limit", limit);
    out.push_str("  Raft:\n");
    line(
        out,
        "  Snapshot Interval",
        uint(spec, "/Raft/SnapshotInterval"),
    );
    line(
        out,
        "  Number of Old Snapshots to Retain",
        uint(spec, "/Raft/KeepOldSnapshots"),
    );
    line(out, "  Heartbeat Tick", uint(spec, "/Raft/HeartbeatTick"));
    line(out, "  Election Tick", uint(spec, "/Raft/ElectionTick"));
    out.push_str("  Dispatcher:\n");
    line(
        out,
        "  Heartbeat Period",
        span(int(spec, "/Dispatcher/HeartbeatPeriod")),
    );
    out.push_str("  CA Configuration:\n");
    line(
        out,
        "  Expiry Duration",
        span(int(spec, "/CAConfig/NodeCertExpiry")),
    );
    line(out, "  Force Rotate", uint(spec, "/CAConfig/ForceRotate"));
    line(
        out,
        " Autolock Managers",
        is_on(spec, "/EncryptionConfig/AutoLockManagers"),
    );
    line(
        out,
        " Root Rotation In Progress",
        is_on(cluster, "/RootRotationInProgress"),
    );
}

fn span(ns: i64) -> String {
    units::span(u64::try_from(ns / NS_PER_MS).unwrap_or_default())
}

/// `name=seccomp,profile=builtin` is told as the name with its options below.
fn security(out: &mut String, info: &Value) {
    let options = texts(info, "/SecurityOptions");
    if options.is_empty() {
        return;
    }
    out.push_str(" Security Options:\n");
    for option in options {
        for field in option.split(',') {
            match field.split_once('=') {
                Some(("name", name)) => out.push_str(&format!("  {name}\n")),
                Some(("profile", profile)) => out.push_str(&format!("   Profile: {profile}\n")),
                Some((name, value)) => out.push_str(&format!("   {name}: {value}\n")),
                None => out.push_str(&format!("  {field}\n")),
            }
        }
    }
}
