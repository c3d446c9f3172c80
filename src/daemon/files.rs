//! The files that a task's container is handed: its secrets and configs, at Docker's places.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::model::spec::container::{ContainerSpec, FileTarget};
use crate::model::validate;
use crate::runtime::content::Content;
use crate::runtime::plan::FilePlan;
use crate::template::payload::fill_payload;
use crate::template::task::{Known, fill_container};
use crate::wire::dependency::{Dependency, DependencyId};

const SECRETS_DIR: &str = "/run/secrets";
const CONFIGS_DIR: &str = "/";
/// Readable by all, when the spec says nothing.
const MODE: u32 = 0o444;

/// Files and what they contain.
#[derive(Debug)]
pub struct Files {
    pub plans: Vec<FilePlan>,
    /// `None` if there are no files.
    pub content: Option<Content>,
}

/// A task's files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{kind} {name} is not on this node: it was removed from the swarm")]
    Missing { kind: &'static str, name: String },
    #[error("{what} {value:?} of {file} is not a number")]
    Owner {
        what: &'static str,
        value: String,
        file: String,
    },
    /// Templates of the spec, or what came of them.
    #[error("{}", .0.join("; "))]
    Spec(Vec<String>),
    #[error("cannot fill in {kind} {name}: {problem}")]
    Template {
        kind: &'static str,
        name: String,
        problem: String,
    },
    #[error("cannot keep secrets and configs in memory: {0}")]
    Memory(#[source] io::Error),
}

/// A spec with its templates filled in: what came of them is judged as what users write is.
pub fn filled(spec: &ContainerSpec, known: &Known) -> Result<ContainerSpec, FilesError> {
    let filled = fill_container(spec, known).map_err(FilesError::Spec)?;
    let problems = match filled == *spec {
        true => Vec::new(),
        false => validate::container(&filled),
    };
    match problems.is_empty() {
        true => Ok(filled),
        false => Err(FilesError::Spec(problems)),
    }
}

/// The files of a container, from what the managers sent for it; what is a template is filled in
/// with what the task knows.
pub fn files(
    spec: &ContainerSpec,
    sent: &[Arc<Dependency>],
    known: &Known,
) -> Result<Files, FilesError> {
    let (mut plans, mut data) = (Vec::new(), Vec::new());
    let mut add = |kind, name: &str, id: Option<DependencyId>, file: &FileTarget, dir| {
        let found = sent.iter().find(|one| Some(one.id) == id);
        let found = found.ok_or_else(|| FilesError::Missing {
            kind,
            name: name.to_owned(),
        })?;
        let bytes = match found.template {
            false => Cow::Borrowed(&found.data[..]),
            true => fill_payload(&found.data, spec, sent, known)
                .map(Cow::Owned)
                .map_err(|problem| FilesError::Template {
                    kind,
                    name: name.to_owned(),
                    problem,
                })?,
        };
        plans.push(plan(file, dir, bytes.len())?);
        data.push(bytes);
        Ok(())
    };
    for used in &spec.secrets {
        let id = used.secret_id.parse().ok().map(DependencyId::Secret);
        let file = used.file.clone().unwrap_or_default();
        add("secret", &used.secret_name, id, &file, SECRETS_DIR)?;
    }
    for used in &spec.configs {
        let id = used.config_id.parse().ok().map(DependencyId::Config);
        let file = used.file.clone().unwrap_or_default();
        add("config", &used.config_name, id, &file, CONFIGS_DIR)?;
    }
    let content = match plans.is_empty() {
        true => None,
        false => {
            Some(Content::new(data.iter().map(|bytes| &bytes[..])).map_err(FilesError::Memory)?)
        }
    };
    Ok(Files { plans, content })
}

fn plan(file: &FileTarget, dir: &str, bytes: usize) -> Result<FilePlan, FilesError> {
    let number = |what, value: &String| match value.is_empty() {
        true => Ok(0),
        false => value.parse().map_err(|_| FilesError::Owner {
            what,
            value: value.clone(),
            file: file.name.clone(),
        }),
    };
    Ok(FilePlan {
        // An absolute name stays what it is.
        target: Path::new(dir)
            .join(&file.name)
            .to_string_lossy()
            .into_owned(),
        uid: number("UID", &file.uid)?,
        gid: number("GID", &file.gid)?,
        mode: if file.mode == 0 { MODE } else { file.mode },
        bytes: bytes as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::assignment;
    use crate::model::id::{ConfigId, NodeId, SecretId};
    use crate::model::spec::container::{ConfigReference, SecretReference};
    use crate::model::spec::node::NodeDescription;

    fn spec() -> ContainerSpec {
        let file = |name: &str, uid: &str, mode| {
            Some(FileTarget {
                name: name.into(),
                uid: uid.into(),
                gid: String::new(),
                mode,
            })
        };
        let secret = |file| SecretReference {
            file,
            secret_id: SecretId(1).to_string(),
            secret_name: "token".into(),
        };
        let config = |file| ConfigReference {
            file,
            config_id: ConfigId(1).to_string(),
            config_name: "site".into(),
            ..ConfigReference::default()
        };
        ContainerSpec {
            secrets: vec![
                secret(file("key", "7", 0o400)),
                secret(file("/etc/key", "", 0)),
            ],
            configs: vec![config(file("site.conf", "0", 0o644))],
            ..ContainerSpec::default()
        }
    }

    fn sent() -> Vec<Arc<Dependency>> {
        let one = |id, data: &str| {
            Arc::new(Dependency {
                id,
                data: data.into(),
                template: false,
                at_rest: false,
            })
        };
        let secret = DependencyId::Secret(SecretId(1));
        vec![
            one(secret, "s3cret"),
            one(DependencyId::Config(ConfigId(1)), "hi"),
        ]
    }

    fn known() -> Known {
        let task = assignment("web.3", "running");
        Known::of(&task, NodeId(1), &NodeDescription::default())
    }

    #[test]
    fn a_template_is_filled_in_for_its_task_and_one_that_fails_is_named() {
        let mut sent = sent();
        let config = |data: &str| {
            Arc::new(Dependency {
                id: DependencyId::Config(ConfigId(1)),
                data: data.into(),
                template: true,
                at_rest: false,
            })
        };
        sent[1] = config("{{.Service.Name}} {{secret \"key\"}}");
        let plans = files(&spec(), &sent, &known()).unwrap().plans;
        assert_eq!(plans[2].bytes, "web s3cret".len() as u64);
        sent[1] = config("{{.Nope}}");
        let error = files(&spec(), &sent, &known()).unwrap_err().to_string();
        let why = "template parsing error: executing \"\" at <.Nope>: no such field";
        let expect = format!("cannot fill in config site: {why}");
        assert_eq!(error, expect);
    }

    #[test]
    fn relative_names_go_to_dockers_places_and_absolute_ones_stay() {
        let files = files(&spec(), &sent(), &known()).unwrap();
        let plans = files.plans.iter();
        let plans: Vec<_> = plans
            .map(|p| (&p.target[..], p.uid, p.mode, p.bytes))
            .collect();
        let expect = [
            ("/run/secrets/key", 7, 0o400, 6),
            ("/etc/key", 0, 0o444, 6),
            ("/site.conf", 0, 0o644, 2),
        ];
        assert_eq!(plans, expect);
        assert!(files.content.is_some());
    }

    #[test]
    fn what_was_not_sent_is_named() {
        let error = files(&spec(), &sent()[..1], &known())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "config site is not on this node: it was removed from the swarm"
        );
        assert!(
            files(&ContainerSpec::default(), &[], &known())
                .unwrap()
                .content
                .is_none()
        );
    }
}
