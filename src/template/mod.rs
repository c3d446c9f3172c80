//! The part of Go's templates that people use with docker: what `--format` shows is filled by them,
//! and what a task knows of itself. Fields, `json`, `if`, `range`, `with`, `join`, `upper`, `lower`
//! and their like are understood; anything else is refused by name, never printed as nothing.

mod eval;
mod functions;
mod lex;
mod parse;
pub mod task;
pub mod payload;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::template::eval::{Limits, Lookup, Scope};
use crate::template::parse::Node;

/// What a user of the command line may ask for.
const FORMAT_BYTES_MAX: usize = 64 << 10;
const FORMATTED: Limits = Limits {
    result_bytes: 16 << 20,
    work: usize::MAX,
};

/// What a task may be given: its filling happens on a machine that others use as well.
const FILE_BYTES_MAX: usize = 1 << 20;
const FILLED: Limits = Limits {
    result_bytes: FILE_BYTES_MAX,
    work: 16 << 20,
};

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a template.
    #[error("template parsing error: {0}")]
    Syntax(String),
    /// A function that is not offered.
    #[error(
        "template parsing error: function {0:?} not defined (known are fields, if, range, with, \
         {known})",
        known = functions::NAMES.join(", ")
    )]
    Function(String),
    /// A field that the data does not have.
    #[error("template parsing error: executing \"\" at <.{0}>: no such field")]
    Field(String),
    /// A function got what it cannot work with.
    #[error("template parsing error: executing \"\" at <{function}>: {why}")]
    Argument {
        /// The function.
        function: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What a function was to find is not there.
    #[error("template parsing error: executing \"\" at <{function} {name:?}>: {why}")]
    Absent {
        function: &'static str,
        name: String,
        why: &'static str,
    },
    /// The result grows without end.
    #[error("template parsing error: the result is longer than {0} bytes")]
    TooLong(usize),
    /// Filling it takes too much time or memory.
    #[error("template parsing error: it takes too many steps to fill")]
    TooMuch,
}

impl Error {
    /// The error without the template's own text, which may be a secret.
    pub fn without_text(&self) -> String {
        match self {
            Self::Syntax(_) => "template parsing error: the syntax is wrong".to_owned(),
            error => error.to_string(),
        }
    }
}

/// Functions that a template may call, and that come before the common ones.
pub trait Functions: fmt::Debug {
    fn names(&self) -> &'static [&'static str];

    /// One of those names, called.
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, Error>;
}

/// No functions but the common ones.
#[derive(Debug)]
pub struct NoMore;

impl Functions for NoMore {
    fn names(&self) -> &'static [&'static str] {
        &[]
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, Error> {
        Err(Error::Function(name.to_owned()))
    }
}

/// A template that has been read.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text, FORMAT_BYTES_MAX, &[])
    }

    /// Reads a template that may call more functions, and be as long as a file.
    pub fn parse_with(text: &str, more: &[&str]) -> Result<Self, Error> {
        Self::read(text, FILE_BYTES_MAX, more)
    }

    fn read(text: &str, bytes_max: usize, more: &[&str]) -> Result<Self, Error> {
        Ok(Self {
            nodes: parse::parse(&lex::split(text, bytes_max)?, more)?,
        })
    }

    /// Fills the template from a whole object; what is missing in it shows as `<no value>`.
    pub fn render(&self, data: &Value) -> Result<String, Error> {
        self.fill(data, Lookup::Lenient, FORMATTED)
    }

    /// Fills the template from one row of a list; a field that no row has is an error.
    pub fn render_row(
        &self,
        fields: &Map<String, Value>,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        let data = Value::Object(fields.clone());
        self.fill(&data, Lookup::Row(labels), FORMATTED)
    }

    /// Fills the template with headings in place of fields; functions leave them as they are.
    pub fn render_headings(&self, headings: &Map<String, Value>) -> Result<String, Error> {
        let data = Value::Object(headings.clone());
        self.fill(&data, Lookup::Headings, FORMATTED)
    }

    /// Fills the template from what has every field there is, within bounds of time and memory.
    pub fn render_with(&self, data: &Value, more: &dyn Functions) -> Result<String, Error> {
        self.fill(data, Lookup::Strict(more), FILLED)
    }

    fn fill(&self, data: &Value, lookup: Lookup<'_>, limits: Limits) -> Result<String, Error> {
        let mut scope = Scope::new(data, lookup, limits);
        scope.run(&self.nodes, data)?;
        Ok(scope.finish())
    }
}

#[cfg(test)]
mod tests;
