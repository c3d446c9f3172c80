//! Environment variables from flags and from files.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Kind, Parsed};
use crate::cli::service::check;

/// Longer than any file that somebody wrote.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// `--env`.
pub const ENV: Flag = Flag::new(
    "env",
    Kind::Many("list", check::check_env),
    "Set environment variables",
)
.short('e');
/// `--env-file`.
pub const ENV_FILE: Flag = Flag::new(
    "env-file",
    Kind::List,
    "Read in a file of environment variables",
);

/// The variables of `--env-file` and `--env`, of which a later one replaces an earlier one of its
/// name; a name alone takes the value it has here, or unsets it if it has none.
pub fn environment(parsed: &Parsed) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for path in parsed.list("env-file") {
        let text = read(Path::new(path)).map_err(|source| file(path, source))?;
        lines.extend(variables(&text).map_err(|why| Failure::Value {
            what: "env file",
            value: path.clone(),
            why,
        })?);
    }
    lines.extend(parsed.list("env").iter().map(|variable| filled(variable)));
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        let name = line.split('=').next().unwrap_or_default();
        let replaced = format!("{name}=");
        all.retain(|old| *old == line || !old.starts_with(&replaced));
        all.push(line);
    }
    Ok(all)
}

/// The text of a file.
pub fn read(path: &Path) -> io::Result<String> {
    read_bounded(&mut File::open(path)?)
}

/// The text of what does not go on for ever.
pub fn read_bounded(source: &mut dyn Read) -> io::Result<String> {
    let mut text = String::new();
    let length = source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match u64::try_from(length).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        true => Ok(text),
        false => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
    }
}

/// The variables that the text of a file sets, one on each line.
pub fn variables(text: &str) -> Result<Vec<String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(format!("no variable name on line {}", at + 1));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!(
                "variable '{name}' on line {} contains whitespaces",
                at + 1
            ));
        }
        match line.contains('=') {
            true => all.push(line.to_owned()),
            false => all.extend(env::var(name).map(|value| format!("{name}={value}"))),
        }
    }
    Ok(all)
}

fn filled(variable: &str) -> String {
    match (variable.contains('='), env::var(variable)) {
        (false, Ok(value)) => format!("{variable}={value}"),
        _ => variable.to_owned(),
    }
}

/// What became of a file, in the words docker has for it.
pub fn file(path: &str, source: io::Error) -> Failure {
    Failure::File {
        action: "open",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_variable_on_each_line() {
        let text = "\u{feff}A=1\n# note\n\n  B=2 3 \nNO_SUCH_VARIABLE_HERE\n";
        assert_eq!(
            variables(text),
            Ok(vec!["A=1".to_owned(), "B=2 3 ".to_owned()])
        );
    }

    #[test]
    fn lines_without_a_name_are_refused() {
        assert_eq!(
            variables("=1"),
            Err("no variable name on line 1".to_owned())
        );
        let why = "variable 'a b' on line 2 contains whitespaces";
        assert_eq!(variables("\na b=1"), Err(why.to_owned()));
    }
}
