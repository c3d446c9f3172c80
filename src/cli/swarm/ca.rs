//! `swarm ca`: the root of the swarm, and how another takes its place.

use std::time::Duration;

use serde_json::Value;

use crate::cli::answer::{is_on, list, text, uint};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::swarm::settings;
use crate::host::wait::sleep;

/// How often the swarm is asked how far it is.
const POLL: Duration = Duration::from_millis(300);

/// `swarm ca`.
pub const CA: Command = Command {
    names: &["swarm ca"],
    usage: "[OPTIONS]",
    about: "Display and rotate the root CA",
    args: Args::None,
    flags: &[
        settings::CERT_EXPIRY,
        Flag::new(
            "detach",
            Kind::Switch,
            "Exit immediately instead of waiting for the root rotation to converge",
        )
        .short('d'),
        Flag::new("quiet", Kind::Switch, "Suppress progress output").short('q'),
        Flag::new(
            "rotate",
            Kind::Switch,
            "Rotate the swarm CA; a new root and key are generated",
        ),
    ],
    run: Run(|context, parsed| Box::pin(ca(context, parsed))),
};

async fn ca(context: Context, parsed: Parsed) -> Result<(), Failure> {
    if !parsed.on("rotate") {
        for flag in ["cert-expiry", "detach", "quiet"] {
            if parsed.given(flag) {
                return Err(Failure::NeedsRotate(flag));
            }
        }
        return show(&context).await;
    }
    let mut swarm = context.client.get("/swarm").await?;
    let count = uint(&swarm, "/Spec/CAConfig/ForceRotate") + 1;
    swarm["Spec"]["CAConfig"]["ForceRotate"] = count.into();
    if let Some(expiry) = parsed.duration_ns("cert-expiry") {
        swarm["Spec"]["CAConfig"]["NodeCertExpiry"] = expiry.into();
    }
    settings::send(&context, &swarm, &[]).await?;
    if parsed.on("detach") {
        return Ok(());
    }
    converge(&context, parsed.on("quiet")).await?;
    show(&context).await
}

/// Prints the root; if another is to take its place, standard error says who keeps it waiting.
async fn show(context: &Context) -> Result<(), Failure> {
    let swarm = context.client.get("/swarm").await?;
    if is_on(&swarm, "/RootRotationInProgress") {
        let nodes = context.client.get("/nodes").await?;
        let names = behind(&swarm, &nodes).join(", ");
        let line = format!("The root is being rotated; not there yet: {names}\n");
        print_error_bytes(line.as_bytes())?;
    }
    match text(&swarm, "/TLSInfo/TrustRoot").trim() {
        "" => Err(Failure::Conflict("No CA information available")),
        root => print(&format!("{root}\n")),
    }
}

/// Waits until every node uses the new root.
async fn converge(context: &Context, quiet: bool) -> Result<(), Failure> {
    let mut said = String::new();
    loop {
        let swarm = context.client.get("/swarm").await?;
        let nodes = context.client.get("/nodes").await?;
        let behind = behind(&swarm, &nodes);
        let total = list(&nodes, "").len();
        let ready = total - behind.len();
        let mut line = format!("rotated TLS certificates: {ready}/{total} nodes");
        if !behind.is_empty() {
            line.push_str(&format!("; not there yet: {}", behind.join(", ")));
        }
        if !quiet && line != said {
            print_error_bytes(format!("{line}\n").as_bytes())?;
            said = line;
        }
        if !is_on(&swarm, "/RootRotationInProgress") {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

/// The nodes whose certificates are not from the root that the swarm is to have.
fn behind<'a>(swarm: &Value, nodes: &'a Value) -> Vec<&'a str> {
    let issuer = |tls: &Value| tls["CertIssuerPublicKey"].clone();
    let wanted = issuer(&swarm["TLSInfo"]);
    let nodes = list(nodes, "").iter();
    let late = nodes.filter(|node| issuer(&node["Description"]["TLSInfo"]) != wanted);
    late.map(|node| text(node, "/Description/Hostname"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_behind_until_its_certificate_is_from_the_new_root() {
        let node = |name: &str, key: Value| {
            let trust = json!({"CertIssuerPublicKey": key});
            json!({"Description": {"Hostname": name, "TLSInfo": trust}})
        };
        let nodes = json!([
            node("a", json!("new")),
            node("b", json!("old")),
            node("c", Value::Null),
        ]);
        let swarm = json!({"TLSInfo": {"CertIssuerPublicKey": "new"}});
        assert_eq!(behind(&swarm, &nodes), ["b", "c"]);
    }
}
