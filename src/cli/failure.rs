//! Why a command did not do what was asked: one line for the user and docker's exit code.

use std::io;
use std::process::ExitCode;

use crate::cli::compose::ComposeError;
use crate::cli::flags::Mistake;
use crate::cli::{client, flags, host};
use crate::daemon::DaemonError;
use crate::identity::key::KeyError;
use crate::template;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments were not understood.
    #[error("{0}")]
    Usage(Box<Usage>),
    /// The address of the daemon cannot be used.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The daemon refused or was not there.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// Compose files were not understood.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The daemon did not start, or had to stop.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// `--format` cannot be used.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A value that the flags let through but the command cannot use.
    #[error("invalid {what} {value:?}: {why}")]
    Value {
        /// What it was given for.
        what: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two things asked for exclude each other, or one lacks another.
    #[error("{0}")]
    Conflict(&'static str),
    /// There is no such thing.
    #[error("no such {kind}: {name}")]
    NoSuch {
        /// What kind of thing.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// Nothing of any kind has the name.
    #[error("No such object: {0}")]
    NoSuchObject(String),
    /// Something that was named does not exist.
    #[error("{kind} {name} not found")]
    Missing {
        /// What kind of thing.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// A flag of `swarm ca` that changes nothing on its own.
    #[error("`--{0}` flag requires the `--rotate` flag to update the CA")]
    NeedsRotate(&'static str),
    /// A join token is for a role that there is not.
    #[error("unknown role {0}")]
    Role(String),
    /// The daemon's answer lacks what the command needs.
    #[error("the daemon's answer lacks {0}")]
    Lacking(&'static str),
    /// What failed of several things asked for.
    #[error("Error: {0}")]
    About(Box<Self>),
    /// One of several things failed.
    #[error("{name}: {failure}")]
    Of {
        /// Which.
        name: String,
        /// How.
        failure: Box<Self>,
    },
    /// A step of image handling, an event or a log that the daemon reports as failed.
    #[error("{0}")]
    Reported(String),
    /// A file of the user's.
    #[error("{action} {path}: {}", reason(source))]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Reading or writing the terminal, a pipe or a connection.
    #[error("cannot {action}: {}", reason(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody reads the output any more.
    #[error("")]
    NobodyReads,
    /// A program run for the user ended with this code; all is said.
    #[error("")]
    Exit(u8),
    /// Several things failed on their own.
    #[error("{}", lines(.0))]
    Several(Vec<Self>),
}

/// Arguments that were not understood, and the usage to show with them.
#[derive(Debug)]
pub struct Usage {
    /// What is wrong.
    pub mistake: flags::Mistake,
    /// The program's name.
    pub program: String,
    /// The command's usage line.
    pub usage: String,
    /// The command with its program's name.
    pub command: String,
}

impl Failure {
    /// Gathers what failed of several things; well if nothing did.
    pub fn gather(mut failures: Vec<Self>) -> Result<(), Self> {
        match failures.len() {
            0 | 1 => failures.pop().map_or(Ok(()), Err),
            _ => Err(Self::Several(failures)),
        }
    }

    /// The exit code docker gives.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(usage) => match usage.mistake {
                Mistake::Count(_) | Mistake::UnknownCommand(_) => 1,
                _ => 125,
            },
            Self::Template(_) => 64,
            Self::Exit(code) => *code,
            _ => 1,
        })
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            mistake,
            program,
            usage,
            command,
        } = self;
        match mistake {
            Mistake::Count(count) => write!(f, "{program}: '{command}' {count}")?,
            Mistake::UnknownCommand(_) => write!(f, "{program}: {mistake}")?,
            mistake => write!(f, "{mistake}")?,
        }
        let top = matches!(mistake, Mistake::UnknownCommand(_)) && command == program;
        if !top {
            write!(f, "\n\nUsage:  {usage}")?;
        }
        let verb = match mistake {
            Mistake::Count(flags::Count::AtLeast(_)) => "See",
            _ => "Run",
        };
        write!(f, "\n\n{verb} '{command} --help' for more information")
    }
}

/// What the system said, without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn lines(failures: &[Failure]) -> String {
    failures
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
