//! Secrets and configs that are templates: what else a task was given can be filled in as well.

use std::sync::Arc;

use serde_json::Value;

use crate::model::spec::Driver;
use crate::model::spec::container::ContainerSpec;
use crate::template::eval::show;
use crate::template::task::{Fields, Known};
use crate::template::{Error, Functions, Template};
use crate::wire::dependency::{Dependency, DependencyId};

/// The one language of templates that Docker has, as a secret or a config names it.
const LANGUAGE: &str = "golang";
const FUNCTIONS: &[&str] = &["config", "env", "join", "secret"];

/// The functions of a secret or config: what else the task was given.
struct Payload<'a> {
    /// Filled in.
    spec: &'a ContainerSpec,
    sent: &'a [Arc<Dependency>],
}

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload")
    }
}

impl Functions for Payload<'_> {
    fn names(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        match (name, args) {
            ("join", _) => Fields.call(name, args),
            ("env", [variable]) => Ok(self.env(&show(variable)).into()),
            ("secret", [target]) => self.secret(&show(target)),
            ("config", [target]) => self.config(&show(target)),
            _ => Err(Error::Argument {
                function: name.to_owned(),
                why: "it takes one argument",
            }),
        }
    }
}

impl Payload<'_> {
    fn env(&self, variable: &str) -> String {
        let entries = self.spec.env.iter();
        let mut pairs = entries.filter_map(|entry| entry.split_once('='));
        let found = pairs.find(|(name, _)| *name == variable);
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    }

    fn secret(&self, target: &str) -> Result<Value, Error> {
        let used = self.spec.secrets.iter();
        let found = used.filter(|used| used.file.as_ref().is_some_and(|file| file.name == target));
        let id = found.flat_map(|used| used.secret_id.parse()).next();
        self.data("secret", target, id.map(DependencyId::Secret))
    }

    fn config(&self, target: &str) -> Result<Value, Error> {
        let used = self.spec.configs.iter();
        let found = used.filter(|used| used.file.as_ref().is_some_and(|file| file.name == target));
        let id = found.flat_map(|used| used.config_id.parse()).next();
        self.data("config", target, id.map(DependencyId::Config))
    }

    /// Another file of the task, as it was given: not filled in.
    fn data(
        &self,
        function: &'static str,
        target: &str,
        id: Option<DependencyId>,
    ) -> Result<Value, Error> {
        let absent = |why| Error::Absent {
            function,
            name: target.to_owned(),
            why,
        };
        let found = self.sent.iter().find(|one| Some(one.id) == id);
        let found = found.ok_or_else(|| absent("the task has no file of that name"))?;
        let text = std::str::from_utf8(&found.data);
        Ok(text.map_err(|_| absent("it is not text"))?.into())
    }
}

/// The data of a secret or config that is a template; `spec` is filled in already. What is wrong is
/// said without the data.
pub fn fill_payload(
    data: &[u8],
    spec: &ContainerSpec,
    sent: &[Arc<Dependency>],
    known: &Known,
) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(data).map_err(|_| NOT_TEXT.to_owned())?;
    let filled = Template::parse_with(text, FUNCTIONS)
        .and_then(|template| template.render_with(&known.0, &Payload { spec, sent }));
    match filled {
        Ok(filled) => Ok(filled.into_bytes()),
        Err(error) => Err(error.without_text()),
    }
}

/// What is wrong with a secret or config that says it is a template, if it does.
pub fn payload_problem(templating: Option<&Driver>, data: &[u8]) -> Option<String> {
    let language = templating.map(|driver| driver.name.as_str())?;
    match language {
        "" => None,
        LANGUAGE => {
            let Ok(text) = std::str::from_utf8(data) else {
                return Some(format!("Data: {NOT_TEXT}"));
            };
            let read = Template::parse_with(text, FUNCTIONS);
            let error = read.err()?;
            Some(format!("Data: {}", error.without_text()))
        }
        other => Some(format!(
            "Templating.Name: {other:?}: only {LANGUAGE:?} is possible"
        )),
    }
}

const NOT_TEXT: &str = "a template must be text in UTF-8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{ConfigId, SecretId};
    use crate::model::spec::Labels;
    use crate::model::spec::container::{ConfigReference, FileTarget, SecretReference};
    use crate::template::task::tests::known;

    #[track_caller]
    fn check_payload(template: &str, expect: &str) {
        let file = |name: &str| {
            Some(FileTarget {
                name: name.into(),
                ..FileTarget::default()
            })
        };
        let secret = |number, name| SecretReference {
            file: file(name),
            secret_id: SecretId(number).to_string(),
            secret_name: "of no matter".into(),
        };
        let spec = ContainerSpec {
            env: vec!["COLOUR=a=b".into(), "BARE".into()],
            secrets: vec![secret(1, "token"), secret(2, "binary"), secret(3, "gone")],
            configs: vec![ConfigReference {
                file: file("/etc/site"),
                config_id: ConfigId(1).to_string(),
                ..ConfigReference::default()
            }],
            ..ContainerSpec::default()
        };
        let sent = |id, data: &[u8]| {
            Arc::new(Dependency {
                id,
                data: data.into(),
                template: false,
                at_rest: false,
            })
        };
        let sent = [
            sent(DependencyId::Secret(SecretId(1)), b"s3cret"),
            sent(DependencyId::Secret(SecretId(2)), &[0xff, 0xfe]),
            sent(DependencyId::Config(ConfigId(1)), b"{{.Not.Filled}}"),
        ];
        let got = fill_payload(template.as_bytes(), &spec, &sent, &known());
        let got = got.map(|data| String::from_utf8(data).unwrap());
        let got = got.unwrap_or_else(|problem| problem);
        let end = got.strip_prefix("template parsing error: ");
        assert_eq!(end.unwrap_or(&got), expect, "{template}");
    }

    #[test]
    fn a_secret_or_config_also_knows_what_else_the_task_was_given() {
        check_payload(
            "{{env \"COLOUR\"}}|{{env \"BARE\"}}|{{env \"NO\"}}",
            "a=b||",
        );
        check_payload("key={{secret \"token\"}}", "key=s3cret");
        check_payload("{{config \"/etc/site\"}}", "{{.Not.Filled}}");
        check_payload("{{.Service.Name}}", "web");
        let at = "executing \"\" at ";
        check_payload(
            "{{secret \"nope\"}}",
            &format!("{at}<secret \"nope\">: the task has no file of that name"),
        );
        check_payload(
            "{{secret \"gone\"}}",
            &format!("{at}<secret \"gone\">: the task has no file of that name"),
        );
        check_payload(
            "{{secret \"binary\"}}",
            &format!("{at}<secret \"binary\">: it is not text"),
        );
        // What is in the data is not told.
        check_payload("{{ 1 ) \"pass\" }}", "the syntax is wrong");
    }

    #[test]
    fn a_payload_is_judged_when_it_is_made() {
        let driver = |name: &str| Driver {
            name: name.into(),
            options: Labels::new(),
        };
        let check = |name: &str, data: &[u8], expect: Option<&str>| {
            let got = payload_problem(Some(&driver(name)), data);
            assert_eq!(got.as_deref(), expect);
        };
        check("", b"{{", None);
        check("golang", b"{{env \"A\"}}", None);
        check(
            "golang",
            b"{{",
            Some("Data: template parsing error: the syntax is wrong"),
        );
        check(
            "golang",
            &[0xff],
            Some("Data: a template must be text in UTF-8"),
        );
        check(
            "jinja",
            b"x",
            Some("Templating.Name: \"jinja\": only \"golang\" is possible"),
        );
        assert_eq!(payload_problem(None, b"{{"), None);
    }

    #[test]
    fn two_modest_things_do_not_become_a_huge_one() {
        let separator = "y".repeat(100_000);
        let big = format!(
            "{{{{$x := \"{separator}\"}}}}{{{{join $x{}}}}}",
            " \"\"".repeat(200)
        );
        check_payload(
            &big,
            "executing \"\" at <join>: the result would be too long",
        );
    }
}
