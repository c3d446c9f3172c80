//! What a stack needs beside its services: networks, secrets, configs and the names of all of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cli::answer::{list, text};
use crate::cli::compose::load::labels;

/// By this label both CLIs know what belongs to a stack.
pub const NAMESPACE: &str = "com.docker.stack.namespace";
/// The image of a service as its file has it.
pub const IMAGE: &str = "com.docker.stack.image";
/// The network of services that name none.
const DEFAULT_NETWORK: &str = "default";
/// Networks that every node has.
const PREDEFINED: [&str; 4] = ["host", "none", "bridge", "default"];

/// The long form of a stack's files, and the stack's name.
#[derive(Debug)]
pub struct Stack {
    pub name: String,
    pub config: Map<String, Value>,
}

/// Something that a stack's services need.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// Its name in the swarm.
    pub name: String,
    /// What the API is asked for; its content lies in `file`.
    pub spec: Value,
    pub file: Option<String>,
    /// It has to be there already.
    pub is_external: bool,
}

impl Stack {
    /// The name of something in the swarm.
    pub fn scoped(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// A section of the files.
    pub fn section(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        let section = self.config.get(kind).and_then(Value::as_object);
        section.into_iter().flatten()
    }

    /// Something of a section.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.config.get(kind)?.get(name)
    }

    /// Labels, and the one that says whose it is.
    pub fn labelled(&self, mut labels: Map<String, Value>) -> Map<String, Value> {
        labels.insert(NAMESPACE.to_owned(), self.name.clone().into());
        labels
    }

    /// How something of a section is called in the swarm.
    pub fn real_name(&self, thing: &Value, key: &str) -> String {
        match text(thing, "/name") {
            "" if thing["external"] == true => key.to_owned(),
            "" => self.scoped(key),
            name => name.to_owned(),
        }
    }

    /// How a service is in networks: each one's name in the swarm, and what is said of it.
    pub fn attachments(&self, service: &Value) -> Result<Vec<(String, Value)>, String> {
        let default = json!({ DEFAULT_NETWORK: null });
        let given = service["networks"]
            .as_object()
            .filter(|given| !given.is_empty());
        let given = given.or_else(|| default.as_object());
        let mut attachments = Vec::new();
        for (key, how) in given.into_iter().flatten() {
            let network = match self.find("networks", key) {
                Some(network) => network.clone(),
                None if key == DEFAULT_NETWORK => json!({}),
                None => return Err(format!("undefined network {key:?}")),
            };
            attachments.push((self.real_name(&network, key), how.clone()));
        }
        attachments.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(attachments)
    }

    /// The networks that services are in.
    pub fn networks(&self) -> Vec<Need> {
        let mut used = BTreeSet::new();
        for (_, service) in self.section("services") {
            let given = service["networks"]
                .as_object()
                .filter(|given| !given.is_empty());
            match given {
                Some(given) => used.extend(given.keys().cloned()),
                None => drop(used.insert(DEFAULT_NETWORK.to_owned())),
            }
        }
        let needs = used.iter().map(|key| {
            let empty = json!({});
            let network = self.find("networks", key).unwrap_or(&empty);
            let name = self.real_name(network, key);
            let driver = match text(network, "/driver") {
                "" => "overlay",
                driver => driver,
            };
            let mut spec = json!({
                "Name": name,
                "Driver": driver,
                "Options": network["driver_opts"],
                "Internal": network["internal"] == true,
                "Attachable": network["attachable"] == true,
                "Labels": self.labelled(labels(network)),
            });
            if !network["ipam"].is_null() {
                let config = list(network, "/ipam/config").iter();
                let config = config.map(|pool| json!({"Subnet": pool["subnet"]}));
                spec["IPAM"] = json!({
                    "Driver": text(network, "/ipam/driver"),
                    "Config": config.collect::<Vec<_>>(),
                });
            }
            Need {
                name,
                spec,
                file: None,
                is_external: network["external"] == true,
            }
        });
        needs.collect()
    }

    /// The secrets or the configs.
    pub fn contents(&self, kind: &str) -> Vec<Need> {
        let needs = self.section(kind).map(|(key, content)| {
            let name = self.real_name(content, key);
            let mut spec = json!({"Name": name, "Labels": self.labelled(labels(content))});
            let driver = text(content, "/driver");
            if !driver.is_empty() {
                spec["Driver"] = json!({"Name": driver, "Options": content["driver_opts"]});
            }
            let templating = text(content, "/template_driver");
            if !templating.is_empty() {
                spec["Templating"] = json!({ "Name": templating });
            }
            Need {
                name,
                spec,
                file: content["file"].as_str().map(str::to_owned),
                is_external: content["external"] == true,
            }
        });
        needs.collect()
    }
}

/// Whether a network is one that every node has.
pub fn is_predefined(network: &str) -> bool {
    PREDEFINED.contains(&network)
}
