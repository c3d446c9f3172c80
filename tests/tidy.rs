//! The house rules that the compiler does not know. Each rule is a function from files to
//! complaints (`file:line: what`), and each has a test in tidy/fires.rs that shows it fires.

use std::fs;

use source::{Source, sources};

#[cfg(test)]
#[path = "tidy/fires.rs"]
mod fires;
#[path = "tidy/source.rs"]
mod source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const WIDTH_MAX: usize = 100;

/// Reading order, as in lib.rs: a module names only those before it.
const LAYERS: [&str; 16] = [
    "model",
    "wire",
    "template",
    "host",
    "identity",
    "raft",
    "store",
    "manager",
    "transport",
    "agent",
    "runtime",
    "image",
    "network",
    "api",
    "daemon",
    "cli",
];

/// A name that only one place may use, and why.
const HOMES: [(&str, &[&str], &str); 9] = [
    (
        "libcontainer",
        &["src/runtime/"],
        "it forks, so only the shim's module may call it",
    ),
    (
        "raft_proto",
        &["src/raft/"],
        "consensus stays behind crate::raft",
    ),
    (
        "slog",
        &["src/raft/"],
        "it is the raft crate's logger; use tracing",
    ),
    (
        "rcgen",
        &["src/identity/"],
        "certificates are made in one place",
    ),
    (
        "webpki",
        &["src/identity/"],
        "certificates are verified in one place",
    ),
    (
        "x509_parser",
        &["src/identity/"],
        "certificates are read in one place",
    ),
    ("tokio", &[], "smol is the runtime"),
    (
        "print",
        &["src/cli/", "src/main.rs"],
        "only the command line prints",
    ),
    (
        "println",
        &["src/cli/", "src/main.rs"],
        "only the command line prints",
    ),
];

const LEFTOVERS_IN_CODE: [&str; 6] = [
    "todo!",
    "unimplemented!",
    "dbg!",
    "#[ignore",
    "(dead_code",
    "thread::sleep",
];
const LEFTOVERS_IN_PROSE: [&str; 3] = ["TODO", "FIXME", "XXX"];

const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "src",
    "boards",
    "config",
    "cross",
    "systemd",
    "tests",
];

const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates whose manifest does not say enough; each was read by a person.
const LICENCES_READ: [(&str, &str); 1] = [(
    "rust-criu",
    "no SPDX id in its manifest; its LICENSE file is the MIT text",
)];

#[test]
fn modules_name_only_what_lies_before_them() {
    report(sources(&["src"]).iter().flat_map(layers));
}

#[test]
fn lib_lists_the_modules_in_reading_order() {
    let lib = fs::read_to_string(format!("{ROOT}/src/lib.rs")).unwrap();
    let listed: Vec<_> = lib
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn names_stay_in_their_homes() {
    report(sources(&["src"]).iter().flat_map(homes));
}

#[test]
fn only_the_table_pads_columns() {
    report(sources(&["src"]).iter().flat_map(padding));
}

#[test]
fn files_functions_and_lines_are_short() {
    report(sources(&["src", "tests"]).iter().flat_map(lengths));
}

#[test]
fn nothing_is_left_over() {
    report(sources(&["src", "tests"]).iter().flat_map(leftovers));
}

#[test]
fn the_top_level_holds_only_what_the_design_lists() {
    let names = fs::read_dir(ROOT).unwrap().map(|e| e.unwrap().file_name());
    report(top_level(names.map(|n| n.to_string_lossy().into_owned())));
}

#[test]
fn licences_are_permissive() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform=x86_64-unknown-linux-gnu"])
        .args(["--filter-platform=aarch64-unknown-linux-musl"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let crates = metadata["packages"].as_array().unwrap().iter();
    let crates = crates.map(|p| (p["name"].as_str().unwrap(), p["license"].as_str()));
    let crates: Vec<_> = crates.collect();
    assert!(
        crates.len() > 20,
        "cargo metadata lists only {} crates",
        crates.len()
    );
    report(
        crates
            .into_iter()
            .flat_map(|(name, licence)| licences(name, licence)),
    );
}

#[track_caller]
fn report(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// The rules.

fn layers(source: &Source) -> Vec<String> {
    let Some(own) = source.layer() else {
        return Vec::new();
    };
    let rank = |name: &str| LAYERS.iter().position(|l| *l == name);
    let mut complaints = Vec::new();
    for (line, name) in source.named_modules() {
        let apart = own == "agent" && name == "manager";
        let higher = rank(&name) > rank(own);
        if rank(&name).is_some() && (higher || apart) {
            complaints.push(source.at(line, &format!("{own} may not name {name}")));
        }
    }
    complaints
}

fn homes(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |line, name: &str, why| {
        complaints.push(source.at(line, &format!("`{name}` is not for this file: {why}")));
    };
    let tokens = &source.tokens;
    for (i, token) in tokens.iter().enumerate() {
        for (name, places, why) in HOMES {
            let home = places.iter().any(|place| source.path.starts_with(place));
            if token.text == name && !home {
                complain(token.line, name, why);
            }
        }
        let is_root = i == 0 || tokens[i - 1].text != "::";
        let is_path = tokens.get(i + 1).is_some_and(|t| t.text == "::");
        let outside = !source.path.starts_with("src/raft/");
        if token.text == "raft" && is_root && is_path && outside && !source.imports("raft") {
            complain(
                token.line,
                "raft",
                "the raft crate stays behind crate::raft",
            );
        }
    }
    complaints
}

/// Columns are laid out in one place; padding by hand drifts from docker's tables.
fn padding(source: &Source) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    let aligns = |l: &str| l.match_indices(":<").any(|(at, _)| !l[..at].ends_with(':'));
    let padded = lines.filter(|(_, l)| l.contains("{") && l.contains('"') && aligns(l));
    let elsewhere = source.path.starts_with("src/") && source.path != "src/cli/table.rs";
    let complaint = "columns are padded by cli/table.rs alone";
    padded
        .filter(|_| elsewhere)
        .map(|(i, _)| source.at(i + 1, complaint))
        .collect()
}

fn lengths(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let complaint = format!("{lines} lines, at most {FILE_LINES_MAX}");
        complaints.push(source.at(FILE_LINES_MAX + 1, &complaint));
    }
    for (i, line) in source.text.lines().enumerate() {
        let width = line.chars().count();
        if width > WIDTH_MAX {
            complaints.push(source.at(i + 1, &format!("{width} columns, at most {WIDTH_MAX}")));
        }
    }
    for (name, first, last) in source.functions() {
        let length = last - first + 1;
        if length > FUNCTION_LINES_MAX {
            let complaint = format!("`{name}` has {length} lines, at most {FUNCTION_LINES_MAX}");
            complaints.push(source.at(first, &complaint));
        }
    }
    complaints
}

fn leftovers(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut search = |text: &str, words: &[&str]| {
        for (i, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(*word)) {
                complaints.push(source.at(i + 1, &format!("`{word}` is left over")));
            }
        }
    };
    search(&source.code, &LEFTOVERS_IN_CODE);
    search(&source.prose, &LEFTOVERS_IN_PROSE);
    complaints
}

fn top_level(names: impl Iterator<Item = String>) -> Vec<String> {
    let visible = names.filter(|n| !n.starts_with('.') && n != "target");
    let strangers = visible.filter(|n| !TOP_LEVEL.contains(&n.as_str()));
    strangers
        .map(|n| format!("{n}:1: not in the design's list of the top level"))
        .collect()
}

fn licences(name: &str, licence: Option<&str>) -> Option<String> {
    let read = LICENCES_READ.iter().any(|(known, _)| *known == name);
    let fine = read || licence.is_some_and(permits);
    let licence = licence.unwrap_or("no licence named");
    (!fine).then(|| format!("Cargo.lock:1: {name}: {licence}: not on the list of licences"))
}

/// SPDX: OR needs one side, AND needs both; `/` is crates.io's old OR.
fn permits(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    alternatives(&mut rest) && rest.is_empty()
}

fn alternatives(words: &mut &[&str]) -> bool {
    let mut fine = conjunction(words);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        fine |= conjunction(words);
    }
    fine
}

fn conjunction(words: &mut &[&str]) -> bool {
    let mut fine = licence(words);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        fine &= licence(words);
    }
    fine
}

fn licence(words: &mut &[&str]) -> bool {
    match **words {
        ["(", ref rest @ ..] => {
            *words = rest;
            let fine = alternatives(words);
            let closed = words.first() == Some(&")");
            *words = words.get(1..).unwrap_or_default();
            fine && closed
        }
        [id, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            LICENCES.contains(&format!("{id} WITH {exception}").as_str())
        }
        [id, ref rest @ ..] => {
            *words = rest;
            LICENCES.contains(&id)
        }
        [] => false,
    }
}
