//! `stack`: services that are deployed together from Compose files. By their labels both CLIs see
//! the same stacks.

pub mod config;
pub mod deploy;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::cli::answer::{filters_of, natural, text};
use crate::cli::client::{Client, Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::compose::resources::NAMESPACE;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, Flag, Kind, Parsed, QUIET};
use crate::cli::table::{Listing, Row};
use crate::cli::{service, tasks};
use crate::host::clock::Stopwatch;
use crate::host::wait::sleep;

/// How long a network may be needed by tasks that end, and how often that is looked at.
const NETWORK_PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(200);

/// `stack ls`.
pub const LS: Command = Command {
    names: &["stack ls", "stack list"],
    usage: "[OPTIONS]",
    about: "List stacks",
    args: Args::None,
    flags: &[FORMAT],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

/// `stack ps`.
pub const PS: Command = Command {
    names: &["stack ps"],
    usage: "[OPTIONS] STACK",
    about: "List the tasks in the stack",
    args: Args::Exactly(1),
    flags: tasks::FLAGS,
    run: Run(|context, parsed| Box::pin(ps(context, parsed))),
};

/// `stack services`.
pub const SERVICES: Command = Command {
    names: &["stack services"],
    usage: "[OPTIONS] STACK",
    about: "List the services in the stack",
    args: Args::Exactly(1),
    flags: &[FILTER, FORMAT, QUIET],
    run: Run(|context, parsed| Box::pin(services(context, parsed))),
};

/// `stack rm`.
pub const RM: Command = Command {
    names: &["stack rm", "stack remove", "stack down"],
    usage: "[OPTIONS] STACK [STACK...]",
    about: "Remove one or more stacks",
    args: Args::AtLeast(1),
    flags: &[Flag::new(
        "detach",
        Kind::Switch,
        "Do not wait for stack removal (default true)",
    )
    .short('d')],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

const LISTING: Listing = Listing {
    fields: &[("Name", "NAME"), ("Services", "SERVICES")],
    table: "{{.Name}}\t{{.Services}}",
    quiet: "{{.Name}}",
};

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let path = with_query(
        "/services",
        &[("filters", &filters_of(&[("label", NAMESPACE)]))],
    );
    let services = context.client.get(&path).await?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for service in services.as_array().into_iter().flatten() {
        let stack = service["Spec"]["Labels"][NAMESPACE].as_str();
        *counts.entry(stack.unwrap_or_default()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, _), (b, _)| natural(a, b));
    let row = |(name, count): &(&str, usize)| {
        let mut row = Row::default();
        row.set("Name", *name).set("Services", count.to_string());
        row
    };
    let rows: Vec<Row> = counts.iter().map(row).collect();
    print(&LISTING.render(&rows, parsed.text("format"), false)?)
}

async fn ps(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let stack = stack_of(&parsed)?;
    let label = format!("{NAMESPACE}={stack}");
    let mut wanted = vec![("label", label.as_str())];
    let given = parsed.list("filter").iter();
    wanted.extend(given.filter_map(|filter| filter.split_once('=')));
    let path = with_query("/tasks", &[("filters", &filters_of(&wanted))]);
    let found = context.client.get(&path).await?;
    let found = found.as_array().map_or(&[][..], Vec::as_slice);
    if found.is_empty() {
        return Err(nothing_in(stack));
    }
    tasks::show(&context.client, &parsed, found).await
}

async fn services(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let stack = stack_of(&parsed)?;
    let mut filters = parsed.list("filter").to_vec();
    filters.push(format!("label={NAMESPACE}={stack}"));
    let services = service::listed(&context.client, &parsed, &filters).await?;
    if services.is_empty() {
        return Err(nothing_in(stack));
    }
    print(&service::table(services, &parsed)?)
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for stack in &parsed.args {
        check_name(stack)?;
        let (mut found, mut failed) = (false, false);
        for kind in KINDS {
            for thing in belonging(&context.client, kind, stack).await? {
                found = true;
                print(&format!("Removing {} {}\n", kind.word, kind.name(&thing)))?;
                if let Err(error) = remove(&context.client, kind, &thing).await {
                    failed = true;
                    failures.push(Failure::Of {
                        name: kind.name(&thing).to_owned(),
                        failure: Box::new(error.into()),
                    });
                }
            }
        }
        if failed {
            let what = format!("Failed to remove some resources from stack: {stack}");
            failures.push(Failure::Reported(what));
        }
        if !found {
            print(&format!("Nothing found in stack: {stack}\n"))?;
        } else if parsed.given("detach") && !parsed.on("detach") {
            until_gone(&context.client, stack).await?;
        }
    }
    Failure::gather(failures)
}

/// What can belong to a stack.
#[derive(Debug, Clone, Copy)]
pub struct Belonging {
    word: &'static str,
    path: &'static str,
    name: &'static str,
    id: &'static str,
}

/// In the order in which they are removed.
const KINDS: [Belonging; 4] = [
    SERVICE,
    Belonging {
        word: "secret",
        path: "/secrets",
        name: "/Spec/Name",
        id: "/ID",
    },
    Belonging {
        word: "config",
        path: "/configs",
        name: "/Spec/Name",
        id: "/ID",
    },
    Belonging {
        word: "network",
        path: "/networks",
        name: "/Name",
        id: "/Id",
    },
];

const SERVICE: Belonging = Belonging {
    word: "service",
    path: "/services",
    name: "/Spec/Name",
    id: "/ID",
};

impl Belonging {
    fn name<'a>(&self, thing: &'a Value) -> &'a str {
        text(thing, self.name)
    }
}

/// What of a kind belongs to a stack, sorted by name.
async fn belonging(client: &Client, kind: Belonging, stack: &str) -> Result<Vec<Value>, Error> {
    let label = format!("{NAMESPACE}={stack}");
    let path = with_query(kind.path, &[("filters", &filters_of(&[("label", &label)]))]);
    let found = client.get(&path).await?;
    let mut found = found.as_array().cloned().unwrap_or_default();
    found.sort_by(|a, b| natural(kind.name(a), kind.name(b)));
    Ok(found)
}

/// Removes something; a network is waited for that tasks still need while they end.
async fn remove(client: &Client, kind: Belonging, thing: &Value) -> Result<(), Error> {
    let path = format!("{}/{}", kind.path, escape(text(thing, kind.id)));
    let since = Stopwatch::start();
    loop {
        match client.delete(&path).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error)
                if kind.word == "network"
                    && error.is_refused()
                    && since.elapsed() < NETWORK_PATIENCE =>
            {
                sleep(GLANCE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn until_gone(client: &Client, stack: &str) -> Result<(), Error> {
    let label = format!("{NAMESPACE}={stack}");
    let path = with_query("/tasks", &[("filters", &filters_of(&[("label", &label)]))]);
    loop {
        let tasks = client.get(&path).await?;
        let mut tasks = tasks.as_array().into_iter().flatten();
        let ended = [
            "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
        ];
        if tasks.all(|task| ended.contains(&text(task, "/Status/State"))) {
            return Ok(());
        }
        sleep(GLANCE).await;
    }
}

fn stack_of(parsed: &Parsed) -> Result<&str, Failure> {
    let stack = parsed.args.first().map_or("", String::as_str);
    check_name(stack)?;
    Ok(stack)
}

fn check_name(stack: &str) -> Result<(), Failure> {
    match stack.trim().is_empty() {
        true => Err(Failure::Reported(format!("invalid stack name: {stack:?}"))),
        false => Ok(()),
    }
}

fn nothing_in(stack: &str) -> Failure {
    Failure::Reported(format!("nothing found in stack: {stack}"))
}
