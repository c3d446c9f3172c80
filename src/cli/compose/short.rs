//! The short forms of ports and mounts.

use serde_json::{Value, json};

use crate::cli::answer::{text, uint};
use crate::cli::compose::read::Reader;
use crate::cli::compose::shapes::{MOUNT, Shape};
use crate::cli::compose::yaml::{Content, Node};
use crate::cli::service::port;

/// `8080:80/tcp` and its ranges in the long form, and what of it counts for nothing.
pub fn ports(short: &str) -> Result<(Vec<Value>, Option<String>), String> {
    let (places, protocol) = short.split_once('/').unwrap_or((short, "tcp"));
    let mut warning = None;
    let mut given = short.to_owned();
    // The last two parts are ports; what is before them is an address of one host.
    if let Some((rest, target)) = places.rsplit_once(':')
        && let Some((address, published)) = rest.rsplit_once(':')
    {
        if published.is_empty() {
            given = format!("{target}/{protocol}");
        } else {
            given = format!("{published}:{target}/{protocol}");
        }
        warning = Some(format!(
            "ignoring IP-address ({short}): the service will listen on every address, not on \
             {address} alone"
        ));
    }
    if given.contains('=') {
        return Err(format!("invalid port: {short}"));
    }
    let ports = port::parse(&given)?.iter().map(long).collect();
    Ok((ports, warning))
}

fn long(port: &Value) -> Value {
    let mut long = json!({
        "mode": text(port, "/PublishMode"),
        "protocol": text(port, "/Protocol"),
        "target": uint(port, "/TargetPort"),
    });
    if uint(port, "/PublishedPort") > 0 {
        long["published"] = uint(port, "/PublishedPort").into();
    }
    long
}

/// A mount, short or long.
pub fn mount(reader: &mut Reader, node: &Node, key: &str) -> Value {
    let Content::Scalar(_) = &node.content else {
        return reader.required(node, MOUNT, &["type", "target"], key);
    };
    let given = reader.read(node, Shape::Text, key);
    match volume(given.as_str().unwrap_or_default()) {
        Ok(mount) => mount,
        Err(why) => reader.fault(node.line, key, &why),
    }
}

/// `SOURCE:TARGET:OPTIONS`: a volume with a name, without one, or a path of the host.
fn volume(short: &str) -> Result<Value, String> {
    let mut parts = short.split(':');
    let invalid = |why: &str| format!("is no mount: {why} in {short:?}");
    let (first, target) = (parts.next().unwrap_or_default(), parts.next());
    let options = parts.next().unwrap_or_default();
    if first.is_empty() || target == Some("") || parts.next().is_some() {
        return Err(invalid("an empty part or too many"));
    }
    let Some(target) = target else {
        return Ok(json!({"type": "volume", "target": first}));
    };
    let is_path = first.starts_with(['.', '/', '~']);
    let kind = if is_path { "bind" } else { "volume" };
    let mut mount = json!({"type": kind, "source": first, "target": target});
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount["read_only"] = true.into(),
            "nocopy" => mount["volume"] = json!({"nocopy": true}),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                mount["bind"] = json!({"propagation": option});
            }
            // What other systems and programs have, and Docker takes without a word.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "copy" => {}
            _ => return Err(invalid(&format!("the option {option:?}"))),
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_port(short: &str, expect: &[(u64, u64, &str)]) {
        let (ports, _) = ports(short).unwrap();
        let all = ports.iter().map(|port| {
            (
                uint(port, "/published"),
                uint(port, "/target"),
                text(port, "/protocol"),
            )
        });
        assert_eq!(all.collect::<Vec<_>>(), expect, "{short}");
    }

    #[test]
    fn ports_have_short_forms() {
        check_port("80", &[(0, 80, "tcp")]);
        check_port("8080:80/udp", &[(8080, 80, "udp")]);
        check_port("1-2:3-4", &[(1, 3, "tcp"), (2, 4, "tcp")]);
        check_port("127.0.0.1:8080:80", &[(8080, 80, "tcp")]);
        check_port("[::1]::80", &[(0, 80, "tcp")]);
        let (_, warning) = ports("127.0.0.1:1:2/udp").unwrap();
        let expect = "ignoring IP-address (127.0.0.1:1:2/udp): the service will listen on every \
                      address, not on 127.0.0.1 alone";
        assert_eq!(warning.as_deref(), Some(expect));
        for wrong in ["", "x", "1:x", "1-2:3", "80/foo", "target=1"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[track_caller]
    fn check_volume(short: &str, expect: Value) {
        assert_eq!(volume(short), Ok(expect));
    }

    #[test]
    fn mounts_have_short_forms() {
        check_volume("/a", json!({"type": "volume", "target": "/a"}));
        check_volume(
            "v:/a",
            json!({"type": "volume", "source": "v", "target": "/a"}),
        );
        let bind = json!({"type": "bind", "source": "./b", "target": "/a", "read_only": true});
        check_volume("./b:/a:ro,z", bind);
        let nocopy = json!({"type": "volume", "source": "v", "target": "/a",
            "volume": {"nocopy": true}});
        check_volume("v:/a:nocopy,rw", nocopy);
        let shared = json!({"type": "bind", "source": "~/x", "target": "/a",
            "bind": {"propagation": "rshared"}});
        check_volume("~/x:/a:rshared", shared);
        for wrong in ["", ":/a", "a:", "a:/b:ro:x", "a:/b:foo"] {
            assert!(volume(wrong).is_err(), "{wrong}");
        }
    }
}
