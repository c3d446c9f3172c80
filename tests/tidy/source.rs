//! Reading Rust, as far as the rules need it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{LAYERS, ROOT};

pub struct Source {
    pub path: String,
    pub text: String,
    /// The text without comments and literals, line for line.
    pub code: String,
    /// The text without literals: code and comments.
    pub prose: String,
    pub tokens: Vec<Token>,
}

#[derive(Clone)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

pub fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = BTreeMap::new();
    for folder in folders {
        walk(Path::new(ROOT), &Path::new(ROOT).join(folder), &mut found);
    }
    assert!(!found.is_empty(), "no Rust files under {folders:?}");
    found
        .into_iter()
        .map(|(path, text)| Source::new(&path, &text))
        .collect()
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, prose) = (blanked(text, false), blanked(text, true));
        let tokens = tokens(&code);
        Self {
            path: path.into(),
            text: text.into(),
            code,
            prose,
            tokens,
        }
    }

    pub fn at(&self, line: usize, complaint: &str) -> String {
        format!("{}:{line}: {complaint}", self.path)
    }

    /// The top module this file belongs to; the shim crates under src/raft have none.
    pub fn layer(&self) -> Option<&'static str> {
        let mut parts = self.path.strip_prefix("src/")?.split('/');
        let first = parts.next()?;
        let is_crate = parts.any(|part| part == "src");
        LAYERS.into_iter().find(|l| *l == first && !is_crate)
    }

    /// Every `crate::name` and `super::name` that ends at the crate's root, groups included.
    pub fn named_modules(&self) -> Vec<(usize, String)> {
        let mut named = Vec::new();
        let (mut depth, mut inner) = (0, Vec::new());
        for (i, token) in self.tokens.iter().enumerate() {
            let text = |k: usize| self.tokens.get(i + k).map_or("", |t| t.text.as_str());
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inner.retain(|at| *at <= depth);
                }
                "mod" if text(2) == "{" => inner.push(depth + 1),
                "crate" if text(1) == "::" => named.extend(self.heads(i + 2)),
                "super" if i == 0 || self.tokens[i - 1].text != "::" => {
                    let ups = (0..).take_while(|k| text(2 * k) == "super").count();
                    if ups == self.depth() + inner.len() {
                        named.extend(self.heads(i + 2 * ups));
                    }
                }
                _ => {}
            }
        }
        named
    }

    /// How many modules deep the file is: src/a/mod.rs is 1, src/a/b.rs is 2.
    fn depth(&self) -> usize {
        let path = self
            .path
            .trim_end_matches("/mod.rs")
            .trim_end_matches(".rs");
        path.split('/').count() - 1
    }

    /// The first names of the path or of the group of paths at this token.
    fn heads(&self, start: usize) -> Vec<(usize, String)> {
        let mut heads = Vec::new();
        let (mut depth, mut first) = (0, true);
        for token in &self.tokens[start.min(self.tokens.len())..] {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," => first = depth == 1,
                _ if first => {
                    heads.push((token.line, token.text.clone()));
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        heads
    }

    /// Does the file bring in our own module of this name?
    pub fn imports(&self, module: &str) -> bool {
        self.named_modules().iter().any(|(_, name)| name == module)
    }

    /// Name, first line and last line of each function with a body.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let starts = self.tokens.windows(2).enumerate();
        let starts = starts.filter(|(_, w)| w[0].text == "fn" && is_name(&w[1].text));
        let body =
            |(i, w): (usize, &[Token])| Some((w[1].text.clone(), w[0].line, self.body_end(i)?));
        starts.filter_map(body).collect()
    }

    fn body_end(&self, start: usize) -> Option<usize> {
        let (mut braces, mut brackets) = (0, 0);
        for token in &self.tokens[start..] {
            match token.text.as_str() {
                "(" | "[" => brackets += 1,
                ")" | "]" => brackets -= 1,
                "{" => braces += 1,
                "}" => braces -= 1,
                ";" if braces == 0 && brackets == 0 => return None,
                _ => continue,
            }
            if token.text == "}" && braces == 0 && brackets == 0 {
                return Some(token.line);
            }
        }
        None
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (i, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(c) = rest.chars().next() {
            let word = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => c.len_utf8(),
                word => word,
            };
            tokens.push(Token {
                line: i + 1,
                text: rest[..length].into(),
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Replaces literals, and comments unless kept, by spaces; lines stay where they are.
fn blanked(text: &str, keep_comments: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, blank) = match comment(rest) {
            Some(length) => (length, !keep_comments),
            None => match literal(rest) {
                Some(length) => (length, true),
                None => (word(rest).max(c.len_utf8()), false),
            },
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        if blank {
            out.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' }));
        } else {
            out.push_str(piece);
        }
    }
    out
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inner = text.strip_prefix("/*")?;
    inner.find("*/").map(|end| end + 4).or(Some(text.len()))
}

/// The length of the string or character that begins here, with its prefix.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|p| {
        let after = text.strip_prefix(p).map(|t| t.trim_start_matches('#'));
        let hashes = text.strip_prefix(p).is_some_and(|t| t.starts_with('#'));
        after.is_some_and(|t| t.starts_with('"')) && (!hashes || p.ends_with('r'))
    });
    let Some(prefix) = prefix else {
        return character(text);
    };
    let hashes = text[prefix.len()..].find('"')?;
    let open = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(open + text[open..].find(&close).map_or(0, |end| end + close.len()));
    }
    let mut escaped = false;
    let end = text[open..].find(|c| {
        let found = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        found
    });
    Some(end.map_or(text.len(), |end| open + end + 1))
}

/// A character, not a lifetime: it closes after one character or one escape.
fn character(text: &str) -> Option<usize> {
    let quote = text
        .find('\'')
        .filter(|at| *at == 0 || text.starts_with("b'"))?;
    let body = &text[quote + 1..];
    let length = match body.strip_prefix('\\') {
        Some(escape) => 1 + escape.chars().next()?.len_utf8() + escape[1..].find('\'')?,
        None => body.chars().next()?.len_utf8(),
    };
    body[length..]
        .starts_with('\'')
        .then_some(quote + 1 + length + 1)
}
