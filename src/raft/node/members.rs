//! Members that come and go: changes of who they are, the whole state for one that lacks too much
//! of the log, and the lead that one hands to another.

use raft::{ProgressState, SnapshotStatus};
use raft_proto::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, MessageType};

use crate::raft::message::{Message, StepError};
use crate::raft::node::{Node, ProposeError};
use crate::raft::record::{Anchor, ConfState, HardState, Position};

/// How much of the log a learner may lack when it becomes a voter; it gets it while it is one.
const BEHIND_ENTRIES_MAX: u64 = 64;

/// A change of members. New ones are learners until they have the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MembersChange {
    AddLearner(u64),
    AddVoter(u64),
    Remove(u64),
}

impl Node {
    /// Proposes a change of members; one at a time.
    pub fn propose_members(&mut self, change: MembersChange) -> Result<Position, ProposeError> {
        self.check_leads()?;
        let (change_type, node_id) = match change {
            MembersChange::AddLearner(id) => (ConfChangeType::AddLearnerNode, id),
            MembersChange::AddVoter(id) => (ConfChangeType::AddNode, id),
            MembersChange::Remove(id) => (ConfChangeType::RemoveNode, id),
        };
        if self.is_changing_members() {
            return Err(ProposeError::Busy);
        }
        if node_id == self.raw.raft.id {
            return Err(ProposeError::Leader);
        }
        let change = ConfChangeV2 {
            changes: vec![ConfChangeSingle {
                change_type,
                node_id,
            }],
            ..ConfChangeV2::default()
        };
        let proposed = self.raw.propose_conf_change(Vec::new(), change);
        self.proposed(proposed)
    }

    /// Whether a change of members is under way.
    pub fn is_changing_members(&self) -> bool {
        self.raw.raft.has_pending_conf()
    }

    /// Who the members are.
    pub fn conf_state(&self) -> ConfState {
        self.raw.raft.prs().conf().to_conf_state().into()
    }

    /// Whether this is the only member: it then needs no ticks.
    pub fn is_alone(&self) -> bool {
        let conf_state = self.conf_state();
        let others = [&conf_state.learners, &conf_state.voters_outgoing];
        conf_state.voters == [self.raw.raft.id] && others.iter().all(|ids| ids.is_empty())
    }

    /// Whether a learner has as much of the log as a voter needs, as far as this leader knows.
    pub fn is_caught_up(&self, id: u64) -> bool {
        let raft = &self.raw.raft;
        let progress = raft.prs().get(id);
        progress.is_some_and(|progress| {
            let needed = raft.raft_log.committed.saturating_sub(BEHIND_ENTRIES_MAX);
            progress.state == ProgressState::Replicate && progress.matched >= needed
        })
    }

    /// Begins to hand the lead to the voter that has most of the log, of those that were heard of
    /// lately and are not among `except`; whether there is one. It fails silently if that takes
    /// longer than an election.
    pub fn hand_over(&mut self, except: impl Fn(u64) -> bool) -> bool {
        let raft = &self.raw.raft;
        let voters = raft.prs().conf().to_conf_state().voters;
        let others = voters
            .into_iter()
            .filter(|id| *id != raft.id && !except(*id));
        let progress = others.filter_map(|id| Some((raft.prs().get(id)?, id)));
        let lively = progress.filter(|(progress, _)| progress.recent_active);
        let best = lively.max_by_key(|(progress, id)| (progress.matched, *id));
        let best = best.map(|(_, id)| id);
        if let Some(id) = best {
            self.raw.transfer_leader(id);
        }
        best.is_some()
    }

    /// Whether this member is handing its lead over to another; it takes no proposals meanwhile.
    pub fn is_handing_over(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// Says whether the state that [`Ready::snapshots`](super::Ready::snapshots) named has got to a
    /// member.
    pub fn sent_snapshot(&mut self, to: u64, arrived: bool) {
        let status = match arrived {
            true => SnapshotStatus::Finish,
            false => SnapshotStatus::Failure,
        };
        self.raw.report_snapshot(to, status);
    }

    /// What this member goes on from if it takes the state that a leader sent with `message` in
    /// the place of its own state and log: a new node starts from there, once it is on the disk.
    /// `None` if it has all that is in it, or the leader is one no more.
    pub fn take_over(&self, message: &Message) -> Result<Option<Anchor>, StepError> {
        message.check_snapshot(self.raw.raft.id)?;
        let (raft, message) = (&self.raw.raft, &message.0);
        let metadata = &message.snapshot.metadata;
        let (index, term) = (metadata.index, metadata.term);
        let is_old = message.term < raft.term || index <= raft.raft_log.committed;
        if is_old || raft.raft_log.match_term(index, term) {
            return Ok(None);
        }
        Ok(Some(Anchor {
            applied: Position { index, term },
            hard_state: HardState {
                term: message.term,
                vote: if message.term == raft.term {
                    raft.vote
                } else {
                    0
                },
                commit: index,
            },
            conf_state: metadata.conf_state.clone().into(),
        }))
    }

    /// Takes what asks for the whole state out of messages, and says which state that is: the one
    /// that has applied all that was handed out so far.
    pub(super) fn split_snapshots(&self, messages: Vec<Message>) -> (Vec<Message>, Vec<Message>) {
        let is_snapshot = |message: &Message| message.0.msg_type == MessageType::MsgSnapshot;
        let (mut snapshots, messages): (Vec<_>, _) = messages.into_iter().partition(is_snapshot);
        for message in &mut snapshots {
            let metadata = &mut message.0.snapshot.metadata;
            metadata.index = self.applied.index;
            metadata.term = self.applied.term;
            metadata.conf_state = self.conf_state().into();
        }
        (snapshots, messages)
    }
}
