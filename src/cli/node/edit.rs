//! `node update`, `promote`, `demote` and `rm`: what an operator changes of a member of the swarm.

use serde_json::{Map, Value};

use crate::cli::answer::{text, uint};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::node::ids;
use crate::cli::service::check::check_label;

/// `node update`.
pub const UPDATE: Command = Command {
    names: &["node update"],
    usage: "[OPTIONS] NODE",
    about: "Update a node",
    args: Args::Exactly(1),
    flags: &[
        Flag::new(
            "availability",
            Kind::One("string", check_availability),
            "Availability of the node (\"active\", \"pause\", \"drain\")",
        ),
        Flag::new(
            "label-add",
            Kind::Many("list", check_label),
            "Add or update a node label (\"key=value\")",
        ),
        Flag::new("label-rm", Kind::List, "Remove a node label if exists"),
        Flag::new(
            "role",
            Kind::One("string", check_role),
            "Role of the node (\"worker\", \"manager\")",
        ),
    ],
    run: Run(|context, parsed| Box::pin(update(context, parsed))),
};

/// `node promote`.
pub const PROMOTE: Command = Command {
    names: &["node promote"],
    usage: "NODE [NODE...]",
    about: "Promote one or more nodes to manager in the swarm",
    args: Args::AtLeast(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(change_roles(context, parsed, &TO_MANAGER))),
};

/// `node demote`.
pub const DEMOTE: Command = Command {
    names: &["node demote"],
    usage: "NODE [NODE...]",
    about: "Demote one or more nodes from manager in the swarm",
    args: Args::AtLeast(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(change_roles(context, parsed, &TO_WORKER))),
};

/// `node rm`.
pub const RM: Command = Command {
    names: &["node rm", "node remove"],
    usage: "[OPTIONS] NODE [NODE...]",
    about: "Remove one or more nodes from the swarm",
    args: Args::AtLeast(1),
    flags: &[Flag::new("force", Kind::Switch, "Force remove a node from the swarm").short('f')],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

/// A role to give, and what is said of it.
#[derive(Debug)]
struct Turn {
    role: &'static str,
    has_it: &'static str,
    done: fn(&str) -> String,
}

const TO_MANAGER: Turn = Turn {
    role: "manager",
    has_it: "is already a manager.",
    done: |node| format!("Node {node} promoted to a manager in the swarm.\n"),
};

const TO_WORKER: Turn = Turn {
    role: "worker",
    has_it: "is already a worker.",
    done: |node| format!("Manager {node} demoted in the swarm.\n"),
};

fn check_availability(word: &str) -> Result<(), String> {
    one_of(word, &["active", "pause", "drain"])
}

fn check_role(word: &str) -> Result<(), String> {
    one_of(word, &["worker", "manager"])
}

fn one_of(word: &str, words: &[&str]) -> Result<(), String> {
    match words.contains(&word) {
        true => Ok(()),
        false => Err(format!("expected {}", words.join(" or "))),
    }
}

async fn update(context: Context, parsed: Parsed) -> Result<(), Failure> {
    for node in ids(&context, &parsed.args).await? {
        let mut found = get(&context, &node).await?;
        merge(&parsed, &mut found["Spec"])?;
        send(&context, &found).await?;
    }
    print(&format!("{}\n", parsed.args.join("\n")))
}

async fn change_roles(context: Context, parsed: Parsed, turn: &Turn) -> Result<(), Failure> {
    for node in ids(&context, &parsed.args).await? {
        let mut found = get(&context, &node).await?;
        if text(&found, "/Spec/Role") == turn.role {
            print(&format!("Node {node} {}\n", turn.has_it))?;
            continue;
        }
        found["Spec"]["Role"] = turn.role.into();
        send(&context, &found).await?;
        print(&(turn.done)(&node))?;
    }
    Ok(())
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let query: &[(&str, &str)] = if parsed.on("force") {
        &[("force", "1")]
    } else {
        &[]
    };
    let mut failures = Vec::new();
    for (name, node) in parsed.args.iter().zip(ids(&context, &parsed.args).await?) {
        let path = with_query(&format!("/nodes/{}", escape(&node)), query);
        match context.client.delete(&path).await {
            Ok(_) => print(&format!("{name}\n"))?,
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}

async fn get(context: &Context, node: &str) -> Result<Value, Error> {
    context
        .client
        .get(&format!("/nodes/{}", escape(node)))
        .await
}

/// Sends a node's spec back to where it came from, changed.
async fn send(context: &Context, node: &Value) -> Result<(), Error> {
    let version = uint(node, "/Version/Index").to_string();
    let path = format!("/nodes/{}/update", escape(text(node, "/ID")));
    let path = with_query(&path, &[("version", &version)]);
    context.client.post(&path, &node["Spec"]).await?;
    Ok(())
}

/// Puts what was asked for into a spec; the rest of it stays.
fn merge(parsed: &Parsed, spec: &mut Value) -> Result<(), Failure> {
    for (flag, field) in [("availability", "Availability"), ("role", "Role")] {
        if let Some(word) = parsed.text(flag) {
            spec[field] = word.into();
        }
    }
    let mut labels = match spec["Labels"].take() {
        Value::Object(labels) => labels,
        _ => Map::new(),
    };
    for key in parsed.list("label-rm") {
        if labels.remove(key).is_none() {
            return Err(Failure::Value {
                what: "label-rm",
                value: key.clone(),
                why: "the node has no such label".to_owned(),
            });
        }
    }
    for pair in parsed.list("label-add") {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        labels.insert(key.to_owned(), value.into());
    }
    spec["Labels"] = labels.into();
    Ok(())
}
