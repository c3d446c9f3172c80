//! What a user's word for an object means: its id, else its name, else an unambiguous start of its
//! id.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::id::{ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::object::{Node, Service, Task};
use crate::model::state::State;
use crate::model::table::{Row, Table};
use crate::wire::control::{ObjectKind, Refusal};

/// Ids that a text can be the start of.
pub trait Prefixed: Copy + Ord + FromStr {
    fn starting_with(prefix: &str) -> Option<RangeInclusive<Self>>;
}

macro_rules! prefixed {
    ($($id:ident)*) => {$(
        impl Prefixed for $id {
            fn starting_with(prefix: &str) -> Option<RangeInclusive<Self>> {
                Self::with_prefix(prefix)
            }
        }
    )*};
}

prefixed! { ConfigId NetworkId NodeId SecretId ServiceId TaskId }

/// An object of a table whose rows have unique names.
pub fn named<'a, R: Row>(
    table: &'a Table<R>,
    kind: ObjectKind,
    reference: &str,
) -> Result<&'a Arc<R>, Refusal>
where
    R::Id: Prefixed,
{
    let by_id = reference.parse().ok().and_then(|id| table.find(id));
    let found = by_id.or_else(|| table.by_name(reference));
    found.map_or_else(|| by_prefix(table, kind, reference), Ok)
}

pub fn service<'a>(state: &'a State, reference: &str) -> Result<&'a Arc<Service>, Refusal> {
    named(state.services(), ObjectKind::Service, reference)
}

/// Nodes go by their hostnames, which need not be unique.
pub fn node<'a>(state: &'a State, reference: &str) -> Result<&'a Arc<Node>, Refusal> {
    let nodes = state.nodes();
    if let Some(node) = reference.parse().ok().and_then(|id| nodes.find(id)) {
        return Ok(node);
    }
    let same = |node: &&Arc<Node>| node.description.hostname == reference;
    let mut of_name = nodes.iter().filter(same);
    match (of_name.next(), of_name.count()) {
        (Some(node), 0) => Ok(node),
        (Some(_), more) => Err(Refusal::Ambiguous {
            kind: ObjectKind::Node,
            reference: reference.to_owned(),
            matches: more + 1,
        }),
        (None, _) => by_prefix(nodes, ObjectKind::Node, reference),
    }
}

/// Tasks go by `SERVICE.SLOT.ID` too.
pub fn task<'a>(state: &'a State, reference: &str) -> Result<&'a Arc<Task>, Refusal> {
    if let Some((name, id)) = reference.rsplit_once('.') {
        let task = id.parse().ok().and_then(|id| state.tasks().find(id));
        let task = task.filter(|task| task.name() == name);
        return task.ok_or_else(|| not_found(ObjectKind::Task, reference));
    }
    by_prefix(state.tasks(), ObjectKind::Task, reference)
}

fn by_prefix<'a, R: Row>(
    table: &'a Table<R>,
    kind: ObjectKind,
    prefix: &str,
) -> Result<&'a Arc<R>, Refusal>
where
    R::Id: Prefixed,
{
    let range = R::Id::starting_with(prefix).filter(|_| !prefix.is_empty());
    let Some(range) = range else {
        return Err(not_found(kind, prefix));
    };
    let mut matching = table.in_range(range);
    match (matching.next(), matching.count()) {
        (Some(row), 0) => Ok(row),
        (None, _) => Err(not_found(kind, prefix)),
        (Some(_), more) => Err(Refusal::Ambiguous {
            kind,
            reference: prefix.to_owned(),
            matches: more + 1,
        }),
    }
}

fn not_found(kind: ObjectKind, reference: &str) -> Refusal {
    Refusal::NotFound {
        kind,
        reference: reference.to_owned(),
    }
}
