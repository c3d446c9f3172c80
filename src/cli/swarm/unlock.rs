//! `swarm unlock-key` and `swarm unlock`: the key without which a locked manager does not start.

use serde_json::json;

use crate::cli::answer::{is_on, text};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::question;
use crate::cli::swarm::settings;

/// `swarm unlock-key`.
pub const UNLOCK_KEY: Command = Command {
    names: &["swarm unlock-key"],
    usage: "[OPTIONS]",
    about: "Manage the unlock key",
    args: Args::None,
    flags: &[
        Flag::new("quiet", Kind::Switch, "Only display token").short('q'),
        Flag::new("rotate", Kind::Switch, "Rotate unlock key"),
    ],
    run: Run(|context, parsed| Box::pin(unlock_key(context, parsed))),
};

/// `swarm unlock`.
pub const UNLOCK: Command = Command {
    names: &["swarm unlock"],
    usage: "",
    about: "Unlock swarm",
    args: Args::None,
    flags: &[],
    run: Run(|context, _| Box::pin(unlock(context))),
};

const NO_KEY: Failure = Failure::Conflict("no unlock key is set");

async fn unlock_key(context: Context, parsed: Parsed) -> Result<(), Failure> {
    if parsed.on("rotate") {
        let swarm = context.client.get("/swarm").await?;
        if !is_on(&swarm, "/Spec/EncryptionConfig/AutoLockManagers") {
            let why = "cannot rotate because autolock is not turned on";
            return Err(Failure::Conflict(why));
        }
        settings::send(&context, &swarm, &[("rotateManagerUnlockKey", "true")]).await?;
        if !parsed.on("quiet") {
            print("Successfully rotated manager unlock key.\n\n")?;
        }
    }
    if !parsed.on("quiet") {
        return show(&context).await;
    }
    let answer = context.client.get("/swarm/unlockkey").await?;
    match text(&answer, "/UnlockKey") {
        "" => Err(NO_KEY),
        key => print(&format!("{key}\n")),
    }
}

async fn unlock(context: Context) -> Result<(), Failure> {
    // Whoever need not be asked for the key is not.
    let info = context.client.get("/info").await?;
    match text(&info, "/Swarm/LocalNodeState") {
        "locked" => {}
        "inactive" => return Err(Failure::Conflict("this node is not part of a swarm")),
        _ => return Err(Failure::Conflict("swarm is not locked")),
    }
    let key = question::secret("Enter unlock key: ")?;
    let request = json!({"UnlockKey": key.trim()});
    context.client.post("/swarm/unlock", &request).await?;
    Ok(())
}

/// Prints the key, and what it is for.
pub(super) async fn show(context: &Context) -> Result<(), Failure> {
    let answer = context.client.get("/swarm/unlockkey").await?;
    let (program, key) = (context.program, text(&answer, "/UnlockKey"));
    if key.is_empty() {
        return Err(NO_KEY);
    }
    print(&format!(
        "To unlock a swarm manager after it restarts, run the `{program} swarm unlock`\n\
         command and provide the following key:\n\n    {key}\n\n\
         Please remember to store this key in a password manager, since without it you\n\
         will not be able to restart the manager.\n"
    ))
}
