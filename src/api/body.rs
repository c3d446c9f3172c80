//! Reading a JSON body: every field a client sends is understood or refused, none is dropped.
//!
//! As Docker does, `null` and absent fields read as zero. A field that is not known here is
//! refused when it says something, and passed over when it is zero (clients send fields of newer
//! versions that way).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Most problems that one answer names.
const PROBLEMS_MAX: usize = 20;

/// Why a body is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the request has no body: expected a JSON object")]
    Empty,
    #[error("the request's body is not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    #[error("invalid JSON: {path}: {source}")]
    Type {
        path: String,
        source: serde_json::Error,
    },
    #[error("skep does not support {}", .0.join(", "))]
    Unknown(Vec<String>),
}

/// Reads `bytes` as a `T`.
pub fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::Empty);
    }
    let mut sent: Value = serde_json::from_slice(bytes).map_err(BodyError::Syntax)?;
    drop_nulls(&mut sent);
    let read: T = serde_path_to_error::deserialize(sent.clone()).map_err(|e| BodyError::Type {
        path: e.path().to_string().escape_debug().to_string(),
        source: e.into_inner(),
    })?;
    let kept = serde_json::to_value(&read).map_err(BodyError::Syntax)?;
    let mut lost = Vec::new();
    collect_lost(".", &sent, &kept, &mut lost);
    match lost.is_empty() {
        true => Ok(read),
        false => Err(BodyError::Unknown(lost)),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The paths of what was sent and is not in what was kept.
fn collect_lost(path: &str, sent: &Value, kept: &Value, lost: &mut Vec<String>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => lost_fields(path, sent, kept, lost),
        (Value::Array(sent), Value::Array(kept)) => {
            for (index, (sent, kept)) in sent.iter().zip(kept).enumerate() {
                collect_lost(&format!("{path}[{index}]"), sent, kept, lost);
            }
        }
        (Value::Array(_), Value::Object(_)) => lost.push(format!("{path} as an array")),
        _ => {}
    }
}

fn lost_fields(
    path: &str,
    sent: &Map<String, Value>,
    kept: &Map<String, Value>,
    lost: &mut Vec<String>,
) {
    for (name, field) in sent {
        // The answer is one line, whatever a client calls its fields.
        let name_shown = name.escape_debug();
        let path = match path {
            "." => name_shown.to_string(),
            outer => format!("{outer}.{name_shown}"),
        };
        match kept.get(name) {
            Some(kept) => collect_lost(&path, field, kept, lost),
            None if is_zero(field) || lost.len() >= PROBLEMS_MAX => {}
            None => lost.push(path),
        }
    }
}

/// Go's zero values: what an absent field reads as.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::service::ServiceSpec;

    #[track_caller]
    fn check(body: &str, expect: &str) {
        let result = match parse::<ServiceSpec>(body.as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expect, "{body}");
    }

    #[test]
    fn absent_null_and_zero_fields_are_passed_over() {
        check("{}", "ok");
        check(
            r#"{"Labels": null, "TaskTemplate": null, "Future": {"A": 0, "B": [], "C": false}}"#,
            "ok",
        );
        check(
            r#"{"TaskTemplate": {"ContainerSpec": {"Init": false, "DNSConfig": {}}}}"#,
            "ok",
        );
    }

    #[test]
    fn unknown_fields_that_say_something_are_named() {
        check(
            r#"{"TaskTemplate": {"PluginSpec": {"Name": "x"}}, "Zeal": 3}"#,
            "skep does not support TaskTemplate.PluginSpec, Zeal",
        );
        check(
            r#"{"TaskTemplate": {"ContainerSpec": {"Mounts":
                [{"Type": "bind"}, {"ClusterOptions": {"X": 1}}]}}}"#,
            "skep does not support TaskTemplate.ContainerSpec.Mounts[1].ClusterOptions",
        );
    }

    #[test]
    fn wrong_types_are_one_line_with_the_field_and_the_type() {
        check(
            r#"{"Mode": {"Replicated": {"Replicas": "two"}}}"#,
            "invalid JSON: Mode.Replicated.Replicas: invalid type: string \"two\", expected u64",
        );
        check(
            r#"{"Mode": {"Replicated": {"Replicas": -1}}}"#,
            "invalid JSON: Mode.Replicated.Replicas: invalid value: integer `-1`, expected u64",
        );
        check("[]", "skep does not support . as an array");
        check(r#"{"Mode": []}"#, "skep does not support Mode as an array");
    }

    /// Found by fuzzing: the name of a field was shown as it came, with its line breaks.
    #[test]
    fn names_of_fields_break_no_line() {
        check(r#"{"a\nb": 1}"#, r"skep does not support a\nb");
        check(
            r#"{"Labels": {"a\nb": 1}}"#,
            r"invalid JSON: Labels.a\nb: invalid type: integer `1`, expected a string",
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        check("", "the request has no body: expected a JSON object");
        check(" \n", "the request has no body: expected a JSON object");
        check(
            "{",
            "the request's body is not JSON: EOF while parsing an object at line 1 column 1",
        );
        let deep = "[".repeat(100_000);
        assert!(matches!(
            parse::<ServiceSpec>(deep.as_bytes()),
            Err(BodyError::Syntax(_))
        ));
    }
}
