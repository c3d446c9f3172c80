//! `service create`.

use hyper::Method;
use serde_json::Value;

use crate::cli::answer::text;
use crate::cli::client::{Client, json};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::credentials::Keychain;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Parsed};
use crate::cli::service::{options, pin, port, progress, spec, warn};

/// `service create`.
pub const CREATE: Command = Command {
    names: &["service create"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new service",
    args: Args::Program(1),
    flags: options::CREATE,
    run: Run(|context, parsed| Box::pin(create(context, parsed))),
};

async fn create(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut spec = spec::build(&parsed)?;
    join(&context.client, &parsed, &mut spec["TaskTemplate"]).await?;
    let image = text(&spec, "/TaskTemplate/ContainerSpec/Image").to_owned();
    let auth = Keychain::of_user().header_for(&image)?;
    let resolve = !parsed.on("no-resolve-image");
    let is_known = !resolve || {
        let task = &mut spec["TaskTemplate"];
        pin::pin(&context.client, task, auth.clone()).await
    };
    let request = json(&spec).signed(auth.filter(|_| parsed.on("with-registry-auth")));
    let created = context
        .client
        .json(Method::POST, "/services/create", request)
        .await?;
    if !is_known {
        print_error_bytes(format!("{}\n", pin::warning(&image)).as_bytes())?;
    }
    warn(&created)?;
    let id = text(&created, "/ID");
    print(&format!("{id}\n"))?;
    match parsed.on("detach") {
        true => Ok(()),
        false => progress::wait(&context, &[id.to_owned()], parsed.on("quiet")).await,
    }
}

/// Puts what the spec refers to in, by its id.
async fn join(client: &Client, parsed: &Parsed, task: &mut Value) -> Result<(), Failure> {
    let networks = port::networks(client, parsed.list("network")).await?;
    let secrets = port::files(client, "Secret", parsed.list("secret")).await?;
    let configs = port::files(client, "Config", parsed.list("config")).await?;
    if !networks.is_empty() {
        task["Networks"] = networks.into();
    }
    if !secrets.is_empty() {
        task["ContainerSpec"]["Secrets"] = secrets.into();
    }
    if !configs.is_empty() {
        task["ContainerSpec"]["Configs"] = configs.into();
    }
    Ok(())
}
