//! `swarm join-token`: the command that lets another host join.

use crate::cli::answer::text;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::swarm::settings;

/// `swarm join-token`.
pub const JOIN_TOKEN: Command = Command {
    names: &["swarm join-token"],
    usage: "[OPTIONS] (worker|manager)",
    about: "Manage join tokens",
    args: Args::Exactly(1),
    flags: &[
        Flag::new("quiet", Kind::Switch, "Only display token").short('q'),
        Flag::new("rotate", Kind::Switch, "Rotate join token"),
    ],
    run: Run(|context, parsed| Box::pin(join_token(context, parsed))),
};

async fn join_token(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let role = parsed.args[0].as_str();
    let (rotation, pointer) = match role {
        "worker" => ("rotateWorkerToken", "/JoinTokens/Worker"),
        "manager" => ("rotateManagerToken", "/JoinTokens/Manager"),
        _ => return Err(Failure::Role(role.to_owned())),
    };
    let mut swarm = context.client.get("/swarm").await?;
    if parsed.on("rotate") {
        settings::send(&context, &swarm, &[(rotation, "true")]).await?;
        if !parsed.on("quiet") {
            print(&format!("Successfully rotated {role} join token.\n\n"))?;
        }
        swarm = context.client.get("/swarm").await?;
    }
    if parsed.on("quiet") {
        return print(&format!("{}\n", text(&swarm, pointer)));
    }
    let info = context.client.get("/info").await?;
    show(&context, text(&info, "/Swarm/NodeID"), role).await
}

/// Prints the command that lets a host join as `role`, at the manager that is the node `id`.
pub(super) async fn show(context: &Context, id: &str, role: &str) -> Result<(), Failure> {
    let node = context.client.get(&format!("/nodes/{id}")).await?;
    let swarm = context.client.get("/swarm").await?;
    let token = match role {
        "manager" => text(&swarm, "/JoinTokens/Manager"),
        _ => text(&swarm, "/JoinTokens/Worker"),
    };
    let (program, address) = (context.program, text(&node, "/ManagerStatus/Addr"));
    print(&format!(
        "To add a {role} to this swarm, run the following command:\n\n    \
         {program} swarm join --token {token} {address}\n\n"
    ))
}
