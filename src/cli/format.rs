//! `--format`: the part of Go's templates that people use with docker. Fields, `json`, `if`,
//! `range`, `with`, `join`, `upper`, `lower` and their like are understood; anything else is
//! refused by name, never printed as nothing.

mod eval;
mod functions;
mod lex;
mod parse;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::format::eval::{Lookup, Scope};
use crate::cli::format::parse::Node;

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
    /// The result grows without end.
    #[error("template parsing error: the result is longer than {0} bytes")]
    TooLong(usize),
}

/// A template that has been read.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self {
            nodes: parse::parse(&lex::split(text)?)?,
        })
    }

    /// Fills the template from a whole object; what is missing in it shows as `<no value>`.
    pub fn render(&self, data: &Value) -> Result<String, Error> {
        self.fill(data, Lookup::Lenient)
    }

    /// Fills the template from one row of a list; a field that no row has is an error.
    pub fn render_row(
        &self,
        fields: &Map<String, Value>,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        self.fill(&Value::Object(fields.clone()), Lookup::Row(labels))
    }

    /// Fills the template with headings in place of fields; functions leave them as they are.
    pub fn render_headings(&self, headings: &Map<String, Value>) -> Result<String, Error> {
        self.fill(&Value::Object(headings.clone()), Lookup::Headings)
    }

    fn fill(&self, data: &Value, lookup: Lookup<'_>) -> Result<String, Error> {
        let mut scope = Scope::new(data, lookup);
        scope.run(&self.nodes, data)?;
        Ok(scope.finish())
    }
}

#[cfg(test)]
mod tests;
