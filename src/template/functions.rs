//! The functions that templates may call.

use std::cmp::Ordering;

use serde_json::Value;

use crate::template::Error;
use crate::template::eval::{is_true, show};

const JOINED_BYTES_MAX: usize = 16 << 20;

/// Every function, for the message that names them.
pub(super) const NAMES: [&str; 21] = [
    "json", "join", "upper", "lower", "title", "split", "truncate", "len", "index", "print",
    "printf", "println", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not",
];

pub(super) fn call(name: &str, args: &[Value]) -> Result<Value, Error> {
    let wrong = |why| Error::Argument {
        function: name.to_owned(),
        why,
    };
    let result = match (name, args) {
        ("json", [value]) => value.to_string().into(),
        ("upper", [value]) => show(value).to_uppercase().into(),
        ("lower", [value]) => show(value).to_lowercase().into(),
        ("title", [value]) => title(&show(value)).into(),
        ("join", [Value::Array(items), separator]) => {
            joined(items, &show(separator)).map_err(wrong)?.into()
        }
        ("join", [Value::Null, _]) => "".into(),
        ("join", [_, _]) => return Err(wrong("the first argument is not a list")),
        ("split", [text, separator]) => {
            let separator = show(separator);
            show(text)
                .split(separator.as_str())
                .collect::<Vec<_>>()
                .into()
        }
        ("truncate", [text, Value::Number(length)]) => {
            let length = usize::try_from(length.as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
            show(text).chars().take(length).collect::<String>().into()
        }
        ("len", [value]) => length(value)
            .ok_or_else(|| wrong("it has no length"))?
            .into(),
        ("index", [value, keys @ ..]) => index(value, keys).map_err(wrong)?,
        ("print", values) => printed(values).into(),
        ("printf", [Value::String(format), values @ ..]) => {
            printf(format, values).map_err(wrong)?.into()
        }
        ("println", values) => {
            let shown: Vec<String> = values.iter().map(show).collect();
            format!("{}\n", shown.join(" ")).into()
        }
        ("not", [value]) => (!is_true(value)).into(),
        ("and", [.., last]) => args.iter().find(|v| !is_true(v)).unwrap_or(last).clone(),
        ("or", [.., last]) => args.iter().find(|v| is_true(v)).unwrap_or(last).clone(),
        ("eq", [first, others @ ..]) if !others.is_empty() => others.contains(first).into(),
        ("ne", [a, b]) => (a != b).into(),
        ("lt" | "le" | "gt" | "ge", [a, b]) => {
            let order = compare(a, b).ok_or_else(|| wrong("these cannot be compared"))?;
            match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }
            .into()
        }
        _ => return Err(wrong("wrong number or kind of arguments")),
    };
    Ok(result)
}

/// Go's verbs without widths: what docker's own documentation uses.
fn printf(format: &str, values: &[Value]) -> Result<String, &'static str> {
    let mut values = values.iter();
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut value = || {
            values
                .next()
                .ok_or("the format names more values than there are")
        };
        match chars.next() {
            Some('%') => out.push('%'),
            Some('s' | 'v' | 'd') => out.push_str(&show(value()?)),
            Some('q') => out.push_str(&format!("{:?}", show(value()?))),
            _ => return Err("of verbs only %s, %v, %d, %q and %% are possible"),
        }
    }
    match values.next() {
        None => Ok(out),
        Some(_) => Err("there are more values than the format names"),
    }
}

/// Items with a separator between them; of two modest things this can make a huge one.
pub(super) fn joined(items: &[Value], separator: &str) -> Result<String, &'static str> {
    if separator.len().saturating_mul(items.len()) > JOINED_BYTES_MAX {
        return Err("the result would be too long");
    }
    let items: Vec<_> = items.iter().map(show).collect();
    Ok(items.join(separator))
}

fn title(text: &str) -> String {
    let mut start = true;
    let raise = |c: char| {
        let raised = if start {
            c.to_uppercase().next().unwrap_or(c)
        } else {
            c
        };
        start = !c.is_alphanumeric();
        raised
    };
    text.chars().map(raise).collect()
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Null => Some(0),
        Value::String(text) => Some(text.len()),
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => Some(fields.len()),
        Value::Bool(_) | Value::Number(_) => None,
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, &'static str> {
    let mut value = value;
    for key in keys {
        value = match (value, key) {
            (Value::Object(fields), Value::String(key)) => fields.get(key).unwrap_or(&Value::Null),
            (Value::Array(items), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| items.get(at))
                    .ok_or("the index is out of range")?
            }
            (Value::Null, _) => &Value::Null,
            _ => return Err("it cannot be indexed so"),
        };
    }
    Ok(value.clone())
}

/// Like Go's Sprint: a blank between neighbours that are both no text.
fn printed(values: &[Value]) -> String {
    let mut text = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 && !value.is_string() && !values[i - 1].is_string() {
            text.push(' ');
        }
        text.push_str(&show(value));
    }
    text
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
