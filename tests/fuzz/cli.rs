//! What must hold for whatever is typed, and for what a daemon of another make answers.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::Value;
use skep::cli::commands::COMMANDS;
use skep::cli::env_file::variables;
use skep::cli::flags::Parsed;
use skep::cli::frames::Frames;
use skep::cli::host::Host;
use skep::cli::service::{mount, port};
use skep::cli::{moment, units};
use skep::model::time::Time;
use skep::template::Template;

/// Text is understood or refused. The first byte chooses what it is.
pub fn text(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    if kind % 6 == 0 {
        return frames(rest);
    }
    let text = String::from_utf8_lossy(rest);
    match kind % 6 {
        1 => template(&text),
        2 => drop(variables(&text)),
        3 => command_line(&text),
        4 => joined(&text),
        _ => numbers(&text),
    }
}

/// However the output of a program is cut on its way, the same frames come of it.
fn frames(bytes: &[u8]) {
    let whole = taken(&[bytes]);
    let halves = bytes.split_at(bytes.len() / 2);
    assert_eq!(taken(&[halves.0, halves.1]), whole);
}

/// The frames, and whether the rest was refused.
fn taken(parts: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Frames::default();
    let mut all = Vec::new();
    for part in parts {
        frames.push(part);
        loop {
            match frames.take() {
                Ok(Some((_, frame))) => all.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => return (all, true),
            }
        }
    }
    (all, false)
}

/// A template on the first line, and on the others what it is filled from.
fn template(text: &str) {
    let (template, data) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(template) = Template::parse(template) else {
        return;
    };
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let _ = template.render(&data);
    if let Some(fields) = data.as_object() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let _ = template.render_row(fields, &labels);
        let _ = template.render_headings(fields);
    }
}

/// A command's name on the first line, and an argument on each other.
fn command_line(text: &str) {
    let mut lines = text.lines();
    let name = lines.next().unwrap_or_default();
    let Some(command) = COMMANDS.iter().find(|c| c.names.contains(&name)) else {
        return;
    };
    let args = lines.map(OsString::from);
    if let Err(mistake) = Parsed::parse(args, command.flags, command.args) {
        assert!(!mistake.to_string().is_empty());
    }
}

fn joined(text: &str) {
    let _ = mount::parse(text);
    let _ = port::parse(text);
    let _ = port::check_network(text);
    let _ = port::check_file(text);
    let _ = text.parse::<Host>();
}

fn numbers(text: &str) {
    let _ = units::parse_bytes(text);
    let _ = units::parse_cpus(text);
    let _ = units::parse_float(text).map(|number| units::significant(number, 3));
    let _ = moment::parse(text, Time(1_700_000_000_500));
    if let Ok(ns) = units::parse_duration(text) {
        assert!(!units::duration(ns).is_empty());
    }
}
