//! Values of the flags of services, as the API has them.

use serde_json::{Value, json};

use crate::cli::flags::Parsed;
use crate::cli::units;
use crate::model::device::Device;

/// What stands for none of the capabilities that were asked for before.
pub const RESET: &str = "RESET";

/// `name=value` pairs as an object; a name alone has an empty value.
pub fn map(pairs: &[String]) -> Value {
    let pair = |pair: &String| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), Value::from(value))
    };
    Value::Object(pairs.iter().map(pair).collect())
}

/// What a flag says of processors, in billionths of one.
pub fn cpus(parsed: &Parsed, flag: &str) -> Option<i64> {
    units::parse_cpus(parsed.text(flag)?).ok()
}

/// How many bytes a flag says.
pub fn bytes(parsed: &Parsed, flag: &str) -> Option<i64> {
    units::parse_bytes(parsed.text(flag)?).ok()
}

/// `host:ip` the way a hosts file has it: `ip host`.
pub fn hosts(given: &[String]) -> Value {
    let line = |host: &String| match host.split_once([':', '=']) {
        Some((name, ip)) => format!("{} {name}", ip.trim_matches(['[', ']'])),
        None => host.clone(),
    };
    given.iter().map(line).collect::<Vec<_>>().into()
}

/// Capabilities in their full names, sorted, each once.
pub fn capabilities(given: &[String]) -> Vec<String> {
    let mut names: Vec<String> = given.iter().map(|name| capability(name)).collect();
    // It clears what was asked for before, and is none itself.
    names.retain(|name| name != RESET);
    names.sort_unstable();
    names.dedup();
    match names.iter().any(|name| name == "ALL") {
        true => vec!["ALL".to_owned()],
        false => names,
    }
}

/// A capability's full name; `ALL` and `RESET` stand for many.
pub fn capability(name: &str) -> String {
    match name.to_uppercase() {
        all if all == "ALL" || all == RESET => all,
        name if name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    }
}

/// `nofile=1024:2048` as the API has it.
pub fn ulimit(text: &str) -> Result<Value, String> {
    let invalid = || format!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (units::parse_int(soft)?, units::parse_int(hard)?);
    match hard != -1 && (soft > hard || soft == -1) {
        true => Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )),
        false => Ok(json!({"Name": name, "Hard": hard, "Soft": soft})),
    }
}

/// `spread=node.labels.rack` as the API has it.
pub fn preference(text: &str) -> Result<Value, String> {
    match text.split_once('=') {
        Some(("spread", by)) => Ok(json!({"Spread": {"SpreadDescriptor": by}})),
        Some((other, _)) => Err(format!(
            "unsupported placement preference {other} (only spread is supported)"
        )),
        None => Err("placement preference must be of the format \"<strategy>=<arg>\"".to_owned()),
    }
}

/// `gpu=2` as the API has it: so many of a kind.
pub fn generic(text: &str) -> Result<Value, String> {
    let (kind, value) = text
        .split_once('=')
        .filter(|(kind, value)| !kind.is_empty() && !value.is_empty())
        .ok_or_else(|| format!("invalid generic-resource format `{text}` expected `name=value`"))?;
    match value.parse::<i64>() {
        Ok(count) => Ok(json!({"DiscreteResourceSpec": {"Kind": kind, "Value": count}})),
        Err(_) => Err(format!(
            "invalid generic-resource request `{text}`, Named Generic Resources is not supported \
             for service create or update"
        )),
    }
}

/// `config://name`, `file://name` or `registry://name` as the API has it.
pub fn credential_spec(text: &str) -> Result<Value, String> {
    let kinds = [
        ("config", "Config"),
        ("file", "File"),
        ("registry", "Registry"),
    ];
    let given = kinds.iter().find_map(|(scheme, field)| {
        let name = text.strip_prefix(scheme)?.strip_prefix("://")?;
        (!name.is_empty()).then(|| json!({ *field: name }))
    });
    given.ok_or_else(|| {
        format!(
            "invalid credential spec: {text:?}: value must be prefixed with 'config://', \
             'file://', or 'registry://'"
        )
    })
}

/// Splits a command as a shell does, as far as blanks, quotes and backslashes go.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("EOF found after escape character")?;
                word.get_or_insert_default().push(next);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err("EOF found when expecting closing quote".to_owned()),
        None => Ok(words),
    }
}

/// Whether `--entrypoint` can be split.
pub fn check_words(text: &str) -> Result<(), String> {
    words(text).map(drop)
}

/// Whether `--ulimit` has a name and limits.
pub fn check_ulimit(text: &str) -> Result<(), String> {
    ulimit(text).map(drop)
}

/// Whether `--placement-pref` is one that exists.
pub fn check_preference(text: &str) -> Result<(), String> {
    preference(text).map(drop)
}

/// Whether `--device` names a device.
pub fn check_device(text: &str) -> Result<(), String> {
    let one = text.split(',').nth(1).is_none();
    let device = Device::parse(text).map_err(|error| error.to_string());
    device.map(drop).and_then(|()| match one {
        true => Ok(()),
        false => Err(format!("device {text:?}: give the flag once for each")),
    })
}

/// Whether `--generic-resource` asks for a number of something.
pub fn check_generic(text: &str) -> Result<(), String> {
    generic(text).map(drop)
}

/// Whether `--credential-spec` says where it is.
pub fn check_credential_spec(text: &str) -> Result<(), String> {
    match text {
        "" => Ok(()),
        text => credential_spec(text).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_understood_is_refused_before_anything_is_sent() {
        assert!(check_words("sh -c 'open").is_err());
        assert!(check_ulimit("nofile=20:10").is_err());
        assert!(check_ulimit("nofile").is_err());
        assert!(check_preference("pack=x").is_err());
        assert!(check_generic("gpu").is_err());
        assert!(check_generic("gpu=first").is_err());
        assert!(check_credential_spec("nowhere").is_err());
    }

    #[test]
    fn capabilities_go_by_their_full_names_and_all_of_them_by_one() {
        let names = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            capabilities(&given)
        };
        assert_eq!(
            names(&["chown", "CAP_CHOWN", "kill"]),
            ["CAP_CHOWN", "CAP_KILL"]
        );
        assert_eq!(names(&["chown", "all"]), ["ALL"]);
    }
}
