//! Builds the tree of a template from its pieces.

use serde_json::Value;

use crate::template::Error;
use crate::template::functions::NAMES;
use crate::template::lex::{Piece, Word, syntax};

const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    Set(String, Pipe),
    If(Pipe, Vec<Self>, Vec<Self>),
    With(Pipe, Vec<Self>, Vec<Self>),
    Range {
        key: Option<String>,
        value: Option<String>,
        over: Pipe,
        body: Vec<Self>,
        none: Vec<Self>,
    },
}

/// Calls, each fed with what the one before it gave as a last argument.
#[derive(Debug)]
pub(super) struct Pipe(pub(super) Vec<Call>);

#[derive(Debug)]
pub(super) struct Call {
    pub(super) head: Operand,
    pub(super) args: Vec<Operand>,
}

#[derive(Debug)]
pub(super) enum Operand {
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Value(Value),
    Group(Pipe, Vec<String>),
}

/// What ended a list of nodes.
#[derive(Debug, PartialEq)]
enum Ending {
    Template,
    Block,
    Else,
    ElseIf,
}

/// Builds the tree; `more` names functions beside the common ones.
pub(super) fn parse(pieces: &[Piece], more: &[&str]) -> Result<Vec<Node>, Error> {
    let mut parser = Parser {
        pieces,
        more,
        at: 0,
        depth: 0,
    };
    match parser.nodes()? {
        (nodes, Ending::Template) => Ok(nodes),
        (_, Ending::Block) => Err(syntax("unexpected {{end}}")),
        (_, _) => Err(syntax("unexpected {{else}}")),
    }
}

struct Parser<'a> {
    pieces: &'a [Piece],
    more: &'a [&'a str],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn nodes(&mut self) -> Result<(Vec<Node>, Ending), Error> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            let words = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    continue;
                }
                Piece::Action(words) => words,
            };
            match (keyword(words), words.as_slice()) {
                (Some("end"), [_]) => return Ok((nodes, Ending::Block)),
                (Some("else"), [_]) => return Ok((nodes, Ending::Else)),
                (Some("else"), [_, Word::Name(next), ..]) if next == "if" => {
                    return Ok((nodes, Ending::ElseIf));
                }
                (Some("if"), [_, rest @ ..]) => nodes.push(self.branch(rest, Node::If)?),
                (Some("with"), [_, rest @ ..]) => nodes.push(self.branch(rest, Node::With)?),
                (Some("range"), [_, rest @ ..]) => nodes.push(self.range(rest)?),
                (Some(other), _) => return Err(Error::Function(other.to_owned())),
                (
                    None,
                    [
                        Word::Variable(name, path),
                        Word::Mark(":=" | "="),
                        rest @ ..,
                    ],
                ) if path.is_empty() => {
                    nodes.push(Node::Set(name.clone(), self.pipe(rest)?));
                }
                (None, words) => nodes.push(Node::Print(self.pipe(words)?)),
            }
        }
        Ok((nodes, Ending::Template))
    }

    fn branch(
        &mut self,
        condition: &[Word],
        make: fn(Pipe, Vec<Node>, Vec<Node>) -> Node,
    ) -> Result<Node, Error> {
        let condition = self.pipe(condition)?;
        let (body, otherwise) = self.bodies()?;
        Ok(make(condition, body, otherwise))
    }

    fn range(&mut self, words: &[Word]) -> Result<Node, Error> {
        let (key, value, over) = match words {
            [
                Word::Variable(k, _),
                Word::Mark(","),
                Word::Variable(v, _),
                Word::Mark(":="),
                rest @ ..,
            ] => (Some(k.clone()), Some(v.clone()), rest),
            [Word::Variable(v, _), Word::Mark(":="), rest @ ..] => (None, Some(v.clone()), rest),
            rest => (None, None, rest),
        };
        let over = self.pipe(over)?;
        let (body, none) = self.bodies()?;
        Ok(Node::Range {
            key,
            value,
            over,
            body,
            none,
        })
    }

    /// Reads up to the `end` of a block: what is between, and what follows an `else`.
    fn bodies(&mut self) -> Result<(Vec<Node>, Vec<Node>), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(syntax(&format!(
                "blocks are nested deeper than {DEPTH_MAX}"
            )));
        }
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            Ending::Block => Vec::new(),
            Ending::Template => return Err(syntax("unexpected EOF: {{end}} is missing")),
            Ending::ElseIf => {
                // An `else if` is an `if` within the `else` that shares its `end`.
                let Some(Piece::Action(words)) = self.pieces.get(self.at - 1) else {
                    return Err(syntax("unexpected {{else}}"));
                };
                vec![self.branch(&words[2..], Node::If)?]
            }
            Ending::Else => match self.nodes()? {
                (otherwise, Ending::Block) => otherwise,
                _ => return Err(syntax("expected {{end}} after {{else}}")),
            },
        };
        self.depth -= 1;
        Ok((body, otherwise))
    }

    fn pipe(&self, words: &[Word]) -> Result<Pipe, Error> {
        let mut rest = words;
        let pipe = self.calls(&mut rest, 0)?;
        match rest {
            [] => Ok(pipe),
            [word, ..] => Err(syntax(&format!("unexpected {word:?} in action"))),
        }
    }

    fn calls(&self, rest: &mut &[Word], depth: usize) -> Result<Pipe, Error> {
        if depth > DEPTH_MAX {
            return Err(syntax(&format!(
                "brackets are nested deeper than {DEPTH_MAX}"
            )));
        }
        let mut calls = Vec::new();
        loop {
            let head = self
                .operand(rest, depth)?
                .ok_or_else(|| syntax("missing value in action"))?;
            let mut args = Vec::new();
            while let Some(arg) = self.operand(rest, depth)? {
                args.push(arg);
            }
            calls.push(Call { head, args });
            match rest {
                [Word::Mark("|"), tail @ ..] => *rest = tail,
                _ => return Ok(Pipe(calls)),
            }
        }
    }

    fn operand(&self, rest: &mut &[Word], depth: usize) -> Result<Option<Operand>, Error> {
        let [word, tail @ ..] = *rest else {
            return Ok(None);
        };
        let operand = match word {
            Word::Mark("(") => {
                *rest = tail;
                let inner = self.calls(rest, depth + 1)?;
                let [Word::Mark(")"), tail @ ..] = *rest else {
                    return Err(syntax("unclosed left paren"));
                };
                // `(f x).A` names a field of the result.
                let (path, tail) = match tail {
                    [Word::Field(path), after @ ..] if !path.is_empty() => (path.clone(), after),
                    _ => (Vec::new(), tail),
                };
                *rest = tail;
                return Ok(Some(Operand::Group(inner, path)));
            }
            Word::Mark(_) => return Ok(None),
            Word::Field(path) => Operand::Field(path.clone()),
            Word::Variable(name, path) => Operand::Variable(name.clone(), path.clone()),
            Word::Text(text) => Operand::Value(text.clone().into()),
            Word::Number(number) => Operand::Value(Value::Number(number.clone())),
            Word::Name(name) => match name.as_str() {
                "true" => Operand::Value(true.into()),
                "false" => Operand::Value(false.into()),
                "nil" => Operand::Value(Value::Null),
                name if NAMES.contains(&name) || self.more.contains(&name) => {
                    Operand::Function(name.to_owned())
                }
                name => return Err(Error::Function(name.to_owned())),
            },
        };
        *rest = tail;
        Ok(Some(operand))
    }
}

fn keyword(words: &[Word]) -> Option<&str> {
    const KEYWORDS: [&str; 10] = [
        "end", "else", "if", "with", "range", "template", "define", "block", "break", "continue",
    ];
    match words.first() {
        Some(Word::Name(name)) if KEYWORDS.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}
