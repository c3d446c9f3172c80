//! Files become one long form, with everything in it that lies beside them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cli::answer::{pairs, text};
use crate::cli::compose::interpolate::{self, Lookup};
use crate::cli::compose::merge::merge;
use crate::cli::compose::read::Reader;
use crate::cli::compose::shapes::{DEPRECATED, FILE, IGNORED};
use crate::cli::compose::yaml::Node;
use crate::cli::compose::{ComposeError, Fault};
use crate::cli::env_file;

/// What Docker calls the version of a file that names none.
const VERSION: &str = "3.13";

/// A file as it was given.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// What is around the files.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder that paths start from: where the first file lies.
    pub dir: &'a Path,
    pub lookup: Lookup<'a>,
    /// Whether variables in the files stay as they stand there.
    pub is_raw: bool,
    /// Reads an env file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// What the files say together, and what of it counts for nothing.
#[derive(Debug, Default)]
pub struct Project {
    pub config: Map<String, Value>,
    pub warnings: Vec<String>,
}

/// Loads files, each over those before it.
pub fn load(sources: &[Source], around: Surroundings<'_>) -> Result<Project, ComposeError> {
    let mut project = Project::default();
    for source in sources {
        let mut file = Loading {
            reader: Reader::default(),
            around,
        };
        let read = file.read(&source.text);
        if !file.reader.faults.is_empty() {
            return Err(ComposeError::of(&source.name, &file.reader.faults));
        }
        let read = read.as_object().cloned().unwrap_or_default();
        project.warnings.append(&mut file.reader.warnings);
        merge(&mut project.config, read);
    }
    project.config.entry("version").or_insert(json!(VERSION));
    project.note_ignored();
    Ok(project)
}

impl Project {
    fn note_ignored(&mut self) {
        let (mut ignored, mut deprecated) = (BTreeSet::new(), BTreeSet::new());
        let services = self.config.get("services").and_then(Value::as_object);
        for (name, service) in services.into_iter().flatten() {
            let has = |field: &&str| !service[*field].is_null();
            // It counts where nothing else says when tasks are replaced.
            let counts =
                |field: &&str| *field == "restart" && service["deploy"]["restart_policy"].is_null();
            let fields = IGNORED.iter().copied();
            ignored.extend(fields.filter(has).filter(|field| !counts(field)));
            deprecated.extend(DEPRECATED.iter().filter(|(field, _)| has(field)));
            for (network, attachment) in service["networks"].as_object().into_iter().flatten() {
                if !attachment["ipv4_address"].is_null() || !attachment["ipv6_address"].is_null() {
                    self.warnings.push(format!(
                        "services.{name}.networks.{network}: a swarm chooses the addresses itself"
                    ));
                }
            }
        }
        if !ignored.is_empty() {
            let ignored: Vec<&str> = ignored.into_iter().collect();
            let list = ignored.join(", ");
            self.warnings
                .push(format!("Ignoring unsupported options: {list}"));
        }
        for (field, why) in deprecated {
            self.warnings
                .push(format!("Ignoring deprecated option {field}: {why}"));
        }
        if self.config.remove("name").is_some() {
            let what = "Ignoring name: a stack is named when it is deployed";
            self.warnings.push(what.to_owned());
        }
    }
}

struct Loading<'a> {
    reader: Reader,
    around: Surroundings<'a>,
}

impl Loading<'_> {
    /// The long form of one file.
    fn read(&mut self, text: &str) -> Value {
        let mut root = match Node::parse(text) {
            Ok(root) => root,
            Err(fault) => {
                self.reader.faults.push(fault);
                return Value::Null;
            }
        };
        if root.is_nothing() {
            let fault = Fault::new(1, "there is nothing in the file");
            self.reader.faults.push(fault);
            return Value::Null;
        }
        if !self.around.is_raw {
            let faults = &mut self.reader.faults;
            for name in interpolate::fill(&mut root, self.around.lookup, faults) {
                let warning = format!("The variable {name} is not set; it is left blank");
                self.reader.warnings.push(warning);
            }
        }
        let mut read = self.reader.fields(&root, FILE, "");
        if !self.reader.faults.is_empty() {
            return Value::Null;
        }
        let version = crate::cli::answer::text(&read, "/version");
        if !version.is_empty() && version != "3" && !version.starts_with("3.") {
            let what = format!("unsupported Compose file version: {version}");
            self.reader.faults.push(Fault::new(root.line, what));
            return Value::Null;
        }
        self.complete(&mut read);
        read
    }

    /// Puts in what the file leaves to its surroundings.
    fn complete(&mut self, read: &mut Value) {
        for service in section(read, "services") {
            self.service(&service.0, service.1);
        }
        for kind in ["networks", "volumes", "secrets", "configs"] {
            for (name, thing) in section(read, kind) {
                self.thing(kind, &name, thing);
            }
        }
    }

    fn service(&mut self, name: &str, service: &mut Value) {
        let mut environment = Map::new();
        for path in crate::cli::answer::texts(service, "/env_file") {
            let at = self.absolute(path);
            let variables = (self.around.read)(&at)
                .map_err(|error| error.to_string())
                .and_then(|text| env_file::variables(&text));
            match variables {
                Ok(variables) => environment.extend(variables.iter().map(|variable| {
                    let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
                    (name.to_owned(), json!(value))
                })),
                Err(why) => {
                    let what = format!("services.{name}.env_file: {}: {why}", at.display());
                    self.reader.faults.push(Fault::new(1, what));
                }
            }
        }
        for (name, value) in service["environment"].as_object().into_iter().flatten() {
            let value = match value {
                Value::Null => (self.around.lookup)(name).map_or(Value::Null, Value::from),
                value => value.clone(),
            };
            environment.insert(name.clone(), value);
        }
        if !environment.is_empty() {
            service["environment"] = environment.into();
        }
        let mounts = service.get_mut("volumes").and_then(Value::as_array_mut);
        for mount in mounts.into_iter().flatten() {
            if text(mount, "/type") != "bind" {
                continue;
            }
            match text(mount, "/source") {
                "" => {
                    let target = text(mount, "/target");
                    let what = format!("services.{name}.volumes: {target} has no source");
                    self.reader.faults.push(Fault::new(1, what));
                }
                source => {
                    let source = self.absolute(source);
                    mount["source"] = source.to_string_lossy().into();
                }
            }
        }
    }

    /// A network, a volume, a secret or a config.
    fn thing(&mut self, kind: &str, name: &str, thing: &mut Value) {
        if thing.is_null() {
            *thing = json!({});
        }
        let mut fault = |what: String| {
            let what = format!("{kind}.{name}{what}");
            self.reader.faults.push(Fault::new(1, what));
        };
        if thing["external"].is_object() {
            if !thing["name"].is_null() {
                fault(": external.name and name conflict; use name".to_owned());
            }
            thing["name"] = thing["external"]["name"].clone();
            thing["external"] = true.into();
        }
        if thing["external"] == true {
            let known = ["external", "name"];
            let fields = thing.as_object().into_iter().flatten();
            for (field, _) in fields.filter(|(f, _)| !known.contains(&f.as_str())) {
                if !field.starts_with("x-") {
                    fault(format!(": what is external cannot have {field}"));
                }
            }
            if thing["name"].is_null() {
                thing["name"] = name.into();
            }
        } else if matches!(kind, "secrets" | "configs") {
            if thing["file"].is_null() && thing["driver"].is_null() {
                fault(": file is required, unless it is external".to_owned());
            }
            if thing["file"].is_string() {
                let file = self.absolute(text(thing, "/file"));
                thing["file"] = file.to_string_lossy().into();
            }
        }
        // Not said is not there.
        if let Some(fields) = thing.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
    }

    fn absolute(&self, path: &str) -> PathBuf {
        let home = (self.around.lookup)("HOME").unwrap_or_default();
        let path = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
            _ => path.to_owned(),
        };
        let mut clean = PathBuf::new();
        for part in self.around.dir.join(path).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(clean.pop()),
                part => clean.push(part),
            }
        }
        clean
    }
}

fn section<'a>(
    read: &'a mut Value,
    kind: &str,
) -> impl Iterator<Item = (String, &'a mut Value)> + use<'a> {
    let things = read.get_mut(kind).and_then(Value::as_object_mut);
    things
        .into_iter()
        .flatten()
        .map(|(name, thing)| (name.clone(), thing))
}

/// The labels of a thing in a long form.
pub fn labels(thing: &Value) -> Map<String, Value> {
    let labels = pairs(thing, "/labels").into_iter();
    labels
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings({})", self.dir.display())
    }
}
