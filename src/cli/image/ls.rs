//! `image ls`.

use serde_json::Value;

use crate::cli::answer::{ago_ms, date, filters, id, int, list, text, texts, uint};
use crate::cli::client::with_query;
use crate::cli::commands::Run;
use crate::cli::container::NO_TRUNC;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, Flag, Kind, Parsed};
use crate::cli::table::{Listing, Row};
use crate::cli::units;
use crate::image::config::NOT_SAID;

/// `image ls`.
pub const LS: Command = Command {
    names: &["image ls", "image list", "images"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    args: Args::AtMost(1),
    flags: &[
        Flag::new(
            "all",
            Kind::Switch,
            "Show all images (default hides intermediate images)",
        )
        .short('a'),
        Flag::new("digests", Kind::Switch, "Show digests"),
        FILTER,
        FORMAT,
        NO_TRUNC,
        Flag::new("quiet", Kind::Switch, "Only show image IDs").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(ls(context, parsed))),
};

const NONE: &str = "<none>";

/// What a list of images can show.
pub const LISTING: Listing = Listing {
    fields: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    quiet: "{{.ID}}",
};

const TABLE_WITH_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

async fn ls(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let mut given = parsed.list("filter").to_vec();
    given.extend(parsed.args.first().map(|name| format!("reference={name}")));
    let filters = filters(&given);
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend(parsed.on("all").then_some(("all", "1")));
    query.extend(filters.as_deref().map(|filters| ("filters", filters)));
    let images = context
        .client
        .get(&with_query("/images/json", &query))
        .await?;
    let (whole, digests) = (parsed.on("no-trunc"), parsed.on("digests"));
    let digests_shown = digests && !parsed.on("quiet");
    let rows = rows(list(&images, ""), whole, digests);
    let format = parsed
        .text("format")
        .or_else(|| digests_shown.then_some(TABLE_WITH_DIGESTS));
    print(&LISTING.render(&rows, format, parsed.on("quiet"))?)
}

/// A row for each name of each image, and one for an image without any.
pub fn rows(images: &[Value], whole: bool, digests: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for image in images {
        let tags = texts(image, "/RepoTags");
        let by_digest = texts(image, "/RepoDigests");
        let split = |name: &str| {
            name.split_once('@')
                .map(|(n, d)| (n.to_owned(), d.to_owned()))
        };
        let by_digest: Vec<(String, String)> = by_digest.into_iter().filter_map(split).collect();
        for (repository, tag) in tags.iter().filter_map(|name| name.rsplit_once(':')) {
            let own = by_digest.iter().find(|(name, _)| name == repository);
            let digest = own.map_or(NONE, |(_, digest)| digest.as_str());
            let digest = if digests { digest } else { NONE };
            rows.push(row(image, [repository, tag, digest], whole));
        }
        if tags.is_empty() && by_digest.is_empty() {
            rows.push(row(image, [NONE, NONE, NONE], whole));
        }
        for (name, digest) in by_digest.iter().filter(|_| tags.is_empty()) {
            let digest = if digests { digest } else { NONE };
            rows.push(row(image, [name, NONE, digest], whole));
        }
    }
    rows
}

fn since(created: i64) -> String {
    let created = u64::try_from(created).unwrap_or_default();
    ago_ms(created.saturating_mul(1000))
}

/// A time in words, if the builder of the image said one.
fn of_time(created: i64, words: fn(i64) -> String) -> String {
    match created {
        NOT_SAID => "N/A".to_owned(),
        created => words(created),
    }
}

fn row(image: &Value, [repository, tag, digest]: [&str; 3], whole: bool) -> Row {
    let created = int(image, "/Created");
    let size = uint(image, "/Size");
    let shared = u64::try_from(int(image, "/SharedSize")).ok();
    let containers = int(image, "/Containers");
    let or_unknown =
        |size: Option<u64>| size.map_or_else(|| "N/A".to_owned(), |size| units::size(size, 4));
    let containers = if containers < 0 {
        "N/A".to_owned()
    } else {
        containers.to_string()
    };
    let mut row = Row::default();
    row.set("Repository", repository)
        .set("Tag", tag)
        .set("Digest", digest)
        .set("ID", id(text(image, "/Id"), whole))
        .set("CreatedSince", of_time(created, since))
        .set("CreatedAt", of_time(created, date))
        .set("Size", units::size(size, 3))
        .set("SharedSize", or_unknown(shared))
        .set(
            "UniqueSize",
            or_unknown(shared.map(|shared| size.saturating_sub(shared))),
        )
        .set("VirtualSize", units::size(size, 4))
        .set("Containers", containers);
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_of_its_names() {
        let digest = "sha256:aa";
        let images = [
            json!({
                "Id": "sha256:1",
                "RepoTags": ["a:1", "r:5000/b:2"],
                "RepoDigests": ["a@sha256:aa"],
            }),
            json!({"Id": "sha256:2", "RepoTags": [], "RepoDigests": ["c@sha256:aa"]}),
            json!({"Id": "sha256:3", "RepoTags": null}),
        ];
        let rows = rows(&images, false, true);
        let names =
            |row: &Row| ["Repository", "Tag", "Digest"].map(|field| row.text(field).to_owned());
        let names: Vec<_> = rows.iter().map(names).collect();
        let expect = [
            ["a", "1", digest],
            ["r:5000/b", "2", NONE],
            ["c", NONE, digest],
            [NONE, NONE, NONE],
        ];
        assert_eq!(names, expect.map(|row| row.map(str::to_owned)));
    }
}
