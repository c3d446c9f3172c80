//! The table of tasks that `service ps` and `node ps` print.

use serde_json::Value;

use crate::cli::answer::{ago, capital, familiar_image, id, list, natural, text, uint};
use crate::cli::client::{self, Client};
use crate::cli::context::print;
use crate::cli::failure::Failure;
use crate::cli::flags::{FILTER, Flag, Kind, NO_TRUNC, Parsed};
use crate::cli::names::Names;
use crate::cli::table::{Listing, Row};

/// The flags of a command that lists tasks.
pub const FLAGS: &[Flag] = &[
    FILTER,
    Flag::new(
        "format",
        Kind::Text,
        "Pretty-print tasks using a Go template",
    ),
    Flag::new("no-resolve", Kind::Switch, "Do not map IDs to Names"),
    NO_TRUNC,
    Flag::new("quiet", Kind::Switch, "Only display task IDs").short('q'),
];

const ERROR_LENGTH_MAX: usize = 30;

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Node", "NODE"),
        ("DesiredState", "DESIRED STATE"),
        ("CurrentState", "CURRENT STATE"),
        ("Error", "ERROR"),
        ("Ports", "PORTS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t\
            {{.Error}}\t{{.Ports}}",
    quiet: "{{.ID}}",
};

/// Prints tasks by slot, the newest of each first and what it replaced below it.
pub async fn show(client: &Client, parsed: &Parsed, tasks: &[Value]) -> Result<(), Failure> {
    let format = parsed.text("format");
    let is_table = format.is_none_or(|f| f.is_empty() || f.starts_with("table"));
    let whole = parsed.on("no-trunc") || parsed.on("quiet");
    let mut names = Names::new(client, !parsed.on("no-resolve"));
    let mut rows = Vec::new();
    let mut last = String::new();
    for (name, task) in sorted(&mut names, tasks).await? {
        let indent = if is_table && name == last {
            " \\_ "
        } else {
            ""
        };
        let node = names.node(text(task, "/NodeID")).await?;
        let mut row = row(task, whole);
        row.set("Name", format!("{indent}{name}")).set("Node", node);
        rows.push(row);
        last = name;
    }
    print(&LISTING.render(&rows, format, parsed.on("quiet"))?)
}

async fn sorted<'a>(
    names: &mut Names<'_>,
    tasks: &'a [Value],
) -> Result<Vec<(String, &'a Value)>, client::Error> {
    let mut named = Vec::new();
    for task in tasks {
        named.push((name(names, task).await?, task));
    }
    named.sort_by(|(a, x), (b, y)| {
        let newest = || text(y, "/CreatedAt").cmp(text(x, "/CreatedAt"));
        natural(a, b).then_with(newest)
    });
    Ok(named)
}

/// A task's name: its service's and its slot, or its node's id if it has none.
pub async fn name(names: &mut Names<'_>, task: &Value) -> Result<String, client::Error> {
    let service = names.service(text(task, "/ServiceID")).await?;
    Ok(match uint(task, "/Slot") {
        0 => format!("{service}.{}", text(task, "/NodeID")),
        slot => format!("{service}.{slot}"),
    })
}

fn row(task: &Value, whole: bool) -> Row {
    let image = text(task, "/Spec/ContainerSpec/Image");
    let state = capital(text(task, "/Status/State"));
    let since = ago(text(task, "/Status/Timestamp")).to_lowercase();
    let mut row = Row::default();
    row.set("ID", id(text(task, "/ID"), whole))
        .set("Image", if whole { image } else { familiar_image(image) })
        .set("DesiredState", capital(text(task, "/DesiredState")))
        .set("CurrentState", format!("{state} {since}"))
        .set("Error", error(text(task, "/Status/Err"), whole))
        .set("Ports", ports(task));
    row
}

fn error(text: &str, whole: bool) -> String {
    let cut: String = match whole || text.len() <= ERROR_LENGTH_MAX {
        true => text.to_owned(),
        false => text
            .chars()
            .take(ERROR_LENGTH_MAX - 1)
            .chain(['…'])
            .collect(),
    };
    if cut.is_empty() {
        cut
    } else {
        format!("\"{cut}\"")
    }
}

fn ports(task: &Value) -> String {
    let ports = list(task, "/Status/PortStatus/Ports").iter().map(port);
    ports.collect::<Vec<_>>().join(",")
}

/// A published port: `*:8080->80/tcp`.
pub fn port(port: &Value) -> String {
    let (published, target) = (uint(port, "/PublishedPort"), uint(port, "/TargetPort"));
    format!("*:{published}->{target}/{}", text(port, "/Protocol"))
}
