//! A manager's side of its sessions with agents: who is there, what each was told to run, and what
//! each says of its tasks.
//!
//! Every manager has sessions, and serves them from its own copy of the state. A session begins
//! only once that copy is known to be no older than anything the agent was told before: see
//! [`Dispatcher::admit`]. What is seen of the nodes goes to the leader, as [`Seen`].

mod needs;
mod peers;
mod reached;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::roots::digest_all;
use crate::manager::dirty::Dirty;
use crate::manager::dispatcher::peers::Tunnels;
use crate::manager::dispatcher::reached::Reached;
use crate::manager::dispatcher::session::Session;
use crate::manager::liveness::heartbeat_ms;
use crate::manager::status::Statuses;
use crate::model::change::Change;
use crate::model::id::{NodeId, TaskId};
use crate::model::spec::node::{NodeDescription, Role};
use crate::model::state::State;
use crate::model::time::Time;
use crate::wire::peer::{Seen, Sight};
use crate::wire::reach::{Peers, Reach};
use crate::wire::session::{Roster, ToAgent, ToManager};
use crate::wire::stream::Summons;

/// The longest description that a node may give of itself.
const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// Sessions that wait to begin, and for how long; then the agent tries another manager.
const ARRIVING_MAX: usize = 4_096;
const ARRIVING_MS_MAX: u64 = 5_000;

/// Names a session between this manager and an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What the dispatcher wants said or done.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Send(SessionId, ToAgent),
    Close(SessionId),
}

/// All sessions of this manager.
#[derive(Debug, Default)]
pub struct Dispatcher {
    sessions: BTreeMap<SessionId, NodeId>,
    nodes: BTreeMap<NodeId, Session>,
    /// Who has said hello, and waits for the manager's state to be up to date.
    arriving: BTreeMap<SessionId, Arriving>,
    /// Nodes whose tasks changed since they were last told.
    stale: BTreeMap<NodeId, BTreeSet<TaskId>>,
    reached: Reached,
    /// Whether agents have to be told who the managers are.
    managers_changed: bool,
    /// Whether it has changed on which disks secrets and configs may lie.
    at_rest_changed: bool,
    tunnels: Tunnels,
    seen: Vec<Seen>,
    said: Vec<Said>,
}

#[derive(Debug)]
struct Arriving {
    node: NodeId,
    description: NodeDescription,
    deadline: Time,
}

impl Dispatcher {
    pub fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// When an arriving session has waited for too long. Sessions are numbered as they come.
    pub fn due(&self) -> Option<Time> {
        let first = self.arriving.first_key_value();
        first.map(|(_, waiting)| waiting.deadline)
    }

    /// Whether a node has a session with this manager.
    pub fn is_connected(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// Asks a node for a stream; whether it has a session here.
    pub fn summon(&mut self, node: NodeId, summons: &Summons) -> bool {
        let Some(session) = self.nodes.get(&node) else {
            return false;
        };
        let message = ToAgent::Summon(summons.clone());
        self.said.push(Said::Send(session.id, message));
        true
    }

    /// The first message of a session; whether it waits to be admitted.
    pub fn hello(
        &mut self,
        now: Time,
        session: SessionId,
        node: NodeId,
        description: NodeDescription,
    ) -> bool {
        if let Err(reason) = check_description(&description) {
            self.refuse(session, reason);
            return false;
        }
        if self.arriving.len() >= ARRIVING_MAX {
            self.said.push(Said::Close(session));
            return false;
        }
        let arriving = Arriving {
            node,
            description,
            deadline: now.plus_ms(ARRIVING_MS_MAX),
        };
        self.arriving.insert(session, arriving).is_none()
    }

    /// Begins a session that said hello. The state must have all that was committed by then: with
    /// an older one, the agent could be told to end what it was given since.
    pub fn admit(&mut self, state: &State, session: SessionId) {
        let Some(Arriving {
            node: id,
            description,
            ..
        }) = self.arriving.remove(&session)
        else {
            return;
        };
        let Some(node) = state.nodes().find(id) else {
            return self.refuse(session, format!("node {id} is not part of this swarm"));
        };
        if let Some(old) = self.nodes.remove(&id).filter(|old| old.id != session) {
            self.sessions.remove(&old.id);
            self.said.push(Said::Close(old.id));
        }
        self.tell_reached(state);
        self.tell_tunnels(state);
        self.sessions.insert(session, id);
        let description = (node.description != description).then(|| Box::new(description));
        let (told, peers) = self.tunnels.all(state, id);
        let new = Session::new(session, description.clone(), told);
        self.nodes.insert(id, new);
        self.see(id, session, Sight::Joined { description });
        let heartbeat_ms = heartbeat_ms(state);
        self.said
            .push(Said::Send(session, ToAgent::Welcome { heartbeat_ms }));
        self.send_roster(id, roster(state, id));
        let reached = self.reached.all(state).into_iter();
        self.said
            .extend(reached.map(|part| Said::Send(session, ToAgent::Reach(part))));
        self.said.extend(send_peers(session, peers));
        self.send_full(state, id);
    }

    /// Takes in what is said in a session after the hello.
    pub fn receive(
        &mut self,
        state: &State,
        now: Time,
        session: SessionId,
        message: ToManager,
        statuses: &mut Statuses,
    ) {
        let Some(node) = self.sessions.get(&session).copied() else {
            let reason = "the first message of a session must be hello";
            return self.refuse(session, reason.into());
        };
        match message {
            ToManager::Hello { .. } | ToManager::Heartbeat => {}
            ToManager::Describe(description) => return self.describe(state, node, description),
            ToManager::AskFull => self.send_full(state, node),
            ToManager::Status(updates) => {
                for update in updates {
                    statuses.receive(state, now, node, update);
                }
            }
            ToManager::BackSoon { ms } => {
                if let Some(own) = self.nodes.get_mut(&node) {
                    own.coming_back = true;
                }
                return self.see(node, session, Sight::BackSoon { ms });
            }
            ToManager::Goodbye => {
                self.see(node, session, Sight::Goodbye);
                return self.end(node);
            }
        }
        self.see(node, session, Sight::Heard);
    }

    fn describe(&mut self, state: &State, node: NodeId, description: NodeDescription) {
        let Some(session) = self.nodes.get_mut(&node) else {
            return;
        };
        let id = session.id;
        if let Err(reason) = check_description(&description) {
            return self.refuse(id, reason);
        }
        session.description = Some(Box::new(description));
        session.settle(state, node);
        let description = session.description.clone();
        self.see(node, id, Sight::Joined { description });
    }

    /// A session ended without a word, or after its last.
    pub fn close(&mut self, session: SessionId) {
        self.arriving.remove(&session);
        let Some(node) = self.sessions.remove(&session) else {
            return;
        };
        let own = self.nodes.get(&node).filter(|own| own.id == session);
        let Some(coming_back) = own.map(|own| own.coming_back) else {
            return;
        };
        self.nodes.remove(&node);
        self.stale.remove(&node);
        if !coming_back {
            self.see(node, session, Sight::Lost);
        }
    }

    /// Ends the session of a node, if it has one here.
    pub fn end(&mut self, node: NodeId) {
        self.stale.remove(&node);
        if let Some(session) = self.nodes.remove(&node) {
            self.sessions.remove(&session.id);
            self.said.push(Said::Close(session.id));
        }
    }

    /// Ends a session that has not begun: another manager has to take it.
    pub fn turn_away(&mut self, session: SessionId) {
        self.said.push(Said::Close(session));
    }

    /// Ends every session, so that the agents go to another manager.
    pub fn end_all(&mut self) {
        let ids = self.sessions.keys().chain(self.arriving.keys());
        self.said.extend(ids.copied().map(Said::Close));
        self.sessions.clear();
        self.arriving.clear();
        self.nodes.clear();
        self.stale.clear();
        self.seen.clear();
    }

    /// Ends what has waited for too long to begin.
    pub fn tick(&mut self, now: Time) {
        while let Some(first) = self.arriving.first_entry()
            && first.get().deadline <= now
        {
            self.said.push(Said::Close(*first.key()));
            first.remove();
        }
    }

    /// Says again who is here and what the state does not know of them.
    pub fn tell_again(&mut self, state: &State) {
        let mut again = Vec::new();
        for (node, session) in &mut self.nodes {
            session.settle(state, *node);
            if session.description.is_some() && !session.coming_back {
                again.push((*node, session.id, session.description.clone()));
            }
        }
        for (node, session, description) in again {
            self.see(node, session, Sight::Joined { description });
        }
    }

    /// Notes that the state has a new description of a node.
    pub fn note_described(&mut self, state: &State, node: NodeId) {
        if let Some(session) = self.nodes.get_mut(&node) {
            session.settle(state, node);
        }
    }

    /// Notes that a task of a node changed.
    pub fn note_task(&mut self, node: NodeId, task: TaskId) {
        if self.is_connected(node) {
            self.stale.entry(node).or_default().insert(task);
        }
    }

    /// Notes what else a batch touched: how services are reached may follow from it.
    pub fn note_touched(&mut self, state: &State, touched: &Dirty) {
        let of_nodes = touched.nodes.iter();
        let of_nodes = of_nodes.flat_map(|node| state.tasks_of_node(*node));
        let of_nodes = of_nodes.map(|task| task.service);
        let of_slots = touched.slots.iter().map(|(service, _)| *service);
        touched.nodes.iter().for_each(|id| self.tunnels.note(*id));
        let slots = touched.slots.iter();
        let of_slots_tasks = slots.flat_map(|(service, slot)| state.tasks_of_slot(*service, *slot));
        let nodes = of_slots_tasks.filter_map(|task| task.node);
        nodes.for_each(|id| self.tunnels.note(id));
        let ids = touched.services.iter().copied();
        for service in ids.chain(of_slots).chain(of_nodes) {
            self.reached.note(service);
        }
    }

    /// Notes that a node was removed: its session ends.
    pub fn note_removed(&mut self, node: NodeId) {
        self.stale.remove(&node);
        if let Some(session) = self.nodes.remove(&node) {
            let reason = format!("node {node} was removed from the swarm");
            self.refuse(session.id, reason);
        }
    }

    /// Notes a change, before it is applied, of who the managers are or of what they are known by.
    pub fn note_managers(&mut self, state: &State, change: &Change) {
        let old = |id| state.nodes().find(id);
        self.managers_changed |= match change {
            Change::CreateNode(new) => new.manager.is_some(),
            Change::UpdateNode { id, spec } => old(*id).is_some_and(|n| n.spec.role != spec.role),
            Change::RemoveNode { id } => old(*id).is_some_and(|node| node.manager.is_some()),
            Change::SetManager { .. } | Change::BeginRotation(_) | Change::FinishRotation => true,
            _ => false,
        };
    }

    /// Notes that it may have changed on which disks secrets and configs may lie.
    pub fn note_at_rest(&mut self) {
        self.at_rest_changed = true;
    }

    /// Tells the nodes what changed for them.
    pub fn tell(&mut self, state: &State) {
        self.tell_reached(state);
        if std::mem::take(&mut self.at_rest_changed) {
            for session in self.nodes.values() {
                let again = session.needs.again(state).into_iter();
                self.said
                    .extend(again.map(|held| Said::Send(session.id, held)));
            }
        }
        if std::mem::take(&mut self.managers_changed) {
            let ids: Vec<_> = self.nodes.keys().copied().collect();
            ids.into_iter()
                .for_each(|id| self.send_roster(id, roster(state, id)));
        }
        self.tell_tunnels(state);
        for (node, tasks) in std::mem::take(&mut self.stale) {
            let Some(session) = self.nodes.get_mut(&node) else {
                continue;
            };
            let tasks: Vec<_> = tasks.into_iter().collect();
            let messages = session.differences(state, node, &tasks);
            let id = session.id;
            self.said
                .extend(messages.into_iter().map(|message| Said::Send(id, message)));
        }
    }

    /// Tells all nodes what has changed in how services are reached.
    fn tell_reached(&mut self, state: &State) {
        for part in self.reached.differences(state) {
            let sessions = self.nodes.values().map(|session| session.id);
            let messages = sessions.map(|id| Said::Send(id, ToAgent::Reach(part.clone())));
            self.said.extend(messages);
        }
    }

    fn send_roster(&mut self, node: NodeId, roster: Roster) {
        if let Some(session) = self.nodes.get_mut(&node)
            && session.roster.as_ref() != Some(&roster)
        {
            session.roster = Some(roster.clone());
            self.said
                .push(Said::Send(session.id, ToAgent::Managers(roster)));
        }
    }

    /// Tells each node what has changed of the nodes that it has tunnels to.
    fn tell_tunnels(&mut self, state: &State) {
        let changed = self.tunnels.look(state);
        if changed.is_empty() {
            return;
        }
        for (node, session) in &mut self.nodes {
            let peers = self
                .tunnels
                .differences(&mut session.peers, *node, &changed);
            self.said.extend(send_peers(session.id, peers));
        }
    }

    fn see(&mut self, node: NodeId, session: SessionId, sight: Sight) {
        let session = session.0;
        self.seen.push(Seen {
            node,
            session,
            sight,
        });
    }

    fn refuse(&mut self, session: SessionId, reason: String) {
        self.arriving.remove(&session);
        self.sessions.remove(&session);
        self.said
            .push(Said::Send(session, ToAgent::Refused { reason }));
        self.said.push(Said::Close(session));
    }

    /// Sends all that a node shall do: a full message, and before it the parts that it has no room
    /// for.
    fn send_full(&mut self, state: &State, node: NodeId) {
        self.stale.remove(&node);
        let Some(session) = self.nodes.get_mut(&node) else {
            return;
        };
        let messages = session.full(state, node);
        let id = session.id;
        self.said
            .extend(messages.into_iter().map(|message| Said::Send(id, message)));
    }
}

fn send_peers(session: SessionId, parts: Vec<Peers>) -> impl Iterator<Item = Said> {
    let news = |peers| Reach {
        peers,
        ..Reach::default()
    };
    let parts = parts.into_iter().map(news);
    parts.map(move |news| Said::Send(session, ToAgent::Reach(news)))
}

/// Whether a node's description of itself is short enough to be kept.
pub fn check_description(description: &NodeDescription) -> Result<(), String> {
    let bytes = postcard::experimental::serialized_size(description).unwrap_or(usize::MAX);
    match bytes <= DESCRIPTION_BYTES_MAX {
        true => Ok(()),
        false => Err(format!(
            "the node describes itself in {bytes} bytes; at most {DESCRIPTION_BYTES_MAX}"
        )),
    }
}

/// What a node is told of the managers.
fn roster(state: &State, id: NodeId) -> Roster {
    let members = state.managers().filter_map(|node| node.manager.as_ref());
    let node = state.nodes().find(id);
    let member = node.and_then(|node| node.manager.as_ref());
    Roster {
        managers: members.map(|member| member.address.clone()).collect(),
        role: node.map_or_else(Role::default, |node| node.role()),
        raft_id: member.map(|member| member.raft_id),
        roots: state.cluster().map_or_else(Default::default, |cluster| {
            digest_all(&cluster.trust.roots())
        }),
    }
}

#[cfg(test)]
mod tests;
