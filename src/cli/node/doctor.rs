//! `node doctor`: what keeps nodes from doing their part, and what mends it.

use serde_json::{Value, json};

use crate::cli::answer::text;
use crate::cli::client::{Error, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT, Parsed};
use crate::cli::node::ids;
use crate::cli::table::{Listing, Row};
use crate::daemon::STATE_DIR;
use crate::daemon::doctor::{Patient, examine};

/// `node doctor`.
pub const DOCTOR: Command = Command {
    names: &["node doctor"],
    usage: "[OPTIONS] [self|NODE...]",
    about: "Check nodes, and say what mends them",
    args: Args::AtLeast(0),
    flags: &[FORMAT],
    run: Run(|context, parsed| Box::pin(doctor(context, parsed))),
};

const LISTING: Listing = Listing {
    fields: &[
        ("Outcome", "OUTCOME"),
        ("Check", "CHECK"),
        ("Found", "FOUND"),
        ("Mend", "MEND"),
        ("Node", "NODE"),
    ],
    table: "{{.Outcome}}\t{{.Check}}\t{{.Found}}",
    quiet: "{{.Check}}",
};

async fn doctor(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let names = match parsed.args.is_empty() {
        true => vec![String::new()],
        false => ids(&context, &parsed.args).await?,
    };
    let format = parsed.text("format").unwrap_or_default();
    let mut is_sick = false;
    for name in &names {
        let found = asked(&context, name).await?;
        if names.len() > 1 && format.is_empty() {
            print(&format!("Node {name}\n"))?;
        }
        let rows: Vec<Row> = found.iter().map(|finding| row(finding, name)).collect();
        print(&LISTING.render(&rows, Some(format), false)?)?;
        let is = |finding: &Value, outcome| text(finding, "/Outcome") == outcome;
        if format.is_empty() {
            print(&mends(found.iter().filter(|finding| !is(finding, "ok"))))?;
        }
        is_sick |= found.iter().any(|finding| is(finding, "failure"));
    }
    match is_sick {
        true => Err(Failure::Exit(1)),
        false => Ok(()),
    }
}

/// What the daemon finds of a node; of this host if none is named.
async fn asked(context: &Context, name: &str) -> Result<Vec<Value>, Failure> {
    let query = [("node", name)];
    let given = if name.is_empty() { &query[..0] } else { &query };
    let path = with_query("/skep/doctor", given);
    match context.client.get(&path).await {
        Ok(found) => Ok(found.as_array().cloned().unwrap_or_default()),
        Err(error @ Error::NoDaemon { .. }) if name.is_empty() && is_root() => {
            // Where no daemon starts, it is most wanted; but it knows this host only.
            let found = examine(Patient {
                state_dir: STATE_DIR.into(),
                part: None,
            });
            let found = found.await.into_iter().map(|found| {
                json!({
                    "Check": found.check,
                    "Outcome": found.outcome.name(),
                    "Found": found.found,
                    "Mend": found.mend,
                })
            });
            let daemon = json!({
                "Check": "daemon",
                "Outcome": "failure",
                "Found": error.to_string(),
                "Mend": "systemctl start skep, and see journalctl -u skep",
            });
            Ok(found.chain([daemon]).collect())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn row(finding: &Value, node: &str) -> Row {
    let mut row = Row::default();
    row.set("Node", node);
    for field in ["Outcome", "Check", "Found", "Mend"] {
        row.set(field, text(finding, &format!("/{field}")));
    }
    row
}

/// What helps, a line each.
fn mends<'a>(bad: impl Iterator<Item = &'a Value>) -> String {
    let lines = bad.map(|finding| {
        let (check, mend) = (text(finding, "/Check"), text(finding, "/Mend"));
        format!("{check}: {mend}\n")
    });
    let lines: String = lines.collect();
    match lines.as_str() {
        "" => String::new(),
        lines => format!("\nWhat mends it:\n{lines}"),
    }
}
