//! `stack config`, and the files of a stack.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::commands::Run;
use crate::cli::compose::emit;
use crate::cli::compose::load::{Project, Source, Surroundings, load};
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::env_file::{file as file_failure, read, read_bounded};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::host::wait::blocking;

/// `--compose-file`.
pub const FILES: Flag = Flag::new(
    "compose-file",
    Kind::List,
    "Path to a Compose file, or \"-\" to read from stdin",
)
.short('c');

/// `stack config`.
pub const CONFIG: Command = Command {
    names: &["stack config"],
    usage: "[OPTIONS]",
    about: "Outputs the final config file, after doing merges and interpolations",
    args: Args::None,
    flags: &[
        FILES,
        Flag::new(
            "skip-interpolation",
            Kind::Switch,
            "Skip interpolation and output only merged config",
        ),
    ],
    run: Run(|context, parsed| Box::pin(config(context, parsed))),
};

async fn config(_: Context, parsed: Parsed) -> Result<(), Failure> {
    let project = project(&parsed, parsed.on("skip-interpolation")).await?;
    print(&emit::yaml(&project.config))
}

/// The files that a command names; what they say in vain is told.
pub async fn project(parsed: &Parsed, is_raw: bool) -> Result<Project, Failure> {
    let names = parsed.list("compose-file").to_vec();
    if names.is_empty() {
        let what = "specify a Compose file (with --compose-file)";
        return Err(Failure::Conflict(what));
    }
    let project = blocking(move || read_all(&names, is_raw)).await?;
    for warning in &project.warnings {
        print_error_bytes(format!("{warning}\n").as_bytes())?;
    }
    Ok(project)
}

fn read_all(names: &[String], is_raw: bool) -> Result<Project, Failure> {
    let mut sources = Vec::new();
    for name in names {
        let text = match name.as_str() {
            "-" => read_bounded(&mut io::stdin().lock()),
            path => read(Path::new(path)),
        };
        let text = text.map_err(|source| file_failure(name, source))?;
        let name = if name == "-" { "stdin" } else { name };
        let name = name.to_owned();
        sources.push(Source { name, text });
    }
    let here = env::current_dir().map_err(|source| file_failure(".", source))?;
    let first = Path::new(&names[0]);
    let dir = first.parent().map_or(PathBuf::new(), Path::to_owned);
    Ok(load(
        &sources,
        Surroundings {
            dir: &here.join(dir),
            lookup: &|name| env::var(name).ok(),
            is_raw,
            read: &read,
        },
    )?)
}
