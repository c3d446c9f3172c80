//! Stories: command lines and what they print. The command lines run through the real program, the
//! real API and a real manager; only the containers are not real. A story is a text file beside
//! this one: comments, `$ skep …` and what it prints, its exit code in brackets if that is not 0.
//! `$ echo … | skep …` gives it a standard input.
//!
//! Ids, times and versions stand as `<node1>`, `<time>`, `<index>`, and a command line may name an
//! id so. Each command line waits until the one before it has had its effect.
//! `UPDATE_SCRIPTS=1 cargo test --test scripts` writes down what is printed now.

mod board;
mod steady;
mod swarm;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use skep::host::wait::blocking;

use steady::Steady;
use swarm::Swarm;

const SKEP: &str = env!("CARGO_BIN_EXE_skep");

#[test]
fn service_life() {
    tell("service_life");
}

#[test]
fn scale_and_ps() {
    tell("scale_and_ps");
}

#[test]
fn filters_and_format() {
    tell("filters_and_format");
}

#[test]
fn updates() {
    tell("updates");
}

#[test]
fn jobs() {
    tell("jobs");
}

#[test]
fn bad_input() {
    tell("bad_input");
}

#[test]
fn nodes() {
    tell("nodes");
}

#[test]
fn networks() {
    tell("networks");
}

#[test]
fn swarm_init_and_leave() {
    tell("swarm_init_and_leave");
}

#[test]
fn secrets_and_configs() {
    tell("secrets_and_configs");
}

#[test]
fn swarm_settings() {
    tell("swarm_settings");
}

#[test]
fn every_story_is_told() {
    let tests = include_str!("main.rs");
    for entry in fs::read_dir(stories()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(story) = name.strip_suffix(".txt") {
            let told = tests.contains(&format!("tell(\"{story}\");"));
            assert!(told, "{name} has no test");
        }
    }
}

/// Runs a story and compares it with what is written, or writes it.
#[track_caller]
fn tell(story: &str) {
    let path = stories().join(format!("{story}.txt"));
    let written = fs::read_to_string(&path).unwrap();
    let swarm = Swarm::start(story);
    let now = swarm.run(retell(&swarm, &written));
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        fs::write(&path, now).unwrap();
        return;
    }
    let mut lines = written.lines().zip(now.lines()).enumerate();
    if let Some((number, (was, is))) = lines.find(|(_, (was, is))| was != is) {
        let line = number + 1;
        panic!("{story}.txt:{line}\n  written: {was}\n  printed: {is}\n\nall of it:\n{now}");
    }
    let (was, is) = (written.lines().count(), now.lines().count());
    assert_eq!(
        was, is,
        "{story}.txt has not as many lines as are printed:\n{now}"
    );
}

fn stories() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// The story as it is now: its comments and command lines, each with what it prints.
async fn retell(swarm: &Swarm, written: &str) -> String {
    let mut steady = Steady::default();
    let mut told = String::new();
    let mut printed = false;
    for line in written.lines() {
        if let Some((input, command)) = command_line(line) {
            swarm.settle(command).await;
            steady.learn(&swarm.ids().await);
            let output = run(swarm.socket(), words(&steady.resolved(command)), input).await;
            steady.learn(&swarm.ids().await);
            told.push_str(&format!(
                "{line}\n{}\n",
                steady.shown(output.trim_end_matches('\n'))
            ));
            printed = true;
        } else if line.starts_with('#') || (line.is_empty() && !printed) {
            // What stood below the command line before is dropped up to the next comment.
            told.push_str(&format!("{line}\n"));
            printed = false;
        }
    }
    format!("{}\n", told.trim_end())
}

/// The standard input and the arguments of a line that is a command line.
fn command_line(line: &str) -> Option<(String, &str)> {
    let line = line.strip_prefix("$ ")?;
    let (echo, command) = line.split_once("| ").unwrap_or(("", line));
    let input = words(echo).get(1).cloned().unwrap_or_default();
    Some((input, command.strip_prefix("skep ")?))
}

/// Runs one command line; both outputs, and the exit code if it is not 0.
async fn run(socket: String, args: Vec<String>, input: String) -> String {
    let output = blocking(move || {
        let mut command = Command::new(SKEP);
        command.args(["-H", &socket]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.env_clear().stdin(Stdio::piped()).spawn()?;
        // A program that does not read its input may have ended before it was written.
        let written = child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(input.as_bytes()));
        drop(written);
        child.wait_with_output()
    });
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.unwrap();
    let code = match status.code() {
        Some(0) => String::new(),
        Some(code) => format!("[{code}]\n"),
        None => format!("[{status}]\n"),
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    format!("{}{}{code}", text(stdout), text(stderr))
}

/// Splits a command line as a shell does, as far as stories need it: blanks and quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_with(String::new);
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_with(String::new).push(character),
        }
    }
    assert!(quote.is_none(), "an open quote: {line}");
    words.extend(word);
    words
}

#[test]
fn command_lines_are_split_at_blanks_that_are_not_quoted() {
    assert_eq!(words("a  'b c' d\"e f\"g ''"), ["a", "b c", "de fg", ""]);
}
