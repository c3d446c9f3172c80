//! `ps`: the containers of the daemon's own host.

use serde_json::Value;

use crate::cli::answer::{
    ago_ms, date, ellipsis, familiar_image, filters, id, int, list, text, texts, uint,
};
use crate::cli::client::with_query;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, Flag, Kind, Parsed};
use crate::cli::inspect::{self, Subject};
use crate::cli::table::{Listing, Row};
use crate::cli::units;

/// `container ls`, better known as `ps`.
pub const LS: Command = Command {
    names: &["container ls", "container list", "container ps", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    args: Args::None,
    flags: &[
        Flag::new(
            "all",
            Kind::Switch,
            "Show all containers (default shows just running)",
        )
        .short('a'),
        FILTER,
        FORMAT,
        Flag::new(
            "last",
            Kind::Int,
            "Show n last created containers (includes all states) (default -1)",
        )
        .short('n'),
        Flag::new(
            "latest",
            Kind::Switch,
            "Show the latest created container (includes all states)",
        )
        .short('l'),
        NO_TRUNC,
        Flag::new("quiet", Kind::Switch, "Only display container IDs").short('q'),
        Flag::new("size", Kind::Switch, "Display total file sizes").short('s'),
    ],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `container inspect`.
pub const INSPECT: Command = Command {
    names: &["container inspect"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Display detailed information on one or more containers",
    args: Args::AtLeast(1),
    flags: &[crate::cli::flags::FORMAT_INSPECT],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `--no-trunc` in the words it has for containers and images.
pub const NO_TRUNC: Flag = Flag::new("no-trunc", Kind::Switch, "Don't truncate output");

const COMMAND_LENGTH_MAX: usize = 20;

/// What a list of containers can show.
pub const LISTING: Listing = Listing {
    fields: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t\
            {{.Names}}",
    quiet: "{{.ID}}",
};

const TABLE_WITH_SIZE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t\
    {{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let limit = if parsed.on("latest") {
        Some(1)
    } else {
        parsed.int("last")
    };
    let limit = limit
        .filter(|limit| *limit > 0)
        .map(|limit| limit.to_string());
    let filters = filters(parsed.list("filter"));
    let mut query: Vec<(&str, &str)> = Vec::new();
    if parsed.on("all") || limit.is_some() {
        query.push(("all", "1"));
    }
    if parsed.on("size") {
        query.push(("size", "1"));
    }
    query.extend(limit.as_deref().map(|limit| ("limit", limit)));
    query.extend(filters.as_deref().map(|filters| ("filters", filters)));
    let containers = context
        .client
        .get(&with_query("/containers/json", &query))
        .await?;
    let whole = parsed.on("no-trunc");
    let rows: Vec<Row> = list(&containers, "")
        .iter()
        .map(|c| row(c, whole))
        .collect();
    let sized = parsed.on("size") && !parsed.on("quiet");
    let format = parsed
        .text("format")
        .or_else(|| sized.then_some(TABLE_WITH_SIZE));
    print(&LISTING.render(&rows, format, parsed.on("quiet"))?)
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let subject = Subject {
        kind: None,
        path: "/containers/",
        suffix: "/json",
    };
    inspect::show(&context, &parsed, &parsed.args, subject).await
}

/// The row of a container.
pub fn row(container: &Value, whole: bool) -> Row {
    let image = text(container, "/Image");
    let command = text(container, "/Command");
    let command = if whole {
        command.to_owned()
    } else {
        ellipsis(command, COMMAND_LENGTH_MAX)
    };
    let created = int(container, "/Created");
    let names: Vec<&str> = texts(container, "/Names")
        .into_iter()
        .map(|name| name.trim_start_matches('/'))
        .filter(|name| !name.contains('/') || whole)
        .collect();
    let mounts = list(container, "/Mounts")
        .iter()
        .map(|mount| match text(mount, "/Name") {
            "" => text(mount, "/Source"),
            name => name,
        });
    let mounts: Vec<String> = mounts
        .map(|m| if whole { m.to_owned() } else { ellipsis(m, 15) })
        .collect();
    let volumes = list(container, "/Mounts")
        .iter()
        .filter(|m| text(m, "/Driver") == "local");
    let networks = container
        .pointer("/NetworkSettings/Networks")
        .and_then(Value::as_object);
    let networks: Vec<&str> = networks
        .into_iter()
        .flatten()
        .map(|(n, _)| n.as_str())
        .collect();
    let mut row = Row::default();
    row.set("ID", id(text(container, "/Id"), whole))
        .set("Image", if whole { image } else { familiar_image(image) })
        .set("Command", format!("{command:?}"))
        .set("CreatedAt", date(created))
        .set(
            "RunningFor",
            ago_ms(
                u64::try_from(created)
                    .unwrap_or_default()
                    .saturating_mul(1000),
            ),
        )
        .set("Status", text(container, "/Status"))
        .set("State", text(container, "/State"))
        .set("Ports", ports(list(container, "/Ports")))
        .set("Names", names.join(","))
        .set("Size", size(container))
        .set("Mounts", mounts.join(","))
        .set("LocalVolumes", volumes.count().to_string())
        .set("Networks", networks.join(","))
        .set("Platform", Value::Null)
        .label(&container["Labels"]);
    row
}

fn size(container: &Value) -> String {
    let own = units::size(uint(container, "/SizeRw"), 3);
    match uint(container, "/SizeRootFs") {
        0 => own,
        whole => format!("{own} (virtual {})", units::size(whole, 3)),
    }
}

fn ports(ports: &[Value]) -> String {
    let mut sorted: Vec<&Value> = ports.iter().collect();
    let key = |port: &Value| (uint(port, "/PublicPort") > 0, uint(port, "/PrivatePort"));
    sorted.sort_by_key(|port| key(port));
    let shown = sorted.iter().map(|port| {
        let (private, kind) = (uint(port, "/PrivatePort"), text(port, "/Type"));
        match (uint(port, "/PublicPort"), text(port, "/IP")) {
            (0, _) => format!("{private}/{kind}"),
            (public, ip) if ip.contains(':') => format!("[{ip}]:{public}->{private}/{kind}"),
            (public, ip) => format!("{ip}:{public}->{private}/{kind}"),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}
