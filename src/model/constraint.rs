//! Placement constraints: `node.labels.disk == ssd`, parsed once and matched against nodes.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::model::object::Node;
use crate::model::spec::Labels;
use crate::model::spec::node::Role;

/// One constraint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    key: Key,
    equal: bool,
    value: String,
}

/// What of a node a constraint looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Hostname,
    Ip,
    Role,
    Os,
    Architecture,
    NodeLabel(String),
    EngineLabel(String),
}

/// Something that each node has a value of: what constraints and preferences are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute(Key);

impl Attribute {
    /// Parses a key such as `node.labels.rack`.
    pub fn parse(text: &str) -> Option<Self> {
        Key::parse(text.trim()).map(Self)
    }

    /// The node's value; empty if it has none.
    pub fn of(&self, node: &Node) -> String {
        self.0.of(node).into_owned()
    }
}

/// Why a text is no constraint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    #[error("{0:?}: constraint expected one operator from ==, !=")]
    Operator(String),
    #[error(
        "{constraint:?}: key {key:?} is not known; known are node.id, node.hostname, node.ip, \
         node.role, node.platform.os, node.platform.arch, node.labels.* and engine.labels.*"
    )]
    Key { constraint: String, key: String },
    #[error("{constraint:?}: value {value:?} is invalid")]
    Value { constraint: String, value: String },
}

const NODE_LABEL: &str = "node.labels.";
const ENGINE_LABEL: &str = "engine.labels.";

impl Constraint {
    /// Parses a constraint as Swarm does: keys and values without regard to case.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let operator = || ConstraintError::Operator(text.to_owned());
        let at = text.find(['=', '!']).ok_or_else(operator)?;
        let (key, rest) = text.split_at(at);
        let (equal, value) = match rest.get(..2) {
            Some("==") => (true, rest[2..].trim()),
            Some("!=") => (false, rest[2..].trim()),
            _ => return Err(operator()),
        };
        let constraint = || text.to_owned();
        let key = Key::parse(key.trim()).ok_or_else(|| ConstraintError::Key {
            constraint: constraint(),
            key: key.trim().to_owned(),
        })?;
        if value.is_empty() || !value.chars().all(is_value_char) {
            return Err(ConstraintError::Value {
                constraint: constraint(),
                value: value.to_owned(),
            });
        }
        let value = value.to_owned();
        Ok(Self { key, equal, value })
    }

    /// Whether the node is one that the constraint allows.
    pub fn allows(&self, node: &Node) -> bool {
        let is = |actual: &str| actual.eq_ignore_ascii_case(&self.value);
        let own = self.key.of(node);
        let same = match &self.key {
            Key::Ip => address_is(&own, &self.value),
            Key::Architecture => is(&own) || is(architecture(&own)),
            _ => is(&own),
        };
        same == self.equal
    }
}

/// Go's name of a machine's architecture, which images use.
pub fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" | "armhf" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let label = |prefix: &str| {
            let label = lower.starts_with(prefix).then(|| &text[prefix.len()..])?;
            let fine = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            (fine && !label.is_empty()).then(|| label.to_owned())
        };
        Some(match lower.as_str() {
            "node.id" => Self::Id,
            "node.hostname" => Self::Hostname,
            "node.ip" => Self::Ip,
            "node.role" => Self::Role,
            "node.platform.os" => Self::Os,
            "node.platform.arch" => Self::Architecture,
            _ => match label(NODE_LABEL) {
                Some(label) => Self::NodeLabel(label),
                None => Self::EngineLabel(label(ENGINE_LABEL)?),
            },
        })
    }
}

impl Key {
    fn of<'a>(&self, node: &'a Node) -> Cow<'a, str> {
        let label = |labels: &'a Labels, label: &str| labels.get(label).map_or("", String::as_str);
        Cow::Borrowed(match self {
            Self::Id => return Cow::Owned(node.id.to_string()),
            Self::Hostname => &node.description.hostname,
            Self::Ip => &node.status.address,
            Self::Role => match node.spec.role {
                Role::Worker => "worker",
                Role::Manager => "manager",
            },
            Self::Os => &node.description.platform.os,
            Self::Architecture => &node.description.platform.architecture,
            Self::NodeLabel(name) => label(&node.spec.labels, name),
            Self::EngineLabel(name) => label(&node.description.engine.labels, name),
        })
    }
}

fn is_value_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ":-_ .*()?+[]\\^$|/".contains(c)
}

/// Whether an address is the one given, or in the network given.
fn address_is(address: &str, wanted: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let (network, length) = match wanted.split_once('/') {
        Some((network, length)) => (network, length.parse().ok()),
        None => (wanted, Some(128)),
    };
    let (Ok(network), Some(length)) = (network.parse::<IpAddr>(), length) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let differing = u128::from(a.to_bits() ^ n.to_bits()) << 96;
            differing.leading_zeros() >= u32::min(length, 32)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            (a.to_bits() ^ n.to_bits()).leading_zeros() >= u32::min(length, 128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::NodeId;
    use crate::model::object::{Meta, NodeStatus};
    use crate::model::spec::node::{NodeDescription, NodeSpec};

    fn node() -> Node {
        let mut description = NodeDescription {
            hostname: "pi4".into(),
            ..NodeDescription::default()
        };
        description.platform.os = "linux".into();
        description.platform.architecture = "aarch64".into();
        let label = ("zone".to_owned(), "attic".to_owned());
        description.engine.labels.extend([label.clone()]);
        let mut spec = NodeSpec::default();
        spec.labels.extend([("Disk".to_owned(), "ssd".to_owned())]);
        let status = NodeStatus {
            address: "10.0.3.7".into(),
            ..NodeStatus::default()
        };
        Node {
            id: NodeId(5),
            meta: Meta::default(),
            spec,
            description,
            status,
            manager: None,
            key: None,
            ingress: None,
        }
    }

    #[track_caller]
    fn check(constraint: &str, allowed: bool) {
        let parsed = Constraint::parse(constraint).unwrap();
        assert_eq!(parsed.allows(&node()), allowed, "{constraint}");
    }

    #[test]
    fn every_key_is_matched_without_regard_to_case() {
        check("node.id==0000000000000000000000005", true);
        check("node.hostname == PI4", true);
        check("NODE.ROLE == Worker", true);
        check("node.role != manager", true);
        check("node.platform.os==linux", true);
        check("node.platform.arch==aarch64", true);
        check("node.platform.arch==arm64", true);
        check("node.platform.arch!=x86_64", true);
        check("node.labels.Disk == ssd", true);
        check("node.labels.Disk != ssd", false);
        check("node.labels.none == ssd", false);
        check("node.labels.none != ssd", true);
        check("engine.labels.zone == attic", true);
    }

    #[test]
    fn addresses_match_alone_and_by_network() {
        check("node.ip == 10.0.3.7", true);
        check("node.ip == 10.0.3.8", false);
        check("node.ip == 10.0.0.0/16", true);
        check("node.ip != 10.0.0.0/16", false);
        check("node.ip == 10.1.0.0/16", false);
        check("node.ip == 0.0.0.0/0", true);
        check("node.ip == ::/0", false);
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        let operator = |text: &str| ConstraintError::Operator(text.to_owned());
        for text in ["", "node.role", "node.role=manager", "node.role ! manager"] {
            assert_eq!(Constraint::parse(text), Err(operator(text)));
        }
        for text in ["node.colour==red", "node.labels.==x", "==x"] {
            let error = Constraint::parse(text).unwrap_err();
            assert!(matches!(error, ConstraintError::Key { .. }), "{text}");
        }
        for text in ["node.role==", "node.role == a>b"] {
            let error = Constraint::parse(text).unwrap_err();
            assert!(matches!(error, ConstraintError::Value { .. }), "{text}");
        }
    }
}
