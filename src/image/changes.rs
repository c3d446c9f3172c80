//! The Dockerfile instructions of `import --change`.

use std::collections::BTreeMap;

use crate::image::config::{Empty, RunConfig};

const CHANGES_MAX: usize = 256;

/// An instruction that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{instruction} needs {needs}")]
    Arguments {
        instruction: String,
        needs: &'static str,
    },
    #[error("more than {CHANGES_MAX} changes")]
    TooMany,
    #[error("{0} is not a valid change command")]
    Unknown(String),
    #[error("a quote is not closed: {0}")]
    Unclosed(String),
}

/// Applies instructions, one by one, to a config.
pub fn apply(config: &mut RunConfig, changes: &[String]) -> Result<(), ChangeError> {
    if changes.len() > CHANGES_MAX {
        return Err(ChangeError::TooMany);
    }
    changes
        .iter()
        .try_for_each(|change| apply_one(config, change))
}

fn apply_one(config: &mut RunConfig, change: &str) -> Result<(), ChangeError> {
    let change = change.trim();
    let (instruction, rest) = change
        .split_once(char::is_whitespace)
        .unwrap_or((change, ""));
    let instruction = instruction.to_ascii_uppercase();
    let rest = rest.trim();
    let one = || match rest {
        "" => Err(needs(&instruction, "an argument")),
        rest => Ok(rest.to_owned()),
    };
    match instruction.as_str() {
        "CMD" => config.cmd = command(rest),
        "ENTRYPOINT" => config.entrypoint = command(rest),
        "ENV" => {
            for (key, value) in pairs(&instruction, rest)? {
                let prefix = format!("{key}=");
                config.env.retain(|e| !e.starts_with(&prefix));
                config.env.push(format!("{key}={value}"));
            }
        }
        "EXPOSE" => {
            one()?;
            for port in words(rest)? {
                config
                    .exposed_ports
                    .insert(exposed(&instruction, &port)?, Empty {});
            }
        }
        "LABEL" => config.labels.extend(pairs(&instruction, rest)?),
        "ONBUILD" => config.on_build.push(one()?),
        "STOPSIGNAL" => config.stop_signal = one()?,
        "USER" => config.user = one()?,
        "VOLUME" => {
            one()?;
            let volumes = json_words(rest).map_or_else(|| words(rest), Ok)?;
            config
                .volumes
                .extend(volumes.into_iter().map(|v| (v, Empty {})));
        }
        "WORKDIR" => config.working_dir = directory(&config.working_dir, &one()?),
        _ => return Err(ChangeError::Unknown(instruction)),
    }
    Ok(())
}

fn needs(instruction: &str, needs: &'static str) -> ChangeError {
    let instruction = instruction.to_owned();
    ChangeError::Arguments { instruction, needs }
}

/// `["a","b"]`, or a line for the shell.
fn command(rest: &str) -> Vec<String> {
    match json_words(rest) {
        Some(words) => words,
        None if rest.is_empty() => Vec::new(),
        None => vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()],
    }
}

fn json_words(rest: &str) -> Option<Vec<String>> {
    serde_json::from_str(rest)
        .ok()
        .filter(|_| rest.starts_with('['))
}

fn directory(before: &str, next: &str) -> String {
    if next.starts_with('/') {
        return next.to_owned();
    }
    format!("{}/{next}", before.trim_end_matches('/'))
}

/// `80` or `80/udp`, with its protocol.
fn exposed(instruction: &str, text: &str) -> Result<String, ChangeError> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = ["tcp", "udp", "sctp"].contains(&protocol);
    if !known || port.parse::<u16>().is_err() {
        return Err(needs(instruction, "ports such as 80 or 53/udp"));
    }
    Ok(format!("{port}/{protocol}"))
}

/// `a=b c="d e"`, or `a b` for a single pair.
fn pairs(instruction: &str, rest: &str) -> Result<BTreeMap<String, String>, ChangeError> {
    let wrong = || needs(instruction, "name=value");
    let words = words(rest)?;
    let first = words.first().ok_or_else(wrong)?;
    if !first.contains('=') {
        let (key, value) = rest.split_once(char::is_whitespace).ok_or_else(wrong)?;
        return Ok(BTreeMap::from([(key.to_owned(), value.trim().to_owned())]));
    }
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), value.to_owned()))
    };
    words
        .iter()
        .map(|word| pair(word).ok_or_else(wrong))
        .collect()
}

/// Words between blanks; quotes and backslashes hold words together.
fn words(text: &str) -> Result<Vec<String>, ChangeError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(ChangeError::Unclosed(text.to_owned()));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[&str], expect: impl FnOnce(&mut RunConfig)) {
        let mut expected = RunConfig::default();
        expect(&mut expected);
        let mut config = RunConfig::default();
        let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
        apply(&mut config, &changes).unwrap();
        assert_eq!(config, expected, "{changes:?}");
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn commands_are_words_or_a_line_for_the_shell() {
        check(&[r#"CMD ["a", "b c"]"#], |c| c.cmd = owned(&["a", "b c"]));
        check(&["cmd a b"], |c| c.cmd = owned(&["/bin/sh", "-c", "a b"]));
        check(&["ENTRYPOINT [\"/e\"]", "CMD"], |c| {
            c.entrypoint = owned(&["/e"])
        });
    }

    #[test]
    fn pairs_may_be_quoted_and_the_last_one_stays() {
        check(&["ENV A=1 B=\"2 3\"", "ENV A 4 5"], |c| {
            c.env = owned(&["B=2 3", "A=4 5"])
        });
        check(&[r"LABEL a=x\ y b='z'"], |c| {
            c.labels.insert("a".to_owned(), "x y".to_owned());
            c.labels.insert("b".to_owned(), "z".to_owned());
        });
    }

    #[test]
    fn the_other_instructions_set_their_field() {
        check(
            &["WORKDIR /a", "WORKDIR b", "USER 1:2", "STOPSIGNAL SIGINT"],
            |c| {
                c.working_dir = "/a/b".to_owned();
                c.user = "1:2".to_owned();
                c.stop_signal = "SIGINT".to_owned();
            },
        );
        check(
            &[
                "EXPOSE 80 53/udp",
                "VOLUME [\"/d\"]",
                "VOLUME /e",
                "ONBUILD RUN x",
            ],
            |c| {
                c.exposed_ports = [("80/tcp", Empty {}), ("53/udp", Empty {})]
                    .map(|(k, v)| (k.to_owned(), v))
                    .into();
                c.volumes = [("/d", Empty {}), ("/e", Empty {})]
                    .map(|(k, v)| (k.to_owned(), v))
                    .into();
                c.on_build = owned(&["RUN x"]);
            },
        );
    }

    #[test]
    fn what_is_no_instruction_is_refused_by_name() {
        for (change, expect) in [
            ("RUN x", "RUN is not a valid change command"),
            ("", " is not a valid change command"),
            ("USER", "USER needs an argument"),
            ("ENV A", "ENV needs name=value"),
            ("ENV A=1 B", "ENV needs name=value"),
            ("LABEL =x", "LABEL needs name=value"),
            ("EXPOSE web", "EXPOSE needs ports such as 80 or 53/udp"),
            ("ENV A=\"x", "a quote is not closed: A=\"x"),
        ] {
            let error = apply(&mut RunConfig::default(), &[change.to_owned()]).unwrap_err();
            assert_eq!(error.to_string(), expect, "{change}");
        }
    }
}
