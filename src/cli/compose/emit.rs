//! A value as YAML, in blocks.

use serde_json::{Map, Value};

use crate::cli::compose::yaml::{Meaning, Scalar};

/// The text of a mapping.
pub fn yaml(config: &Map<String, Value>) -> String {
    let mut out = String::new();
    map(config, 0, &mut out);
    out
}

fn map(fields: &Map<String, Value>, indent: usize, out: &mut String) {
    for (name, value) in fields {
        out.push_str(&" ".repeat(indent));
        entry(name, value, indent, out);
    }
}

fn entry(name: &str, value: &Value, indent: usize, out: &mut String) {
    out.push_str(&scalar(name));
    out.push(':');
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            map(fields, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&" ".repeat(indent + 2));
                list_item(item, indent + 2, out);
            }
        }
        value => {
            out.push(' ');
            simple(value, out);
        }
    }
}

fn list_item(item: &Value, indent: usize, out: &mut String) {
    out.push_str("- ");
    match item {
        Value::Object(fields) if !fields.is_empty() => {
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(indent + 2));
                }
                entry(name, value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(indent + 2));
                }
                list_item(item, indent + 2, out);
            }
        }
        value => simple(value, out),
    }
}

fn simple(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(&scalar(text)),
        value => out.push_str(&value.to_string()),
    }
    out.push('\n');
}

/// A text, in quotes where it would be taken for something else without.
fn scalar(text: &str) -> String {
    let plain = Scalar {
        text: text.to_owned(),
        is_plain: true,
        is_filled: false,
    };
    let is_text = plain.meaning() == Meaning::Text && plain.switch().is_none();
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_/.$(".contains(c));
    let safe = |c: char| c.is_ascii_alphanumeric() || " _./@%+=,-:$()<>;'\"!*&?\\~^|".contains(c);
    let is_plain = is_text
        && begins
        && text.chars().all(safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' ']);
    match is_plain {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compose::read::Reader;
    use crate::cli::compose::shapes::Shape;
    use crate::cli::compose::yaml::Node;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let value = json!({
            "a": {"b": [], "c": {}, "d": [1, "1", "yes", "on", "~", "", "1.5", 1.5, null, true]},
            "y": ["a: b", "a:b", " x", "x ", "# c", "c # d", "- x", "-x", "&a", "*b", "!c", "%d"],
            "1": [{"x": {"y": [[1, [2, {"z": "{}"}]], []]}, "w": "[a]"}, {}],
            "long": ["two\nlines\n", "tab\t", "quote \" and ' and \\", "ü", "null", "0x1f", "a:"],
            "@": "`x`", "k: l": "m",
        });
        let text = yaml(value.as_object().unwrap());
        let node = Node::parse(&text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
        let read = Reader::default().read(&node, Shape::Anything, "");
        assert_eq!(read, value, "{text}");
    }

    #[test]
    fn texts_stand_without_quotes_where_they_can() {
        let value = json!({"a": ["node.role == manager", "curl -f http://x:1/ || exit 1", "80"]});
        let expect =
            "a:\n  - node.role == manager\n  - curl -f http://x:1/ || exit 1\n  - \"80\"\n";
        assert_eq!(yaml(value.as_object().unwrap()), expect);
    }
}
