//! What tasks need beside their specs: secrets and configs, sent to a node only while one of its
//! tasks names them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::id::{ConfigId, SecretId};
use crate::model::spec::container::ContainerSpec;

/// Names a secret or a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DependencyId {
    Secret(SecretId),
    Config(ConfigId),
}

/// A secret or a config with its data.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    pub id: DependencyId,
    pub data: Vec<u8>,
    /// Whether the data is a template that each task fills in.
    pub template: bool,
    /// Whether the node may have it on its disk, sealed, for the day when it boots without a
    /// manager.
    pub at_rest: bool,
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dependency({:?}, {} bytes)", self.id, self.data.len())
    }
}

/// What a container names, each once.
pub fn named_by(spec: &ContainerSpec) -> Vec<DependencyId> {
    let secrets = spec.secrets.iter();
    let secrets = secrets.filter_map(|used| used.secret_id.parse().ok().map(DependencyId::Secret));
    let configs = spec.configs.iter();
    let configs = configs.filter_map(|used| used.config_id.parse().ok().map(DependencyId::Config));
    let mut ids: Vec<_> = secrets.chain(configs).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_not_shown_by_debug() {
        let dependency = Dependency {
            id: DependencyId::Secret(SecretId(1)),
            data: b"s3cret".to_vec(),
            template: false,
            at_rest: false,
        };
        let shown = format!("{dependency:?}");
        assert!(
            shown.ends_with("6 bytes)") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
