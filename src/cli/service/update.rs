//! `service update` and `service rollback`.

pub mod edit;
mod lists;
#[cfg(test)]
mod tests;

use hyper::Method;
use serde_json::Value;

use crate::cli::answer::{list, text, uint};
use crate::cli::client::{Client, escape, json, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::credentials::Keychain;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::service::{DETACH, options, pin, port, progress, warn};

/// `service update`.
pub const UPDATE: Command = Command {
    names: &["service update"],
    usage: "[OPTIONS] SERVICE",
    about: "Update a service",
    args: Args::Exactly(1),
    flags: options::UPDATE,
    run: Run(|context, parsed| Box::pin(update(context, parsed))),
};

/// `service rollback`.
pub const ROLLBACK: Command = Command {
    names: &["service rollback"],
    usage: "[OPTIONS] SERVICE",
    about: "Revert changes to a service's configuration",
    args: Args::Exactly(1),
    flags: &[
        DETACH,
        Flag::new("quiet", Kind::Switch, "Suppress progress output").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(roll_back(context, parsed))),
};

/// Flags that say how to wait, not what to change.
const WAITING: [&str; 3] = ["detach", "quiet", "rollback"];

async fn update(context: Context, parsed: Parsed) -> Result<(), Failure> {
    if parsed.on("rollback") {
        if parsed.names().any(|name| !WAITING.contains(&name)) {
            return Err(Failure::Conflict(
                "other flags may not be combined with --rollback",
            ));
        }
        return roll_back(context, parsed).await;
    }
    let mut service = find(&context.client, &parsed).await?;
    edit::apply(&parsed, &mut service["Spec"])?;
    join(
        &context.client,
        &parsed,
        &mut service["Spec"]["TaskTemplate"],
    )
    .await?;
    let image = text(&service, "/Spec/TaskTemplate/ContainerSpec/Image").to_owned();
    let auth = Keychain::of_user().header_for(&image)?;
    if parsed.given("image") && !parsed.on("no-resolve-image") {
        let task = &mut service["Spec"]["TaskTemplate"];
        if !pin::pin(&context.client, task, auth.clone()).await {
            print_error_bytes(format!("{}\n", pin::warning(&image)).as_bytes())?;
        }
    }
    match parsed.on("with-registry-auth") {
        true => send(&context, &parsed, &service, &[], auth).await,
        false => {
            let query = [("registryAuthFrom", "spec")];
            send(&context, &parsed, &service, &query, None).await
        }
    }
}

async fn roll_back(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let service = find(&context.client, &parsed).await?;
    let query = [("rollback", "previous")];
    send(&context, &parsed, &service, &query, None).await
}

async fn find(client: &Client, parsed: &Parsed) -> Result<Value, Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    Ok(client.get(&format!("/services/{}", escape(name))).await?)
}

/// Sends a service's spec back to where it came from, and waits for what becomes of it.
async fn send(
    context: &Context,
    parsed: &Parsed,
    service: &Value,
    query: &[(&str, &str)],
    auth: Option<String>,
) -> Result<(), Failure> {
    let id = text(service, "/ID");
    let version = uint(service, "/Version/Index").to_string();
    let mut all = vec![("version", version.as_str())];
    all.extend(query);
    let path = with_query(&format!("/services/{id}/update"), &all);
    let request = json(&service["Spec"]).signed(auth);
    let answer = context.client.json(Method::POST, &path, request).await?;
    warn(&answer)?;
    print(&format!("{}\n", parsed.args.join("\n")))?;
    match parsed.on("detach") {
        true => Ok(()),
        false => progress::wait(context, &[id.to_owned()], parsed.on("quiet")).await,
    }
}

/// Changes what the spec refers to by id: networks, secrets and configs.
async fn join(client: &Client, parsed: &Parsed, task: &mut Value) -> Result<(), Failure> {
    networks(client, parsed, task).await?;
    for (flag, kind, field) in [
        ("secret", "Secret", "Secrets"),
        ("config", "Config", "Configs"),
    ] {
        let added = parsed.list(&format!("{flag}-add"));
        let removed = parsed.list(&format!("{flag}-rm"));
        if added.is_empty() && removed.is_empty() {
            continue;
        }
        let name = format!("/{kind}Name");
        let mut all = list(&task["ContainerSpec"], &format!("/{field}")).to_vec();
        all.retain(|old| !removed.iter().any(|gone| text(old, &name) == gone));
        all.extend(port::files(client, kind, added).await?);
        task["ContainerSpec"][field] = all.into();
    }
    Ok(())
}

async fn networks(client: &Client, parsed: &Parsed, task: &mut Value) -> Result<(), Failure> {
    let (added, removed) = (parsed.list("network-add"), parsed.list("network-rm"));
    if added.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let gone = port::networks(client, removed).await?;
    let is_to = |one: &Value, other: &Value| text(one, "/Target") == text(other, "/Target");
    let mut all = list(task, "/Networks").to_vec();
    for old in &mut all {
        // The services of a stack have names there; a network that is gone stays as it is named.
        let target = [text(old, "/Target").to_owned()];
        match port::networks(client, &target).await {
            Ok(found) => {
                if let Some(found) = found.first() {
                    old["Target"] = found["Target"].clone();
                }
            }
            Err(Failure::Missing { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    all.retain(|old| !gone.iter().any(|gone| is_to(gone, old)));
    for network in port::networks(client, added).await? {
        if all.iter().any(|old| is_to(old, &network)) {
            let target = text(&network, "/Target");
            return Err(Failure::Reported(format!(
                "service is already attached to network {target}"
            )));
        }
        all.push(network);
    }
    all.sort_by(|a, b| text(a, "/Target").cmp(text(b, "/Target")));
    task["Networks"] = all.into();
    Ok(())
}
