//! `version`: what runs here and there.

use serde_json::{Value, json};

use crate::cli::answer::{list, pairs, text};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT_INSPECT, Parsed};
use crate::cli::table::padded;
use crate::image::platform::Platform;
use crate::template::Template;

/// `version`.
pub const VERSION: Command = Command {
    names: &["version"],
    usage: "[OPTIONS]",
    about: "Show the skep version information",
    args: Args::None,
    flags: &[FORMAT_INSPECT],
    run: Run(|context, parsed| Box::pin(version(context, parsed))),
};

/// The release of this binary.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

/// Shows what is known of this program even when the daemon is not there.
async fn version(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let format = parsed.text("format").filter(|f| !f.is_empty());
    let format = if format == Some("json") {
        Some("{{json .}}")
    } else {
        format
    };
    let template = format.map(Template::parse).transpose()?;
    let answer = context.client.get("/version").await;
    let api = match &answer {
        Ok(_) => context.client.version().await?,
        Err(_) => String::new(),
    };
    let here = Platform::host();
    let client = json!({
        "Version": OWN, "ApiVersion": api, "Os": here.os, "Arch": here.architecture,
    });
    let (server, missing) = match answer {
        Ok(server) => (server, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let all = json!({"Client": client, "Server": server});
    match template {
        Some(template) => print(&format!("{}\n", template.render(&all)?))?,
        None => print(&tell(&all))?,
    }
    missing.map_or(Ok(()), |error| Err(error.into()))
}

fn tell(all: &Value) -> String {
    let (client, server) = (&all["Client"], &all["Server"]);
    let row = |indent: &str, name: &str, value: &str| {
        format!("{indent}{} {value}\n", padded(&format!("{name}:"), 18))
    };
    let platform = |of: &Value| format!("{}/{}", text(of, "/Os"), text(of, "/Arch"));
    let mut out = String::from("Client:\n");
    out.push_str(&row(" ", "Version", text(client, "/Version")));
    if !text(client, "/ApiVersion").is_empty() {
        out.push_str(&row(" ", "API version", text(client, "/ApiVersion")));
    }
    out.push_str(&row(" ", "OS/Arch", &platform(client)));
    if server.is_null() {
        return out;
    }
    out.push_str(&format!("\nServer: {}\n", text(server, "/Platform/Name")));
    for component in list(server, "/Components") {
        let details = &component["Details"];
        out.push_str(&format!(" {}:\n", text(component, "/Name")));
        let mut row = |name: &str, value: &str| {
            out.push_str(&format!("  {} {value}\n", padded(&format!("{name}:"), 17)));
        };
        row("Version", text(component, "/Version"));
        if text(component, "/Name") != "Engine" {
            pairs(details, "")
                .iter()
                .for_each(|(name, value)| row(name, value));
            continue;
        }
        let (api, least) = (
            text(details, "/ApiVersion"),
            text(details, "/MinAPIVersion"),
        );
        row("API version", &format!("{api} (minimum version {least})"));
        row("Git commit", text(details, "/GitCommit"));
        row("Built", text(details, "/BuildTime"));
        row(
            "OS/Arch",
            &format!("{}/{}", text(details, "/Os"), text(details, "/Arch")),
        );
        row("Experimental", text(details, "/Experimental"));
    }
    out
}
