//! `swarm update`, and the flags that several commands of `swarm` have.

use serde_json::Value;

use crate::cli::answer::{is_on, uint};
use crate::cli::client::with_query;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::help;
use crate::cli::swarm::unlock;

pub(super) const ADVERTISE_ADDR: Flag = Flag::new(
    "advertise-addr",
    Kind::Text,
    "Advertised address (format: \"<ip|interface>[:port]\")",
);
pub(super) const AUTOLOCK: Flag = Flag::new(
    "autolock",
    Kind::Switch,
    "Enable manager autolocking (requiring an unlock key to start a stopped manager)",
);
pub(super) const AVAILABILITY: Flag = Flag::new(
    "availability",
    Kind::Text,
    "Availability of the node (\"active\", \"pause\", \"drain\") (default \"active\")",
);
pub(super) const CERT_EXPIRY: Flag = Flag::new(
    "cert-expiry",
    Kind::Duration,
    "Validity period for node certificates (ns|us|ms|s|m|h) (default 2160h0m0s)",
);
pub(super) const DATA_PATH_ADDR: Flag = Flag::new(
    "data-path-addr",
    Kind::Text,
    "Address or interface to use for data path traffic (format: \"<ip|interface>\")",
);
pub(super) const DISPATCHER_HEARTBEAT: Flag = Flag::new(
    "dispatcher-heartbeat",
    Kind::Duration,
    "Dispatcher heartbeat period (ns|us|ms|s|m|h) (default 5s)",
);
pub(super) const LISTEN_ADDR: Flag = Flag::new(
    "listen-addr",
    Kind::One("node-addr", |_| Ok(())),
    "Listen address (format: \"<ip|interface>[:port]\") (default 0.0.0.0:2377)",
);
pub(super) const MAX_SNAPSHOTS: Flag = Flag::new(
    "max-snapshots",
    Kind::Uint,
    "Number of additional Raft snapshots to retain",
);
pub(super) const SNAPSHOT_INTERVAL: Flag = Flag::new(
    "snapshot-interval",
    Kind::Uint,
    "Number of log entries between Raft snapshots (default 10000)",
);
pub(super) const TASK_HISTORY_LIMIT: Flag = Flag::new(
    "task-history-limit",
    Kind::Int,
    "Task history retention limit (default 5)",
);

const FLAGS: &[Flag] = &[
    AUTOLOCK,
    CERT_EXPIRY,
    DISPATCHER_HEARTBEAT,
    MAX_SNAPSHOTS,
    SNAPSHOT_INTERVAL,
    TASK_HISTORY_LIMIT,
];

/// `swarm update`.
pub const UPDATE: Command = Command {
    names: &["swarm update"],
    usage: "[OPTIONS]",
    about: "Update the swarm",
    args: Args::None,
    flags: FLAGS,
    run: Run(|context, parsed| Box::pin(update(context, parsed))),
};

/// Puts what was asked for into a spec; the rest of it stays.
pub(super) fn merge(parsed: &Parsed, spec: &mut Value) {
    if let Some(limit) = parsed.int("task-history-limit") {
        spec["Orchestration"]["TaskHistoryRetentionLimit"] = limit.into();
    }
    if let Some(entries) = parsed.uint("snapshot-interval") {
        spec["Raft"]["SnapshotInterval"] = entries.into();
    }
    if let Some(count) = parsed.uint("max-snapshots") {
        spec["Raft"]["KeepOldSnapshots"] = count.into();
    }
    if let Some(period) = parsed.duration_ns("dispatcher-heartbeat") {
        spec["Dispatcher"]["HeartbeatPeriod"] = period.into();
    }
    if let Some(expiry) = parsed.duration_ns("cert-expiry") {
        spec["CAConfig"]["NodeCertExpiry"] = expiry.into();
    }
    if parsed.given("autolock") {
        spec["EncryptionConfig"]["AutoLockManagers"] = parsed.on("autolock").into();
    }
}

/// Sends a spec back to where it came from in `swarm`, changed; `switches` are the query's.
pub(super) async fn send(
    context: &Context,
    swarm: &Value,
    switches: &[(&str, &str)],
) -> Result<(), Failure> {
    let version = uint(swarm, "/Version/Index").to_string();
    let query = [&[("version", version.as_str())], switches].concat();
    let path = with_query("/swarm/update", &query);
    context.client.post(&path, &swarm["Spec"]).await?;
    Ok(())
}

async fn update(context: Context, parsed: Parsed) -> Result<(), Failure> {
    if !FLAGS.iter().any(|flag| parsed.given(flag.long)) {
        return print(&help::command(context.program, &UPDATE, "swarm update"));
    }
    let mut swarm = context.client.get("/swarm").await?;
    let locks = |swarm: &Value| is_on(swarm, "/Spec/EncryptionConfig/AutoLockManagers");
    let locked = locks(&swarm);
    merge(&parsed, &mut swarm["Spec"]);
    send(&context, &swarm, &[]).await?;
    print("Swarm updated.\n")?;
    match locks(&swarm) && !locked {
        true => unlock::show(&context).await,
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_keeps_what_was_not_asked_for() {
        let words = "--cert-expiry 2h --task-history-limit=0 --autolock=false";
        let words = words.split_whitespace().map(OsString::from);
        let parsed = Parsed::parse(words, UPDATE.flags, UPDATE.args).unwrap();
        let mut spec = json!({
            "Labels": {"rack": "1"},
            "CAConfig": {"NodeCertExpiry": 1, "ForceRotate": 3},
            "EncryptionConfig": {"AutoLockManagers": true},
            "Orchestration": {"TaskHistoryRetentionLimit": 5},
        });
        merge(&parsed, &mut spec);
        let expect = json!({
            "Labels": {"rack": "1"},
            "CAConfig": {"NodeCertExpiry": 7_200_000_000_000_u64, "ForceRotate": 3},
            "EncryptionConfig": {"AutoLockManagers": false},
            "Orchestration": {"TaskHistoryRetentionLimit": 0},
        });
        assert_eq!(spec, expect);
    }
}
