//! Generic resources as users write them, and as their containers find them.

use std::collections::BTreeMap;

use crate::model::spec::task::GenericResource;

/// Kinds and names that one node may have.
const RESOURCES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 256;

/// What a daemon was told of its node's resources makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenericError {
    #[error("generic resource {0:?}: expected KIND=NUMBER or KIND=NAME")]
    Form(String),
    #[error("generic resource {0:?}: a number must be above 0")]
    Number(String),
    #[error("generic resource {0}: it is counted or has names, not both")]
    Mixed(String),
    #[error("generic resource {0}: named or counted twice")]
    Twice(String),
    #[error("more than {RESOURCES_MAX} generic resources")]
    Many,
}

/// One resource of a node: `gpu=2` are two that nobody can tell apart, `gpu=first` is one of many.
pub fn parse(text: &str) -> Result<GenericResource, GenericError> {
    let form = || GenericError::Form(text.to_owned());
    let (kind, value) = text.split_once('=').ok_or_else(form)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+".contains(c);
    let is_word =
        |word: &str| (1..=TEXT_BYTES_MAX).contains(&word.len()) && word.chars().all(plain);
    // The kind becomes a variable's name.
    if !is_word(kind) || kind.contains(['/', ':', '@', '+']) || !is_word(value) {
        return Err(form());
    }
    let kind = kind.to_owned();
    match value.parse::<i64>() {
        Ok(value) if value > 0 => Ok(GenericResource::Discrete { kind, value }),
        Ok(_) => Err(GenericError::Number(text.to_owned())),
        Err(_) => Ok(GenericResource::Named {
            kind,
            value: value.to_owned(),
        }),
    }
}

/// All resources of a node.
pub fn parse_all(texts: &[String]) -> Result<Vec<GenericResource>, GenericError> {
    let mut all = Vec::<GenericResource>::new();
    for text in texts {
        let new = parse(text)?;
        for old in all.iter().filter(|old| kind_of(old) == kind_of(&new)) {
            use GenericResource::{Discrete, Named};
            match (old, &new) {
                (Named { value: old, .. }, Named { value: new, .. }) if old != new => {}
                (Named { .. }, Named { .. }) | (Discrete { .. }, Discrete { .. }) => {
                    return Err(GenericError::Twice(text.clone()));
                }
                _ => return Err(GenericError::Mixed(kind_of(&new).to_owned())),
            }
        }
        all.push(new);
        if all.len() > RESOURCES_MAX {
            return Err(GenericError::Many);
        }
    }
    Ok(all)
}

/// The variables by which a container knows what it was given, Docker's.
pub fn variables(given: &[GenericResource]) -> Vec<String> {
    let mut kinds = BTreeMap::<String, Vec<String>>::new();
    for resource in given {
        let value = match resource {
            GenericResource::Named { value, .. } => value.clone(),
            GenericResource::Discrete { value, .. } => value.to_string(),
        };
        let name = format!("DOCKER_RESOURCE_{}", kind_of(resource).to_uppercase());
        kinds.entry(name).or_default().push(value);
    }
    let kinds = kinds.into_iter();
    kinds
        .map(|(name, values)| format!("{name}={}", values.join(",")))
        .collect()
}

/// The device files among what a container was given: names that are paths below `/dev`.
pub fn devices(given: &[GenericResource]) -> impl Iterator<Item = &str> {
    given.iter().filter_map(|resource| match resource {
        GenericResource::Named { value, .. } if value.starts_with("/dev/") => Some(value.as_str()),
        _ => None,
    })
}

fn kind_of(resource: &GenericResource) -> &str {
    match resource {
        GenericResource::Named { kind, .. } | GenericResource::Discrete { kind, .. } => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, expect: &str) {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let got = match parse_all(&words) {
            Ok(all) => variables(&all).join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn resources_are_counted_or_have_names_and_containers_know_theirs() {
        check("gpu=2", "DOCKER_RESOURCE_GPU=2");
        check(
            "NVIDIA-GPU=UUID1 fpga=1 NVIDIA-GPU=UUID2",
            "DOCKER_RESOURCE_FPGA=1 DOCKER_RESOURCE_NVIDIA-GPU=UUID1,UUID2",
        );
        let form = "expected KIND=NUMBER or KIND=NAME";
        check("gpu", &format!("generic resource \"gpu\": {form}"));
        check("=1", &format!("generic resource \"=1\": {form}"));
        check("gpu=a=b", &format!("generic resource \"gpu=a=b\": {form}"));
        check("a/b=1", &format!("generic resource \"a/b=1\": {form}"));
        check(
            "gpu=0",
            "generic resource \"gpu=0\": a number must be above 0",
        );
        let mixed = "generic resource gpu: it is counted or has names, not both";
        check("gpu=1 gpu=first", mixed);
        check("gpu=first gpu=1", mixed);
        let twice = "generic resource gpu=first: named or counted twice";
        check("gpu=first gpu=first", twice);
        check(
            "gpu=1 gpu=1",
            "generic resource gpu=1: named or counted twice",
        );
    }

    #[test]
    fn a_name_below_dev_is_a_device() {
        let given = ["tty=/dev/ttyUSB0", "gpu=UUID1", "tpu=2"].map(|text| parse(text).unwrap());
        assert_eq!(devices(&given).collect::<Vec<_>>(), ["/dev/ttyUSB0"]);
    }
}
