//! Who the managers are: what the state says of it, and consensus following, one change at a time.
//!
//! ```text
//!  joins, or is promoted      state: a member         consensus: a learner, then a voter
//!  demoted, or leaves         consensus: removed      state: a worker
//! ```
//!
//! The leader brings both together. A newcomer votes only once it has the log, nobody is removed
//! whose going would leave no quorum, and a leader that shall go hands its lead over first.

use std::collections::BTreeSet;

use crate::manager::control::Presence;
use crate::manager::draft::Draft;
use crate::manager::{Fatal, Manager};
use crate::model::change::Change;
use crate::model::id::NodeId;
use crate::model::object::Node;
use crate::model::spec::node::Role;
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::node::members::MembersChange;
use crate::raft::node::{ProposeError, Role as RaftRole};
use crate::raft::record::ConfState;

/// How long a leader that hands its lead over waits for the other one to take it.
const HAND_OVER_MS: u64 = 1_000;

impl Presence {
    /// Whether a quorum can count on a member.
    pub fn has(&self, member: u64) -> bool {
        self.voters.contains(&member) && self.reachable.contains(&member)
    }

    /// Whether a quorum is left, and can be reached, when a member is gone.
    pub fn can_lose(&self, member: u64) -> bool {
        let rest: Vec<_> = self.voters.iter().filter(|id| **id != member).collect();
        let reachable = rest.iter().filter(|id| self.reachable.contains(id));
        !rest.is_empty() && reachable.count() > rest.len() / 2
    }
}

impl Manager {
    /// What the managers know of each other at the moment.
    pub(super) fn presence(&self, now: Time) -> Presence {
        Presence {
            leader: self.raft.leadership().leader,
            reachable: self.quorum.reachable(now, &self.raft),
            voters: self.raft.conf_state().voters.into_iter().collect(),
        }
    }

    /// Brings consensus nearer to what the state says; whether something was begun.
    pub(super) fn shape_members(&mut self, now: Time) -> Result<bool, Fatal> {
        let is_busy = self.raft.is_handing_over() || self.raft.is_changing_members();
        if !self.leading || self.stopping || is_busy {
            return Ok(false);
        }
        let members = self.raft.conf_state();
        let Some(change) = self.next_change(now, &members) else {
            return Ok(self.hand_over_if_to_go(now));
        };
        match self.raft.propose_members(change) {
            Ok(_) => Ok(true),
            // Tried again with the next step.
            Err(ProposeError::Busy) => Ok(false),
            Err(error) => Err(Fatal::Propose(error)),
        }
    }

    fn next_change(&self, now: Time, members: &ConfState) -> Option<MembersChange> {
        let own = self.raft.id();
        let staying = staying(&self.state);
        let presence = self.presence(now);
        let mut gone = members.voters.iter().chain(&members.learners);
        let gone = gone.find(|id| {
            let goes = **id != own && !staying.contains(id);
            goes && (members.learners.contains(id) || presence.can_lose(**id))
        });
        let is_known = |id: &&u64| members.voters.contains(id) || members.learners.contains(id);
        let newcomer = || staying.iter().find(|id| !is_known(id));
        let is_ready = |id: &&u64| {
            let is_there = staying.contains(id) && presence.reachable.contains(id);
            is_there && self.raft.is_caught_up(**id)
        };
        let ready = || members.learners.iter().find(is_ready);
        let gone = gone.map(|id| MembersChange::Remove(*id));
        gone.or_else(|| newcomer().map(|id| MembersChange::AddLearner(*id)))
            .or_else(|| ready().map(|id| MembersChange::AddVoter(*id)))
    }

    /// Hands the lead over if this manager shall be none any more; the next leader removes it.
    fn hand_over_if_to_go(&mut self, now: Time) -> bool {
        let staying = staying(&self.state);
        let shall_go = !staying.is_empty() && !staying.contains(&self.raft.id());
        shall_go && self.hand_over(now, |id| !staying.contains(&id))
    }

    /// Hands the lead over, unless that was tried just now; whether it is under way.
    pub(super) fn hand_over(&mut self, now: Time, except: impl Fn(u64) -> bool) -> bool {
        let last = self.quorum.handed_over;
        let is_early = last.is_some_and(|at| at <= now && now.since_ms(at) < HAND_OVER_MS);
        if is_early || !self.raft.hand_over(except) {
            return false;
        }
        self.quorum.handed_over = Some(now);
        true
    }

    /// The nodes that are managers no more, as consensus has let them go.
    pub(super) fn released(&self) -> Vec<NodeId> {
        if !self.leading {
            return Vec::new();
        }
        let members = self.raft.conf_state();
        let is_member = |id| members.voters.contains(&id) || members.learners.contains(&id);
        let demoted = self.state.managers().filter(|node| !stays(node));
        let released = demoted.filter(|node| {
            let member = node.manager.as_ref();
            member.is_some_and(|member| !is_member(member.raft_id))
        });
        released.map(|node| node.id).collect()
    }

    /// Takes the lead if there is nobody else any more: who is alone has no time pass.
    pub(super) fn follow_solitude(&mut self) {
        let is_follower = self.raft.leadership().role == RaftRole::Follower;
        if is_follower && self.raft.is_alone() && !self.stopping {
            self.raft.campaign();
        }
    }

    /// Notices that consensus goes on without this manager. It stays, as the others may still need
    /// its vote to find that out themselves, until its host hears from them that they have.
    pub(super) fn follow_membership(&mut self) {
        let members = self.raft.conf_state();
        let own = self.raft.id();
        let is_member = members.voters.contains(&own) || members.learners.contains(&own);
        // Who knows no members has just come, and waits for the state.
        if !is_member && !members.voters.is_empty() && !self.removed {
            self.removed = true;
            self.dispatcher.end_all();
        }
    }
}

/// Puts it into the state that consensus has let managers go, unless they shall come back.
pub fn release(draft: &mut Draft<'_>, released: Vec<NodeId>) {
    for id in released {
        if draft
            .state()
            .nodes()
            .find(id)
            .is_some_and(|node| !stays(node))
        {
            draft.push(Change::SetManager { id, manager: None });
        }
    }
}

/// The raft ids of those that are managers and shall stay.
fn staying(state: &State) -> BTreeSet<u64> {
    let staying = state.managers().filter(|node| stays(node));
    staying
        .filter_map(|node| Some(node.manager.as_ref()?.raft_id))
        .collect()
}

fn stays(node: &Node) -> bool {
    node.spec.role == Role::Manager
}
