//! Names of images, by Docker's grammar: `[registry/]name[:tag][@digest]`.

use std::fmt;

use crate::image::digest::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL: &str = "library/";
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 1024;

/// A normalised image name. `alpine` is `docker.io/library/alpine`; shown, it is `alpine` again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's host and port.
    pub registry: String,
    /// The path within the registry.
    pub path: String,
    /// The tag, if one was given.
    pub tag: Option<String>,
    /// The manifest's digest, if one was given; its algorithm may be one that skep cannot check.
    pub digest: Option<String>,
}

/// Why a text is not a reference, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Grammar.
    #[error("invalid reference format")]
    Format,
    /// 64 hex digits would be taken for an id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// Longer than a registry takes.
    #[error("repository name must not be more than {NAME_BYTES_MAX} characters")]
    TooLong,
    /// Upper case in the path.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
}

impl Reference {
    /// Parses and normalises; adds no tag.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ReferenceError::Format);
        }
        if Digest::from_hex(text).is_some() {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let (registry, path) = split_registry(name);
        check_name(registry, &path)?;
        if !tag.is_none_or(is_tag) || !digest.is_none_or(is_digest) {
            return Err(ReferenceError::Format);
        }
        Ok(Self {
            registry: registry.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// With the tag `latest` if it has neither tag nor digest.
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository, with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository, with a digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest.to_string()),
            ..self.clone()
        }
    }

    /// `docker.io/library/alpine`: registry and path.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// `alpine`: the repository as people write it.
    pub fn familiar_repository(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.repository();
        }
        let short = self.path.strip_prefix(OFFICIAL);
        // `library/a/b` shown as `a/b` would be read back as another repository.
        let short = short.filter(|s| !s.contains('/'));
        let short = short.unwrap_or(&self.path);
        // Nor may a path that begins like a registry be read back as one.
        match split_registry(short) {
            (registry, path) if registry == self.registry && path == self.path => short.to_owned(),
            _ => self.repository(),
        }
    }

    /// `alpine:3.20`: the whole reference as people write it.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_repository())
    }

    fn suffixed(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }
}

/// The canonical form: nothing left out.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.repository()))
    }
}

/// A colon after the last slash begins a tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

fn split_registry(name: &str) -> (&str, String) {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = match registry {
        "index.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    if registry == DEFAULT_REGISTRY && !path.contains('/') {
        return (registry, format!("{OFFICIAL}{path}"));
    }
    (registry, path.to_owned())
}

fn looks_like_host(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_name(registry: &str, path: &str) -> Result<(), ReferenceError> {
    let upper = path.bytes().any(|b| b.is_ascii_uppercase());
    if upper && is_path(&path.to_ascii_lowercase()) {
        return Err(ReferenceError::UpperCase(path.to_owned()));
    }
    if !is_registry(registry) || !is_path(path) {
        return Err(ReferenceError::Format);
    }
    if registry.len() + 1 + path.len() > NAME_BYTES_MAX {
        return Err(ReferenceError::TooLong);
    }
    Ok(())
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if !port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(is_host_label),
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

/// Words of small letters and digits, between them `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alnum(*first)
        && alnum(*last)
        && component
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= TAG_BYTES_MAX
        && !tag.is_empty()
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic())
            && w.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let length_right = match algorithm {
        "sha256" => hex.len() == 64,
        "sha512" => hex.len() == 128,
        _ => hex.len() >= 32,
    };
    length_right
        && algorithm.split(['+', '.', '-', '_']).all(word)
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, canonical: &str, familiar: &str) {
        let reference = Reference::parse(given).unwrap();
        assert_eq!(
            reference.to_string(),
            canonical,
            "canonical form of {given}"
        );
        assert_eq!(reference.familiar(), familiar, "familiar form of {given}");
        assert_eq!(
            Reference::parse(familiar).as_ref(),
            Ok(&reference),
            "{familiar} read back"
        );
    }

    #[track_caller]
    fn refused(given: &str, expect: &str) {
        let error = Reference::parse(given).unwrap_err();
        assert_eq!(error.to_string(), expect, "{given}");
    }

    #[test]
    fn names_are_normalised_and_shown_as_people_write_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        check("alpine", "docker.io/library/alpine", "alpine");
        check(
            "alpine:3.20",
            "docker.io/library/alpine:3.20",
            "alpine:3.20",
        );
        check("library/alpine", "docker.io/library/alpine", "alpine");
        check("docker.io/alpine", "docker.io/library/alpine", "alpine");
        check(
            "index.docker.io/alpine",
            "docker.io/library/alpine",
            "alpine",
        );
        check("me/app", "docker.io/me/app", "me/app");
        check(
            "docker.io/registry.example/a",
            "docker.io/registry.example/a",
            "docker.io/registry.example/a",
        );
        check("localhost/app", "localhost/app", "localhost/app");
        check(
            "localhost:5000/app:1",
            "localhost:5000/app:1",
            "localhost:5000/app:1",
        );
        check(
            "ghcr.io/a/b__c/d--e.f:V1",
            "ghcr.io/a/b__c/d--e.f:V1",
            "ghcr.io/a/b__c/d--e.f:V1",
        );
        check("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a");
        check("Registry/a", "Registry/a", "Registry/a");
        check(
            "docker.io/library/a/b",
            "docker.io/library/a/b",
            "library/a/b",
        );
        check(
            &format!("a:1@{digest}"),
            &format!("docker.io/library/a:1@{digest}"),
            &format!("a:1@{digest}"),
        );
    }

    #[test]
    fn what_is_not_a_reference_is_refused_in_dockers_words() {
        let hex = "a".repeat(64);
        refused(
            "Alpine",
            "invalid reference format: repository name (library/Alpine) must be lowercase",
        );
        refused(
            &hex,
            &format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings"),
        );
        refused(
            "a/".repeat(130).trim_end_matches('/'),
            "repository name must not be more than 255 characters",
        );
        let bad = [
            "",
            ":",
            "a:",
            ":a",
            "a:b:c",
            "a@",
            "a@sha256:12",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a:-x",
            "a:.x",
            "ä",
            "x.y:z/a",
            "[::1/a",
            "a\0",
            "a@b@c",
            "-x.y/a",
            &format!("a:{}", "t".repeat(129)),
            &"x".repeat(2000),
        ];
        for text in bad {
            refused(text, "invalid reference format");
        }
    }

    #[test]
    fn latest_is_added_only_where_nothing_else_is_said() {
        let latest = |text: &str| Reference::parse(text).unwrap().or_latest().familiar();
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(latest("a"), "a:latest");
        assert_eq!(latest("a:1"), "a:1");
        assert_eq!(latest(&digest), digest);
    }
}
