//! `image load`, `image import` and `image save`: archives in and out.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};

use hyper::Method;
use serde_json::Value;

use crate::cli::answer::text;
use crate::cli::client::{Download, Payload, empty, upload, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_bytes};
use crate::cli::env_file::file as file_failure;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::json_lines::JsonLines;
use crate::cli::lines::Lines;
use crate::host::wait::blocking;

/// `image load`.
pub const LOAD: Command = Command {
    names: &["image load", "load"],
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    args: Args::None,
    flags: &[
        Flag::new(
            "input",
            Kind::Text,
            "Read from tar archive file, instead of STDIN",
        )
        .short('i'),
        Flag::new("quiet", Kind::Switch, "Suppress the load output").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(load(context, parsed))),
};

/// `image import`.
pub const IMPORT: Command = Command {
    names: &["image import", "import"],
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    args: Args::AtLeast(1),
    flags: &[
        Flag::new(
            "change",
            Kind::List,
            "Apply Dockerfile instruction to the created image",
        )
        .short('c'),
        Flag::new(
            "message",
            Kind::Text,
            "Set commit message for imported image",
        )
        .short('m'),
        Flag::new(
            "platform",
            Kind::Text,
            "Set platform if server is multi-platform capable",
        ),
    ],
    run: Run(|context, parsed| Box::pin(import(context, parsed))),
};

/// `image save`.
pub const SAVE: Command = Command {
    names: &["image save", "save"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    args: Args::AtLeast(1),
    flags: &[Flag::new("output", Kind::Text, "Write to a file, instead of STDOUT").short('o')],
    run: Run(|context, parsed| Box::pin(save(context, parsed))),
};

async fn load(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let archive = match parsed.text("input") {
        Some(path) => opened(path)?,
        None if io::stdin().is_terminal() => {
            let conflict = "requested load from stdin, but stdin is empty";
            return Err(Failure::Conflict(conflict));
        }
        None => upload(io::stdin()),
    };
    let quiet = parsed.on("quiet") || !io::stdout().is_terminal();
    let path = with_query("/images/load", &[("quiet", if quiet { "1" } else { "0" })]);
    send(&context, &path, archive, parsed.on("quiet")).await
}

async fn import(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let source = parsed.args.first().map_or("", String::as_str);
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let (from, archive) = match source {
        "-" => ("-", upload(io::stdin())),
        url if is_url => (url, empty()),
        path => ("-", opened(path)?),
    };
    let mut query = vec![("fromSrc", from)];
    query.extend(parsed.args.get(1).map(|name| ("repo", name.as_str())));
    for (flag, name) in [
        ("change", "changes"),
        ("message", "message"),
        ("platform", "platform"),
    ] {
        query.extend(parsed.list(flag).iter().map(|value| (name, value.as_str())));
    }
    send(
        &context,
        &with_query("/images/create", &query),
        archive,
        false,
    )
    .await
}

async fn save(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let output = parsed.text("output").filter(|path| !path.is_empty());
    if output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Conflict(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let names: Vec<(&str, &str)> = parsed.args.iter().map(|n| ("names", n.as_str())).collect();
    let path = with_query("/images/get", &names);
    let mut archive = context.client.stream(Method::GET, &path, empty()).await?;
    let Some(output) = output else {
        while let Some(bytes) = archive.next().await? {
            print_bytes(&bytes)?;
        }
        return Ok(());
    };
    // A file that is there keeps its content until the new one is whole.
    let partial = format!("{output}.{}.partial", std::process::id());
    let failed = |source| file_failure(output, source);
    let mut file = File::create_new(&partial).map_err(failed)?;
    let written = async {
        while let Some(bytes) = archive.next().await? {
            let result;
            (file, result) = blocking(move || {
                let result = file.write_all(&bytes);
                (file, result)
            })
            .await;
            result.map_err(failed)?;
        }
        fs::rename(&partial, output).map_err(failed)
    };
    let written = written.await;
    if written.is_err() {
        fs::remove_file(&partial).map_err(failed)?;
    }
    written
}

fn opened(path: &str) -> Result<Payload, Failure> {
    let file = File::open(path).map_err(|source| file_failure(path, source))?;
    Ok(upload(file))
}

/// Sends an archive and tells what the daemon does with it.
async fn send(context: &Context, path: &str, archive: Payload, quiet: bool) -> Result<(), Failure> {
    report(
        context.client.stream(Method::POST, path, archive).await?,
        quiet,
    )
    .await
}

/// Tells what the daemon does with an image; what failed comes as a line too.
pub async fn report(answers: Download, quiet: bool) -> Result<(), Failure> {
    let mut answers = JsonLines::new(answers);
    let mut lines = Lines::new(quiet);
    while let Some((_, line)) = answers.next().await? {
        let error = [text(&line, "/errorDetail/message"), text(&line, "/error")];
        if let Some(error) = error.into_iter().find(|error| !error.is_empty()) {
            return Err(Failure::Reported(error.to_owned()));
        }
        let (stream, status) = (text(&line, "/stream"), text(&line, "/status"));
        let id = text(&line, "/id");
        if !id.is_empty() && line["progressDetail"]["current"].is_number() {
            let [done, total] = ["current", "total"].map(|key| &line["progressDetail"][key]);
            let bytes = |number: &Value| number.as_u64().unwrap_or_default();
            lines.bytes(id, status, bytes(done), bytes(total))?;
            continue;
        }
        if !id.is_empty() {
            lines.set(id, status)?;
            continue;
        }
        // What is said between them stands below the lines so far, and the next begin below it.
        lines = Lines::new(quiet);
        match (stream, status) {
            ("", "") => {}
            ("", status) => print(&format!("{status}\n"))?,
            (stream, _) => print(stream)?,
        }
    }
    Ok(())
}
