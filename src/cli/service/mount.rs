//! `--mount type=volume,source=data,target=/data,readonly`.

use serde_json::{Map, Value, json};

use crate::cli::units;

/// Whether a mount can be understood.
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// A mount as the API has it.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut mount = json!({"Type": "volume"});
    for field in fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        let key = key.to_lowercase();
        if !field.contains('=')
            && !matches!(
                key.as_str(),
                "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive"
            )
        {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        set(&mut mount, &key, value, &field)?;
    }
    if mount["Target"].is_null() {
        return Err("target is required".to_owned());
    }
    let kind = mount["Type"].as_str().unwrap_or_default();
    let foreign = [
        ("volume", "VolumeOptions"),
        ("bind", "BindOptions"),
        ("tmpfs", "TmpfsOptions"),
    ]
    .into_iter()
    .find(|(of, options)| *of != kind && !mount[options].is_null());
    match foreign {
        Some((of, _)) => Err(format!(
            "cannot mix '{of}-*' options with mount type '{kind}'"
        )),
        None => Ok(mount),
    }
}

fn set(mount: &mut Value, key: &str, value: &str, field: &str) -> Result<(), String> {
    let switch = |name: &str| match value.is_empty() && !field.contains('=') {
        true => Ok(true),
        false => units::parse_bool(value).map_err(|_| format!("invalid value for {name}: {value}")),
    };
    match key {
        "type" => mount["Type"] = value.to_lowercase().into(),
        "source" | "src" => mount["Source"] = value.into(),
        "target" | "dst" | "destination" => mount["Target"] = value.into(),
        "readonly" | "ro" => {
            if switch("readonly")? {
                mount["ReadOnly"] = true.into();
            }
        }
        "consistency" => mount["Consistency"] = value.to_lowercase().into(),
        "bind-propagation" => mount["BindOptions"]["Propagation"] = value.to_lowercase().into(),
        "bind-nonrecursive" => {
            if switch("bind-nonrecursive")? {
                mount["BindOptions"]["NonRecursive"] = true.into();
            }
        }
        "volume-subpath" => mount["VolumeOptions"]["Subpath"] = value.into(),
        "volume-nocopy" => {
            if switch("volume-nocopy")? {
                mount["VolumeOptions"]["NoCopy"] = true.into();
            }
        }
        "volume-label" => pair(&mut mount["VolumeOptions"]["Labels"], value),
        "volume-driver" => mount["VolumeOptions"]["DriverConfig"]["Name"] = value.into(),
        "volume-opt" => pair(
            &mut mount["VolumeOptions"]["DriverConfig"]["Options"],
            value,
        ),
        "tmpfs-size" => {
            let bytes = units::parse_bytes(value);
            let bytes = bytes.map_err(|_| format!("invalid value for tmpfs-size: {value}"))?;
            mount["TmpfsOptions"]["SizeBytes"] = bytes.into();
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8);
            let mode = mode.map_err(|_| format!("invalid value for tmpfs-mode: {value}"))?;
            mount["TmpfsOptions"]["Mode"] = mode.into();
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn pair(object: &mut Value, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if !object.is_object() {
        *object = Map::new().into();
    }
    object[name] = value.into();
}

/// Splits at commas outside of double quotes, as a line of CSV.
pub fn fields(text: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Value) {
        assert_eq!(parse(text), Ok(expect), "{text}");
    }

    #[track_caller]
    fn refuses(text: &str, expect: &str) {
        assert_eq!(parse(text), Err(expect.to_owned()), "{text}");
    }

    #[test]
    fn every_kind_of_mount_is_understood() {
        check(
            "type=bind,src=/a,dst=/b,readonly",
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true}),
        );
        check(
            "target=/x,ro=false",
            json!({"Type": "volume", "Target": "/x"}),
        );
        check(
            "source=v,target=/v,volume-label=k=v,volume-opt=o=p,volume-nocopy",
            json!({"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {
                "NoCopy": true, "Labels": {"k": "v"}, "DriverConfig": {"Options": {"o": "p"}},
            }}),
        );
        check(
            "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777",
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {
                "SizeBytes": 1_048_576, "Mode": 0o1777,
            }}),
        );
        check(
            "type=bind,\"src=/a,b\",dst=/c,bind-propagation=rshared",
            json!({"Type": "bind", "Source": "/a,b", "Target": "/c", "BindOptions": {
                "Propagation": "rshared",
            }}),
        );
    }

    #[test]
    fn what_is_wrong_with_a_mount_is_named() {
        refuses("foo", "invalid field 'foo' must be a key=value pair");
        refuses("foo=x,target=/x", "unexpected key 'foo' in 'foo=x'");
        refuses("type=bind,source=/a", "target is required");
        refuses(
            "target=/x,readonly=maybe",
            "invalid value for readonly: maybe",
        );
        refuses(
            "target=/x,tmpfs-size=1m",
            "cannot mix 'tmpfs-*' options with mount type 'volume'",
        );
        refuses("target=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9");
        refuses("\"target=/x", "a quote is not closed");
    }
}
