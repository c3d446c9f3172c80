//! `service`: what the swarm is to run.

pub mod create;
pub mod check;
pub mod mount;
pub mod options;
pub mod pin;
pub mod port;
pub mod pretty;
pub mod progress;
pub mod spec;
pub mod update;
pub mod value;

use serde_json::Value;

use crate::cli::answer::{
    familiar_image, filters, filters_of, list, natural, short_id, text, texts, uint,
};
use crate::cli::client::{Client, Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::failure::Failure;
use crate::cli::flags::{
    Args, Command, FILTER, FORMAT, FORMAT_INSPECT, Flag, Kind, PRETTY, Parsed, QUIET,
};
use crate::cli::inspect::{self, Subject};
use crate::cli::table::{Listing, Row};
use crate::cli::tasks;
use crate::cli::units;

/// `service ls`.
pub const LS: Command = Command {
    names: &["service ls", "service list"],
    usage: "[OPTIONS]",
    about: "List services",
    args: Args::None,
    flags: &[FILTER, FORMAT, QUIET],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `service ps`.
pub const PS: Command = Command {
    names: &["service ps"],
    usage: "[OPTIONS] SERVICE [SERVICE...]",
    about: "List the tasks of one or more services",
    args: Args::AtLeast(1),
    flags: tasks::FLAGS,
    run: Run(|context, parsed| Box::pin(ps(context, parsed))),
};

/// `service inspect`.
pub const INSPECT: Command = Command {
    names: &["service inspect"],
    usage: "[OPTIONS] SERVICE [SERVICE...]",
    about: "Display detailed information on one or more services",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT, PRETTY],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `service scale`.
pub const SCALE: Command = Command {
    names: &["service scale"],
    usage: "SERVICE=REPLICAS [SERVICE=REPLICAS...]",
    about: "Scale one or multiple replicated services",
    args: Args::AtLeast(1),
    flags: &[DETACH],
    run: Run(|context, parsed| Box::pin(scale(context, parsed))),
};

/// `service rm`.
pub const RM: Command = Command {
    names: &["service rm", "service remove"],
    usage: "SERVICE [SERVICE...]",
    about: "Remove one or more services",
    args: Args::AtLeast(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

/// `--detach` of what changes a service.
pub const DETACH: Flag = Flag::new(
    "detach",
    Kind::Switch,
    "Exit immediately instead of waiting for the service to converge",
)
.short('d');

const SERVICE: Subject = Subject {
    kind: Some("service"),
    path: "/services/",
    suffix: "",
};

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Mode", "MODE"),
        ("Replicas", "REPLICAS"),
        ("Image", "IMAGE"),
        ("Ports", "PORTS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}",
    quiet: "{{.ID}}",
};

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let services = listed(&context.client, &parsed, parsed.list("filter")).await?;
    print(&table(services, &parsed)?)
}

/// The services that filters let through, counted if there will be a table.
pub async fn listed(
    client: &Client,
    parsed: &Parsed,
    given: &[String],
) -> Result<Vec<Value>, Error> {
    let filters = filters(given);
    let mut query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    if !parsed.on("quiet") {
        query.push(("status", "true"));
    }
    let services = client.get(&with_query("/services", &query)).await?;
    Ok(services.as_array().cloned().unwrap_or_default())
}

/// Services as `ls` shows them.
pub fn table(mut services: Vec<Value>, parsed: &Parsed) -> Result<String, Failure> {
    services.sort_by(|a, b| natural(text(a, "/Spec/Name"), text(b, "/Spec/Name")));
    let rows: Vec<Row> = services.iter().map(row).collect();
    Ok(LISTING.render(&rows, parsed.text("format"), parsed.on("quiet"))?)
}

fn row(service: &Value) -> Row {
    let ports: Vec<String> = list(service, "/Endpoint/Ports")
        .iter()
        .filter(|port| text(port, "/PublishMode") == "ingress")
        .map(tasks::port)
        .collect();
    let image = familiar_image(text(service, "/Spec/TaskTemplate/ContainerSpec/Image"));
    let mut row = Row::default();
    row.set("ID", short_id(text(service, "/ID")))
        .set("Name", text(service, "/Spec/Name"))
        .set("Mode", mode(service))
        .set("Replicas", replicas(service))
        .set("Image", image)
        .set("Ports", ports.join(", "));
    row
}

fn mode(service: &Value) -> &'static str {
    let modes = [
        ("Global", "global"),
        ("Replicated", "replicated"),
        ("ReplicatedJob", "replicated job"),
        ("GlobalJob", "global job"),
    ];
    let set = modes
        .iter()
        .find(|(field, _)| !service["Spec"]["Mode"][field].is_null());
    set.map_or("", |(_, name)| name)
}

fn replicas(service: &Value) -> String {
    let status = |field: &str| uint(&service["ServiceStatus"], field);
    let (running, desired) = (status("/RunningTasks"), status("/DesiredTasks"));
    let completed = status("/CompletedTasks");
    let mode = &service["Spec"]["Mode"];
    let total = uint(mode, "/ReplicatedJob/TotalCompletions");
    let per_node = uint(service, "/Spec/TaskTemplate/Placement/MaxReplicas");
    match () {
        () if !mode["ReplicatedJob"].is_null() => {
            format!("{running}/{desired} ({completed}/{total} completed)")
        }
        () if !mode["GlobalJob"].is_null() => {
            format!(
                "{running}/{desired} ({completed}/{} completed)",
                desired + completed
            )
        }
        () if !mode["Replicated"].is_null() && per_node > 0 => {
            format!("{running}/{desired} (max {per_node} per node)")
        }
        () => format!("{running}/{desired}"),
    }
}

async fn ps(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let (ids, missing) = find(&context.client, &parsed.args).await?;
    if !ids.is_empty() {
        let mut wanted: Vec<(&str, &str)> = ids.iter().map(|id| ("service", id.as_str())).collect();
        wanted.extend(
            parsed
                .list("filter")
                .iter()
                .filter_map(|f| f.split_once('=')),
        );
        let path = with_query("/tasks", &[("filters", &filters_of(&wanted))]);
        let found = context.client.get(&path).await?;
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        tasks::show(&context.client, &parsed, found).await?;
    }
    Failure::gather(missing)
}

/// The ids of services by whole id, name or unique beginning of an id, and those there are not.
async fn find(client: &Client, names: &[String]) -> Result<(Vec<String>, Vec<Failure>), Error> {
    let filter = |kind| filters_of(&names.iter().map(|n| (kind, n.as_str())).collect::<Vec<_>>());
    let mut services = Vec::new();
    for kind in ["id", "name"] {
        let path = with_query("/services", &[("filters", &filter(kind))]);
        services.extend(
            client
                .get(&path)
                .await?
                .as_array()
                .cloned()
                .unwrap_or_default(),
        );
    }
    let (mut ids, mut missing): (Vec<String>, Vec<Failure>) = Default::default();
    for name in names {
        let exact = services
            .iter()
            .find(|s| text(s, "/ID") == name || text(s, "/Spec/Name") == name);
        let mut begun: Vec<&str> = services.iter().map(|s| text(s, "/ID")).collect();
        begun.retain(|id| id.starts_with(name.as_str()));
        begun.sort_unstable();
        begun.dedup();
        match (exact, begun.as_slice()) {
            (Some(service), _) => ids.push(text(service, "/ID").to_owned()),
            (None, [id]) => ids.push((*id).to_owned()),
            (None, _) => missing.push(Failure::NoSuch {
                kind: "service",
                name: name.clone(),
            }),
        }
    }
    Ok((ids, missing))
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let subject = Subject {
        suffix: "?insertDefaults=true",
        ..SERVICE
    };
    match parsed.on("pretty") {
        true if parsed.given("format") => Err(Failure::Conflict(
            "--format is incompatible with human friendly format",
        )),
        true => {
            let tell = async |service| {
                let service = with_network_names(&context.client, service).await?;
                Ok(pretty::tell(&service))
            };
            inspect::tell(&context, &parsed.args, subject, tell).await
        }
        false => inspect::show(&context, &parsed, &parsed.args, subject).await,
    }
}

/// The service with its networks by name instead of by id.
async fn with_network_names(client: &Client, mut service: Value) -> Result<Value, Error> {
    let networks = service.pointer_mut("/Spec/TaskTemplate/Networks");
    for network in networks.and_then(Value::as_array_mut).into_iter().flatten() {
        let path = format!("/networks/{}?scope=swarm", escape(text(network, "/Target")));
        match client.get(&path).await {
            Ok(found) if !text(&found, "/Name").is_empty() => {
                network["Target"] = found["Name"].clone();
            }
            // It is gone, or not told about here; the id says which it was.
            Ok(_) | Err(Error::Daemon { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(service)
}

async fn scale(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for arg in &parsed.args {
        let Some((name, replicas)) = arg.split_once('=') else {
            let why = "use SERVICE=REPLICAS".to_owned();
            return Err(Failure::Value {
                what: "scale specifier",
                value: arg.clone(),
                why,
            });
        };
        let count = units::parse_uint(replicas).map_err(|why| Failure::Of {
            name: name.to_owned(),
            failure: Box::new(Failure::Value {
                what: "replicas value",
                value: replicas.to_owned(),
                why,
            }),
        })?;
        wanted.push((name, count));
    }
    let (mut scaled, mut failures) = (Vec::new(), Vec::new());
    for (name, count) in wanted {
        match scale_one(&context.client, name, count).await {
            Ok(id) => scaled.push(id),
            Err(failure) => {
                failures.push(Failure::Of {
                    name: name.to_owned(),
                    failure: Box::new(failure),
                });
            }
        }
    }
    if !parsed.on("detach") {
        progress::wait(&context, &scaled, false).await?;
    }
    Failure::gather(failures)
}

async fn scale_one(client: &Client, name: &str, count: u64) -> Result<String, Failure> {
    let service = client.get(&format!("/services/{}", escape(name))).await?;
    let mut spec = service["Spec"].clone();
    let mode = &mut spec["Mode"];
    if mode["Replicated"].is_object() {
        mode["Replicated"]["Replicas"] = count.into();
    } else if mode["ReplicatedJob"].is_object() {
        mode["ReplicatedJob"]["TotalCompletions"] = count.into();
    } else {
        return Err(Failure::Conflict(
            "scale can only be used with replicated or replicated-job mode",
        ));
    }
    let id = text(&service, "/ID");
    let version = uint(&service, "/Version/Index").to_string();
    let path = with_query(&format!("/services/{id}/update"), &[("version", &version)]);
    let answer = client.post(&path, &spec).await?;
    warn(&answer)?;
    print(&format!("{name} scaled to {count}\n"))?;
    Ok(id.to_owned())
}

/// Passes the daemon's warnings on.
pub fn warn(answer: &Value) -> Result<(), Failure> {
    let warnings = texts(answer, "/Warnings");
    warnings
        .iter()
        .try_for_each(|warning| print_error_bytes(format!("{warning}\n").as_bytes()))
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for name in &parsed.args {
        match context
            .client
            .delete(&format!("/services/{}", escape(name)))
            .await
        {
            Ok(_) => print(&format!("{name}\n"))?,
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}
