//! What the leader knows of the nodes: who was heard of when, and what became of whom.
//!
//! A node has its session with any manager, which tells the leader what it sees. All of it is in
//! memory only. What becomes of a node is noted as [`Facts`] for the log; a closed session is not
//! death, only missed heartbeats, or a goodbye, are.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::NodeId;
use crate::model::object::{NodeState, NodeStatus};
use crate::model::spec::node::NodeDescription;
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};
use crate::wire::peer::{Seen, Sight};

/// Heartbeats that a node may miss.
const MISSED_MAX: u64 = 3;
/// The longest that a node is waited for which said that it comes back soon.
const BACK_SOON_MS_MAX: u64 = 60_000;
/// A manager that wakes so much later than it wanted to had its own clock or life interrupted,
/// which says nothing about the nodes.
const LATE_MS: u64 = 2_000;

/// What was learnt of a node and is not in the log yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub status: Option<(NodeState, String)>,
    pub description: Option<NodeDescription>,
}

/// The nodes that are waited for.
#[derive(Debug, Default)]
pub struct Liveness {
    nodes: BTreeMap<NodeId, Presence>,
    /// When to look at each node next; its deadline may have been put off since.
    deadlines: BTreeSet<(Time, NodeId)>,
    facts: BTreeMap<NodeId, Facts>,
}

/// A session by the raft id of its manager and that manager's name for it.
type Place = (u64, u64);

/// What is known of a node that is not down.
#[derive(Debug)]
struct Presence {
    /// Where its session is.
    place: Option<Place>,
    /// Down if not heard of until then.
    deadline: Time,
    /// Its entry in `deadlines`.
    looked_at: Time,
    /// It said that it comes back soon, so a closed session is not told to the log.
    coming_back: bool,
}

impl Liveness {
    /// Gives every node that is not down three fresh heartbeat periods, and so long to find this
    /// manager.
    pub fn of(state: &State, now: Time, away_ms: u64) -> Self {
        let mut liveness = Self::default();
        let gone = [NodeState::Down, NodeState::Unknown];
        for node in state.nodes().iter() {
            if !gone.contains(&node.status.state) {
                let deadline = now.plus_ms(patience_ms(state)).plus_ms(away_ms);
                liveness.wait_for(node.id, deadline);
            }
        }
        liveness
    }

    /// Whether something was learnt that is not in the log.
    pub fn has_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    /// What a node turned out to be, for the next batch.
    pub fn take_facts(&mut self) -> Option<(NodeId, Facts)> {
        self.facts.pop_first()
    }

    /// When a node may be down, if nothing happens before.
    pub fn due(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes in what the manager of a raft id saw of a node.
    pub fn see(&mut self, state: &State, now: Time, manager: u64, seen: Seen) {
        let Seen {
            node,
            session,
            sight,
        } = seen;
        let Some(known) = state.nodes().find(node) else {
            return;
        };
        let place = (manager, session);
        match sight {
            Sight::Heard => self.heard(state, now, node, place),
            Sight::Joined { description } => {
                self.joined(state, now, node, place);
                if let Some(description) = description.filter(|new| **new != known.description) {
                    self.facts.entry(node).or_default().description = Some(*description);
                }
            }
            Sight::Lost if self.is_at(node, place) => {
                let Some(presence) = self.nodes.get_mut(&node) else {
                    return;
                };
                presence.place = None;
                if !presence.coming_back {
                    let message = "agent session ended; waiting for it to come back";
                    self.note_state(node, NodeState::Disconnected, message);
                }
            }
            Sight::BackSoon { ms } if self.is_at(node, place) => {
                self.wait_for(node, now.plus_ms(ms.min(BACK_SOON_MS_MAX)));
                if let Some(presence) = self.nodes.get_mut(&node) {
                    presence.coming_back = true;
                }
            }
            Sight::Goodbye if self.is_at(node, place) => {
                self.lose(node, "node left the swarm or was shut down");
            }
            // Of a session that another one has followed.
            Sight::Lost | Sight::BackSoon { .. } | Sight::Goodbye => {}
        }
    }

    /// Those that are waited for because they said that they come back soon.
    pub fn coming_back(&self, now: Time) -> Vec<Seen> {
        let coming = self.nodes.iter().filter(|(_, there)| there.coming_back);
        let seen = coming.map(|(node, there)| Seen {
            node: *node,
            session: there.place.map_or(0, |(_, session)| session),
            sight: Sight::BackSoon {
                ms: there.deadline.since_ms(now),
            },
        });
        seen.collect()
    }

    /// Declares down what was not heard of in time, and says who that is.
    pub fn tick(&mut self, state: &State, now: Time) -> Vec<NodeId> {
        let mut lost = Vec::new();
        while let Some((at, node)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, node));
            let Some(deadline) = self.nodes.get(&node).map(|presence| presence.deadline) else {
                continue;
            };
            if deadline > now {
                self.wait_for(node, deadline);
            } else if now.since_ms(deadline) > LATE_MS {
                self.wait_for(node, now.plus_ms(patience_ms(state)));
            } else {
                self.lose(node, "heartbeat failure");
                lost.push(node);
            }
        }
        lost
    }

    /// Forgets a node that was removed.
    pub fn remove(&mut self, node: NodeId) {
        self.forget(node);
        self.facts.remove(&node);
    }

    fn heard(&mut self, state: &State, now: Time, node: NodeId, place: Place) {
        let deadline = now.plus_ms(patience_ms(state));
        match self.nodes.get_mut(&node) {
            Some(presence) if presence.place != Some(place) => {
                self.joined(state, now, node, place);
            }
            Some(presence) if presence.coming_back => {}
            // The entry in `deadlines` is put off when it comes up, not with each heartbeat.
            Some(presence) if presence.deadline <= deadline => presence.deadline = deadline,
            Some(_) => self.wait_for(node, deadline),
            None => self.joined(state, now, node, place),
        }
    }

    fn joined(&mut self, state: &State, now: Time, node: NodeId, place: Place) {
        self.wait_for(node, now.plus_ms(patience_ms(state)));
        if let Some(presence) = self.nodes.get_mut(&node) {
            presence.coming_back = false;
            presence.place = Some(place);
        }
        self.note_state(node, NodeState::Ready, "");
    }

    fn is_at(&self, node: NodeId, place: Place) -> bool {
        let presence = self.nodes.get(&node);
        // A new leader has not heard yet where the sessions are.
        presence.is_some_and(|presence| presence.place.is_none_or(|at| at == place))
    }

    /// Waits for a node until `deadline`.
    fn wait_for(&mut self, node: NodeId, deadline: Time) {
        let presence = self.nodes.entry(node).or_insert(Presence {
            place: None,
            deadline,
            looked_at: deadline,
            coming_back: false,
        });
        self.deadlines.remove(&(presence.looked_at, node));
        presence.deadline = deadline;
        presence.looked_at = deadline;
        self.deadlines.insert((deadline, node));
    }

    fn lose(&mut self, node: NodeId, message: &str) {
        self.forget(node);
        self.note_state(node, NodeState::Down, message);
    }

    /// Waits for a node no longer.
    fn forget(&mut self, node: NodeId) {
        if let Some(presence) = self.nodes.remove(&node) {
            self.deadlines.remove(&(presence.looked_at, node));
        }
    }

    fn note_state(&mut self, node: NodeId, state: NodeState, message: &str) {
        self.facts.entry(node).or_default().status = Some((state, message.to_owned()));
    }

    /// The state that a node turned out to be in.
    #[cfg(test)]
    pub fn state_of(&self, node: NodeId) -> Option<NodeState> {
        let status = self.facts.get(&node)?.status.as_ref();
        status.map(|(state, _)| *state)
    }
}

/// The node's status with what was learnt, if that is news.
pub fn news(old: &NodeStatus, facts: &Facts, now: Time) -> Option<NodeStatus> {
    let (state, message) = facts.status.clone()?;
    // A node that is down has no session that could end.
    let stale = state == NodeState::Disconnected && old.state == NodeState::Down;
    (state != old.state && !stale).then(|| NodeStatus {
        state,
        message,
        address: old.address.clone(),
        since: now,
    })
}

/// How often a node shall be heard of.
pub fn heartbeat_ms(state: &State) -> u64 {
    let period_ns = state.cluster().map_or(0, |c| c.spec.heartbeat_period_ns);
    ms_of_ns(period_ns).max(100)
}

fn patience_ms(state: &State) -> u64 {
    heartbeat_ms(state).saturating_mul(MISSED_MAX)
}
