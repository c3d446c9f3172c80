//! `image pull`.

use hyper::Method;

use crate::cli::answer::text;
use crate::cli::client::{Download, empty, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::credentials::Keychain;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::image::transfer::report;
use crate::cli::json_lines::JsonLines;
use crate::image::reference::Reference;

/// `image pull`.
pub const PULL: Command = Command {
    names: &["image pull", "pull"],
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    args: Args::Exactly(1),
    flags: &[
        Flag::new(
            "all-tags",
            Kind::Switch,
            "Download all tagged images in the repository",
        )
        .short('a'),
        Flag::new(
            "disable-content-trust",
            Kind::Switch,
            "Skip image verification (default true)",
        ),
        Flag::new(
            "platform",
            Kind::Text,
            "Set platform if server is multi-platform capable",
        ),
        Flag::new("quiet", Kind::Switch, "Suppress verbose output").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(pull(context, parsed))),
};

async fn pull(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let quiet = parsed.on("quiet");
    if parsed.on("all-tags") {
        return Err(Failure::Conflict(
            "skep does not pull all tags of a repository: name one",
        ));
    }
    let given = Reference::parse(name).map_err(|error| Failure::Value {
        what: "argument",
        value: name.to_owned(),
        why: error.to_string(),
    })?;
    if given.tag.is_none() && given.digest.is_none() && !quiet {
        print("Using default tag: latest\n")?;
    }
    let reference = given.or_latest();
    let tag = reference.digest.as_deref().or(reference.tag.as_deref());
    let repository = reference.familiar_repository();
    let mut query = vec![
        ("fromImage", repository.as_str()),
        ("tag", tag.unwrap_or_default()),
    ];
    query.extend(
        parsed
            .text("platform")
            .map(|platform| ("platform", platform)),
    );
    let request = empty().signed(Keychain::of_user().header_for(name)?);
    let path = with_query("/images/create", &query);
    let answers = context.client.stream(Method::POST, &path, request).await?;
    match quiet {
        true => silent(answers).await?,
        false => report(answers, false).await?,
    }
    print(&format!("{reference}\n"))
}

/// Waits until it is done, and tells only what failed.
pub async fn silent(answers: Download) -> Result<(), Failure> {
    let mut answers = JsonLines::new(answers);
    while let Some((_, line)) = answers.next().await? {
        let error = text(&line, "/error");
        if !error.is_empty() {
            return Err(Failure::Reported(error.to_owned()));
        }
    }
    Ok(())
}
