//! Flags that come in pairs: what is added to a list of a spec, and what is removed from it. What
//! stays keeps its place, and nothing is there twice.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::cli::answer::{list, text, uint};
use crate::cli::failure::Failure;
use crate::cli::flags::Parsed;
use crate::cli::service::update::edit::owned;
use crate::cli::service::value::{self, RESET, capability, map};
use crate::cli::service::{mount, port};
use crate::model::device::{self, Device};

/// `--<flag>-add name=value` and `--<flag>-rm name`.
pub fn labels(parsed: &Parsed, labels: &mut Value, flag: &str) {
    let (added, removed) = both(parsed, flag);
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let mut all = match labels.take() {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    for name in removed {
        all.remove(name.split('=').next().unwrap_or_default());
    }
    if let Value::Object(added) = map(added) {
        all.extend(added);
    }
    *labels = all.into();
}

/// The lists of a container's spec.
pub fn container(parsed: &Parsed, container: &mut Value) {
    labels(parsed, &mut container["Labels"], "container-label");
    devices(parsed, &mut container["Labels"]);
    labels(parsed, &mut container["Sysctls"], "sysctl");
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    keyed(parsed, container, "env", "Env", name);
    keyed(parsed, container, "group", "Groups", str::to_owned);
    mounts(parsed, container);
    ulimits(parsed, container);
    hosts(parsed, container);
    capabilities(parsed, container);
    let dns = [
        ("dns", "Nameservers"),
        ("dns-search", "Search"),
        ("dns-option", "Options"),
    ];
    for (flag, field) in dns {
        keyed(parsed, &mut container["DNSConfig"], flag, field, address);
    }
}

/// `--device-add` and `--device-rm`, which go by the device's place in the container.
fn devices(parsed: &Parsed, labels: &mut Value) {
    let (added, removed) = both(parsed, "device");
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let place = |text: &str| match Device::parse(text) {
        Ok(device) => device.container,
        Err(_) => text.to_owned(),
    };
    let gone: Vec<_> = removed
        .iter()
        .chain(added)
        .map(|text| place(text))
        .collect();
    let old = labels[device::LABEL]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let old = old.split(',').filter(|text| !text.is_empty());
    let kept = old.filter(|text| !gone.contains(&place(text)));
    let all: Vec<_> = kept.chain(added.iter().map(String::as_str)).collect();
    match (all.is_empty(), labels.as_object_mut()) {
        (true, Some(labels)) => {
            labels.remove(device::LABEL);
        }
        (true, None) => {}
        (false, _) => labels[device::LABEL] = all.join(",").into(),
    }
}

/// Constraints and preferences.
pub fn placement(parsed: &Parsed, placement: &mut Value) {
    keyed(
        parsed,
        placement,
        "constraint",
        "Constraints",
        str::to_owned,
    );
    let (added, removed) = both(parsed, "placement-pref");
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let parse = |texts: &[String]| -> Vec<Value> {
        let parsed = texts.iter().filter_map(|text| value::preference(text).ok());
        parsed.collect()
    };
    let gone = parse(removed);
    let mut all = list(placement, "/Preferences").to_vec();
    all.retain(|old| !gone.contains(old));
    all.extend(parse(added));
    placement["Preferences"] = all.into();
}

/// `--generic-resource-add` and `-rm`.
pub fn generic(parsed: &Parsed, resources: &mut Value) -> Result<(), Failure> {
    let (added, removed) = both(parsed, "generic-resource");
    if added.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let kind = |resource: &Value| match text(resource, "/DiscreteResourceSpec/Kind") {
        "" => text(resource, "/NamedResourceSpec/Kind").to_owned(),
        kind => kind.to_owned(),
    };
    let mut all = list(resources, "/Reservations/GenericResources").to_vec();
    for new in added.iter().filter_map(|text| value::generic(text).ok()) {
        all.retain(|old| kind(old) != kind(&new));
        all.push(new);
    }
    for gone in removed {
        let before = all.len();
        all.retain(|old| kind(old) != *gone);
        if all.len() == before {
            return Err(Failure::Reported(format!(
                "could not find generic-resource `{gone}` to remove it"
            )));
        }
    }
    resources["Reservations"]["GenericResources"] = all.into();
    Ok(())
}

/// `--publish-add` and `--publish-rm`, which goes by the port that is published of the container.
pub fn ports(parsed: &Parsed, endpoint: &mut Value) {
    let (added, removed) = both(parsed, "publish");
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let parse = |texts: &[String]| -> Vec<Value> {
        let parsed = texts.iter().filter_map(|text| port::parse(text).ok());
        parsed.flatten().collect()
    };
    let or = |port: &Value, pointer: &str, usual: &str| match text(port, pointer) {
        "" => usual.to_owned(),
        given => given.to_owned(),
    };
    let target = |port: &Value| {
        let protocol = or(port, "/Protocol", "tcp");
        let mode = or(port, "/PublishMode", "ingress");
        (uint(port, "/TargetPort"), protocol, mode)
    };
    let whole = |port: &Value| (uint(port, "/PublishedPort"), target(port));
    let gone = parse(removed);
    let mut all = list(endpoint, "/Ports").to_vec();
    all.retain(|old| !gone.iter().any(|gone| target(gone) == target(old)));
    for new in parse(added) {
        if !all.iter().any(|old| whole(old) == whole(&new)) {
            all.push(new);
        }
    }
    endpoint["Ports"] = all.into();
}

fn both<'a>(parsed: &'a Parsed, flag: &str) -> (&'a [String], &'a [String]) {
    let list = |what: &str| parsed.list(&format!("{flag}-{what}"));
    (list("add"), list("rm"))
}

/// A list of texts of which each has a key; what is added takes the place of what has its key.
fn keyed(
    parsed: &Parsed,
    object: &mut Value,
    flag: &str,
    field: &str,
    key: impl Fn(&str) -> String,
) {
    let (added, removed) = both(parsed, flag);
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let mut all = owned(object, &format!("/{field}"));
    all.retain(|old| !removed.iter().any(|gone| key(old) == key(gone)));
    // For docker, what is both added and removed is gone; a new value of a key is not.
    for new in added.iter().filter(|new| !removed.contains(new)) {
        match all.iter_mut().find(|old| key(old) == key(new)) {
            Some(old) => old.clone_from(new),
            None => all.push(new.clone()),
        }
    }
    object[field] = all.into();
}

/// An address in the one way to write it, or any other text.
fn address(text: &str) -> String {
    let parsed = text.parse::<IpAddr>();
    parsed.map_or_else(|_| text.to_owned(), |address| address.to_string())
}

fn mounts(parsed: &Parsed, container: &mut Value) {
    let (added, removed) = both(parsed, "mount");
    let added = added.iter().filter_map(|text| mount::parse(text).ok());
    // As docker has it, removing a target undoes what is mounted there now, too.
    let added = added.filter(|new| !removed.iter().any(|gone| text(new, "/Target") == gone));
    named(container, "Mounts", "/Target", added, removed);
}

fn ulimits(parsed: &Parsed, container: &mut Value) {
    let (added, removed) = both(parsed, "ulimit");
    let added = added.iter().filter_map(|text| value::ulimit(text).ok());
    named(container, "Ulimits", "/Name", added, removed);
}

/// A list of objects that go by one of their fields.
fn named(
    container: &mut Value,
    field: &str,
    name: &str,
    added: impl Iterator<Item = Value>,
    removed: &[String],
) {
    let mut added = added.peekable();
    if added.peek().is_none() && removed.is_empty() {
        return;
    }
    let mut all = list(container, &format!("/{field}")).to_vec();
    all.retain(|old| !removed.iter().any(|gone| text(old, name) == gone));
    for new in added {
        match all
            .iter_mut()
            .find(|old| text(old, name) == text(&new, name))
        {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    container[field] = all.into();
}

/// `--host-rm name` takes the name from every line, `--host-rm name:ip` from those of the address.
fn hosts(parsed: &Parsed, container: &mut Value) {
    let (added, removed) = both(parsed, "host");
    if added.is_empty() && removed.is_empty() {
        return;
    }
    let mut all = Vec::new();
    for line in owned(container, "/Hosts") {
        let mut words = line.split_whitespace();
        let Some(ip) = words.next() else { continue };
        let is_gone = |name: &&str| {
            removed.iter().any(|gone| match gone.split_once(':') {
                Some((host, of)) => host == *name && address(of.trim_matches(['[', ']'])) == ip,
                None => gone == name,
            })
        };
        let names: Vec<&str> = words.filter(|name| !is_gone(name)).collect();
        if !names.is_empty() {
            all.push(format!("{ip} {}", names.join(" ")));
        }
    }
    for new in owned(&value::hosts(added), "") {
        if !all.contains(&new) {
            all.push(new);
        }
    }
    container["Hosts"] = all.into();
}

/// Docker's rule: a capability that had been dropped and is now added is neither, and the other way
/// round; `RESET` forgets what had been asked for before.
fn capabilities(parsed: &Parsed, container: &mut Value) {
    let (add, drop) = (parsed.list("cap-add"), parsed.list("cap-drop"));
    if add.is_empty() && drop.is_empty() {
        return;
    }
    let resets = |given: &[String]| given.iter().any(|name| capability(name) == RESET);
    let before = |field: &str, given: &[String]| match resets(given) {
        true => Vec::new(),
        false => owned(container, &format!("/{field}")),
    };
    let (mut added, mut dropped) = (before("CapabilityAdd", add), before("CapabilityDrop", drop));
    let (add, drop) = (value::capabilities(add), value::capabilities(drop));
    for name in drop.iter().filter(|name| !add.contains(name)) {
        toggle(name, &mut added, &mut dropped);
    }
    for name in &add {
        toggle(name, &mut dropped, &mut added);
    }
    container["CapabilityAdd"] = json!(value::capabilities(&added));
    container["CapabilityDrop"] = json!(value::capabilities(&dropped));
}

/// Takes a name back from one list, or, if it is not there, puts it into the other.
fn toggle(name: &String, from: &mut Vec<String>, to: &mut Vec<String>) {
    match from.iter().position(|known| known == name) {
        Some(at) => drop(from.remove(at)),
        None => to.push(name.clone()),
    }
}
