//! What a command takes: one table per command, from which its arguments are parsed and its help
//! is printed, so the two never disagree. The rules are those of docker's flags: `--name=web`,
//! `--name web`, `-itd`, `--detach=false`, `--` ends the flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use lexopt::Arg;

use crate::cli::commands::Run;
use crate::cli::units;

/// A command: how it is named, what it takes and what runs it.
#[derive(Debug)]
pub struct Command {
    /// Every full name, the preferred one of each group first: `service ls`, `service list`.
    pub names: &'static [&'static str],
    /// What follows the name in the usage line: `[OPTIONS] IMAGE [COMMAND] [ARG...]`.
    pub usage: &'static str,
    /// One line that says what it does.
    pub about: &'static str,
    /// How many positional arguments it takes.
    pub args: Args,
    /// Its flags, sorted by long name.
    pub flags: &'static [Flag],
    /// What runs it.
    pub run: Run,
}

/// How many positional arguments a command takes.
#[derive(Debug, Clone, Copy)]
pub enum Args {
    /// None at all.
    None,
    /// So many, not more.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// Up to so many.
    AtMost(usize),
    /// From so many up to so many.
    Between(usize, usize),
    /// At least so many; the first one ends the flags, what follows belongs to another program.
    Program(usize),
}

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The name after `--`.
    pub long: &'static str,
    /// The letter after `-`.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// What the help says about it.
    pub usage: &'static str,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text; the last one counts.
    Text,
    /// Any text, each time it is given.
    List,
    /// `name=value`, each time it is given.
    Filter,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// A number with a fraction.
    Float,
    /// A number of CPUs.
    Decimal,
    /// A size: `64m`, `1g`.
    Bytes,
    /// A length of time: `1m30s`.
    Duration,
    /// A word of its own in the help, checked here; the last one counts.
    One(&'static str, fn(&str) -> Result<(), String>),
    /// A word of its own in the help, checked here, each time it is given.
    Many(&'static str, fn(&str) -> Result<(), String>),
}

/// Why arguments were not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// No such flag.
    #[error("unknown flag: --{0}")]
    UnknownLong(String),
    /// No such letter.
    #[error("unknown shorthand flag: '{0}' in -{0}{1}")]
    UnknownShort(char, String),
    /// A flag at the end that needs a value.
    #[error("flag needs an argument: {0}")]
    Missing(String),
    /// A value that does not fit its flag.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {why}")]
    Invalid {
        /// The value as given.
        value: String,
        /// The flag as the help names it.
        flag: String,
        /// What is wrong.
        why: String,
    },
    /// The wrong number of positional arguments.
    #[error("{0}")]
    Count(Count),
    /// No such command.
    #[error("unknown command: {0}")]
    UnknownCommand(String),
    /// Bytes that are not text.
    #[error("argument {0} is not valid UTF-8")]
    NotText(String),
}

/// How many positional arguments were wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Count {
    /// None.
    None,
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// Up to so many.
    AtMost(usize),
    /// From so many up to so many.
    Between(usize, usize),
}

/// The arguments of one call, checked against the command's table.
#[derive(Debug)]
pub struct Parsed {
    /// The positional arguments.
    pub args: Vec<String>,
    flags: &'static [Flag],
    values: BTreeMap<&'static str, Vec<String>>,
    help: bool,
}

impl Flag {
    /// A flag without a letter.
    pub const fn new(long: &'static str, kind: Kind, usage: &'static str) -> Self {
        let short = None;
        Self {
            long,
            short,
            kind,
            usage,
        }
    }

    /// The same flag with a letter.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    fn display(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// `--filter`, as every list has it.
pub const FILTER: Flag = Flag::new(
    "filter",
    Kind::Filter,
    "Filter output based on conditions provided",
)
.short('f');
/// `--format` of a list.
pub const FORMAT: Flag = Flag::new(
    "format",
    Kind::Text,
    "Format output using a custom template:\n\
     'table':            Print output in table format with column headers (default)\n\
     'table TEMPLATE':   Print output in table format using the given Go template\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template.\n\
     Templates take fields, json, if, range, with, join, upper, lower, len, index and the like",
);
/// `--format` of what shows whole objects.
pub const FORMAT_OBJECT: Flag = Flag::new(
    "format",
    Kind::Text,
    "Format output using a custom template:\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template.\n\
     Templates take fields, json, if, range, with, join, upper, lower, len, index and the like",
);
/// `--format` of an inspection.
pub const FORMAT_INSPECT: Flag = FORMAT_OBJECT.short('f');
/// `--pretty` of an inspection.
pub const PRETTY: Flag = Flag::new(
    "pretty",
    Kind::Switch,
    "Print the information in a human friendly format",
);
/// `--no-trunc`.
pub const NO_TRUNC: Flag = Flag::new("no-trunc", Kind::Switch, "Do not truncate output");
/// `--quiet` of a list.
pub const QUIET: Flag = Flag::new("quiet", Kind::Switch, "Only display IDs").short('q');

impl Kind {
    /// The word the help shows for the value; empty for a switch.
    pub fn word(self) -> &'static str {
        match self {
            Self::Switch => "",
            Self::Text => "string",
            Self::List => "list",
            Self::Filter => "filter",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::One(word, _) | Self::Many(word, _) => word,
        }
    }

    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Text | Self::List => Ok(()),
            Self::Switch => units::parse_bool(value).map(drop),
            Self::Filter => match value.split_once('=') {
                Some(_) => Ok(()),
                None => Err("bad format of filter (expected name=value)".to_owned()),
            },
            Self::Int => units::parse_int(value).map(drop),
            Self::Uint => units::parse_uint(value).map(drop),
            Self::Float => units::parse_float(value).map(drop),
            Self::Decimal => units::parse_cpus(value).map(drop),
            Self::Bytes => units::parse_bytes(value).map(drop),
            Self::Duration => units::parse_duration(value).map(drop),
            Self::One(_, check) | Self::Many(_, check) => check(value),
        }
    }
}

impl Parsed {
    /// Reads `args` by the tables of a command.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        flags: &'static [Flag],
        count: Args,
    ) -> Result<Self, Mistake> {
        let mut parsed = Self {
            args: Vec::new(),
            flags,
            values: BTreeMap::new(),
            help: false,
        };
        let mut parser = lexopt::Parser::from_args(args);
        let mut last = None;
        loop {
            let arg = match parser.next() {
                Ok(Some(arg)) => arg,
                Ok(None) => break,
                // A switch takes no value, so its `=false` turns up on its own.
                Err(lexopt::Error::UnexpectedValue { value, .. }) => {
                    parsed.amend(last, text(value)?)?;
                    continue;
                }
                Err(e) => return Err(Mistake::NotText(e.to_string())),
            };
            match arg {
                Arg::Long("help") | Arg::Short('h') if parsed.is_help(&arg) => {
                    parsed.help = true;
                    return Ok(parsed);
                }
                Arg::Long(name) => {
                    let name = name.to_owned();
                    last = Some(parsed.long(&name, &mut parser)?);
                }
                Arg::Short(letter) => last = Some(parsed.short(letter, &mut parser)?),
                Arg::Value(value) => parsed.args.push(text(value)?),
            }
            if matches!(count, Args::Program(_)) && !parsed.args.is_empty() {
                let rest = parser
                    .raw_args()
                    .map_err(|e| Mistake::NotText(e.to_string()))?;
                for value in rest {
                    parsed.args.push(text(value)?);
                }
                break;
            }
        }
        count.check(parsed.args.len())?;
        Ok(parsed)
    }

    /// Whether help was asked for; nothing else was read then.
    pub fn wants_help(&self) -> bool {
        self.help
    }

    /// Whether the flag was given at all.
    pub fn given(&self, long: &str) -> bool {
        !self.list(long).is_empty()
    }

    /// The names of the flags that were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().copied()
    }

    /// Whether the switch is on.
    pub fn on(&self, long: &str) -> bool {
        self.text(long)
            .is_some_and(|value| units::parse_bool(value) == Ok(true))
    }

    /// The last value given.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.list(long).last().map(String::as_str)
    }

    /// Every value given, in order.
    pub fn list(&self, long: &str) -> &[String] {
        debug_assert!(
            self.flags.iter().any(|f| f.long == long),
            "no flag --{long}"
        );
        self.values.get(long).map_or(&[], Vec::as_slice)
    }

    /// The last value as a number.
    pub fn uint(&self, long: &str) -> Option<u64> {
        units::parse_uint(self.text(long)?).ok()
    }

    /// The last value as a number with a sign.
    pub fn int(&self, long: &str) -> Option<i64> {
        units::parse_int(self.text(long)?).ok()
    }

    /// The last value as a length of time.
    pub fn duration_ns(&self, long: &str) -> Option<i64> {
        units::parse_duration(self.text(long)?).ok()
    }

    fn is_help(&self, arg: &Arg<'_>) -> bool {
        match arg {
            Arg::Long(name) => !self.flags.iter().any(|f| f.long == *name),
            Arg::Short(letter) => !self.flags.iter().any(|f| f.short == Some(*letter)),
            Arg::Value(_) => false,
        }
    }

    fn long(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<&'static Flag, Mistake> {
        match self.flags.iter().find(|f| f.long == name) {
            Some(flag) => self.take(flag, parser, || format!("--{name}")),
            None => Err(Mistake::UnknownLong(name.to_owned())),
        }
    }

    fn short(
        &mut self,
        letter: char,
        parser: &mut lexopt::Parser,
    ) -> Result<&'static Flag, Mistake> {
        match self.flags.iter().find(|f| f.short == Some(letter)) {
            Some(flag) => self.take(flag, parser, || format!("'{letter}' in -{letter}")),
            None => {
                let rest = parser.optional_value().unwrap_or_default();
                Err(Mistake::UnknownShort(
                    letter,
                    rest.to_string_lossy().into_owned(),
                ))
            }
        }
    }

    fn take(
        &mut self,
        flag: &'static Flag,
        parser: &mut lexopt::Parser,
        name: impl Fn() -> String,
    ) -> Result<&'static Flag, Mistake> {
        let value = match flag.kind {
            Kind::Switch => "true".to_owned(),
            _ => text(parser.value().map_err(|_| Mistake::Missing(name()))?)?,
        };
        self.set(flag, value)?;
        Ok(flag)
    }

    fn amend(&mut self, flag: Option<&'static Flag>, value: String) -> Result<(), Mistake> {
        let Some(flag) = flag else { return Ok(()) };
        self.values.remove(flag.long);
        self.set(flag, value)
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), Mistake> {
        flag.kind.check(&value).map_err(|why| Mistake::Invalid {
            value: value.clone(),
            flag: flag.display(),
            why,
        })?;
        self.values.entry(flag.long).or_default().push(value);
        Ok(())
    }
}

impl Args {
    fn check(self, got: usize) -> Result<(), Mistake> {
        let wanted = match self {
            Self::None if got > 0 => Count::None,
            Self::Exactly(n) if got != n => Count::Exactly(n),
            Self::AtLeast(n) | Self::Program(n) if got < n => Count::AtLeast(n),
            Self::AtMost(n) if got > n => Count::AtMost(n),
            Self::Between(least, most) if !(least..=most).contains(&got) => {
                Count::Between(least, most)
            }
            _ => return Ok(()),
        };
        Err(Mistake::Count(wanted))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        match self {
            Self::None => write!(f, "accepts no arguments"),
            Self::Exactly(n) => write!(f, "requires {n} argument{}", plural(*n)),
            Self::AtLeast(n) => write!(f, "requires at least {n} argument{}", plural(*n)),
            Self::AtMost(n) => write!(f, "requires at most {n} argument{}", plural(*n)),
            Self::Between(least, most) => write!(
                f,
                "requires at least {least} and at most {most} argument{}",
                plural(*most)
            ),
        }
    }
}

fn text(value: OsString) -> Result<String, Mistake> {
    value
        .into_string()
        .map_err(|v| Mistake::NotText(v.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests;
