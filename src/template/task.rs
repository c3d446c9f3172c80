//! What a task may fill in: Swarm's templates in environment, hostname and mounts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::id::NodeId;
use crate::model::object::Slot;
use crate::model::spec::container::ContainerSpec;
use crate::model::spec::node::{NodeDescription, Platform};
use crate::model::spec::service::ServiceSpec;
use crate::template::eval::show;
use crate::template::functions::joined;
use crate::template::{Error, Functions, Template};
use crate::wire::session::Assignment;

/// What all fields of one container may become together.
const FIELDS_BYTES_MAX: usize = 512 << 10;

/// What templates know of a task.
#[derive(Clone, Debug)]
pub struct Known(pub(super) Value);

impl Known {
    /// What a task knows on its node.
    pub fn of(task: &Assignment, node: NodeId, host: &NodeDescription) -> Self {
        let slot = match task.slot {
            Slot::Number(number) => number.to_string(),
            Slot::Node(node) => node.to_string(),
        };
        let service = (&task.service.to_string()[..], &task.service_name[..]);
        let names = (&task.task.to_string()[..], &task.container_name()[..]);
        let node = (&node.to_string()[..], &host.hostname[..]);
        Self(json!({
            "Service": {"ID": service.0, "Name": service.1, "Labels": task.service_labels},
            "Node": {"ID": node.0, "Hostname": node.1, "Platform": platform(&host.platform)},
            // With its id, as its container is named.
            "Task": {"ID": names.0, "Name": names.1, "Slot": slot},
        }))
    }

    /// What a first task could know, before there is one.
    fn guessed(spec: &ServiceSpec) -> Self {
        let task = format!("{}.1.taskid", spec.name);
        let host = Platform {
            architecture: "x86_64".into(),
            os: "linux".into(),
        };
        Self(json!({
            "Service": {"ID": "serviceid", "Name": spec.name, "Labels": spec.labels},
            "Node": {"ID": "nodeid", "Hostname": "hostname", "Platform": platform(&host)},
            "Task": {"ID": "taskid", "Name": task, "Slot": "1"},
        }))
    }
}

fn platform(platform: &Platform) -> Value {
    json!({"Architecture": platform.architecture, "OS": platform.os})
}

/// The service with its container as a first task could have it, for whoever judges specs.
pub fn fill_guessed(spec: &ServiceSpec) -> Result<ServiceSpec, Vec<String>> {
    let mut filled = spec.clone();
    filled.task.container = fill_container(&spec.task.container, &Known::guessed(spec))?;
    Ok(filled)
}

/// The container with every template filled in, or all that is wrong with them.
pub fn fill_container(spec: &ContainerSpec, known: &Known) -> Result<ContainerSpec, Vec<String>> {
    let mut filling = Filling {
        values: &known.0,
        bytes: 0,
        problems: Vec::new(),
    };
    let mut filled = spec.clone();
    filling.fill("Hostname", &mut filled.hostname);
    for entry in &mut filled.env {
        filling.fill("Env", entry);
    }
    for mount in &mut filled.mounts {
        filling.fill("Mounts.Source", &mut mount.source);
        filling.fill("Mounts.Target", &mut mount.target);
        if let Some(options) = &mut mount.volume {
            filling.fill_all("Mounts.VolumeOptions.Labels", &mut options.labels);
            if let Some(driver) = &mut options.driver {
                let field = "Mounts.VolumeOptions.DriverConfig.Options";
                filling.fill_all(field, &mut driver.options);
            }
        }
    }
    match filling.problems.is_empty() {
        true => Ok(filled),
        false => Err(filling.problems),
    }
}

/// One container under way.
struct Filling<'a> {
    values: &'a Value,
    bytes: usize,
    problems: Vec<String>,
}

impl Filling<'_> {
    fn fill(&mut self, field: &str, text: &mut String) {
        if !text.contains("{{") {
            return;
        }
        let filled = Template::parse_with(text, FIELD_FUNCTIONS)
            .and_then(|template| template.render_with(self.values, &Fields));
        let filled = filled.and_then(|filled| {
            self.bytes += filled.len();
            match self.bytes > FIELDS_BYTES_MAX {
                true => Err(Error::TooLong(FIELDS_BYTES_MAX)),
                false => Ok(filled),
            }
        });
        match filled {
            Ok(filled) => *text = filled,
            Err(error) => {
                let text: String = text.chars().take(128).collect();
                let field = format!("TaskTemplate.ContainerSpec.{field}");
                self.problems.push(format!("{field}: {text:?}: {error}"));
            }
        }
    }

    fn fill_all(&mut self, field: &str, texts: &mut BTreeMap<String, String>) {
        texts.values_mut().for_each(|text| self.fill(field, text));
    }
}

/// Swarm's own `join`, which takes the separator first.
const FIELD_FUNCTIONS: &[&str] = &["join"];

/// The functions of a field of a spec.
#[derive(Debug)]
pub(super) struct Fields;

impl Functions for Fields {
    fn names(&self) -> &'static [&'static str] {
        FIELD_FUNCTIONS
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        let wrong = |why| Error::Argument {
            function: name.to_owned(),
            why,
        };
        match args {
            [separator, items @ ..] => Ok(joined(items, &show(separator)).map_err(wrong)?.into()),
            [] => Err(wrong("wrong number or kind of arguments")),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::id::{ServiceId, TaskId};
    use crate::model::object::{RestartRecord, TaskState};
    use crate::model::spec::mount::{Mount, VolumeOptions};
    use crate::model::spec::service::RegistryAuth;
    use crate::model::spec::{Driver, Labels};

    pub fn known() -> Known {
        let labels = [("tier.of", "front"), ("zone", "a")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let task = Assignment {
            task: TaskId(1),
            service: ServiceId(2),
            service_name: "web".into(),
            service_labels: labels.into(),
            slot: Slot::Number(3),
            desired_state: TaskState::Running,
            spec: Arc::default(),
            state: TaskState::Assigned,
            registry_auth: RegistryAuth::default(),
            networks: Vec::new(),
            generic: Vec::new(),
            of_job: false,
            restarts: RestartRecord::default(),
        };
        let host = NodeDescription {
            hostname: "pi".into(),
            platform: Platform {
                architecture: "aarch64".into(),
                os: "linux".into(),
            },
            ..NodeDescription::default()
        };
        Known::of(&task, NodeId(4), &host)
    }

    fn fill(spec: &ContainerSpec) -> Result<ContainerSpec, Vec<String>> {
        fill_container(spec, &known())
    }

    #[track_caller]
    fn check(template: &str, expect: &str) {
        let spec = ContainerSpec {
            hostname: template.into(),
            ..ContainerSpec::default()
        };
        let got = fill(&spec).map(|spec| spec.hostname);
        let got = got.unwrap_or_else(|problems| problems.join("; "));
        assert!(
            got == expect || got.contains(&format!(": {expect}")),
            "{template}: {got}"
        );
    }

    #[test]
    fn a_task_knows_its_service_its_node_and_itself() {
        let (task, service, node) = (TaskId(1), ServiceId(2), NodeId(4));
        let ids = format!("{service} {node} {task}");
        check("{{.Service.ID}} {{.Node.ID}} {{.Task.ID}}", &ids);
        let name = format!("pi web web.3.{task}");
        check("{{.Node.Hostname}} {{.Service.Name}} {{.Task.Name}}", &name);
        check(
            "{{.Node.Platform.Architecture}}-{{.Node.Platform.OS}}",
            "aarch64-linux",
        );
        check("{{.Service.Name}}-{{.Task.Slot}}", "web-3");
        check(
            "{{ index .Service.Labels \"tier.of\" }}{{.Service.Labels.zone}}",
            "fronta",
        );
        check(
            "{{with index .Service.Labels \"no\"}}x{{else}}none{{end}}",
            "none",
        );
        check("<{{index .Service.Labels \"no\"}}>", "<>");
        check("{{if eq .Task.Slot \"3\"}}third{{end}}", "third");
        check("{{join \"-\" .Service.Name .Task.Slot}}", "web-3");
        check("{{printf \"%s.%d%%\" .Service.Name .Task.Slot}}", "web.3%");
        check("no { template } at all", "no { template } at all");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let at = "template parsing error: executing \"\" at ";
        check(
            "{{.Task.Slots}}",
            &format!("{at}<.Task.Slots>: no such field"),
        );
        check(
            "{{.Service.Labels.nope}}",
            &format!("{at}<.Service.Labels.nope>: no such field"),
        );
        check(
            "{{printf \"%5d\" 1}}",
            &format!("{at}<printf>: of verbs only"),
        );
        let spec = ContainerSpec {
            env: vec!["A={{secret \"x\"}}".into(), "B={{.Node.Name}}".into()],
            ..ContainerSpec::default()
        };
        let problems = fill(&spec).unwrap_err();
        assert!(problems[0].starts_with(
            "TaskTemplate.ContainerSpec.Env: \"A={{secret \\\"x\\\"}}\": template parsing error: \
             function \"secret\" not defined"
        ), "{problems:?}");
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn mounts_and_what_their_volumes_are_made_with_are_filled_in() {
        let text = |text: &str| text.to_owned();
        let slot = || Labels::from([(text("k"), text("{{.Task.Slot}}"))]);
        let driver = Driver {
            name: text("local"),
            options: slot(),
        };
        let mount = Mount {
            source: text("data-{{.Task.Slot}}"),
            target: text("/{{.Service.Name}}"),
            volume: Some(VolumeOptions {
                labels: slot(),
                driver: Some(driver),
                ..VolumeOptions::default()
            }),
            ..Mount::default()
        };
        let spec = ContainerSpec {
            mounts: vec![mount],
            ..ContainerSpec::default()
        };
        let filled = fill(&spec).unwrap();
        let mount = &filled.mounts[0];
        assert_eq!(
            (mount.source.as_str(), mount.target.as_str()),
            ("data-3", "/web")
        );
        let volume = mount.volume.clone().unwrap();
        assert_eq!(
            (
                &volume.labels["k"][..],
                &volume.driver.unwrap().options["k"][..]
            ),
            ("3", "3")
        );
    }

    #[test]
    fn time_and_memory_have_bounds() {
        let many = "{{$x := \"0123456789\"}}".to_owned()
            + &"{{$x := print $x $x}}".repeat(60)
            + "{{len $x}}";
        check(
            &many,
            "template parsing error: it takes too many steps to fill",
        );
        let nested = "{{range $.Service.Labels}}".repeat(30) + &"{{end}}".repeat(30);
        check(
            &nested,
            "template parsing error: it takes too many steps to fill",
        );
        let longest = "x".repeat(600 << 10) + "{{.Task.Slot}}";
        check(
            &longest,
            "template parsing error: the result is longer than 524288 bytes",
        );
    }
}
