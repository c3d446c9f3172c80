//! What a registry wants to see before it answers: the header `WWW-Authenticate`.

/// Longest header that is read, and most parameters of one challenge.
const HEADER_BYTES_MAX: usize = 8 << 10;
const PARAMETERS_MAX: usize = 32;

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A name and a password with every request.
    Basic,
    /// A token that another service gives out.
    Bearer(Bearer),
}

/// Where tokens are given out, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    pub realm: String,
    pub service: String,
    pub scope: String,
}

impl Challenge {
    /// The challenges of one header that skep can meet, in their order. Others are passed over.
    pub fn parse(header: &str) -> Vec<Self> {
        if header.len() > HEADER_BYTES_MAX {
            return Vec::new();
        }
        let challenges = split(header);
        challenges.into_iter().filter_map(Self::known).collect()
    }

    fn known(raw: Raw<'_>) -> Option<Self> {
        if raw.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !raw.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut bearer = Bearer::default();
        for (name, value) in raw.parameters {
            match name.to_ascii_lowercase().as_str() {
                "realm" => bearer.realm = value,
                "service" => bearer.service = value,
                "scope" => bearer.scope = value,
                _ => {}
            }
        }
        (!bearer.realm.is_empty()).then_some(Self::Bearer(bearer))
    }
}

/// A challenge as it stands in the header.
struct Raw<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

/// Commas part parameters and challenges alike: a word that no `=` follows begins a challenge.
fn split(header: &str) -> Vec<Raw<'_>> {
    let mut challenges: Vec<Raw<'_>> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = word(rest);
        if word.is_empty() {
            // The end, or what is no challenge; what was understood so far counts.
            return challenges;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        let Some(value) = value else {
            challenges.push(Raw {
                scheme: word,
                parameters: Vec::new(),
            });
            rest = after;
            continue;
        };
        let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t', '='])) else {
            return challenges;
        };
        rest = after;
        if let Some(last) = challenges.last_mut()
            && last.parameters.len() < PARAMETERS_MAX
        {
            last.parameters.push((word, value));
        }
    }
}

/// A word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | '=' | '"');
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// A parameter's value, in quotes or not, and what comes after it; none if the quotes do not end.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = word(text);
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.to_owned(),
            scope: scope.to_owned(),
        })
    }

    #[test]
    fn the_challenges_of_known_registries_are_understood() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#;
        let expect = bearer("https://auth.docker.io/token", "registry.docker.io", "");
        assert_eq!(Challenge::parse(hub), [expect]);
        let scoped = r#"bearer realm="https://a/t", service=b , scope="repository:x:pull,push""#;
        let expect = bearer("https://a/t", "b", "repository:x:pull,push");
        assert_eq!(Challenge::parse(scoped), [expect]);
        assert_eq!(
            Challenge::parse(r#"Basic realm="Registry Realm""#),
            [Challenge::Basic]
        );
        let both = r#"Negotiate, Digest realm="x", nonce="a,b\"c=", Basic, Bearer realm=y"#;
        assert_eq!(
            Challenge::parse(both),
            [Challenge::Basic, bearer("y", "", "")]
        );
    }

    #[test]
    fn what_is_no_challenge_is_passed_over() {
        let long = format!("Basic {}", ",".repeat(HEADER_BYTES_MAX));
        let none = [
            "",
            ",,,",
            "Bearer",
            r#"Bearer realm="x"#,
            "=\"",
            "\"Basic\"",
            &long,
        ];
        for text in none {
            assert_eq!(Challenge::parse(text), [], "{text}");
        }
        assert_eq!(Challenge::parse("Basic \"").len(), 1);
    }

    #[test]
    fn no_bytes_break_the_parser() {
        let mut rng = Rng::from_seed(6);
        let pieces = [
            "Bearer", "realm", "=", "\"", "\\", ",", " ", "é", "scope", "Basic", "\t",
        ];
        for _ in 0..20_000 {
            let count = rng.below(12);
            let text: String = (0..count)
                .map(|_| pieces[usize::try_from(rng.below(11)).unwrap()])
                .collect();
            for challenge in Challenge::parse(&text) {
                if let Challenge::Bearer(bearer) = challenge {
                    assert!(!bearer.realm.is_empty(), "{text}");
                }
            }
        }
    }
}
