//! `volume`: data of one host that outlives containers.

use serde_json::{Value, json};

use crate::cli::answer::{filters, list, natural, pairs, text, uint};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, FORMAT_INSPECT, Flag, Kind, Parsed};
use crate::cli::inspect::{self, Subject};
use crate::cli::network::{check_pair, map};
use crate::cli::table::{Listing, Row};
use crate::cli::{question, units};

/// `volume create`.
pub const CREATE: Command = Command {
    names: &["volume create"],
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    args: Args::AtMost(1),
    flags: &[
        Flag::new(
            "driver",
            Kind::Text,
            "Specify volume driver name (default \"local\")",
        )
        .short('d'),
        Flag::new("label", Kind::List, "Set metadata for a volume"),
        Flag::new(
            "opt",
            Kind::Many("map", check_pair),
            "Set driver specific options (default map[])",
        )
        .short('o'),
    ],
    run: Run(|context, parsed| Box::pin(create(context, parsed))),
};

/// `volume ls`.
pub const LS: Command = Command {
    names: &["volume ls", "volume list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    args: Args::None,
    flags: &[
        FILTER,
        FORMAT,
        Flag::new("quiet", Kind::Switch, "Only display volume names").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `volume inspect`.
pub const INSPECT: Command = Command {
    names: &["volume inspect"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Display detailed information on one or more volumes",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `volume rm`.
pub const RM: Command = Command {
    names: &["volume rm", "volume remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes",
    args: Args::AtLeast(1),
    flags: &[Flag::new(
        "force",
        Kind::Switch,
        "Force the removal of one or more volumes",
    )
    .short('f')],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

/// `volume prune`.
pub const PRUNE: Command = Command {
    names: &["volume prune"],
    usage: "[OPTIONS]",
    about: "Remove unused local volumes",
    args: Args::None,
    flags: &[
        Flag::new(
            "all",
            Kind::Switch,
            "Remove all unused volumes, not just anonymous ones",
        )
        .short('a'),
        Flag::new(
            "filter",
            Kind::Filter,
            "Provide filter values (e.g. \"label=<label>\")",
        ),
        Flag::new("force", Kind::Switch, "Do not prompt for confirmation").short('f'),
    ],
    run: Run(|context, parsed| Box::pin(prune(context, parsed))),
};

const VOLUME: Subject = Subject {
    kind: None,
    path: "/volumes/",
    suffix: "",
};

const LISTING: Listing = Listing {
    fields: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
};

async fn create(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let spec = json!({
        "Name": parsed.args.first().map_or("", String::as_str),
        "Driver": parsed.text("driver").unwrap_or("local"),
        "DriverOpts": map(parsed.list("opt")),
        "Labels": map(parsed.list("label")),
    });
    let created = context.client.post("/volumes/create", &spec).await?;
    print(&format!("{}\n", text(&created, "/Name")))
}

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let filters = filters(parsed.list("filter"));
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let answer = context.client.get(&with_query("/volumes", &query)).await?;
    let mut volumes = list(&answer, "/Volumes").to_vec();
    volumes.sort_by(|a, b| natural(text(a, "/Name"), text(b, "/Name")));
    let rows: Vec<Row> = volumes.iter().map(row).collect();
    print(&LISTING.render(&rows, parsed.text("format"), parsed.on("quiet"))?)
}

fn row(volume: &Value) -> Row {
    let labels = pairs(volume, "/Labels").into_iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut row = Row::default();
    row.set("Name", text(volume, "/Name"))
        .set("Driver", text(volume, "/Driver"))
        .set("Scope", text(volume, "/Scope"))
        .set("Mountpoint", text(volume, "/Mountpoint"))
        .set("Labels", labels.join(","))
        .set("Links", "N/A")
        .set("Size", "N/A");
    row
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    inspect::show(&context, &parsed, &parsed.args, VOLUME).await
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let force = parsed.on("force").then_some(("force", "1"));
    let query: Vec<_> = force.into_iter().collect();
    let mut failures = Vec::new();
    for name in &parsed.args {
        let path = with_query(&format!("/volumes/{}", escape(name)), &query);
        match context.client.delete(&path).await {
            Ok(_) => print(&format!("{name}\n"))?,
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}

async fn prune(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let all = parsed.on("all");
    let which = if all { "all" } else { "anonymous" };
    let warning = format!(
        "WARNING! This will remove {which} local volumes not used by at least one container."
    );
    if !parsed.on("force") && !question::agreed(&warning)? {
        return Ok(());
    }
    let mut given = parsed.list("filter").to_vec();
    given.extend(all.then(|| "all=1".to_owned()));
    let filters = filters(&given);
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let path = with_query("/volumes/prune", &query);
    let pruned = context.client.post(&path, &Value::Null).await?;
    let deleted = list(&pruned, "/VolumesDeleted");
    if !deleted.is_empty() {
        let names: String = deleted
            .iter()
            .map(|name| format!("{}\n", name.as_str().unwrap_or_default()))
            .collect();
        print(&format!("Deleted Volumes:\n{names}\n"))?;
    }
    let freed = units::size(uint(&pruned, "/SpaceReclaimed"), 4);
    print(&format!("Total reclaimed space: {freed}\n"))
}
