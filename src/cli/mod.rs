//! The command line: the nouns and verbs of the docker CLI, as a plain client of the HTTP API.
//!
//! Each file of a noun holds its commands: the table of what each takes, and what it does with it.
//! Nothing here reaches into the daemon; what the CLI can do, any client of the API can.

pub mod commands;
pub mod flags;
pub mod help;
pub mod failure;
pub mod host;
pub mod tls;
pub mod client;
pub mod units;
pub mod table;
pub mod context;
pub mod answer;
pub mod names;
pub mod terminal;
pub mod lines;
pub mod env_file;
pub mod moment;
pub mod json_lines;
pub mod frames;
pub mod question;
pub mod credentials;
pub mod ending;
pub mod inspect;
pub mod tasks;
pub mod service;
pub mod compose;
pub mod node;
pub mod network;
pub mod volume;
pub mod swarm;
pub mod resource;
pub mod stack;
pub mod secret;
pub mod config;
pub mod logs;
pub mod container;
pub mod exec;
pub mod stats;
pub mod image;
pub mod login;
pub mod events;
pub mod version;
pub mod info;
pub mod disk;
pub mod quickstart;
pub mod system;
pub mod daemon;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use async_executor::LocalExecutor;

use crate::cli::commands::{COMMANDS, GROUPS};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Usage};
use crate::cli::flags::{Args, Command, Flag, Kind, Mistake, Parsed};
use crate::cli::host::Host;
use crate::cli::tls::Tls;

const GLOBAL: &[Flag] = &[
    Flag::new(
        "host",
        Kind::List,
        "Daemon socket to connect to (default unix:///run/skep/skep.sock)",
    )
    .short('H'),
    Flag::new(
        "tls",
        Kind::Switch,
        "Use TLS; always verifies, as --tlsverify does",
    ),
    Flag::new(
        "tlscacert",
        Kind::Text,
        "Trust certs signed only by this CA (default \"~/.docker/ca.pem\")",
    ),
    Flag::new(
        "tlscert",
        Kind::Text,
        "Path to TLS certificate file (default \"~/.docker/cert.pem\")",
    ),
    Flag::new(
        "tlskey",
        Kind::Text,
        "Path to TLS key file (default \"~/.docker/key.pem\")",
    ),
    Flag::new("tlsverify", Kind::Switch, "Use TLS and verify the remote"),
    Flag::new(
        "version",
        Kind::Switch,
        "Print version information and quit",
    )
    .short('v'),
];

const NO_RUN: &str =
    "skep runs no containers outside of services: use 'service create' (and 'swarm init' first)";

/// Runs the command line, the program's own name first, and gives its exit code.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let called = args.next().unwrap_or_default();
    let program = match std::path::Path::new(&called).file_name() {
        Some(name) if name == "docker" => "docker",
        _ => "skep",
    };
    match run(program, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let line = failure.to_string();
            if !line.is_empty() {
                eprintln!("{line}");
            }
            failure.code()
        }
    }
}

fn run(program: &'static str, args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let global = parse(
        program,
        "",
        "[OPTIONS] COMMAND [ARG...]",
        args,
        GLOBAL,
        Args::Program(0),
    )?;
    if global.on("version") {
        return context::print(&format!("skep version {}\n", env!("CARGO_PKG_VERSION")));
    }
    if global.wants_help() || global.args.is_empty() {
        return context::print(&help::program(program, GLOBAL));
    }
    let words: Vec<&str> = global.args.iter().map(String::as_str).collect();
    if let Some((command, typed, rest)) = find(&words) {
        return start(program, &global, command, typed, rest);
    }
    match GROUPS.iter().find(|(name, _)| *name == words[0]) {
        Some((name, about)) => group(program, name, about, &global.args[1..]),
        None => Err(unknown(program, &[words[0]])),
    }
}

/// Finds the command that the first one or two words name, and what is left.
fn find<'a>(words: &[&'a str]) -> Option<(&'static Command, &'static str, Vec<&'a str>)> {
    let named = |name: &str| {
        let found = |c: &&'static Command| c.names.iter().find(|n| **n == name).map(|n| (*c, *n));
        COMMANDS.iter().find_map(found)
    };
    if let Some((command, typed)) = words.get(..2).and_then(|two| named(&two.join(" "))) {
        return Some((command, typed, words[2..].to_vec()));
    }
    let (command, typed) = named(words.first()?)?;
    Some((command, typed, words[1..].to_vec()))
}

fn start(
    program: &'static str,
    global: &Parsed,
    command: &'static Command,
    typed: &'static str,
    rest: Vec<&str>,
) -> Result<(), Failure> {
    let name = help::preferred(command, typed);
    let rest = rest.into_iter().map(OsString::from);
    let parsed = parse(
        program,
        name,
        command.usage,
        rest,
        command.flags,
        command.args,
    )?;
    if parsed.wants_help() {
        return context::print(&help::command(program, command, typed));
    }
    let host = daemon_host(program, global)?;
    let executor = Rc::new(LocalExecutor::new());
    let context = Context::new(program, host, Rc::clone(&executor));
    futures_lite::future::block_on(executor.run((command.run.0)(context, parsed)))
}

/// The help of a group, unless what follows its name is no command of it.
fn group(program: &str, name: &str, about: &str, rest: &[String]) -> Result<(), Failure> {
    let args = rest.iter().map(OsString::from);
    let parsed = parse(program, name, "", args, &[], Args::Program(0))?;
    match parsed.args.first() {
        Some(word) => Err(unknown(program, &[name, word])),
        None => context::print(&help::group(program, name, about)),
    }
}

fn parse(
    program: &str,
    name: &str,
    usage: &str,
    args: impl Iterator<Item = OsString>,
    flags: &'static [Flag],
    count: Args,
) -> Result<Parsed, Failure> {
    let command = format!("{program} {name}").trim_end().to_owned();
    Parsed::parse(args, flags, count).map_err(|mistake| {
        let usage = format!("{command} {usage}").trim_end().to_owned();
        let program = program.to_owned();
        Failure::Usage(Box::new(Usage {
            mistake,
            program,
            usage,
            command: command.clone(),
        }))
    })
}

fn unknown(program: &str, words: &[&str]) -> Failure {
    if let ["run" | "create"] | ["container", "run" | "create"] = words {
        return Failure::Conflict(NO_RUN);
    }
    let group = words[..words.len() - 1].join(" ");
    let command = format!("{program} {group}").trim_end().to_owned();
    let mistake = Mistake::UnknownCommand(format!("{program} {}", words.join(" ")));
    let usage = command.clone();
    Failure::Usage(Box::new(Usage {
        mistake,
        program: program.to_owned(),
        usage,
        command,
    }))
}

/// The daemon that was asked for: by flag, by the environment, or the usual one.
fn daemon_host(program: &str, global: &Parsed) -> Result<Host, Failure> {
    let from_env = |name: &str| {
        let set = |name: String| env::var(name).ok().filter(|value| !value.is_empty());
        let docker = || set(format!("DOCKER_{name}")).filter(|_| program == "docker");
        set(format!("SKEP_{name}")).or_else(docker)
    };
    let given = global.text("host").map(str::to_owned);
    let given = given.or_else(|| from_env("HOST"));
    let host: Host = given.as_deref().unwrap_or(host::DEFAULT).parse()?;
    let files = ["tlscacert", "tlscert", "tlskey"].map(|flag| global.text(flag));
    let is_asked = global.on("tls") || global.on("tlsverify") || files.iter().any(Option::is_some);
    if !is_asked && from_env("TLS_VERIFY").is_none() {
        return Ok(host);
    }
    let dir = from_env("CERT_PATH").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".docker");
    let usual = Tls::in_dir(&dir.unwrap_or_else(home));
    let [ca, cert, key] = files.map(|file| file.map(PathBuf::from));
    Ok(host.with_tls(Tls {
        ca: ca.unwrap_or(usual.ca),
        cert: cert.unwrap_or(usual.cert),
        key: key.unwrap_or(usual.key),
    }))
}

#[cfg(test)]
mod tests;
