//! Variables in the values of a Compose file.

use crate::cli::compose::Fault;
use crate::cli::compose::yaml::{Content, Node};

/// Defaults within defaults.
const DEPTH_MAX: usize = 8;

/// Finds a variable's value.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts variables in; those that are not set anywhere are told of.
pub fn fill(root: &mut Node, lookup: Lookup<'_>, faults: &mut Vec<Fault>) -> Vec<String> {
    let mut unset = Vec::new();
    let mut filling = Filling {
        lookup,
        faults,
        unset: &mut unset,
    };
    if let Content::Map(entries) = &mut root.content {
        for (name, section) in entries {
            if name != "version" {
                filling.node(section, name);
            }
        }
    }
    unset.sort_unstable();
    unset.dedup();
    unset
}

struct Filling<'a> {
    lookup: Lookup<'a>,
    faults: &'a mut Vec<Fault>,
    unset: &'a mut Vec<String>,
}

impl Filling<'_> {
    fn node(&mut self, node: &mut Node, key: &str) {
        match &mut node.content {
            Content::List(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.node(item, &format!("{key}.{at}"));
                }
            }
            Content::Map(entries) => {
                for (name, value) in entries {
                    self.node(value, &format!("{key}.{name}"));
                }
            }
            Content::Scalar(scalar) => match substitute(&scalar.text, self.lookup, self.unset, 0) {
                Ok(text) => {
                    scalar.is_filled = text != scalar.text;
                    scalar.text = text;
                }
                Err(why) => {
                    let what = format!(
                        "invalid interpolation format for {key}: {why:?}; you may need to escape \
                         any $ with another $"
                    );
                    self.faults.push(Fault::new(node.line, what));
                }
            },
        }
    }
}

/// The text with its variables in place: `$NAME`, `${NAME}`, and `:-`, `-`, `:?`, `?`, `:+` and `+`
/// in braces; `$$` is a dollar.
fn substitute(
    text: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(braced) = after.strip_prefix('{') {
            let end = closing(braced).ok_or_else(|| text.to_owned())?;
            let value = expand(&braced[..end], lookup, unset, depth);
            filled.push_str(&value?.ok_or_else(|| text.to_owned())?);
            rest = &braced[end + 1..];
        } else {
            let (name, after) = after.split_at(name_length(after));
            if name.is_empty() {
                return Err(text.to_owned());
            }
            filled.push_str(&value_or_nothing(name, lookup, unset));
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What stands in braces; none if it is no variable.
fn expand(
    inner: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<Option<String>, String> {
    let (name, how) = inner.split_at(name_length(inner));
    if name.is_empty() || depth > DEPTH_MAX {
        return Ok(None);
    }
    if how.is_empty() {
        return Ok(Some(value_or_nothing(name, lookup, unset)));
    }
    let (is_strict, how) = match how.strip_prefix(':') {
        Some(how) => (true, how),
        None => (false, how),
    };
    let value = lookup(name).filter(|value| !is_strict || !value.is_empty());
    let Some(operator) = how.chars().next() else {
        return Ok(None);
    };
    let other = &how[operator.len_utf8()..];
    match (operator, value) {
        ('-' | '?', Some(value)) => Ok(Some(value)),
        ('-', None) | ('+', Some(_)) => substitute(other, lookup, unset, depth + 1).map(Some),
        ('+', None) => Ok(Some(String::new())),
        ('?', None) => {
            let colon = if other.is_empty() { "" } else { ": " };
            Err(format!(
                "required variable {name} is missing a value{colon}{other}"
            ))
        }
        _ => Ok(None),
    }
}

fn value_or_nothing(name: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> String {
    lookup(name).unwrap_or_else(|| {
        unset.push(name.to_owned());
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.find(ends).unwrap_or(text.len())
}

/// Where the brace ends that begins before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let filled = substitute(text, &lookup, &mut Vec::new(), 0);
        assert_eq!(filled.as_deref().map_err(String::as_str), expect, "{text}");
    }

    #[test]
    fn variables_are_put_in() {
        check("x$A-${A}y$$A", Ok("xa-ay$A"));
        check(
            "${NO}|${NO:-d}|${NO-d}|${EMPTY-d}|${EMPTY:-d}",
            Ok("|d|d||d"),
        );
        check("${A:-d}${A-d}${A:?e}${EMPTY?e}", Ok("aaa"));
        check("${A:+y}${A+y}|${EMPTY:+y}|${EMPTY+y}|${NO+y}", Ok("yy||y|"));
        check("${NO:-${A}$A{}}", Ok("aa{}"));
        check("${NO:-http://x:1/?y}", Ok("http://x:1/?y"));
    }

    #[test]
    fn what_is_missing_or_no_variable_is_said() {
        check(
            "${NO:?must be set}",
            Err("required variable NO is missing a value: must be set"),
        );
        check(
            "${EMPTY:?}",
            Err("required variable EMPTY is missing a value"),
        );
        for wrong in [
            "$", "a$ b", "${", "${A", "${}", "${1}", "$1", "${A!}", "${A:}", "${A b}",
        ] {
            check(wrong, Err(wrong));
        }
    }

    #[test]
    fn values_of_sections_are_filled_and_unset_names_told() {
        let text = "version: $A\nservices:\n  $A: [$A, '${NO}', \"$NO\"]\n";
        let mut node = Node::parse(text).unwrap();
        let mut faults = Vec::new();
        assert_eq!(fill(&mut node, &lookup, &mut faults), ["NO"]);
        let shown = format!("{node:?}");
        assert!(
            shown.contains("\"$A\"") && shown.contains("text: \"a\""),
            "{shown}"
        );
        let mut node = Node::parse("services:\n  web:\n    image: ${A\n").unwrap();
        fill(&mut node, &lookup, &mut faults);
        let expect = "invalid interpolation format for services.web.image: \"${A\"; you may need \
                      to escape any $ with another $";
        assert_eq!(faults, [Fault::new(3, expect)]);
    }
}
