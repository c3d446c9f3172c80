//! The managers' side of the sessions with agents: who is there, what each was told to run, and
//! what each says of its tasks.
//!
//! Heartbeats and sessions are in memory only. What becomes of a node is noted as a [`Facts`]
//! change for the log; a closed session is not death, only missed heartbeats, or a goodbye, are.

mod session;

use std::collections::{BTreeMap, BTreeSet};

use crate::manager::dispatcher::session::Session;
use crate::manager::status::Statuses;
use crate::model::id::{NodeId, TaskId};
use crate::model::object::{NodeState, NodeStatus};
use crate::model::spec::node::NodeDescription;
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};
use crate::wire::session::{ToAgent, ToManager};

/// Heartbeats that a node may miss.
const MISSED_MAX: u64 = 3;
/// The longest that a node is waited for which said that it comes back soon.
const BACK_SOON_MS_MAX: u64 = 60_000;
/// The longest description that a node may give of itself.
const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// A manager that wakes so much later than it wanted to had its own clock or life interrupted,
/// which says nothing about the nodes.
const LATE_MS: u64 = 2_000;

/// Names a session between this manager and an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What the dispatcher wants said or done.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Send(SessionId, ToAgent),
    Close(SessionId),
}

/// What was learnt of a node and is not in the log yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub status: Option<(NodeState, String)>,
    pub description: Option<NodeDescription>,
}

/// All sessions, and the nodes that are waited for.
#[derive(Debug, Default)]
pub struct Dispatcher {
    sessions: BTreeMap<SessionId, NodeId>,
    nodes: BTreeMap<NodeId, Presence>,
    /// When to look at each node next; its deadline may have been put off since.
    deadlines: BTreeSet<(Time, NodeId)>,
    /// Nodes whose tasks changed since they were last told.
    stale: BTreeMap<NodeId, BTreeSet<TaskId>>,
    facts: BTreeMap<NodeId, Facts>,
    said: Vec<Said>,
}

/// What is known of a node that is not down.
#[derive(Debug)]
struct Presence {
    session: Option<Session>,
    /// Down if not heard of until then.
    deadline: Time,
    /// Its entry in `deadlines`.
    looked_at: Time,
    /// It said that it comes back soon, so a closed session is not told to the log.
    coming_back: bool,
}

impl Dispatcher {
    /// Gives every node that is not down three fresh heartbeat periods.
    pub fn start(&mut self, state: &State, now: Time) {
        let gone = [NodeState::Down, NodeState::Unknown];
        for node in state.nodes().iter() {
            if !gone.contains(&node.status.state) {
                self.wait_for(node.id, now.plus_ms(patience_ms(state)));
            }
        }
    }

    /// Whether something was learnt that is not in the log.
    pub fn has_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    /// What a node turned out to be, for the next batch.
    pub fn take_facts(&mut self) -> Option<(NodeId, Facts)> {
        self.facts.pop_first()
    }

    pub fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// When a node may be down, if nothing happens before.
    pub fn due(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whether a node has a session.
    pub fn is_connected(&self, node: NodeId) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|presence| presence.session.is_some())
    }

    pub fn receive(
        &mut self,
        state: &State,
        now: Time,
        session: SessionId,
        message: ToManager,
        statuses: &mut Statuses,
    ) {
        if let ToManager::Hello { node, description } = message {
            return self.hello(state, now, session, node, description);
        }
        let Some(node) = self.sessions.get(&session).copied() else {
            self.refuse(
                session,
                "the first message of a session must be hello".into(),
            );
            return;
        };
        self.heard(state, now, node);
        match message {
            ToManager::Hello { .. } | ToManager::Heartbeat => {}
            ToManager::AskFull => self.send_full(state, node),
            ToManager::Status(updates) => {
                for update in updates {
                    statuses.receive(state, now, node, update);
                }
            }
            ToManager::BackSoon { ms } => {
                self.wait_for(node, now.plus_ms(ms.min(BACK_SOON_MS_MAX)));
                if let Some(presence) = self.nodes.get_mut(&node) {
                    presence.coming_back = true;
                }
            }
            ToManager::Goodbye => self.lose(node, "node left the swarm or was shut down"),
        }
    }

    /// A session ended without a word, or after its last.
    pub fn close(&mut self, session: SessionId) {
        let Some(node) = self.sessions.remove(&session) else {
            return;
        };
        let Some(presence) = self.nodes.get_mut(&node) else {
            return;
        };
        if presence
            .session
            .as_ref()
            .is_some_and(|own| own.id == session)
        {
            presence.session = None;
            if !presence.coming_back {
                let message = "agent session ended; waiting for it to come back";
                self.note_state(node, NodeState::Disconnected, message);
            }
        }
    }

    /// Declares down what was not heard of in time.
    pub fn tick(&mut self, state: &State, now: Time) {
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
            }
        }
    }

    /// Notes that a task of a node changed.
    pub fn note_task(&mut self, node: NodeId, task: TaskId) {
        if self.is_connected(node) {
            self.stale.entry(node).or_default().insert(task);
        }
    }

    /// Notes that a node was removed: its session ends.
    pub fn note_removed(&mut self, node: NodeId) {
        if let Some(session) = self.forget(node) {
            let reason = format!("node {node} was removed from the swarm");
            self.refuse(session.id, reason);
        }
        self.facts.remove(&node);
        self.stale.remove(&node);
    }

    /// Tells the nodes what changed for them.
    pub fn tell(&mut self, state: &State) {
        for (node, tasks) in std::mem::take(&mut self.stale) {
            let presence = self.nodes.get_mut(&node);
            let Some(session) = presence.and_then(|presence| presence.session.as_mut()) else {
                continue;
            };
            let tasks: Vec<_> = tasks.into_iter().collect();
            let messages = session.differences(state, node, &tasks);
            self.said.extend(
                messages
                    .into_iter()
                    .map(|message| Said::Send(session.id, message)),
            );
        }
    }

    fn hello(
        &mut self,
        state: &State,
        now: Time,
        session: SessionId,
        id: NodeId,
        description: NodeDescription,
    ) {
        let Some(node) = state.nodes().find(id) else {
            return self.refuse(session, format!("node {id} is not part of this swarm"));
        };
        let bytes = postcard::experimental::serialized_size(&description).unwrap_or(usize::MAX);
        if bytes > DESCRIPTION_BYTES_MAX {
            let limit = DESCRIPTION_BYTES_MAX;
            let reason = format!("the node describes itself in {bytes} bytes; at most {limit}");
            return self.refuse(session, reason);
        }
        let old = self
            .nodes
            .get_mut(&id)
            .and_then(|presence| presence.session.take());
        if let Some(old) = old.filter(|old| old.id != session) {
            self.sessions.remove(&old.id);
            self.said.push(Said::Close(old.id));
        }
        self.sessions.insert(session, id);
        let deadline = now.plus_ms(patience_ms(state));
        self.wait_for(id, deadline);
        if let Some(presence) = self.nodes.get_mut(&id) {
            presence.coming_back = false;
            presence.session = Some(Session::new(session));
        }
        self.note_state(id, NodeState::Ready, "");
        if node.description != description {
            self.facts.entry(id).or_default().description = Some(description);
        }
        let heartbeat_ms = heartbeat_ms(state);
        self.said
            .push(Said::Send(session, ToAgent::Welcome { heartbeat_ms }));
        self.send_full(state, id);
    }

    fn heard(&mut self, state: &State, now: Time, node: NodeId) {
        let deadline = now.plus_ms(patience_ms(state));
        match self.nodes.get_mut(&node) {
            Some(presence) if presence.coming_back => {}
            // The entry in `deadlines` is put off when it comes up, not with each heartbeat.
            Some(presence) if presence.deadline <= deadline => presence.deadline = deadline,
            _ => self.wait_for(node, deadline),
        }
    }

    /// Waits for a node until `deadline`.
    fn wait_for(&mut self, node: NodeId, deadline: Time) {
        let presence = self.nodes.entry(node).or_insert(Presence {
            session: None,
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
        if let Some(session) = self.forget(node) {
            self.sessions.remove(&session.id);
            self.said.push(Said::Close(session.id));
        }
        self.note_state(node, NodeState::Down, message);
    }

    /// Waits for a node no longer.
    fn forget(&mut self, node: NodeId) -> Option<Session> {
        let presence = self.nodes.remove(&node)?;
        self.deadlines.remove(&(presence.looked_at, node));
        presence.session
    }

    fn note_state(&mut self, node: NodeId, state: NodeState, message: &str) {
        self.facts.entry(node).or_default().status = Some((state, message.to_owned()));
    }

    fn refuse(&mut self, session: SessionId, reason: String) {
        self.sessions.remove(&session);
        self.said
            .push(Said::Send(session, ToAgent::Refused { reason }));
        self.said.push(Said::Close(session));
    }

    /// Sends all that a node shall do: a full message, and before it the parts that it has no room
    /// for.
    fn send_full(&mut self, state: &State, node: NodeId) {
        self.stale.remove(&node);
        let presence = self.nodes.get_mut(&node);
        let Some(session) = presence.and_then(|presence| presence.session.as_mut()) else {
            return;
        };
        let messages = session.full(state, node);
        self.said.extend(
            messages
                .into_iter()
                .map(|message| Said::Send(session.id, message)),
        );
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

fn heartbeat_ms(state: &State) -> u64 {
    let period_ns = state.cluster().map_or(0, |c| c.spec.heartbeat_period_ns);
    ms_of_ns(period_ns).max(100)
}

fn patience_ms(state: &State) -> u64 {
    heartbeat_ms(state).saturating_mul(MISSED_MAX)
}

#[cfg(test)]
mod tests;
