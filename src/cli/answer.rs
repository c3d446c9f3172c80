//! Reading the daemon's answers: short ids, ages, names in their familiar form, filters to send.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::units;
use crate::host::clock;

const ID_SHORT: usize = 12;

/// The text at a JSON pointer, or none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at a JSON pointer, or 0.
pub fn int(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// The number at a JSON pointer that is not negative, or 0.
pub fn uint(value: &Value, pointer: &str) -> u64 {
    value
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

/// Whether the switch at a JSON pointer is on.
pub fn is_on(value: &Value, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// The list at a JSON pointer, or an empty one.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of a list at a JSON pointer.
pub fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// The names and texts of an object at a JSON pointer.
pub fn pairs<'a>(value: &'a Value, pointer: &str) -> Vec<(&'a str, &'a str)> {
    let object = value.pointer(pointer).and_then(Value::as_object);
    let pair = |(k, v): (&'a String, &'a Value)| (k.as_str(), v.as_str().unwrap_or_default());
    object.into_iter().flatten().map(pair).collect()
}

/// The first characters of an id, without its algorithm.
pub fn short_id(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(ID_SHORT).collect()
}

/// The id, shortened unless it is to be shown whole.
pub fn id(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { short_id(id) }
}

/// How long ago a moment written as RFC 3339 was, in words.
pub fn ago(moment: &str) -> String {
    let ms = moment
        .parse::<Timestamp>()
        .map_or(0, Timestamp::as_millisecond);
    ago_ms(u64::try_from(ms).unwrap_or_default())
}

/// How long ago a moment in milliseconds since 1970 was, in words.
pub fn ago_ms(ms: u64) -> String {
    format!("{} ago", units::span(clock::now().0.saturating_sub(ms)))
}

/// A moment in seconds since 1970, as docker writes it.
pub fn date(seconds: i64) -> String {
    let moment = Timestamp::from_second(seconds).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// The text cut to a width, with a mark that it was.
pub fn ellipsis(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => format!("{}…", text.chars().take(width - 1).collect::<String>()),
        false => text.to_owned(),
    }
}

/// The text with a capital first letter.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// An image's name as people write it: without the default registry, and without a digest if it
/// has a tag.
pub fn familiar_image(image: &str) -> &str {
    let hub = image
        .strip_prefix("docker.io/")
        .map(|n| n.strip_prefix("library/").unwrap_or(n));
    let name = hub.unwrap_or(image);
    match name.split_once('@') {
        Some((tagged, _)) if tagged.rsplit('/').next().is_some_and(|n| n.contains(':')) => tagged,
        _ => name,
    }
}

/// Compares with numbers inside text taken for numbers: `api9` is before `api10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        match (digits(a), digits(b)) {
            (m, n) if m > 0 && n > 0 => {
                let (x, y) = (
                    a[..m].trim_start_matches('0'),
                    b[..n].trim_start_matches('0'),
                );
                let order = x
                    .len()
                    .cmp(&y.len())
                    .then_with(|| x.cmp(y))
                    .then_with(|| m.cmp(&n));
                if order.is_ne() {
                    return order;
                }
                (a, b) = (&a[m..], &b[n..]);
            }
            _ => match (a.chars().next(), b.chars().next()) {
                (Some(x), Some(y)) if x == y => {
                    (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
                }
                (x, y) => return x.cmp(&y),
            },
        }
    }
}

/// The filters of a command as the API takes them; none if there are none.
pub fn filters(given: &[String]) -> Option<String> {
    let pairs = given.iter().filter_map(|filter| filter.split_once('='));
    let pairs: Vec<(&str, &str)> = pairs.map(|(k, v)| (k.trim(), v.trim())).collect();
    (!pairs.is_empty()).then(|| filters_of(&pairs))
}

/// Pairs as the API takes filters.
pub fn filters_of(pairs: &[(&str, &str)]) -> String {
    let mut all: BTreeMap<String, BTreeMap<&str, bool>> = BTreeMap::new();
    for (name, value) in pairs {
        all.entry(name.to_lowercase())
            .or_default()
            .insert(value, true);
    }
    serde_json::json!(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_shown_as_people_write_them() {
        let check = |image, expect| assert_eq!(familiar_image(image), expect);
        check("docker.io/library/bb:1@sha256:aa", "bb:1");
        check("docker.io/user/x:2", "user/x:2");
        check("reg.io:5000/x@sha256:aa", "reg.io:5000/x@sha256:aa");
        check("y", "y");
    }

    #[test]
    fn numbers_in_names_sort_as_numbers() {
        let mut names = ["web", "api10", "api9", "api", "api09", "b"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["api", "api9", "api09", "api10", "b", "web"]);
    }

    #[test]
    fn ids_and_long_texts_are_cut() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(ellipsis("abcdef", 5), "abcd…");
        assert_eq!(ellipsis("abcde", 5), "abcde");
        assert_eq!(capital("ready"), "Ready");
    }

    #[test]
    fn filters_are_gathered_by_name() {
        let given = [
            "Name=web".to_owned(),
            "name=api".to_owned(),
            "label=a=b".to_owned(),
        ];
        let expect = r#"{"label":{"a=b":true},"name":{"api":true,"web":true}}"#;
        assert_eq!(filters(&given).as_deref(), Some(expect));
        assert_eq!(filters(&[]), None);
    }

    #[test]
    fn dates_are_written_in_utc() {
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13:20 +0000 UTC");
    }
}
