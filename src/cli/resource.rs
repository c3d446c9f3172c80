//! What `secret` and `config` do alike: data that the swarm keeps for its services.

use std::fs::File;
use std::io::{self, Read};

use serde_json::{Map, Value, json};

use crate::api::types::base64::Base64;
use crate::cli::answer::{ago, filters, natural, text};
use crate::cli::client::{Error, escape, with_query};
use crate::cli::context::{Context, print};
use crate::cli::env_file::file as file_failure;
use crate::cli::failure::Failure;
use crate::cli::flags::Parsed;
use crate::cli::inspect::{self, Subject};
use crate::cli::service::value::map;
use crate::cli::table::{Listing, Row};
use crate::host::wait::blocking;

/// More than any daemon takes: a file that is longer was not meant.
const CONTENT_BYTES_MAX: u64 = 2 << 20;

/// One of the two kinds.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// `/secrets` or `/configs`.
    pub path: &'static str,
    pub subject: Subject,
    pub listing: &'static Listing,
    /// What `inspect --pretty` says.
    pub tell: fn(&Value) -> String,
}

/// `create NAME file|-`.
pub async fn create(context: Context, parsed: Parsed, kind: Kind) -> Result<(), Failure> {
    let mut spec = Map::new();
    let name = parsed.args.first().cloned().unwrap_or_default();
    spec.insert("Name".to_owned(), name.into());
    spec.insert("Labels".to_owned(), map(parsed.list("label")));
    if let Some(from) = parsed.args.get(1).cloned() {
        let data = blocking(move || content(&from)).await?;
        spec.insert("Data".to_owned(), json!(Base64(data)));
    }
    let driver = |name: &str| json!({"Name": name});
    let given = |flag| parsed.text(flag).filter(|text| !text.is_empty());
    if let Some(name) = given("template-driver") {
        spec.insert("Templating".to_owned(), driver(name));
    }
    if kind.path == "/secrets"
        && let Some(name) = given("driver")
    {
        spec.insert("Driver".to_owned(), driver(name));
    }
    let path = format!("{}/create", kind.path);
    let created = context.client.post(&path, &spec.into()).await?;
    print(&format!("{}\n", text(&created, "/ID")))
}

/// The content of a file, or of standard input.
pub fn content(from: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut read = |source: &mut dyn Read| {
        let mut source = source.take(CONTENT_BYTES_MAX + 1);
        source.read_to_end(&mut bytes).map(|_| ())
    };
    let result = match from {
        "-" => read(&mut io::stdin().lock()),
        path => File::open(path).and_then(|mut file| read(&mut file)),
    };
    result.map_err(|source| file_failure(from, source))?;
    match bytes.len() as u64 > CONTENT_BYTES_MAX {
        true => Err(Failure::Value {
            what: "content",
            value: from.to_owned(),
            why: format!("longer than {CONTENT_BYTES_MAX} bytes"),
        }),
        false => Ok(bytes),
    }
}

/// `ls`.
pub async fn ls(context: Context, parsed: Parsed, kind: Kind) -> Result<(), Failure> {
    let filters = filters(parsed.list("filter"));
    let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filters", f.as_str())).collect();
    let found = context.client.get(&with_query(kind.path, &query)).await?;
    let mut found = found.as_array().cloned().unwrap_or_default();
    found.sort_by(|a, b| natural(text(a, "/Spec/Name"), text(b, "/Spec/Name")));
    let rows: Vec<Row> = found.iter().map(|object| row(object, kind)).collect();
    print(
        &kind
            .listing
            .render(&rows, parsed.text("format"), parsed.on("quiet"))?,
    )
}

fn row(object: &Value, kind: Kind) -> Row {
    let mut row = Row::default();
    if kind.path == "/secrets" {
        row.set("Driver", text(object, "/Spec/Driver/Name"));
    }
    row.set("ID", text(object, "/ID"))
        .set("Name", text(object, "/Spec/Name"))
        .set("CreatedAt", ago(text(object, "/CreatedAt")))
        .set("UpdatedAt", ago(text(object, "/UpdatedAt")))
        .label(&object["Spec"]["Labels"]);
    row
}

/// `inspect`.
pub async fn inspect(context: Context, parsed: Parsed, kind: Kind) -> Result<(), Failure> {
    match parsed.on("pretty") {
        true if parsed.given("format") => Err(Failure::Conflict(
            "--format is incompatible with human friendly format",
        )),
        true => {
            let tell = async |object| Ok((kind.tell)(&object));
            inspect::tell(&context, &parsed.args, kind.subject, tell).await
        }
        false => inspect::show(&context, &parsed, &parsed.args, kind.subject).await,
    }
}

/// `rm`.
pub async fn rm(context: Context, parsed: Parsed, kind: Kind) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for name in &parsed.args {
        let path = format!("{}/{}", kind.path, escape(name));
        match context.client.delete(&path).await {
            Ok(_) => print(&format!("{name}\n"))?,
            Err(error @ Error::Daemon { .. }) => failures.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Failure::gather(failures)
}

/// ` - key=value` for each label.
pub fn labels(object: &Value) -> String {
    let pairs = crate::cli::answer::pairs(object, "/Spec/Labels");
    let line = |(key, value): &(&str, &str)| match value.is_empty() {
        true => format!(" - {key}\n"),
        false => format!(" - {key}={value}\n"),
    };
    let lines: String = pairs.iter().map(line).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("Labels:\n{lines}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_whole_and_what_is_too_long_is_refused() {
        let path = std::env::temp_dir().join(format!("skep-content-{}", std::process::id()));
        let from = path.to_str().unwrap();
        std::fs::write(&path, [0, 159, 146, 150]).unwrap();
        assert_eq!(content(from).unwrap(), [0, 159, 146, 150]);
        let length = usize::try_from(CONTENT_BYTES_MAX).unwrap() + 1;
        std::fs::write(&path, vec![b'x'; length]).unwrap();
        let refused = content(from).unwrap_err().to_string();
        assert!(refused.ends_with("longer than 2097152 bytes"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        let missing = content(from).unwrap_err().to_string();
        assert!(missing.contains("no such file"), "{missing}");
    }
}
