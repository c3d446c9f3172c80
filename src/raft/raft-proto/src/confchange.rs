//! What raft asks of changes of members.

use crate::eraftpb::{
    ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2,
};
use std::borrow::Cow;

/// One step of a change.
pub fn new_conf_change_single(node_id: u64, change_type: ConfChangeType) -> ConfChangeSingle {
    ConfChangeSingle { change_type, node_id }
}

/// Reads steps in raft's notation: `v1 l2 r3` makes 1 a voter, 2 a learner and removes 3.
pub fn parse_conf_change(text: &str) -> Result<Vec<ConfChangeSingle>, String> {
    let parse = |token: &str| {
        let (kind, id) = token.split_at_checked(1)?;
        let change_type = match kind {
            "v" => ConfChangeType::AddNode,
            "l" => ConfChangeType::AddLearnerNode,
            "r" => ConfChangeType::RemoveNode,
            _ => return None,
        };
        Some(new_conf_change_single(id.parse().ok()?, change_type))
    };
    text.split_ascii_whitespace()
        .map(|token| parse(token).ok_or_else(|| format!("unknown token {token}")))
        .collect()
}

/// The inverse of [`parse_conf_change`].
pub fn stringify_conf_change(changes: &[ConfChangeSingle]) -> String {
    let write = |change: &ConfChangeSingle| {
        let kind = match change.change_type {
            ConfChangeType::AddNode => 'v',
            ConfChangeType::AddLearnerNode => 'l',
            ConfChangeType::RemoveNode => 'r',
        };
        format!("{kind}{}", change.node_id)
    };
    changes.iter().map(write).collect::<Vec<_>>().join(" ")
}

/// Either encoding of a change.
pub trait ConfChangeI {
    /// The change in the newer encoding.
    fn into_v2(self) -> ConfChangeV2;

    /// The change in the newer encoding, borrowed where it is that already.
    fn as_v2(&self) -> Cow<'_, ConfChangeV2>;

    /// The change in the older encoding, if it is in it.
    fn as_v1(&self) -> Option<&ConfChange>;
}

impl ConfChangeI for ConfChange {
    fn into_v2(self) -> ConfChangeV2 {
        ConfChangeV2 {
            transition: ConfChangeTransition::Auto,
            changes: vec![new_conf_change_single(self.node_id, self.change_type)],
            context: self.context,
        }
    }

    fn as_v2(&self) -> Cow<'_, ConfChangeV2> {
        Cow::Owned(self.clone().into_v2())
    }

    fn as_v1(&self) -> Option<&ConfChange> {
        Some(self)
    }
}

impl ConfChangeI for ConfChangeV2 {
    fn into_v2(self) -> ConfChangeV2 {
        self
    }

    fn as_v2(&self) -> Cow<'_, ConfChangeV2> {
        Cow::Borrowed(self)
    }

    fn as_v1(&self) -> Option<&ConfChange> {
        None
    }
}

impl ConfChangeV2 {
    /// Whether this change goes through a joint configuration, and if so whether that is left
    /// automatically. It does if it has several steps or asks for it.
    pub fn enter_joint(&self) -> Option<bool> {
        match self.transition {
            ConfChangeTransition::Auto if self.changes.len() <= 1 => None,
            ConfChangeTransition::Auto | ConfChangeTransition::Implicit => Some(true),
            ConfChangeTransition::Explicit => Some(false),
        }
    }

    /// Whether this change leaves a joint configuration: it is empty but for its context.
    pub fn leave_joint(&self) -> bool {
        self.transition == ConfChangeTransition::Auto && self.changes.is_empty()
    }
}
