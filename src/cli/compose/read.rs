//! A file's tree becomes one long form, whatever short forms it has; what does not belong is told
//! of with its key.

use serde_json::{Map, Value, json};

use crate::cli::compose::shapes::{ATTACHMENT, FORBIDDEN, Fields, PORT, REFERENCE, Shape};
use crate::cli::compose::yaml::{Content, Meaning, Node, Scalar};
use crate::cli::compose::{Fault, short};
use crate::cli::service::value::words;
use crate::cli::units;

/// Reads, and gathers all faults rather than the first.
#[derive(Debug, Default)]
pub struct Reader {
    pub faults: Vec<Fault>,
    pub warnings: Vec<String>,
}

impl Reader {
    /// The value of a node at `key`; nothing if it is wrong.
    pub fn read(&mut self, node: &Node, shape: Shape, key: &str) -> Value {
        match shape {
            Shape::Anything => anything(node),
            Shape::Optional(_) if node.is_nothing() => Value::Null,
            Shape::Optional(shape) => self.read(node, *shape, key),
            Shape::List(shape) => self.list(node, key, |reader, item, key| {
                reader.read(item, *shape, key)
            }),
            Shape::Map(shape) => self.map(node, *shape, key),
            Shape::Fields(fields) => self.fields(node, fields, key),
            Shape::Texts => self.list(node, key, |reader, item, key| {
                reader.read(item, Shape::Text, key)
            }),
            Shape::Lines => match &node.content {
                Content::Scalar(_) => json!([self.read(node, Shape::Text, key)]),
                _ => self.read(node, Shape::Texts, key),
            },
            Shape::Names => match &node.content {
                Content::Map(entries) => entries.iter().map(|(name, _)| json!(name)).collect(),
                _ => self.read(node, Shape::Texts, key),
            },
            Shape::Command => self.command(node, key),
            Shape::Test => self.test(node, key),
            Shape::Pairs | Shape::Environment => {
                let is_environment = matches!(shape, Shape::Environment);
                self.pairs(node, key, is_environment)
            }
            Shape::Hosts => self.hosts(node, key),
            Shape::Limit => match &node.content {
                Content::Map(_) => self.fields(node, LIMITS, key),
                _ => self.read(node, Shape::Whole, key),
            },
            Shape::External => self.external(node, key),
            Shape::Ports => self.ports(node, key),
            Shape::Mounts => self.list(node, key, short::mount),
            Shape::Attachments => self.attachments(node, key),
            Shape::Files => self.list(node, key, |reader, item, key| match &item.content {
                Content::Scalar(_) => json!({"source": reader.read(item, Shape::Text, key)}),
                _ => reader.required(item, REFERENCE, &["source"], key),
            }),
            _ => match &node.content {
                Content::Scalar(scalar) => self.scalar(scalar, shape, node.line, key),
                _ => self.fault(node.line, key, must_be(shape)),
            },
        }
    }

    /// Notes a fault; the value is nothing then.
    pub fn fault(&mut self, line: usize, key: &str, what: &str) -> Value {
        self.faults.push(Fault::new(line, format!("{key} {what}")));
        Value::Null
    }

    fn scalar(&mut self, scalar: &Scalar, shape: Shape, line: usize, key: &str) -> Value {
        let (text, meaning) = (scalar.text.as_str(), scalar.meaning());
        let is_text = meaning == Meaning::Text || scalar.is_filled;
        let value = match (shape, &meaning) {
            (Shape::Text, _) if is_text => Some(json!(text)),
            (Shape::Plain, _) => plain(scalar),
            (Shape::Flag, _) => scalar.switch().map(Value::from),
            (Shape::Whole, _) => scalar.whole().map(Value::from),
            (Shape::Number, Meaning::Number(number)) => Some(json!(number)),
            (Shape::Number, _) => match scalar.whole() {
                Some(number) => Some(json!(number)),
                None => text
                    .parse()
                    .ok()
                    .filter(|_| scalar.is_filled)
                    .map(|n: f64| json!(n)),
            },
            (Shape::OneOf(words), _) if is_text && words.contains(&text) => Some(json!(text)),
            (Shape::OneOf(words), _) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                let what = format!("must be one of the following: {}", words.join(", "));
                return self.fault(line, key, &what);
            }
            (Shape::Span, _) if is_text => {
                return match units::parse_duration(text) {
                    Ok(ns) => json!(units::duration(ns)),
                    Err(why) => self.fault(line, key, &format!("is no duration: {why}")),
                };
            }
            (Shape::Size, _) if plain(scalar).is_some() => {
                return match units::parse_bytes(text) {
                    Ok(bytes) => json!(bytes.to_string()),
                    Err(why) => self.fault(line, key, &format!("is no size: {why}")),
                };
            }
            _ => None,
        };
        value.unwrap_or_else(|| self.fault(line, key, must_be(shape)))
    }

    fn list(
        &mut self,
        node: &Node,
        key: &str,
        read: impl Fn(&mut Self, &Node, &str) -> Value,
    ) -> Value {
        let Content::List(items) = &node.content else {
            return self.fault(node.line, key, "must be a list");
        };
        let items = items.iter().enumerate();
        items
            .map(|(at, item)| read(self, item, &format!("{key}.{at}")))
            .collect()
    }

    fn map(&mut self, node: &Node, shape: Shape, key: &str) -> Value {
        let Content::Map(entries) = &node.content else {
            return self.fault(node.line, key, "must be a mapping");
        };
        let entries = entries.iter();
        entries
            .map(|(name, value)| {
                let value = self.read(value, shape, &format!("{key}.{name}"));
                (name.clone(), value)
            })
            .collect()
    }

    /// A mapping whose names are known; those that begin with `x-` are nobody's business.
    pub fn fields(&mut self, node: &Node, fields: Fields, key: &str) -> Value {
        let Content::Map(entries) = &node.content else {
            return self.fault(node.line, shown(key), "must be a mapping");
        };
        let mut read = Map::new();
        for (name, value) in entries {
            let shape = fields.iter().find(|(known, _)| known == name);
            let place = match key {
                "" => name.clone(),
                key => format!("{key}.{name}"),
            };
            let value = match shape {
                Some((_, shape)) => self.read(value, *shape, &place),
                None if name.starts_with("x-") => anything(value),
                None => {
                    let advice = FORBIDDEN.iter().find(|(forbidden, _)| forbidden == name);
                    let advice = advice.filter(|_| key.starts_with("services."));
                    let what = match advice {
                        Some((_, advice)) => format!("cannot have {name}: {advice}"),
                        None => format!("Additional property {name} is not allowed"),
                    };
                    self.fault(value.line, shown(key), &what)
                }
            };
            read.insert(name.clone(), value);
        }
        read.into()
    }

    /// Fields of which some have to be there.
    pub fn required(&mut self, node: &Node, fields: Fields, names: &[&str], key: &str) -> Value {
        let read = self.fields(node, fields, key);
        for name in names {
            if read.is_object() && read.get(name).is_none() {
                self.fault(node.line, key, &format!("{name} is required"));
            }
        }
        read
    }

    fn command(&mut self, node: &Node, key: &str) -> Value {
        match &node.content {
            Content::Scalar(_) if node.is_nothing() => Value::Null,
            Content::Scalar(_) => {
                let text = self.read(node, Shape::Text, key);
                match words(text.as_str().unwrap_or_default()) {
                    Ok(words) => json!(words),
                    Err(why) => self.fault(node.line, key, &format!("cannot be split: {why}")),
                }
            }
            _ => self.read(node, Shape::Texts, key),
        }
    }

    fn test(&mut self, node: &Node, key: &str) -> Value {
        match &node.content {
            Content::Scalar(_) => json!(["CMD-SHELL", self.read(node, Shape::Text, key)]),
            _ => self.read(node, Shape::Texts, key),
        }
    }

    fn pairs(&mut self, node: &Node, key: &str, is_environment: bool) -> Value {
        let absent = if is_environment {
            Value::Null
        } else {
            json!("")
        };
        match &node.content {
            Content::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| {
                    let place = format!("{key}.{name}");
                    let value = match value.is_nothing() {
                        true => absent.clone(),
                        false => self.read(value, Shape::Plain, &place),
                    };
                    (name.clone(), value)
                });
                entries.collect()
            }
            Content::List(items) => {
                let mut read = Map::new();
                for (at, item) in items.iter().enumerate() {
                    let text = self.read(item, Shape::Plain, &format!("{key}.{at}"));
                    let text = text.as_str().unwrap_or_default();
                    match text.split_once('=') {
                        Some((name, value)) => read.insert(name.to_owned(), json!(value)),
                        None => read.insert(text.to_owned(), absent.clone()),
                    };
                }
                read.into()
            }
            Content::Scalar(_) => self.fault(node.line, key, "must be a mapping or a list"),
        }
    }

    /// `host:address`, sorted if they are a mapping.
    fn hosts(&mut self, node: &Node, key: &str) -> Value {
        let Content::Map(_) = &node.content else {
            let hosts = self.read(node, Shape::Texts, key);
            let hosts = hosts.as_array().into_iter().flatten();
            let host = |host: &Value| {
                let text = host.as_str().unwrap_or_default();
                match text.split_once([':', '=']) {
                    Some((name, address)) => json!(format!("{name}:{address}")),
                    None => host.clone(),
                }
            };
            return hosts.map(host).collect();
        };
        let read = self.pairs(node, key, false);
        let hosts = read.as_object().into_iter().flatten();
        let host = |(name, ip): (&String, &Value)| {
            json!(format!("{name}:{}", ip.as_str().unwrap_or_default()))
        };
        hosts.map(host).collect()
    }

    /// Whether it is external, or the name that it has elsewhere.
    fn external(&mut self, node: &Node, key: &str) -> Value {
        match &node.content {
            Content::Map(_) => self.required(node, &[("name", Shape::Text)], &["name"], key),
            _ => self.read(node, Shape::Flag, key),
        }
    }

    fn ports(&mut self, node: &Node, key: &str) -> Value {
        let Content::List(items) = &node.content else {
            return self.fault(node.line, key, "must be a list");
        };
        let mut ports = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let key = format!("{key}.{at}");
            match &item.content {
                Content::Scalar(scalar) => match short::ports(&scalar.text) {
                    Ok((all, warning)) => {
                        ports.extend(all);
                        self.warnings.extend(warning);
                    }
                    Err(why) => drop(self.fault(item.line, &key, &format!("is no port: {why}"))),
                },
                _ => ports.push(self.required(item, PORT, &["target"], &key)),
            }
        }
        ports.into()
    }

    fn attachments(&mut self, node: &Node, key: &str) -> Value {
        match &node.content {
            Content::List(_) => {
                let names = self.read(node, Shape::Texts, key);
                let names = names.as_array().into_iter().flatten();
                let name = |name: &Value| name.as_str().unwrap_or_default().to_owned();
                names.map(|n| (name(n), Value::Null)).collect()
            }
            _ => self.map(node, Shape::Optional(&Shape::Fields(ATTACHMENT)), key),
        }
    }
}

const LIMITS: Fields = &[("hard", Shape::Whole), ("soft", Shape::Whole)];

/// How Docker calls what has no key.
fn shown(key: &str) -> &str {
    if key.is_empty() { "(root)" } else { key }
}

/// A string or a number, as text.
fn plain(scalar: &Scalar) -> Option<Value> {
    match scalar.meaning() {
        Meaning::Text => Some(json!(scalar.text)),
        _ if scalar.is_filled => Some(json!(scalar.text)),
        Meaning::Whole(number) => Some(json!(number.to_string())),
        Meaning::Number(number) => Some(json!(number.to_string())),
        Meaning::Nothing | Meaning::Switch(_) => None,
    }
}

/// A value that nobody reads.
fn anything(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(scalar) => match scalar.meaning() {
            Meaning::Nothing => Value::Null,
            Meaning::Switch(on) => json!(on),
            Meaning::Whole(number) => json!(number),
            Meaning::Number(number) => json!(number),
            Meaning::Text => json!(scalar.text),
        },
        Content::List(items) => items.iter().map(anything).collect(),
        Content::Map(entries) => {
            let entries = entries.iter();
            entries
                .map(|(name, value)| (name.clone(), anything(value)))
                .collect()
        }
    }
}

fn must_be(shape: Shape) -> &'static str {
    match shape {
        Shape::Plain => "must be a string or a number",
        Shape::Flag => "must be a boolean",
        Shape::Whole => "must be an integer",
        Shape::Number => "must be a number",
        Shape::Span => "must be a duration, such as \"1m30s\"",
        Shape::Size => "must be a size, such as 64M",
        _ => "must be a string",
    }
}
