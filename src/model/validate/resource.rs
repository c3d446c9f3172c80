//! Secrets and configs, and the references of a service to them.

use std::collections::BTreeMap;

use crate::model::spec::container::{ContainerSpec, FileTarget};
use crate::model::spec::{ConfigSpec, Labels, SecretSpec};
use crate::model::validate::{Problems, check_label};

/// A secret has fewer bytes than this, and a config at most this many.
const SECRET_BYTES: usize = 500 * 1024;
const CONFIG_BYTES_MAX: usize = 1000 * 1024;
const NAME_CHARS_MAX: usize = 64;
/// Secrets, and configs, that one service may name.
const REFERENCES_MAX: usize = 256;
const MODE_MAX: u32 = 0o7777;

pub(super) fn check_secret(spec: &SecretSpec, problems: &mut Problems) {
    check_head(&spec.name, &spec.labels, problems);
    let size = spec.data.len();
    problems.check((1..SECRET_BYTES).contains(&size), || {
        format!("Data: secret data must be larger than 0 and less than {SECRET_BYTES} bytes")
    });
    let driver = spec.driver.as_ref().map_or("", |driver| &driver.name);
    problems.check(driver.is_empty(), || {
        format!("Driver: {driver:?}: secret drivers are plugins, which skep does not have")
    });
}

pub(super) fn check_config(spec: &ConfigSpec, problems: &mut Problems) {
    check_head(&spec.name, &spec.labels, problems);
    let size = spec.data.len();
    problems.check((1..=CONFIG_BYTES_MAX).contains(&size), || {
        format!("Data: config data must be larger than 0 and less than {CONFIG_BYTES_MAX} bytes")
    });
}

/// The name, by Docker's rule for secrets and configs, and the labels.
fn check_head(name: &str, labels: &Labels, problems: &mut Problems) {
    let bytes = name.as_bytes();
    let ends_fine = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let middle_fine = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    let fine = bytes.len() <= NAME_CHARS_MAX
        && ends_fine(bytes.first())
        && ends_fine(bytes.last())
        && bytes.iter().all(middle_fine);
    if name.is_empty() {
        problems.add("Name: name must be provided");
    } else {
        problems.check(fine, || {
            let start: String = name.chars().take(NAME_CHARS_MAX).collect();
            format!(
                "Name: {start:?}: invalid name, only {NAME_CHARS_MAX} [a-zA-Z0-9-_.] characters \
                 allowed, and the start and end character must be [a-zA-Z0-9]"
            )
        });
    }
    for (key, value) in labels {
        check_label("Labels", key, value, problems);
    }
}

/// The references of a service's container: each to an object and a file of its own.
pub(super) fn check_references(spec: &ContainerSpec, problems: &mut Problems) {
    let secrets = spec.secrets.iter();
    let secrets = secrets.map(|s| (&s.secret_id, &s.secret_name, s.file.as_ref()));
    check_kind("secret", "Secrets", secrets.collect(), problems);
    let runtime = spec.configs.iter().any(|config| config.runtime);
    problems.check(!runtime, || {
        "TaskTemplate.ContainerSpec.Configs.Runtime: only for credential specs, which are \
         Windows'; give it a File"
            .to_owned()
    });
    let configs = spec.configs.iter().filter(|config| !config.runtime);
    let configs = configs.map(|c| (&c.config_id, &c.config_name, c.file.as_ref()));
    check_kind("config", "Configs", configs.collect(), problems);
}

/// An object's id and name, and the file that it becomes.
type Reference<'a> = (&'a String, &'a String, Option<&'a FileTarget>);

fn check_kind(kind: &str, field: &str, references: Vec<Reference<'_>>, problems: &mut Problems) {
    let field = format!("TaskTemplate.ContainerSpec.{field}");
    let count = references.len();
    problems.check(count <= REFERENCES_MAX, || {
        format!("{field}: {count} entries: at most {REFERENCES_MAX}")
    });
    let mut taken = BTreeMap::<&str, &str>::new();
    for (id, name, file) in references {
        problems.check(!id.is_empty() && !name.is_empty(), || {
            format!("{field}: malformed {kind} reference: it needs an id and a name")
        });
        let Some(file) = file else {
            problems.add(format!(
                "{field}: malformed {kind} reference {name:?}, no target provided"
            ));
            continue;
        };
        check_file(kind, &field, file, problems);
        if let Some(other) = taken.insert(&file.name, name) {
            problems.add(format!(
                "{field}: {kind} references '{other}' and '{name}' have a conflicting target: '{}'",
                file.name
            ));
        }
    }
}

fn check_file(kind: &str, field: &str, file: &FileTarget, problems: &mut Problems) {
    let FileTarget { name, .. } = file;
    let parts = || name.split('/').filter(|part| !part.is_empty());
    let inside = parts().count() > 0 && parts().all(|part| part != "." && part != "..");
    problems.check(
        inside && !name.ends_with('/') && !name.contains('\0'),
        || {
            format!(
                "{field}.File.Name: {name:?}: malformed file {kind} reference, invalid target file \
             name provided"
            )
        },
    );
    for (part, value) in [("UID", &file.uid), ("GID", &file.gid)] {
        problems.check(value.is_empty() || value.parse::<u32>().is_ok(), || {
            format!("{field}.File.{part}: {value:?}: must be a number")
        });
    }
    problems.check(file.mode <= MODE_MAX, || {
        format!("{field}.File.Mode: {:o}: at most {MODE_MAX:o}", file.mode)
    });
}

#[cfg(test)]
mod tests {
    use crate::model::spec::{ConfigSpec, Driver, SecretSpec};
    use crate::model::validate::{config, secret};

    fn token() -> SecretSpec {
        SecretSpec {
            name: "db.token_1-a".into(),
            data: b"s3cret".to_vec(),
            ..SecretSpec::default()
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut SecretSpec), problem: &str) {
        let mut spec = token();
        change(&mut spec);
        let problems = secret(&spec);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(problem), "{problems:?}");
    }

    #[test]
    fn names_of_secrets_may_have_dots_and_64_characters() {
        assert_eq!(secret(&token()), Vec::<String>::new());
        check(|s| s.name.clear(), "Name: name must be provided");
        for name in [".a", "a.", "a b", "é", "a/b", &"x".repeat(65)] {
            check(|s| s.name = name.into(), "Name: ");
        }
        let mut spec = token();
        spec.name = "x".repeat(64);
        assert_eq!(secret(&spec), Vec::<String>::new());
    }

    #[test]
    fn data_has_dockers_limits() {
        let few = "Data: secret data must be larger than 0 and less than 512000 bytes";
        check(|s| s.data.clear(), few);
        check(|s| s.data = vec![0; 512_000], few);
        let mut spec = token();
        spec.data = vec![0; 511_999];
        assert_eq!(secret(&spec), Vec::<String>::new());
        let sized = |length| ConfigSpec {
            name: "site".into(),
            data: vec![0; length],
            ..ConfigSpec::default()
        };
        assert_eq!(config(&sized(1_024_000)), Vec::<String>::new());
        let problem = "Data: config data must be larger than 0 and less than 1024000 bytes";
        assert_eq!(config(&sized(0)), [problem]);
        assert_eq!(config(&sized(1_024_001)), [problem]);
    }

    #[test]
    fn drivers_are_refused_by_name_and_labels_need_names() {
        let driver = |name: &str| {
            Some(Driver {
                name: name.into(),
                ..Driver::default()
            })
        };
        check(|s| s.driver = driver("vault"), "Driver: \"vault\": secret");
        let label = (String::new(), "x".to_owned());
        check(|s| s.labels.extend([label]), "Labels: ");
    }

    #[test]
    fn what_is_secret_is_not_shown_by_debug() {
        assert_eq!(
            format!("{:?}", token()),
            "SecretSpec(\"db.token_1-a\", 6 bytes)"
        );
    }
}
