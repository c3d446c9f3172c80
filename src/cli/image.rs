//! `image`: what containers are made from, on the daemon's own host.

pub mod ls;
pub mod transfer;
pub mod pull;
pub mod push;

use serde_json::Value;

use crate::cli::answer::{ago_ms, ellipsis, filters, id, int, list, text, uint};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::container::NO_TRUNC;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT, FORMAT_INSPECT, Flag, Kind, Parsed};
use crate::cli::inspect::{self, Subject};
use crate::cli::question;
use crate::cli::table::{Listing, Row};
use crate::cli::units;

/// `image tag`.
pub const TAG: Command = Command {
    names: &["image tag", "tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    args: Args::Exactly(2),
    flags: &[],
    run: Run(|context, parsed| Box::pin(tag(context, parsed))),
};

/// `image inspect`.
pub const INSPECT: Command = Command {
    names: &["image inspect"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// `image history`.
pub const HISTORY: Command = Command {
    names: &["image history", "history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the history of an image",
    args: Args::Exactly(1),
    flags: &[
        FORMAT,
        Flag::new(
            "human",
            Kind::Switch,
            "Print sizes and dates in human readable format (default true)",
        )
        .short('H'),
        NO_TRUNC,
        Flag::new("quiet", Kind::Switch, "Only show image IDs").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(history(context, parsed))),
};

/// `image rm`.
pub const RM: Command = Command {
    names: &["image rm", "image remove", "rmi"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    args: Args::AtLeast(1),
    flags: &[
        Flag::new("force", Kind::Switch, "Force removal of the image").short('f'),
        Flag::new("no-prune", Kind::Switch, "Do not delete untagged parents"),
    ],
    run: Run(|context, parsed| Box::pin(rm(context, parsed))),
};

/// `image prune`.
pub const PRUNE: Command = Command {
    names: &["image prune"],
    usage: "[OPTIONS]",
    about: "Remove unused images",
    args: Args::None,
    flags: &[
        Flag::new(
            "all",
            Kind::Switch,
            "Remove all unused images, not just dangling ones",
        )
        .short('a'),
        Flag::new(
            "filter",
            Kind::Filter,
            "Provide filter values (e.g. \"until=<timestamp>\")",
        ),
        Flag::new("force", Kind::Switch, "Do not prompt for confirmation").short('f'),
    ],
    run: Run(|context, parsed| Box::pin(prune(context, parsed))),
};

const CREATED_BY_LENGTH_MAX: usize = 45;

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    quiet: "{{.ID}}",
};

/// A name apart from its tag, `latest` if it has none.
pub fn name_and_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

async fn tag(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let [source, target] = parsed.args.as_slice() else {
        return Ok(());
    };
    let (repository, tag) = name_and_tag(target);
    let path = format!("/images/{}/tag", escape(source));
    let path = with_query(&path, &[("repo", repository), ("tag", tag)]);
    context.client.post(&path, &Value::Null).await?;
    Ok(())
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let subject = Subject {
        kind: None,
        path: "/images/",
        suffix: "/json",
    };
    inspect::show(&context, &parsed, &parsed.args, subject).await
}

async fn history(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let layers = context
        .client
        .get(&format!("/images/{}/history", escape(name)))
        .await?;
    let human = !parsed.given("human") || parsed.on("human");
    let whole = parsed.on("no-trunc");
    let rows: Vec<Row> = list(&layers, "")
        .iter()
        .map(|l| layer(l, human, whole))
        .collect();
    print(&LISTING.render(&rows, parsed.text("format"), parsed.on("quiet"))?)
}

fn layer(layer: &Value, human: bool, whole: bool) -> Row {
    let (created, size) = (int(layer, "/Created"), uint(layer, "/Size"));
    let at = jiff::Timestamp::from_second(created)
        .unwrap_or_default()
        .to_string();
    let since = match u64::try_from(created) {
        Err(_) => "N/A".to_owned(),
        Ok(seconds) => ago_ms(seconds.saturating_mul(1000)),
    };
    let by = text(layer, "/CreatedBy").replace('\t', " ");
    let by = if whole {
        by
    } else {
        ellipsis(&by, CREATED_BY_LENGTH_MAX)
    };
    let mut row = Row::default();
    row.set("ID", id(text(layer, "/Id"), whole))
        .set("CreatedSince", if human { since } else { at.clone() })
        .set("CreatedAt", at)
        .set("CreatedBy", by)
        .set(
            "Size",
            if human {
                units::size(size, 3)
            } else {
                size.to_string()
            },
        )
        .set("Comment", text(layer, "/Comment"));
    row
}

async fn rm(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend(parsed.on("force").then_some(("force", "1")));
    query.extend(parsed.on("no-prune").then_some(("noprune", "1")));
    let mut failures = Vec::new();
    for name in &parsed.args {
        let path = with_query(&format!("/images/{}", escape(name)), &query);
        match context.client.delete(&path).await {
            Ok(removed) => {
                for step in list(&removed, "") {
                    match (text(step, "/Untagged"), text(step, "/Deleted")) {
                        ("", deleted) => print(&format!("Deleted: {deleted}\n"))?,
                        (untagged, _) => print(&format!("Untagged: {untagged}\n"))?,
                    }
                }
            }
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}

async fn prune(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let all = parsed.on("all");
    let warning = match all {
        true => {
            "WARNING! This will remove all images without at least one container associated to \
             them."
        }
        false => "WARNING! This will remove all dangling images.",
    };
    if !parsed.on("force") && !question::agreed(warning)? {
        return Ok(());
    }
    let mut given = parsed.list("filter").to_vec();
    given.push(format!("dangling={}", !all));
    let filters = filters(&given).unwrap_or_default();
    let path = with_query("/images/prune", &[("filters", &filters)]);
    let pruned = context.client.post(&path, &Value::Null).await?;
    let images = list(&pruned, "/ImagesDeleted");
    if !images.is_empty() {
        print("Deleted Images:\n")?;
        for image in images {
            match (text(image, "/Untagged"), text(image, "/Deleted")) {
                ("", deleted) => print(&format!("deleted: {deleted}\n"))?,
                (untagged, _) => print(&format!("untagged: {untagged}\n"))?,
            }
        }
        print("\n")?;
    }
    let freed = units::size(uint(&pruned, "/SpaceReclaimed"), 4);
    print(&format!("Total reclaimed space: {freed}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_follows_the_last_colon_but_not_a_port() {
        assert_eq!(name_and_tag("a:1"), ("a", "1"));
        assert_eq!(name_and_tag("reg:5000/a"), ("reg:5000/a", "latest"));
        assert_eq!(name_and_tag("reg:5000/a:2"), ("reg:5000/a", "2"));
    }
}
