//! `swarm join`: makes this host a node of a swarm.

use serde_json::{Value, json};

use crate::cli::answer::is_on;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::swarm::{availability, settings};

/// `swarm join`.
pub const JOIN: Command = Command {
    names: &["swarm join"],
    usage: "[OPTIONS] HOST:PORT",
    about: "Join a swarm as a node and/or manager",
    args: Args::Exactly(1),
    flags: &[
        settings::ADVERTISE_ADDR,
        settings::AVAILABILITY,
        settings::DATA_PATH_ADDR,
        settings::LISTEN_ADDR,
        Flag::new("token", Kind::Text, "Token for entry into the swarm"),
    ],
    run: Run(|context, parsed| Box::pin(join(context, parsed))),
};

async fn join(context: Context, parsed: Parsed) -> Result<(), Failure> {
    context
        .client
        .post("/swarm/join", &request(&parsed)?)
        .await?;
    let info = context.client.get("/info").await?;
    let role = match is_on(&info, "/Swarm/ControlAvailable") {
        true => "manager",
        false => "worker",
    };
    print(&format!("This node joined a swarm as a {role}.\n"))
}

fn request(parsed: &Parsed) -> Result<Value, Failure> {
    Ok(json!({
        "ListenAddr": parsed.text("listen-addr").unwrap_or("0.0.0.0:2377"),
        "AdvertiseAddr": parsed.text("advertise-addr").unwrap_or_default(),
        "DataPathAddr": parsed.text("data-path-addr").unwrap_or_default(),
        "RemoteAddrs": parsed.args,
        "JoinToken": parsed.text("token").unwrap_or_default(),
        "Availability": availability(parsed)?,
    }))
}
