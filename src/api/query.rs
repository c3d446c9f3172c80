//! The query of a request, and Docker's ways of writing in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::failure::Failure;
use crate::api::types::timestamp::parse_query;
use crate::model::time::Time;
use crate::wire::control::Filters;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&name.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        };
        Self(pairs.map(pair).collect())
    }

    /// The first value of a parameter; empty if it is absent.
    pub fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// Every value of a parameter.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether a parameter says yes, as Docker reads it: anything but a few words for no.
    pub fn flag(&self, name: &str) -> bool {
        !matches!(self.text(name).trim(), "" | "0" | "no" | "false" | "none")
    }

    /// A number; `None` if it is absent.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| Failure::bad(format!("{name}: {text:?} is not a number")))
    }

    /// A moment; `None` if it is absent or 0.
    pub fn time(&self, name: &str) -> Result<Option<Time>, Failure> {
        let text = self.text(name);
        if matches!(text, "" | "0") {
            return Ok(None);
        }
        let time = parse_query(text);
        time.map(Some)
            .ok_or_else(|| Failure::bad(format!("{name}: {text:?} is not a time")))
    }

    /// Docker's filters, in the newer form `{"key": {"value": true}}` or the older with arrays.
    pub fn filters(&self) -> Result<Filters, Failure> {
        let text = self.text("filters");
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let invalid = || Failure::bad(format!("invalid filter {text:?}"));
        let keys: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| invalid())?;
        let mut filters = Filters::default();
        for (key, values) in keys {
            let values: Option<BTreeSet<String>> = match values {
                Value::Object(set) => {
                    let chosen = set
                        .into_iter()
                        .filter(|(_, chosen)| *chosen == Value::Bool(true));
                    Some(chosen.map(|(value, _)| value).collect())
                }
                Value::Array(list) => {
                    let text = |value: Value| value.as_str().map(str::to_owned);
                    list.into_iter().map(text).collect()
                }
                _ => None,
            };
            filters.0.insert(key, values.ok_or_else(invalid)?);
        }
        Ok(filters)
    }
}

/// Undoes percent-encoding; what is no encoding stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("a=1+2%2F3&b&names=x&names=y&bad=%zz%4&all=false");
        assert_eq!(query.text("a"), "1 2/3");
        assert!(query.has("b") && !query.flag("b"));
        assert_eq!(query.all("names").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(query.text("bad"), "%zz%4");
        assert!(!query.flag("all"));
    }

    #[track_caller]
    fn check_filters(text: &str, expect: Option<&[(&str, &[&str])]>) {
        let found = Query(vec![("filters".into(), text.into())]).filters().ok();
        let expect = expect.map(|keys| {
            let set = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
            Filters(
                keys.iter()
                    .map(|(k, v)| ((*k).to_owned(), set(v)))
                    .collect(),
            )
        });
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn filters_are_read_in_both_forms() {
        check_filters("", Some(&[]));
        check_filters(
            r#"{"label": {"a=b": true, "c": false}, "_up-to-date": {"true": true}}"#,
            Some(&[("label", &["a=b"]), ("_up-to-date", &["true"])]),
        );
        check_filters(r#"{"type": ["service"]}"#, Some(&[("type", &["service"])]));
        check_filters(r#"{"type": "service"}"#, None);
        check_filters(r#"{"type": [1]}"#, None);
        check_filters("[]", None);
        check_filters("{", None);
    }
}
