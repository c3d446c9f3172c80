//! `image push`.

use hyper::Method;

use crate::cli::client::{empty, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::credentials::Keychain;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::image::pull::silent;
use crate::cli::image::transfer::report;
use crate::image::reference::Reference;

/// `image push`.
pub const PUSH: Command = Command {
    names: &["image push", "push"],
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    args: Args::Exactly(1),
    flags: &[
        Flag::new(
            "all-tags",
            Kind::Switch,
            "Push all tags of an image to the repository",
        )
        .short('a'),
        Flag::new(
            "disable-content-trust",
            Kind::Switch,
            "Skip image signing (default true)",
        ),
        Flag::new("quiet", Kind::Switch, "Suppress verbose output").short('q'),
    ],
    run: Run(|context, parsed| Box::pin(push(context, parsed))),
};

async fn push(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let quiet = parsed.on("quiet");
    if parsed.on("all-tags") {
        return Err(Failure::Conflict(
            "skep does not push all tags of a repository: name one",
        ));
    }
    let given = Reference::parse(name).map_err(|error| Failure::Value {
        what: "argument",
        value: name.to_owned(),
        why: error.to_string(),
    })?;
    if given.digest.is_some() {
        return Err(Failure::Conflict("cannot push a digest reference"));
    }
    if given.tag.is_none() && !quiet {
        print("Using default tag: latest\n")?;
    }
    let reference = given.or_latest();
    let path = format!("/images/{}/push", escape(&reference.familiar_repository()));
    let tag = reference.tag.as_deref().unwrap_or_default();
    let path = with_query(&path, &[("tag", tag)]);
    let request = empty().signed(Keychain::of_user().header_for(name)?);
    let answers = context.client.stream(Method::POST, &path, request).await?;
    match quiet {
        true => {
            silent(answers).await?;
            print(&format!("{reference}\n"))
        }
        false => report(answers, false).await,
    }
}
