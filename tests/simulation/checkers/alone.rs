//! A node runs again what has ended there only when no manager has told it what to do for a while.

use std::collections::{BTreeMap, BTreeSet};

use skep::agent::alone::{ALONE_AT_START_MS, ALONE_MS};
use skep::agent::containers::ContainerId;
use skep::model::id::NodeId;
use skep::model::object::TaskState;
use skep::model::time::Time;

use crate::host::{Host, Order};

#[derive(Debug, Default)]
pub struct Checker {
    nodes: BTreeMap<NodeId, Contact>,
    /// Containers that were to be removed; when that fails it is tried again, at any time.
    removed: BTreeSet<ContainerId>,
}

#[derive(Debug)]
enum Contact {
    /// A manager has told it what to do, and hears it.
    Told,
    /// None has for so long, and it waits for so long.
    Alone { since: Time, least_ms: u64 },
    /// Its clock was set meanwhile, which makes the wait shorter.
    Confused,
}

impl Checker {
    pub fn started(&mut self, node: NodeId, now: Time) {
        let contact = Contact::Alone {
            since: now,
            least_ms: ALONE_AT_START_MS,
        };
        self.nodes.insert(node, contact);
    }

    pub fn told(&mut self, node: NodeId) {
        self.nodes.insert(node, Contact::Told);
    }

    pub fn lost(&mut self, node: NodeId, now: Time) {
        if let Some(contact @ Contact::Told) = self.nodes.get_mut(&node) {
            *contact = Contact::Alone {
                since: now,
                least_ms: ALONE_MS,
            };
        }
    }

    pub fn clock_set(&mut self, node: NodeId) {
        if let Some(contact @ Contact::Alone { .. }) = self.nodes.get_mut(&node) {
            *contact = Contact::Confused;
        }
    }

    pub fn orders(&mut self, host: &Host, now: Time, order: &Order) {
        let Order::Remove(attempt) = order else {
            return;
        };
        let is_first = self.removed.insert(attempt.container);
        let is_wanted = host.wanted.get(&attempt.task) == Some(&TaskState::Running);
        if !is_first || !is_wanted || !host.has_ended(attempt.container) {
            return;
        }
        let task = attempt.task;
        match self.nodes[&host.node] {
            Contact::Told => panic!("{task} is run again, and a manager can be told"),
            Contact::Alone { since, least_ms } => {
                let ms = now.since_ms(since);
                assert!(
                    ms >= least_ms,
                    "{task} is run again {ms} ms after its manager went"
                );
            }
            Contact::Confused => {}
        }
    }
}
