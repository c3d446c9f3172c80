//! Cuts a template into text and actions, and actions into words.

use crate::template::Error;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Word>),
}

/// A word within an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// `.A.B`; empty for the dot alone.
    Field(Vec<String>),
    /// `$x.A.B`; the name is empty for `$`.
    Variable(String, Vec<String>),
    /// A name: a keyword, a function, `true`, `false` or `nil`.
    Name(String),
    Text(String),
    Number(serde_json::Number),
    /// `|`, `(`, `)`, `,`, `:=` or `=`.
    Mark(&'static str),
}

pub(super) fn split(template: &str, bytes_max: usize) -> Result<Vec<Piece>, Error> {
    if template.len() > bytes_max {
        return Err(Error::TooLong(bytes_max));
    }
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut trim = false;
    while !rest.is_empty() {
        let Some(start) = rest.find("{{") else {
            push_text(&mut pieces, rest, trim, false);
            break;
        };
        let (text, action) = (&rest[..start], &rest[start + 2..]);
        let dash = action
            .strip_prefix('-')
            .filter(|a| a.starts_with(char::is_whitespace));
        push_text(&mut pieces, text, trim, dash.is_some());
        let (words, after, trims) = words(dash.unwrap_or(action))?;
        if !words.is_empty() {
            pieces.push(Piece::Action(words));
        }
        (rest, trim) = (after, trims);
    }
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start() } else { text };
    let text = if trim_end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Reads words up to `}}`; gives what follows and whether its leading blanks are to be trimmed.
fn words(action: &str) -> Result<(Vec<Word>, &str, bool), Error> {
    let mut words = Vec::new();
    let mut rest = action;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((words, after, false));
        }
        if let Some(after) = rest.strip_prefix("-}}") {
            return Ok((words, after, true));
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment
                .find("*/")
                .ok_or_else(|| syntax("unclosed comment"))?;
            rest = &comment[end + 2..];
            continue;
        }
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn word(rest: &str) -> Result<(Word, &str), Error> {
    for mark in [":=", "|", "(", ")", ",", "="] {
        if let Some(after) = rest.strip_prefix(mark) {
            return Ok((Word::Mark(mark), after));
        }
    }
    match rest.chars().next() {
        None => Err(syntax("unclosed action")),
        Some('"') => quoted(rest),
        Some('`') => {
            let end = rest[1..]
                .find('`')
                .ok_or_else(|| syntax("unterminated raw string"))?;
            Ok((Word::Text(rest[1..=end].to_owned()), &rest[end + 2..]))
        }
        Some('.') => {
            let (path, after) = path(rest);
            Ok((Word::Field(path), after))
        }
        Some('$') => {
            let (name, after) = name(&rest[1..]);
            let (path, after) = path(after);
            Ok((Word::Variable(name.to_owned(), path), after))
        }
        Some(c) if c.is_ascii_digit() || c == '-' => number(rest),
        Some(c) if c.is_alphabetic() || c == '_' => {
            let (name, after) = name(rest);
            Ok((Word::Name(name.to_owned()), after))
        }
        Some(c) => Err(syntax(&format!("unexpected {c:?} in action"))),
    }
}

fn quoted(rest: &str) -> Result<(Word, &str), Error> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Word::Text(text), &rest[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('"' | '\\' | '\''))) => text.push(c),
                _ => return Err(syntax("unknown escape in string")),
            },
            // A tab typed as `\t` has already become one; in a string it stays one.
            c => text.push(c),
        }
    }
    Err(syntax("unterminated quoted string"))
}

fn number(rest: &str) -> Result<(Word, &str), Error> {
    let end = rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
    let number = serde_json::from_str(digits);
    Ok((
        Word::Number(number.map_err(|_| syntax(&format!("bad number {digits:?}")))?),
        after,
    ))
}

/// Reads `.A.B`, or a lone dot as no names at all.
fn path(mut rest: &str) -> (Vec<String>, &str) {
    let mut names = Vec::new();
    while let Some(after) = rest.strip_prefix('.') {
        let (part, tail) = name(after);
        rest = tail;
        if part.is_empty() {
            break;
        }
        names.push(part.to_owned());
    }
    (names, rest)
}

fn name(rest: &str) -> (&str, &str) {
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    rest.split_at(end)
}

pub(super) fn syntax(why: &str) -> Error {
    Error::Syntax(why.to_owned())
}
