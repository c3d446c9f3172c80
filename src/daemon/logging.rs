//! Where a task's output goes on this host, from what its spec says.

use serde_json::json;

use crate::model::logging::{Logging, LoggingError};
use crate::model::spec::container::ContainerSpec;
use crate::model::spec::task::TaskSpec;
use crate::runtime::plan::{LogPlan, Origin};
use crate::template::{Error, NoMore, Template};

/// What is wrong with a task's log driver.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("TaskTemplate.LogDriver.{0}")]
    Driver(#[from] LoggingError),
    #[error("TaskTemplate.LogDriver.Options: tag: {tag:?}: {source}")]
    Tag { tag: String, source: Error },
}

/// The log of a container; `env` are its spec's variables.
pub fn plan(
    id: &str,
    spec: &TaskSpec,
    container: &ContainerSpec,
    origin: &Origin,
) -> Result<LogPlan, LogError> {
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(match Logging::read(spec.log_driver.as_ref())? {
        Logging::Ring { bytes } => LogPlan::Ring {
            bytes: bytes.map(narrow),
        },
        Logging::None => LogPlan::None,
        Logging::Local { bytes } => LogPlan::Local {
            bytes: narrow(bytes),
        },
        Logging::Journald { tag, labels, env } => {
            let mut fields = fields(id, tag, origin)?;
            let labels = labels.iter();
            let labels = labels.filter_map(|name| Some((name, container.labels.get(name)?)));
            fields.extend(labels.map(|(name, value)| (journal_name(name), value.clone())));
            let env = container.env.iter().filter_map(|entry| {
                let (name, value) = entry.split_once('=')?;
                let wanted = env.iter().any(|wanted| wanted == name);
                wanted.then(|| (journal_name(name), value.to_owned()))
            });
            fields.extend(env);
            LogPlan::Journald { fields }
        }
    })
}

/// Docker's fields.
fn fields(
    id: &str,
    tag: Option<String>,
    origin: &Origin,
) -> Result<Vec<(String, String)>, LogError> {
    let short: String = id.chars().take(12).collect();
    let known = json!({
        "ID": short,
        "FullID": id,
        "Name": origin.name,
        "ImageID": origin.image_id,
        "ImageName": origin.image,
        "DaemonName": "skep",
    });
    let tag = match tag {
        None => short.clone(),
        Some(tag) => {
            let filled = Template::parse(&tag).and_then(|t| t.render_with(&known, &NoMore));
            filled.map_err(|source| LogError::Tag { tag, source })?
        }
    };
    let fields = [
        ("CONTAINER_ID", short),
        ("CONTAINER_ID_FULL", id.to_owned()),
        ("CONTAINER_NAME", origin.name.clone()),
        ("CONTAINER_TAG", tag.clone()),
        ("IMAGE_NAME", origin.image.clone()),
        ("SYSLOG_IDENTIFIER", tag),
    ];
    Ok(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

/// As the journal wants it, and Docker makes it: capitals, digits and underscores.
fn journal_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let plain = |c: char| match c.is_ascii_uppercase() || c.is_ascii_digit() {
        true => c,
        false => '_',
    };
    let name: String = upper.chars().map(plain).collect();
    name.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Driver;

    fn plan_of(options: &[(&str, &str)]) -> Result<LogPlan, LogError> {
        let options = options.iter();
        let spec = TaskSpec {
            log_driver: Some(Driver {
                name: "journald".into(),
                options: options
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            }),
            ..TaskSpec::default()
        };
        let container = ContainerSpec {
            labels: [("my.label".to_owned(), "1".to_owned())].into(),
            env: vec!["A=b".into(), "C=d".into()],
            ..ContainerSpec::default()
        };
        let origin = Origin {
            name: "web.1".into(),
            ..Origin::default()
        };
        plan("0123456789abcdef", &spec, &container, &origin)
    }

    #[test]
    fn an_entry_of_the_journal_says_whose_it_is() {
        let options = [
            ("tag", "{{.Name}}/{{.ID}}"),
            ("labels", "my.label"),
            ("env", "C"),
        ];
        let LogPlan::Journald { fields } = plan_of(&options).unwrap() else {
            panic!("no journal");
        };
        let has = |name: &str, value: &str| fields.contains(&(name.into(), value.into()));
        assert!(has("SYSLOG_IDENTIFIER", "web.1/0123456789ab"), "{fields:?}");
        assert!(has("CONTAINER_ID_FULL", "0123456789abcdef"), "{fields:?}");
        assert!(
            has("MY_LABEL", "1") && has("C", "d") && !has("A", "b"),
            "{fields:?}"
        );
        let error = plan_of(&[("tag", "{{.Nope}}")]).unwrap_err().to_string();
        assert!(
            error.contains("tag: \"{{.Nope}}\": ") && error.contains("<.Nope>"),
            "{error}"
        );
    }
}
