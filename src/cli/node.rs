//! `node`: the members of the swarm.

use serde_json::Value;

use crate::cli::answer::{capital, filters, filters_of, int, is_on, natural, pairs, text, uint};
use crate::cli::client::{escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, FORMAT_INSPECT, PRETTY, Parsed, QUIET};
use crate::cli::inspect::{self, Subject};
use crate::cli::table::{Listing, Row};
use crate::cli::{tasks, units};

pub mod doctor;
pub mod edit;

/// `node ls`.
pub const LS: Command = Command {
    names: &["node ls", "node list"],
    usage: "[OPTIONS]",
    about: "List nodes in the swarm",
    args: Args::None,
    flags: &[FILTER, FORMAT, QUIET],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `node inspect`.
pub const INSPECT: Command = Command {
    names: &["node inspect"],
    usage: "[OPTIONS] self|NODE [NODE...]",
    about: "Display detailed information on one or more nodes",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT, PRETTY],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `node ps`.
pub const PS: Command = Command {
    names: &["node ps"],
    usage: "[OPTIONS] [NODE...]",
    about: "List tasks running on one or more nodes, defaults to current node",
    args: Args::AtLeast(0),
    flags: tasks::FLAGS,
    run: Run(|context, parsed| Box::pin(ps(context, parsed))),
};

const NODE: Subject = Subject {
    kind: None,
    path: "/nodes/",
    suffix: "",
};

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Self", ""),
        ("Hostname", "HOSTNAME"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("ManagerStatus", "MANAGER STATUS"),
        ("EngineVersion", "ENGINE VERSION"),
        ("TLSStatus", "TLS STATUS"),
    ],
    table: "{{.ID}} {{if .Self}}*{{else}} {{end}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t\
            {{.ManagerStatus}}\t{{.EngineVersion}}",
    quiet: "{{.ID}}",
};

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let filters = filters(parsed.list("filter"));
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let nodes = context.client.get(&with_query("/nodes", &query)).await?;
    let info = match parsed.on("quiet") {
        true => Value::Null,
        false => context.client.get("/info").await?,
    };
    let mut nodes = nodes.as_array().cloned().unwrap_or_default();
    let name = |node: &Value| text(node, "/Description/Hostname").to_owned();
    nodes.sort_by(|a, b| natural(&name(a), &name(b)));
    let rows: Vec<Row> = nodes.iter().map(|node| row(node, &info)).collect();
    print(&LISTING.render(&rows, parsed.text("format"), parsed.on("quiet"))?)
}

fn row(node: &Value, info: &Value) -> Row {
    let id = text(node, "/ID");
    let manager = match is_on(node, "/ManagerStatus/Leader") {
        true => "Leader".to_owned(),
        false => capital(text(node, "/ManagerStatus/Reachability")),
    };
    let root = text(node, "/Description/TLSInfo/TrustRoot");
    let tls = match text(info, "/Swarm/Cluster/TLSInfo/TrustRoot") {
        cluster if cluster.is_empty() || root.is_empty() => "Unknown",
        cluster if cluster == root => "Ready",
        _ => "Needs Rotation",
    };
    let mut row = Row::default();
    row.set("ID", id)
        .set("Self", id == text(info, "/Swarm/NodeID"))
        .set("Hostname", text(node, "/Description/Hostname"))
        .set("Status", capital(text(node, "/Status/State")))
        .set("Availability", capital(text(node, "/Spec/Availability")))
        .set("ManagerStatus", manager)
        .set(
            "EngineVersion",
            text(node, "/Description/Engine/EngineVersion"),
        )
        .set("TLSStatus", tls);
    row
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let names = ids(&context, &parsed.args).await?;
    match parsed.on("pretty") {
        true if parsed.given("format") => Err(Failure::Conflict(
            "--format is incompatible with human friendly format",
        )),
        true => inspect::tell(&context, &names, NODE, async |node| Ok(tell(&node))).await,
        false => inspect::show(&context, &parsed, &names, NODE).await,
    }
}

async fn ps(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let own = ["self".to_owned()];
    let asked = if parsed.args.is_empty() {
        &own[..]
    } else {
        &parsed.args[..]
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in ids(&context, asked).await? {
        match context
            .client
            .get(&format!("/nodes/{}", escape(&name)))
            .await
        {
            Ok(node) => {
                let mut wanted = vec![("node", text(&node, "/ID"))];
                let given = parsed
                    .list("filter")
                    .iter()
                    .filter_map(|f| f.split_once('='));
                wanted.extend(given);
                let query = filters_of(&wanted);
                let path = with_query("/tasks", &[("filters", &query)]);
                found.extend(
                    context
                        .client
                        .get(&path)
                        .await?
                        .as_array()
                        .cloned()
                        .unwrap_or_default(),
                );
            }
            Err(error) => missing.push(error.into()),
        }
    }
    if !found.is_empty() || missing.is_empty() {
        tasks::show(&context.client, &parsed, &found).await?;
    }
    Failure::gather(missing)
}

/// The names with `self` replaced by this node's id.
async fn ids(context: &Context, names: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for name in names {
        if name != "self" {
            ids.push(name.clone());
            continue;
        }
        let info = context.client.get("/info").await?;
        match text(&info, "/Swarm/NodeID") {
            // The daemon says best why there is no node: it is in no swarm.
            "" => {
                context.client.get("/nodes").await?;
                return Err(Failure::Lacking("the id of its own node"));
            }
            id => ids.push(id.to_owned()),
        }
    }
    Ok(ids)
}

fn tell(node: &Value) -> String {
    let at = |pointer| text(node, pointer);
    let mut out = format!("ID:\t\t\t{}\n", at("/ID"));
    if !at("/Spec/Name").is_empty() {
        out.push_str(&format!("Name:\t\t\t{}\n", at("/Spec/Name")));
    }
    let labels = pairs(node, "/Spec/Labels");
    if !labels.is_empty() {
        out.push_str("Labels:\n");
        out.extend(labels.iter().map(|(k, v)| format!(" - {k}={v}\n")));
    }
    out.push_str(&format!(
        "Hostname:              \t{}\n",
        at("/Description/Hostname")
    ));
    out.push_str(&format!(
        "Joined at:             \t{}\n",
        moment(at("/CreatedAt"))
    ));
    out.push_str(&format!(
        "Status:\n State:\t\t\t{}\n",
        capital(at("/Status/State"))
    ));
    if !at("/Status/Message").is_empty() {
        out.push_str(&format!(
            " Message:              \t{}\n",
            capital(at("/Status/Message"))
        ));
    }
    out.push_str(&format!(
        " Availability:         \t{}\n",
        capital(at("/Spec/Availability"))
    ));
    if !at("/Status/Addr").is_empty() {
        out.push_str(&format!(" Address:\t\t{}\n", at("/Status/Addr")));
    }
    if node["ManagerStatus"].is_object() {
        let leader = if is_on(node, "/ManagerStatus/Leader") {
            "Yes"
        } else {
            "No"
        };
        out.push_str(&format!(
            "Manager Status:\n Address:\t\t{}\n",
            at("/ManagerStatus/Addr")
        ));
        let reachability = capital(at("/ManagerStatus/Reachability"));
        out.push_str(&format!(
            " Raft Status:\t\t{reachability}\n Leader:\t\t{leader}\n"
        ));
    }
    out.push_str(&tell_description(node));
    out
}

fn tell_description(node: &Value) -> String {
    let at = |pointer| text(node, pointer);
    let mut out = String::new();
    let (os, arch) = (
        at("/Description/Platform/OS"),
        at("/Description/Platform/Architecture"),
    );
    out.push_str(&format!(
        "Platform:\n Operating System:\t{os}\n Architecture:\t\t{arch}\n"
    ));
    let cpus = int(node, "/Description/Resources/NanoCPUs") / 1_000_000_000;
    let memory = units::size_binary(uint(node, "/Description/Resources/MemoryBytes"));
    out.push_str(&format!(
        "Resources:\n CPUs:\t\t\t{cpus}\n Memory:\t\t{memory}\n"
    ));
    let plugins = node
        .pointer("/Description/Engine/Plugins")
        .and_then(Value::as_array);
    let of = |kind: &str| {
        let all = plugins
            .into_iter()
            .flatten()
            .filter(|p| text(p, "/Type") == kind);
        all.map(|p| text(p, "/Name")).collect::<Vec<_>>().join(", ")
    };
    let kinds = ["Log", "Network", "Volume"].map(|kind| (kind, of(kind)));
    if kinds.iter().any(|(_, names)| !names.is_empty()) {
        out.push_str("Plugins:\n");
        let some = kinds.iter().filter(|(_, names)| !names.is_empty());
        out.extend(some.map(|(kind, names)| format!(" {kind}:\t\t{names}\n")));
    }
    out.push_str(&format!(
        "Engine Version:\t\t{}\n",
        at("/Description/Engine/EngineVersion")
    ));
    let labels = pairs(node, "/Description/Engine/Labels");
    if !labels.is_empty() {
        out.push_str("Engine Labels:\n");
        out.extend(labels.iter().map(|(k, v)| format!(" - {k}={v}\n")));
    }
    if !at("/Description/TLSInfo/TrustRoot").is_empty() {
        out.push_str(&format!(
            "TLS Info:\n TrustRoot:\n{}\n Issuer Subject:\t{}\n Issuer Public Key:\t{}\n",
            at("/Description/TLSInfo/TrustRoot"),
            at("/Description/TLSInfo/CertIssuerSubject"),
            at("/Description/TLSInfo/CertIssuerPublicKey"),
        ));
    }
    out
}

/// A moment as Go prints it, in lower case as docker shows it here.
pub fn moment(rfc3339: &str) -> String {
    let (date, time) = rfc3339.split_once('T').unwrap_or((rfc3339, ""));
    format!("{date} {} +0000 utc", time.trim_end_matches('Z'))
}
