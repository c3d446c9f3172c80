//! What control groups of this machine can limit.

use std::collections::BTreeSet;
use std::fs;

use crate::runtime::cgroup::{CgroupError, Hierarchy, mend};

/// What limits of tasks need, and what each of it limits.
const NEEDED: [(&str, &str); 3] = [
    ("memory", "memory"),
    ("cpu", "processor time"),
    ("pids", "numbers of processes"),
];

/// A controller that is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingController {
    pub name: &'static str,
    pub limits: &'static str,
    /// What brings it, where that is known.
    pub mend: &'static str,
}

/// The version of this machine's control groups, and which controllers it does not offer.
pub fn missing() -> Result<(u8, Vec<MissingController>), CgroupError> {
    let hierarchy = Hierarchy::detect()?;
    let offered = offered(&hierarchy);
    Ok((hierarchy.version(), absent(&offered)))
}

fn offered(hierarchy: &Hierarchy) -> BTreeSet<String> {
    match hierarchy {
        Hierarchy::Legacy { controllers, .. } => controllers.keys().cloned().collect(),
        Hierarchy::Unified(root) => {
            let text = fs::read_to_string(root.join("cgroup.controllers"));
            let text = text.unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        }
    }
}

fn absent(offered: &BTreeSet<String>) -> Vec<MissingController> {
    let absent = NEEDED.iter().filter(|(name, _)| !offered.contains(*name));
    let absent = absent.map(|(name, limits)| MissingController {
        name,
        limits,
        mend: mend(name).trim_start_matches("; "),
    });
    absent.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raspberry_pi_is_told_how_it_gets_limits_of_memory() {
        let offered = ["cpu", "cpuset", "pids"].map(str::to_owned).into();
        let [missing] = &absent(&offered)[..] else {
            panic!("{offered:?}");
        };
        assert_eq!((missing.name, missing.limits), ("memory", "memory"));
        assert!(missing.mend.starts_with("add cgroup_enable=memory"));
    }
}
