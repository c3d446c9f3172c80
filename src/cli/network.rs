//! `network`: what tasks are joined by.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::answer::{filters, id, is_on, list, natural, pairs, text};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::container::NO_TRUNC;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, FORMAT_INSPECT, Flag, Kind, Parsed};
use crate::cli::inspect::{self, Subject};
use crate::cli::question;
use crate::cli::table::{Listing, Row};

/// `network create`.
pub const CREATE: Command = Command {
    names: &["network create"],
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    args: Args::Exactly(1),
    flags: &[
        Flag::new(
            "attachable",
            Kind::Switch,
            "Enable manual container attachment",
        ),
        Flag::new(
            "aux-address",
            Kind::Many("map", check_pair),
            "Auxiliary IPv4 addresses used by Network driver (default map[])",
        ),
        Flag::new(
            "driver",
            Kind::Text,
            "Driver to manage the Network (default \"overlay\")",
        )
        .short('d'),
        Flag::new("gateway", Kind::Text, "IPv4 Gateway for the master subnet"),
        Flag::new("ingress", Kind::Switch, "Create swarm routing-mesh network"),
        Flag::new(
            "internal",
            Kind::Switch,
            "Restrict external access to the network",
        ),
        Flag::new(
            "ip-range",
            Kind::Text,
            "Allocate container ip from a sub-range",
        ),
        Flag::new("ipam-driver", Kind::Text, "IP Address Management Driver"),
        Flag::new("ipv6", Kind::Switch, "Enable or disable IPv6 networking"),
        Flag::new("label", Kind::List, "Set metadata on a network"),
        Flag::new(
            "opt",
            Kind::Many("map", check_pair),
            "Set driver specific options (default map[])",
        )
        .short('o'),
        Flag::new("scope", Kind::Text, "Control the network's scope"),
        Flag::new(
            "subnet",
            Kind::Text,
            "Subnet in CIDR format that represents a network segment",
        ),
    ],
    run: Run(|context, parsed| Box::pin(create(context, parsed))),
};

/// `network ls`.
pub const LS: Command = Command {
    names: &["network ls", "network list"],
    usage: "[OPTIONS]",
    about: "List networks",
    args: Args::None,
    flags: &[
        FILTER,
        FORMAT,
        NO_TRUNC,
        Flag::new("quiet", Kind::Switch, "Only display network IDs").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `network inspect`.
pub const INSPECT: Command = Command {
    names: &["network inspect"],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Display detailed information on one or more networks",
    args: Args::AtLeast(1),
    flags: &[
        FORMAT_INSPECT,
        Flag::new("verbose", Kind::Switch, "Verbose output for diagnostics").short('v'),
    ],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `network rm`.
pub const RM: Command = Command {
    names: &["network rm", "network remove"],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    args: Args::AtLeast(1),
    flags: &[Flag::new(
        "force",
        Kind::Switch,
        "Do not error if the network does not exist",
    )
    .short('f')],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

/// `network prune`.
pub const PRUNE: Command = Command {
    names: &["network prune"],
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    args: Args::None,
    flags: &[
        Flag::new(
            "filter",
            Kind::Filter,
            "Provide filter values (e.g. \"label=<key>=<value>\")",
        ),
        Flag::new("force", Kind::Switch, "Do not prompt for confirmation").short('f'),
    ],
    run: Run(|context, parsed| Box::pin(prune(context, parsed))),
};

const NETWORK: Subject = Subject {
    kind: None,
    path: "/networks/",
    suffix: "",
};

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
};

/// What is asked before the ingress network goes.
const INGRESS_WARNING: &str = "WARNING! Before removing the routing-mesh network, make sure all \
     the nodes in your swarm run the same docker engine version. Otherwise, removal may not be \
     effective and functionality of newly create ingress networks will be impaired.";

/// Whether a driver's option can be understood.
pub fn check_pair(text: &str) -> Result<(), String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(()),
        _ => Err(format!("{text} must be formatted as key=value")),
    }
}

async fn create(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let created = context
        .client
        .post("/networks/create", &spec(name, &parsed))
        .await?;
    print(&format!("{}\n", text(&created, "/Id")))
}

fn spec(name: &str, parsed: &Parsed) -> Value {
    let at = |flag| parsed.text(flag).unwrap_or_default();
    let pool = json!({
        "Subnet": at("subnet"),
        "IPRange": at("ip-range"),
        "Gateway": at("gateway"),
        "AuxiliaryAddresses": map(parsed.list("aux-address")),
    });
    let given = ["subnet", "ip-range", "gateway", "aux-address"];
    let pools = match given.iter().any(|flag| parsed.given(flag)) {
        true => json!([pool]),
        false => json!([]),
    };
    json!({
        "Name": name,
        "Driver": parsed.text("driver").unwrap_or("overlay"),
        "Scope": at("scope"),
        "EnableIPv6": parsed.on("ipv6"),
        "Internal": parsed.on("internal"),
        "Attachable": parsed.on("attachable"),
        "Ingress": parsed.on("ingress"),
        "IPAM": {"Driver": parsed.text("ipam-driver").unwrap_or("default"), "Config": pools},
        "Options": map(parsed.list("opt")),
        "Labels": map(parsed.list("label")),
    })
}

/// `key=value`, or a key alone.
pub fn map(given: &[String]) -> BTreeMap<&str, &str> {
    let pairs = given.iter();
    pairs
        .map(|text| text.split_once('=').unwrap_or((text, "")))
        .collect()
}

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let filters = filters(parsed.list("filter"));
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let networks = context.client.get(&with_query("/networks", &query)).await?;
    let mut networks = list(&networks, "").to_vec();
    networks.sort_by(|a, b| natural(text(a, "/Name"), text(b, "/Name")));
    let whole = parsed.on("no-trunc");
    let rows: Vec<Row> = networks.iter().map(|network| row(network, whole)).collect();
    print(&LISTING.render(&rows, parsed.text("format"), parsed.on("quiet"))?)
}

fn row(network: &Value, whole: bool) -> Row {
    let labels = pairs(network, "/Labels").into_iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut row = Row::default();
    row.set("ID", id(text(network, "/Id"), whole))
        .set("Name", text(network, "/Name"))
        .set("Driver", text(network, "/Driver"))
        .set("Scope", text(network, "/Scope"))
        .set("IPv6", is_on(network, "/EnableIPv6").to_string())
        .set("Internal", is_on(network, "/Internal").to_string())
        .set("Labels", labels.join(","))
        .set("CreatedAt", text(network, "/Created"));
    row
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let suffix = if parsed.on("verbose") {
        "?verbose=true"
    } else {
        ""
    };
    let subject = Subject { suffix, ..NETWORK };
    inspect::show(&context, &parsed, &parsed.args, subject).await
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for name in &parsed.args {
        let path = format!("/networks/{}", escape(name));
        match context.client.get(&path).await {
            Ok(network) if is_on(&network, "/Ingress") && !question::agreed(INGRESS_WARNING)? => {
                continue;
            }
            // Why a network cannot be shown, its removal says as well.
            Ok(_) | Err(Error::Daemon { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match context.client.delete(&path).await {
            Ok(_) => print(&format!("{name}\n"))?,
            Err(error) if error.is_not_found() && parsed.on("force") => {}
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}

async fn prune(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let warning = "WARNING! This will remove all custom networks not used by at least one service.";
    if !parsed.on("force") && !question::agreed(warning)? {
        return Ok(());
    }
    let filters = filters(parsed.list("filter"));
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let path = with_query("/networks/prune", &query);
    let pruned = context.client.post(&path, &Value::Null).await?;
    let deleted = list(&pruned, "/NetworksDeleted");
    if deleted.is_empty() {
        return Ok(());
    }
    let names: String = deleted
        .iter()
        .map(|name| format!("{}\n", name.as_str().unwrap_or_default()))
        .collect();
    print(&format!("Deleted Networks:\n{names}\n"))
}
