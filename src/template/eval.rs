//! Fills a template from JSON.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::functions;
use crate::template::parse::{Call, Node, Operand, Pipe};
use crate::template::{Error, Functions};

/// How far a filling may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub result_bytes: usize,
    /// Steps, and bytes that steps handle.
    pub work: usize,
}

/// How fields are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookup<'a> {
    /// In an object whose absent fields have been left out: absent is no value.
    Lenient,
    /// In a row that has every field: absent is an error. `.Label "x"` reads these labels.
    Row(&'a BTreeMap<String, String>),
    /// Among headings, on which functions have no effect.
    Headings,
    /// In what has every field: absent is an error. These functions are there as well.
    Strict(&'a dyn Functions),
}

/// The state of one filling.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    root: &'a Value,
    lookup: Lookup<'a>,
    limits: Limits,
    spent: Cell<usize>,
    variables: Vec<(String, Value)>,
    out: String,
}

impl<'a> Scope<'a> {
    pub(super) fn new(root: &'a Value, lookup: Lookup<'a>, limits: Limits) -> Self {
        Self {
            root,
            lookup,
            limits,
            spent: Cell::new(0),
            variables: Vec::new(),
            out: String::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn run(&mut self, nodes: &[Node], dot: &Value) -> Result<(), Error> {
        let visible = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
            if self.out.len() > self.limits.result_bytes {
                return Err(Error::TooLong(self.limits.result_bytes));
            }
        }
        self.variables.truncate(visible);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), Error> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                self.out.push_str(&show(&value));
            }
            Node::Set(name, pipe) => {
                let value = self.pipe(pipe, dot)?;
                self.variables.push((name.clone(), value));
            }
            Node::If(condition, body, otherwise) => {
                let value = self.pipe(condition, dot)?;
                return self.run(if is_true(&value) { body } else { otherwise }, dot);
            }
            Node::With(condition, body, otherwise) => {
                let value = self.pipe(condition, dot)?;
                return match is_true(&value) {
                    true => self.run(body, &value),
                    false => self.run(otherwise, dot),
                };
            }
            Node::Range {
                key,
                value,
                over,
                body,
                none,
            } => {
                let items = items(self.pipe(over, dot)?)?;
                if items.is_empty() {
                    return self.run(none, dot);
                }
                let visible = self.variables.len();
                for (k, v) in items {
                    self.spend(&v)?;
                    self.variables.extend(key.clone().map(|name| (name, k)));
                    self.variables
                        .extend(value.clone().map(|name| (name, v.clone())));
                    self.run(body, &v)?;
                    self.variables.truncate(visible);
                }
            }
        }
        Ok(())
    }

    fn pipe(&self, pipe: &Pipe, dot: &Value) -> Result<Value, Error> {
        let mut piped = None;
        for call in &pipe.0 {
            piped = Some(self.call(call, piped, dot)?);
        }
        Ok(piped.unwrap_or_default())
    }

    fn call(&self, call: &Call, piped: Option<Value>, dot: &Value) -> Result<Value, Error> {
        let mut args = Vec::new();
        for arg in &call.args {
            let value = self.operand(arg, dot)?;
            // What a function is given bounds what it makes of it.
            self.spend(&value)?;
            args.push(value);
        }
        args.extend(piped);
        match (&call.head, self.lookup) {
            (Operand::Function(_), Lookup::Headings) => {
                Ok(args.into_iter().next().unwrap_or_default())
            }
            (Operand::Function(name), _) => self.function(name, &args),
            (Operand::Field(path), Lookup::Row(labels)) if is_label(path, &args) => {
                let name = args.first().map(show).unwrap_or_default();
                Ok(labels.get(&name).cloned().unwrap_or_default().into())
            }
            (Operand::Field(path), Lookup::Headings) if is_label(path, &args) => {
                Ok(args.into_iter().next().unwrap_or_default())
            }
            (head, _) if args.is_empty() => self.operand(head, dot),
            _ => Err(Error::Syntax(
                "a value that is no function was given arguments".to_owned(),
            )),
        }
    }

    fn function(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        let Lookup::Strict(more) = self.lookup else {
            return functions::call(name, args);
        };
        let result = match more.names().contains(&name) {
            true => more.call(name, args)?,
            false => functions::call(name, args)?,
        };
        self.spend(&result)?;
        // Go's maps of strings give an empty one for what they do not have.
        Ok(match result {
            Value::Null => "".into(),
            result => result,
        })
    }

    /// Counts one step that handles a value.
    fn spend(&self, value: &Value) -> Result<(), Error> {
        if self.limits.work == usize::MAX {
            return Ok(());
        }
        let spent = self.spent.get().saturating_add(1 + weight(value));
        self.spent.set(spent);
        match spent > self.limits.work {
            true => Err(Error::TooMuch),
            false => Ok(()),
        }
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, Error> {
        match operand {
            Operand::Value(value) => Ok(value.clone()),
            Operand::Function(name) => self.function(name, &[]),
            Operand::Field(path) => self.field(dot, path),
            Operand::Group(pipe, path) => self.field(&self.pipe(pipe, dot)?, path),
            Operand::Variable(name, path) if name.is_empty() => self.field(self.root, path),
            Operand::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                let (_, value) = found
                    .ok_or_else(|| Error::Syntax(format!("undefined variable \"${name}\"")))?;
                self.field(value, path)
            }
        }
    }

    fn field(&self, value: &Value, path: &[String]) -> Result<Value, Error> {
        let missing = || Err(Error::Field(path.join(".")));
        let mut value = value;
        for name in path {
            value = match (value, self.lookup) {
                (Value::Object(fields), lookup) => match (fields.get(name), lookup) {
                    (Some(found), _) => found,
                    (None, Lookup::Row(_) | Lookup::Strict(_)) => return missing(),
                    (None, _) => &Value::Null,
                },
                (Value::Null, _) => &Value::Null,
                (_, Lookup::Headings) => &Value::Null,
                _ => return missing(),
            };
        }
        self.spend(value)?;
        Ok(value.clone())
    }
}

/// How many bytes a value has, about.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 16 + weight(item)).sum(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.map(|(k, v)| 16 + k.len() + weight(v)).sum()
        }
    }
}

fn is_label(path: &[String], args: &[Value]) -> bool {
    matches!(path, [name] if name == "Label") && args.len() == 1
}

/// What `if` takes for true: all but nothing, zero and emptiness.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// A value as Go prints it.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let pairs: Vec<String> = fields
                .iter()
                .map(|(k, v)| format!("{k}:{}", show(v)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

fn items(value: Value) -> Result<Vec<(Value, Value)>, Error> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(items
            .into_iter()
            .enumerate()
            .map(|(i, v)| (i.into(), v))
            .collect()),
        Value::Object(fields) => Ok(fields.into_iter().map(|(k, v)| (k.into(), v)).collect()),
        _ => Err(Error::Argument {
            function: "range".to_owned(),
            why: "it is not a list",
        }),
    }
}
