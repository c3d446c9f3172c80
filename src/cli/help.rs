//! Help and usage lines, laid out as docker's.

use crate::cli::commands::{COMMANDS, GROUPS, TOP};
use crate::cli::flags::{Command, Flag};
use crate::cli::table::padded;

const WIDTH: usize = 80;
/// How far a line may go over so that no short word is left alone on the next.
const SLOP: usize = 5;
const WRAP_MIN: usize = 24;

/// The usage line of a command under the name it was called by, without `Usage:`.
pub fn usage(program: &str, command: &Command, typed: &str) -> String {
    let name = preferred(command, typed);
    format!("{program} {name} {}", command.usage)
        .trim_end()
        .to_owned()
}

/// The name that docker shows for a command: the first of the group it was called by.
pub fn preferred(command: &Command, typed: &str) -> &'static str {
    let group = |name: &str| name.split_once(' ').map(|(group, _)| group.to_owned());
    let same = command
        .names
        .iter()
        .find(|name| group(name) == group(typed));
    same.or_else(|| command.names.first())
        .copied()
        .unwrap_or_default()
}

/// The help of a command.
pub fn command(program: &str, command: &Command, typed: &str) -> String {
    let mut out = format!(
        "Usage:  {}\n\n{}\n",
        usage(program, command, typed),
        command.about
    );
    if command.names.len() > 1 {
        let names: Vec<String> = command
            .names
            .iter()
            .map(|n| format!("{program} {n}"))
            .collect();
        out.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    if !command.flags.is_empty() {
        out.push_str(&format!("\nOptions:\n{}", flags(command.flags)));
    }
    out
}

/// The help of a group of commands, such as `service`.
pub fn group(program: &str, name: &str, about: &str) -> String {
    let prefix = format!("{name} ");
    let in_group = COMMANDS.iter().filter_map(|command| {
        let own = command.names.iter().find_map(|n| n.strip_prefix(&prefix))?;
        Some((own, command.about))
    });
    let list = list(in_group.filter(|(_, about)| !about.is_empty()).collect());
    format!(
        "Usage:  {program} {name} COMMAND\n\n{about}\n\nCommands:\n{list}\n\
         Run '{program} {name} COMMAND --help' for more information on a command.\n"
    )
}

/// The help of the program.
pub fn program(program: &str, global: &'static [Flag]) -> String {
    let mut out = format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\n\
         Swarm services on small machines, in one binary\n"
    );
    let about = |name: &str| {
        let command = COMMANDS.iter().find(|c| c.names.contains(&name));
        command.map_or("", |c| c.about)
    };
    let common = TOP.iter().map(|name| (*name, about(name))).collect();
    out.push_str(&format!("\nCommon Commands:\n{}", list(common)));
    let groups = GROUPS.iter().map(|(name, about)| (*name, *about)).collect();
    out.push_str(&format!("\nManagement Commands:\n{}", list(groups)));
    let others = COMMANDS.iter().flat_map(|c| {
        let names = c
            .names
            .iter()
            .filter(|n| !n.contains(' ') && !TOP.contains(n));
        names.map(|n| (*n, c.about))
    });
    out.push_str(&format!("\nCommands:\n{}", list(others.collect())));
    out.push_str(&format!("\nGlobal Options:\n{}", flags(global)));
    out.push_str(&format!(
        "\nRun '{program} COMMAND --help' for more information on a command.\n"
    ));
    out
}

fn list(mut entries: Vec<(&str, &str)>) -> String {
    entries.sort_unstable();
    let width = entries
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default()
        .max(11);
    let line = |(name, about): &(&str, &str)| format!("  {} {about}\n", padded(name, width));
    entries.iter().map(line).collect()
}

/// The flags, one below the other, with their texts wrapped beside them.
fn flags(flags: &[Flag]) -> String {
    let heads: Vec<String> = flags.iter().map(head).collect();
    let width = heads.iter().map(String::len).max().unwrap_or_default() + 3;
    let line = |(head, flag): (&String, &Flag)| {
        format!("{}{}\n", padded(head, width), wrapped(flag.usage, width))
    };
    heads.iter().zip(flags).map(line).collect()
}

fn head(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    format!("  {short}--{} {}", flag.long, flag.kind.word())
        .trim_end()
        .to_owned()
}

/// Wraps text that starts at a column, as the flag library of docker does.
fn wrapped(text: &str, column: usize) -> String {
    let (mut indent, mut width) = (column, (WIDTH - 1).saturating_sub(column));
    let mut out = String::new();
    if width < WRAP_MIN {
        (indent, width) = (16, WIDTH - 1 - 16);
        out = format!("\n{}", " ".repeat(indent));
    }
    let next_line = format!("\n{}", " ".repeat(indent));
    let mut rest = text;
    loop {
        let (line, tail) = break_line(rest, width - SLOP);
        out.push_str(&line.replace('\n', &next_line));
        if tail.is_empty() {
            return out;
        }
        out.push_str(&next_line);
        rest = tail;
    }
}

fn break_line(text: &str, width: usize) -> (&str, &str) {
    if width + SLOP > text.len() {
        return (text, "");
    }
    let head = text.get(..width).unwrap_or(text);
    let blank = head.rfind([' ', '\t', '\n']).filter(|at| *at > 0);
    let Some(blank) = blank else {
        return (text, "");
    };
    let at = head
        .rfind('\n')
        .filter(|at| *at > 0 && *at < blank)
        .unwrap_or(blank);
    (&text[..at], &text[at + 1..])
}

#[cfg(test)]
mod tests;
