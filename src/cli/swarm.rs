//! `swarm`: the cluster as a whole.

pub mod backup;
pub mod ca;
pub mod client_cert;
pub mod join;
pub mod settings;
pub mod token;
pub mod unlock;

use serde_json::{Value, json};

use crate::cli::client::with_query;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::units;

/// `swarm init`.
pub const INIT: Command = Command {
    names: &["swarm init"],
    usage: "[OPTIONS]",
    about: "Initialize a swarm",
    args: Args::None,
    flags: &[
        settings::ADVERTISE_ADDR,
        settings::AUTOLOCK,
        settings::AVAILABILITY,
        settings::CERT_EXPIRY,
        settings::DATA_PATH_ADDR,
        Flag::new(
            "data-path-port",
            Kind::One("uint32", check_u32),
            "Port number to use for data path traffic (1024 - 49151). If no value is set or is set \
             to 0, the default port (4789) is used.",
        ),
        Flag::new(
            "default-addr-pool",
            Kind::Many("ipNetSlice", check_subnet),
            "default address pool in CIDR format (default [])",
        ),
        Flag::new(
            "default-addr-pool-mask-length",
            Kind::One("uint32", check_u32),
            "default address pool subnet mask length (default 24)",
        ),
        settings::DISPATCHER_HEARTBEAT,
        Flag::new(
            "force-new-cluster",
            Kind::Switch,
            "Force create a new cluster from current state",
        ),
        settings::LISTEN_ADDR,
        settings::MAX_SNAPSHOTS,
        settings::SNAPSHOT_INTERVAL,
        settings::TASK_HISTORY_LIMIT,
    ],
    run: Run(|context, parsed| Box::pin(init(context, parsed))),
};

/// `swarm leave`.
pub const LEAVE: Command = Command {
    names: &["swarm leave"],
    usage: "[OPTIONS]",
    about: "Leave the swarm",
    args: Args::None,
    flags: &[Flag::new(
        "force",
        Kind::Switch,
        "Force this node to leave the swarm, ignoring warnings",
    )
    .short('f')],
    run: Run(|context, parsed| Box::pin(leave(context, parsed))),
};

const SUBNET_SIZE: u64 = 24;

async fn init(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let request = request(&parsed)?;
    let id = context.client.post("/swarm/init", &request).await?;
    let id = id
        .as_str()
        .ok_or(Failure::Lacking("the id of the new node"))?;
    print(&format!(
        "Swarm initialized: current node ({id}) is now a manager.\n\n"
    ))?;
    token::show(&context, id, "worker").await?;
    let program = context.program;
    print(&format!(
        "To add a manager to this swarm, run '{program} swarm join-token manager' and follow the \
         instructions.\n"
    ))?;
    if parsed.on("autolock") {
        print("\n")?;
        unlock::show(&context).await?;
    }
    Ok(())
}

async fn leave(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let force: &[(&str, &str)] = if parsed.on("force") {
        &[("force", "1")]
    } else {
        &[]
    };
    context
        .client
        .post(&with_query("/swarm/leave", force), &Value::Null)
        .await?;
    print("Node left the swarm.\n")
}

fn availability(parsed: &Parsed) -> Result<&str, Failure> {
    let availability = parsed.text("availability").unwrap_or_default();
    if !matches!(availability, "" | "active" | "pause" | "drain") {
        let (what, value) = ("availability", availability.to_owned());
        let why = "only active, pause and drain are supported".to_owned();
        return Err(Failure::Value { what, value, why });
    }
    Ok(availability)
}

/// What docker's client sends: only what was asked for is more than zero.
fn request(parsed: &Parsed) -> Result<Value, Failure> {
    let mut spec = json!({
        "Labels": null,
        "Orchestration": {},
        "Raft": {"ElectionTick": 0, "HeartbeatTick": 0},
        "Dispatcher": {},
        "CAConfig": {},
        "TaskDefaults": {},
        "EncryptionConfig": {"AutoLockManagers": false},
    });
    settings::merge(parsed, &mut spec);
    Ok(json!({
        "ListenAddr": parsed.text("listen-addr").unwrap_or("0.0.0.0:2377"),
        "AdvertiseAddr": parsed.text("advertise-addr").unwrap_or_default(),
        "DataPathAddr": parsed.text("data-path-addr").unwrap_or_default(),
        "DataPathPort": parsed.uint("data-path-port").unwrap_or_default(),
        "ForceNewCluster": parsed.on("force-new-cluster"),
        "Spec": spec,
        "AutoLockManagers": parsed.on("autolock"),
        "Availability": availability(parsed)?,
        "DefaultAddrPool": parsed.list("default-addr-pool"),
        "SubnetSize": parsed.uint("default-addr-pool-mask-length").unwrap_or(SUBNET_SIZE),
    }))
}

fn check_u32(text: &str) -> Result<(), String> {
    let number = units::parse_uint(text)?;
    u32::try_from(number)
        .map(drop)
        .map_err(|_| "value out of range".to_owned())
}

fn check_subnet(text: &str) -> Result<(), String> {
    let invalid = || format!("invalid CIDR address: {text}");
    let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
    let address: std::net::IpAddr = address.parse().map_err(|_| invalid())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits: u8 = bits.parse().map_err(|_| invalid())?;
    if bits <= most { Ok(()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parse(line: &str) -> Parsed {
        let words = line.split_whitespace().map(OsString::from);
        Parsed::parse(words, INIT.flags, INIT.args).unwrap()
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        let request = request(&parse("--task-history-limit 2 --availability drain")).unwrap();
        assert_eq!(
            request["Spec"]["Orchestration"],
            json!({"TaskHistoryRetentionLimit": 2})
        );
        assert_eq!(request["Spec"]["CAConfig"], json!({}));
        assert_eq!(request["Availability"], "drain");
        assert_eq!(request["ListenAddr"], "0.0.0.0:2377");
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        assert!(request(&parse("--availability gone")).is_err());
        assert!(check_subnet("10.0.0.0/8").is_ok());
        assert!(check_subnet("10.0.0.0/33").is_err());
        assert!(check_subnet("10.0.0.0").is_err());
        assert!(check_u32("4294967296").is_err());
    }
}
