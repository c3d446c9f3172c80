//! What the nodes carry as a round of placing has changed it, and which have least.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::{NodeId, ServiceId};
use crate::model::load::NodeLoad;
use crate::model::state::State;

/// The nodes' loads that this round has changed; all others are as in the state.
#[derive(Debug, Default)]
pub struct Loads {
    changed: BTreeMap<NodeId, NodeLoad>,
    /// The changed ones by how many tasks they have.
    ranked: BTreeSet<(u32, NodeId)>,
}

impl Loads {
    /// What a node carries now.
    pub fn of(&self, state: &State, id: NodeId) -> NodeLoad {
        let load = self.changed.get(&id).or_else(|| state.load(id));
        load.cloned().unwrap_or_default()
    }

    pub fn set(&mut self, id: NodeId, load: NodeLoad) {
        let new = (load.tasks, id);
        if let Some(old) = self.changed.insert(id, load) {
            self.ranked.remove(&(old.tasks, id));
        }
        self.ranked.insert(new);
    }

    /// Every node, the one with the fewest tasks first, as things stand.
    pub fn by_load<'a>(&self, state: &'a State) -> impl Iterator<Item = NodeId> + use<'a> {
        let changed: BTreeSet<NodeId> = self.changed.keys().copied().collect();
        let ours: Vec<_> = self.ranked.iter().copied().collect();
        let theirs = state.nodes_by_load();
        let mut theirs = theirs
            .filter(move |(_, id)| !changed.contains(id))
            .peekable();
        let mut ours = ours.into_iter().peekable();
        std::iter::from_fn(move || {
            let takes_ours = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) => our < their,
                (our, _) => our.is_some(),
            };
            let next = if takes_ours {
                ours.next()
            } else {
                theirs.next()
            };
            next.map(|(_, id)| id)
        })
    }
}

/// How many tasks of a service the nodes have, as a round of placing has changed it.
#[derive(Debug)]
pub struct Owned<'a> {
    state: &'a State,
    pub service: ServiceId,
    changed: BTreeMap<NodeId, u32>,
}

impl<'a> Owned<'a> {
    /// As the state has it.
    pub fn of(state: &'a State, service: ServiceId) -> Self {
        Self {
            state,
            service,
            changed: BTreeMap::new(),
        }
    }

    pub fn on(&self, node: NodeId) -> u32 {
        let changed = self.changed.get(&node).copied();
        changed.unwrap_or_else(|| self.state.tasks_on_node(self.service, node))
    }

    pub fn set(&mut self, node: NodeId, tasks: u32) {
        self.changed.insert(node, tasks);
    }
}
