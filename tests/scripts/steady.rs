//! What differs from run to run, replaced by words that do not.

use std::collections::BTreeMap;

/// How much of an id a table shows.
const SHORT: usize = 12;
const LONG: usize = 25;

/// Where one table cell ends and the next begins.
const GAP: &str = "   ";

/// Lengths of time that are not a number and a unit.
const SPANS: [&str; 3] = ["less than a second", "about a minute", "about an hour"];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// How a public key on the curve P-256 begins, in base64.
const PUBLIC_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// Names for the ids of a story, in the order in which they are first shown.
#[derive(Debug, Default)]
pub struct Steady {
    /// What each id is the id of.
    kinds: BTreeMap<String, &'static str>,
    names: BTreeMap<String, String>,
}

impl Steady {
    /// Takes in ids that may be shown.
    pub fn learn(&mut self, ids: &[(String, &'static str)]) {
        self.kinds.extend(ids.iter().cloned());
    }

    /// A command line with the ids that its words stand for.
    pub fn resolved(&self, line: &str) -> String {
        let named = |line: String, (id, name): (&String, &String)| line.replace(name, id);
        self.names.iter().fold(line.to_owned(), named)
    }

    /// An output without what differs from run to run.
    pub fn shown(&mut self, output: &str) -> String {
        let output = without_keys(output);
        let lines = output.lines().map(|line| self.line(line));
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn line(&mut self, line: &str) -> String {
        let mut words = Vec::new();
        for word in line.split(' ') {
            words.push(self.word(word));
        }
        let words = changing(&words.join(" "));
        cells(&words)
    }

    /// A word whose ids have names; punctuation around an id stays.
    fn word(&mut self, word: &str) -> String {
        let mut shown = String::new();
        let mut run = String::new();
        for character in word.chars().chain([' ']) {
            if character.is_ascii_alphanumeric() {
                run.push(character);
                continue;
            }
            shown.push_str(&self.id(&run).unwrap_or_else(|| run.clone()));
            shown.push(character);
            run.clear();
        }
        shown.pop();
        shown
    }

    fn id(&mut self, run: &str) -> Option<String> {
        if run.len() != LONG && run.len() != SHORT {
            return None;
        }
        let (id, kind) = self.kinds.iter().find(|(id, _)| id.starts_with(run))?;
        let (id, kind) = (id.clone(), *kind);
        let marked = |name: &&String| name.starts_with(&format!("<{kind}"));
        let number = self.names.values().filter(marked).count() + 1;
        let name = self.names.entry(id);
        Some(name.or_insert_with(|| format!("<{kind}{number}>")).clone())
    }
}

/// The text without certificates and public keys.
fn without_keys(text: &str) -> String {
    let mut rest = text;
    let mut shown = String::new();
    while let Some((before, certificate)) = rest.split_once(BEGIN) {
        let (_, after) = certificate.split_once(END).unwrap_or((certificate, ""));
        shown.push_str(before);
        shown.push_str("<certificate>");
        rest = after;
    }
    shown.push_str(rest);
    while let Some((before, key)) = shown.split_once(PUBLIC_KEY) {
        let end = key.find(['"', '\n']).unwrap_or(key.len());
        shown = format!("{before}<key>{}", &key[end..]);
    }
    shown
}

/// `3 seconds ago`, moments, versions and tokens, as words.
fn changing(line: &str) -> String {
    let mut shown: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let before = shown.last().map_or("", String::as_str);
        let word = match word {
            "ago" | "ago:" => {
                let spoken = shown.join(" ").to_lowercase();
                let phrase = SPANS.iter().find(|span| spoken.ends_with(*span));
                let length = phrase.map_or(2, |span| span.split(' ').count());
                shown.truncate(shown.len().saturating_sub(length));
                shown.push("<time>".into());
                word.into()
            }
            // Go's form: the date and the time of day are words of their own.
            "+0000" => {
                shown.truncate(shown.len().saturating_sub(2));
                "<time>".into()
            }
            _ if word.starts_with("SWMTKN-1-") => "<token>".into(),
            _ if word.starts_with("SWMKEY-1-") => "<key>".into(),
            _ if before == "\"Index\":" => "<index>".into(),
            _ => match moment(word) {
                Some(moment) => word.replace(moment, "<time>"),
                None => word.into(),
            },
        };
        shown.push(word);
    }
    shown.join(" ")
}

/// The `2026-11-25T07:33:32.5Z` in a word.
fn moment(word: &str) -> Option<&str> {
    let text = word.trim_matches(['"', ',']);
    let shape = |(at, c): (usize, char)| match at {
        4 | 7 => c == '-',
        10 => c == 'T',
        13 | 16 => c == ':',
        _ => c.is_ascii_digit(),
    };
    let is_one =
        text.len() > 19 && text.ends_with('Z') && text.chars().take(19).enumerate().all(shape);
    is_one.then_some(text)
}

/// Cells are as wide as what they held; here they end at one gap.
fn cells(line: &str) -> String {
    let text = line.trim_start_matches(' ');
    let indent = &line[..line.len() - text.len()];
    let cells = text.split(GAP).map(|cell| cell.trim_start_matches(' '));
    let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    format!("{indent}{}", cells.join(GAP)).trim_end().to_owned()
}
