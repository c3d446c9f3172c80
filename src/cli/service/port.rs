//! What a service is joined to: published ports, networks, secrets and configs.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::cli::answer::{filters_of, list, text};
use crate::cli::client::{Client, Error, escape, with_query};
use crate::cli::failure::Failure;
use crate::cli::service::mount::fields;

const PORTS_MAX: usize = 1024;
const FILE_MODE: u32 = 0o444;
/// Networks that every node has and that are known by name.
const PREDEFINED: [&str; 2] = ["host", "none"];

/// Whether a port can be understood.
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// Whether a network attachment can be understood.
pub fn check_network(text: &str) -> Result<(), String> {
    network(text).map(drop)
}

/// Whether a secret or config can be understood.
pub fn check_file(text: &str) -> Result<(), String> {
    file(text).map(drop)
}

/// The ports that `8080:80`, `53:53/udp`, `8080-8082:80-82` or
/// `published=90,target=91,mode=host` publish.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    match text.contains('=') {
        true => long(text).map(|port| vec![port]),
        false => short(text),
    }
}

fn long(text: &str) -> Result<Value, String> {
    let mut port = json!({"Protocol": "tcp", "TargetPort": 0, "PublishMode": "ingress"});
    for field in fields(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field: {field}"))?;
        let number = || {
            let number = value.parse::<u16>();
            number.map_err(|_| format!("invalid {key} port ({value}): value must be an integer"))
        };
        match (key, value) {
            ("protocol", "tcp" | "udp" | "sctp") => port["Protocol"] = value.into(),
            ("protocol", _) => return Err(format!("invalid protocol value '{value}'")),
            ("mode", "ingress" | "host") => port["PublishMode"] = value.into(),
            ("mode", _) => {
                return Err(format!(
                    "invalid publish mode value ({value}): must be ingress or host"
                ));
            }
            ("target", _) => port["TargetPort"] = number()?.into(),
            ("published", _) => port["PublishedPort"] = number()?.into(),
            _ => return Err(format!("invalid field key: {key}")),
        }
    }
    match port["TargetPort"] == 0 {
        true => Err("missing mandatory field 'target'".to_owned()),
        false => Ok(port),
    }
}

fn short(text: &str) -> Result<Vec<Value>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (published, target) = match ports.rsplit_once(':') {
        Some((published, _)) if published.contains(':') => {
            return Err("hostip is not supported".to_owned());
        }
        Some((published, target)) => (Some(published), target),
        None => (None, ports),
    };
    let target = range(target).ok_or_else(|| format!("invalid containerPort: {target}"))?;
    let published = match published {
        Some(text) => Some(range(text).ok_or_else(|| format!("invalid hostPort: {text}"))?),
        None => None,
    };
    if published
        .as_ref()
        .is_some_and(|published| published.len() != target.len())
    {
        return Err("invalid ranges specified for container and host Ports".to_owned());
    }
    if target.len() > PORTS_MAX {
        return Err(format!("at most {PORTS_MAX} ports at once"));
    }
    let mut ports = Vec::new();
    for (at, target) in target.enumerate() {
        let mut port = json!({
            "Protocol": protocol, "TargetPort": target, "PublishMode": "ingress",
        });
        if let Some(published) = published.clone().and_then(|mut range| range.nth(at)) {
            port["PublishedPort"] = published.into();
        }
        ports.push(port);
    }
    Ok(ports)
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first > 0).then_some(first..=last)
}

fn network(text: &str) -> Result<Value, String> {
    if !text.contains('=') {
        return Ok(json!({"Target": text}));
    }
    let mut network = Map::new();
    for field in fields(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field {field}"))?;
        match key.to_lowercase().as_str() {
            "name" => network.insert("Target".to_owned(), value.into()),
            "alias" => {
                let aliases = network.entry("Aliases").or_insert_with(|| json!([]));
                if let Some(all) = aliases.as_array_mut() {
                    all.push(value.into());
                }
                None
            }
            "driver-opt" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or("invalid key value pair format in driver options")?;
                network.entry("DriverOpts").or_insert_with(|| json!({}))[name] = value.into();
                None
            }
            _ => return Err(format!("invalid field key {key}")),
        };
    }
    Ok(network.into())
}

/// A secret or config: the name of the object, and the file it is to be.
fn file(text: &str) -> Result<(String, Value), String> {
    let mut name = text.to_owned();
    let mut file = json!({"Name": text, "UID": "0", "GID": "0", "Mode": FILE_MODE});
    if !text.contains('=') {
        return Ok((name, file));
    }
    name.clear();
    let mut target = String::new();
    for field in fields(text)? {
        let wrong = || format!("invalid field '{field}' must be a key=value pair");
        let (key, value) = field.split_once('=').ok_or_else(wrong)?;
        match key.to_lowercase().as_str() {
            "source" | "src" => value.clone_into(&mut name),
            "target" => value.clone_into(&mut target),
            "uid" => file["UID"] = value.into(),
            "gid" => file["GID"] = value.into(),
            "mode" => {
                let mode = u32::from_str_radix(value.trim_start_matches("0o"), 8);
                file["Mode"] = mode
                    .map_err(|_| format!("invalid mode specified: {value}"))?
                    .into();
            }
            _ => return Err(format!("invalid field key: {key}")),
        }
    }
    if name.is_empty() {
        return Err("source is required".to_owned());
    }
    file["Name"] = if target.is_empty() {
        name.clone()
    } else {
        target
    }
    .into();
    Ok((name, file))
}

/// The networks asked for, by id, sorted.
pub async fn networks(client: &Client, given: &[String]) -> Result<Vec<Value>, Failure> {
    let mut networks = Vec::new();
    for given in given.iter().filter_map(|text| network(text).ok()) {
        let name = text(&given, "/Target");
        if PREDEFINED.contains(&name) {
            networks.push(given.clone());
            continue;
        }
        let path = format!("/networks/{}?scope=swarm", escape(name));
        let found = match client.get(&path).await {
            Ok(network) => text(&network, "/Id").to_owned(),
            Err(error) if error.is_not_found() => {
                return Err(Failure::Missing {
                    kind: "network",
                    name: name.to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let mut attachment = given.clone();
        attachment["Target"] = if found.is_empty() {
            name.to_owned()
        } else {
            found
        }
        .into();
        networks.push(attachment);
    }
    networks.sort_by(|a, b| text(a, "/Target").cmp(text(b, "/Target")));
    Ok(networks)
}

/// References to the secrets or configs asked for; `kind` is `Secret` or `Config`.
pub async fn files(
    client: &Client,
    kind: &'static str,
    given: &[String],
) -> Result<Vec<Value>, Failure> {
    let wanted: Vec<(String, Value)> = given.iter().filter_map(|text| file(text).ok()).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<(&str, &str)> = wanted
        .iter()
        .map(|(name, _)| ("name", name.as_str()))
        .collect();
    let path = format!("/{}s", kind.to_lowercase());
    let found: Result<Value, Error> = client
        .get(&with_query(&path, &[("filters", &filters_of(&names))]))
        .await;
    let found = found?;
    let mut references = Vec::new();
    for (name, file) in wanted {
        let object = list(&found, "")
            .iter()
            .find(|o| text(o, "/Spec/Name") == name);
        let id = object.map(|object| text(object, "/ID"));
        let missing = || Failure::Missing {
            kind: if kind == "Secret" { "secret" } else { "config" },
            name: name.clone(),
        };
        let id = id.ok_or_else(missing)?;
        references.push(json!({
            "File": file, format!("{kind}ID"): id, format!("{kind}Name"): name,
        }));
    }
    Ok(references)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(published: Option<u16>, target: u16, protocol: &str, mode: &str) -> Value {
        let mut port = json!({"Protocol": protocol, "TargetPort": target, "PublishMode": mode});
        if let Some(published) = published {
            port["PublishedPort"] = published.into();
        }
        port
    }

    #[test]
    fn ports_are_understood_short_and_long() {
        let check =
            |text: &str, expect: &[Value]| assert_eq!(parse(text).as_deref(), Ok(expect), "{text}");
        check("80", &[port(None, 80, "tcp", "ingress")]);
        check("8080:80", &[port(Some(8080), 80, "tcp", "ingress")]);
        check("53:53/UDP", &[port(Some(53), 53, "udp", "ingress")]);
        let pair = [
            port(Some(90), 80, "tcp", "ingress"),
            port(Some(91), 81, "tcp", "ingress"),
        ];
        check("90-91:80-81", &pair);
        check(
            "published=90,target=91,mode=host",
            &[port(Some(90), 91, "tcp", "host")],
        );
    }

    #[test]
    fn what_is_wrong_with_a_port_is_named() {
        let refuses =
            |text: &str, why: &str| assert_eq!(parse(text), Err(why.to_owned()), "{text}");
        refuses("abc", "invalid containerPort: abc");
        refuses("x:80", "invalid hostPort: x");
        refuses("127.0.0.1:80:80", "hostip is not supported");
        refuses("80/icmp", "invalid proto: icmp");
        refuses(
            "1-3:1-2",
            "invalid ranges specified for container and host Ports",
        );
        refuses("70000:80", "invalid hostPort: 70000");
        refuses("published=80", "missing mandatory field 'target'");
        refuses(
            "target=x",
            "invalid target port (x): value must be an integer",
        );
        refuses("1-60000", "at most 1024 ports at once");
    }

    #[test]
    fn secrets_and_networks_have_a_long_form() {
        let (name, secret) = file("source=s,target=t,mode=0400,uid=5").unwrap();
        assert_eq!(name, "s");
        assert_eq!(
            secret,
            json!({"Name": "t", "UID": "5", "GID": "0", "Mode": 0o400})
        );
        assert_eq!(file("target=t"), Err("source is required".to_owned()));
        let expect = json!({"Target": "n", "Aliases": ["a", "b"]});
        assert_eq!(network("name=n,alias=a,alias=b"), Ok(expect));
    }
}
