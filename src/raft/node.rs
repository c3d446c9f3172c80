//! One member: drives the raft crate and hands its outcome to the caller as plain values.

use std::collections::VecDeque;
use std::fmt;

use raft::{RawNode, StateRole};
use raft_proto::eraftpb::{self, EntryType, MessageType};

use crate::host::rng::Rng;
use crate::raft::log::Log;
use crate::raft::message::{Message, StepError};
use crate::raft::record::{Anchor, Entry, HardState, Position, RestoreError, Restored};
use crate::raft::setup::{self, Timing};

/// The time between two ticks.
pub const TICK_MS: u64 = 100;
/// The most bytes in one proposal.
pub const PROPOSAL_BYTES_MAX: usize = 2 << 20;

/// Why a proposal did not enter the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProposeError {
    #[error("this manager is not the leader")]
    NotLeader { leader: Option<u64> },
    #[error("the change has {bytes} bytes, at most {PROPOSAL_BYTES_MAX} are possible")]
    TooLarge { bytes: usize },
    #[error("too many changes wait for the other managers; try again")]
    Busy,
    #[error("the leader cannot be demoted or removed; another manager has to lead first")]
    Leader,
}

/// A member's part in its term.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

/// Who leads, as far as this member knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leadership {
    pub role: Role,
    pub leader: Option<u64>,
}

/// One write to the journal: `entries` replace the log from the first of them on.
#[derive(Clone, Debug, PartialEq)]
pub struct Persist {
    /// To be given to [`Node::persisted`] when the write, and all before it, is on the disk.
    pub number: u64,
    pub entries: Vec<Entry>,
    pub hard_state: HardState,
}

/// A question of [`Node::read`], answered: this member led when it was asked, and what had been
/// committed by then ends at `index`. A state that has that applied is not older than the question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Read {
    pub number: u64,
    pub index: u64,
}

/// What the caller has to do, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ready {
    /// Goes out at once; what may not go out before a write is held back by the node.
    pub messages: Vec<Message>,
    /// Each goes out with the whole state as it is before `committed` is applied, to a member that
    /// lacks what this log has no more. What becomes of it: [`Node::sent_snapshot`].
    pub snapshots: Vec<Message>,
    /// Applied to the state before the node is called again.
    pub committed: Vec<Entry>,
    /// Written and synced, in the order in which they came, while the node goes on. Several may be
    /// under way, and be written together. None if nothing needs the disk.
    pub persist: Option<Persist>,
    /// Answered questions of [`Node::read`], earlier ones first.
    pub reads: Vec<Read>,
    /// Who leads, if it changed.
    pub leadership: Option<Leadership>,
}

/// One member of a cluster of managers.
pub struct Node {
    raw: RawNode<Log>,
    timing: Timing,
    seed: u64,
    /// Counts the election timeouts drawn, so that each is another.
    draws: u64,
    drawn_for: (u64, StateRole),
    applied: Position,
    /// The last write asked for and the last one finished.
    issued: u64,
    durable: u64,
    durable_term: u64,
    held: VecDeque<Held>,
    outbox: Vec<Message>,
    /// Counts the questions whether this member leads.
    reads: u64,
}

/// Messages that wait until the write `after` is on the disk.
struct Held {
    after: u64,
    /// Raft's own number of the round that they are from.
    number: u64,
    term: u64,
    messages: Vec<Message>,
}

impl Node {
    /// A member that goes on from what the disk remembers. A member that is alone leads at once:
    /// nobody else could.
    pub fn new(id: u64, restored: Restored, seed: u64) -> Result<Self, RestoreError> {
        Self::timed(id, restored, seed, Timing::default())
    }

    /// The same, at another pace.
    pub fn timed(
        id: u64,
        restored: Restored,
        seed: u64,
        timing: Timing,
    ) -> Result<Self, RestoreError> {
        restored.check()?;
        let applied = restored.anchor.applied;
        let durable_term = restored.anchor.hard_state.term;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(
            &setup::config(id, applied.index, timing),
            Log::new(restored),
            &logger,
        )
        .map_err(RestoreError::Members)?;
        let mut node = Self {
            drawn_for: (raw.raft.term, raw.raft.state),
            raw,
            timing,
            seed,
            draws: 0,
            applied,
            issued: 0,
            durable: 0,
            durable_term,
            held: VecDeque::new(),
            outbox: Vec::new(),
            reads: 0,
        };
        node.draw_election_timeout(false);
        if node.is_alone() {
            node.campaign();
        }
        Ok(node)
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Counts [`TICK_MS`] milliseconds. A member whose disk stalls starts no election: it could not
    /// keep its own vote.
    pub fn tick(&mut self) {
        if self.stalls() && self.raw.raft.state != StateRole::Leader {
            return;
        }
        self.raw.tick();
        let elected = self.raw.raft.election_elapsed == 0;
        self.draw_election_timeout(elected);
    }

    /// Takes in a message from another member, whose identity the caller has checked.
    pub fn step(&mut self, message: Message) -> Result<(), StepError> {
        let log = &self.raw.raft.raft_log;
        let committed_term = |index| {
            let is_committed = index <= log.committed;
            log.term(index)
                .ok()
                .filter(|term| is_committed && *term > 0)
        };
        message.check(self.raw.raft.id, log.last_index(), committed_term)?;
        if message.0.msg_type == MessageType::MsgTimeoutNow && self.stalls() {
            return Ok(());
        }
        // What raft drops here is no fault: a stranger's answer, or a message that came too late.
        let _ = self.raw.step(message.0);
        self.draw_election_timeout(false);
        Ok(())
    }

    /// Appends an entry to the log if this member leads. It counts once it comes back committed,
    /// at the position that is returned; anything else at its index means that it was lost.
    pub fn propose(&mut self, data: Vec<u8>) -> Result<Position, ProposeError> {
        let bytes = data.len();
        if bytes > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes });
        }
        self.check_leads()?;
        let proposed = self.raw.propose(Vec::new(), data);
        self.proposed(proposed)
    }

    /// Asks the other members whether this one still leads. The answer comes with a later
    /// [`Ready`], under the number that is returned, or never if it does not: whoever waits gives
    /// up when the leadership changes. `None` if it does not lead anyway.
    pub fn read(&mut self) -> Option<u64> {
        if !self.leads() {
            return None;
        }
        self.reads += 1;
        self.raw.read_index(self.reads.to_be_bytes().to_vec());
        Some(self.reads)
    }

    /// Starts an election now.
    pub fn campaign(&mut self) {
        if !self.stalls() {
            // An error means that this member may not vote, and then there is no election.
            let _ = self.raw.campaign();
            self.draw_election_timeout(true);
        }
    }

    /// Says that the write of this number, and all before it, is on the disk.
    pub fn persisted(&mut self, number: u64) {
        self.durable = self.durable.max(number);
        let mut persisted = 0;
        while self
            .held
            .front()
            .is_some_and(|held| held.after <= self.durable)
        {
            let Some(held) = self.held.pop_front() else {
                break;
            };
            persisted = held.number;
            self.durable_term = held.term;
            self.outbox.extend(held.messages);
        }
        if persisted > 0 {
            self.raw.on_persist_ready(persisted);
            self.draw_election_timeout(false);
        }
    }

    /// What is to be done now, if anything. To be called after each other call until it is `None`.
    pub fn ready(&mut self) -> Option<Ready> {
        if !self.raw.has_ready() && self.outbox.is_empty() {
            return None;
        }
        let mut messages = std::mem::take(&mut self.outbox);
        if !self.raw.has_ready() {
            return Some(Ready {
                messages,
                ..Ready::default()
            });
        }
        let mut ready = self.raw.ready();
        let number = ready.number();
        messages.extend(ready.take_messages().into_iter().map(Message));
        let leadership = ready.ss().map(|_| self.leadership());
        let reads = ready.take_read_states().into_iter();
        let reads = reads.filter_map(read).collect();
        let committed = ready.take_committed_entries();
        let persist = ready.must_sync().then(|| Persist {
            number,
            entries: ready.entries().iter().cloned().map(Entry::from).collect(),
            hard_state: self.raw.raft.hard_state().into(),
        });
        if persist.is_some() {
            self.issued = number;
        }
        let after_persist = ready.take_persisted_messages();
        self.raw.mut_store().append(ready.entries());
        self.raw.advance_append_async(ready);
        messages.extend(self.hold(number, after_persist));
        let (snapshots, messages) = self.split_snapshots(messages);
        self.apply(&committed);
        Some(Ready {
            messages,
            snapshots,
            committed: committed.into_iter().map(Entry::from).collect(),
            persist,
            reads,
            leadership,
        })
    }

    /// What stands in for the log up to the last entry that [`Node::ready`] handed out: to be
    /// stored with the state that has it applied.
    pub fn anchor(&self) -> Anchor {
        let raft = &self.raw.raft;
        Anchor {
            applied: self.applied,
            // A larger commit index could be ahead of the journal after a crash.
            hard_state: HardState {
                term: raft.term,
                vote: raft.vote,
                commit: self.applied.index,
            },
            conf_state: self.conf_state(),
        }
    }

    /// Forgets the log up to `applied`, which the disk has in its checkpoint, but for the last
    /// `kept` entries, which keep followers from needing the whole state.
    pub fn compact(&mut self, applied: u64, kept: u64) {
        let applied = applied.min(self.applied.index);
        self.raw.mut_store().compact(applied, kept);
    }

    /// Who leads.
    pub fn leadership(&self) -> Leadership {
        let state = self.raw.raft.soft_state();
        let role = match state.raft_state {
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        };
        let leader = Some(state.leader_id).filter(|id| *id != raft::INVALID_ID);
        Leadership { role, leader }
    }

    /// Whether this member leads and has applied all that earlier leaders committed: an entry of
    /// its own term came back.
    pub fn leads(&self) -> bool {
        self.raw.raft.state == StateRole::Leader && self.applied.term == self.raw.raft.term
    }

    /// This member's own raft id.
    pub fn id(&self) -> u64 {
        self.raw.raft.id
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    fn check_leads(&self) -> Result<(), ProposeError> {
        let Leadership { role, leader } = self.leadership();
        match role {
            Role::Leader => Ok(()),
            Role::Follower | Role::Candidate => Err(ProposeError::NotLeader { leader }),
        }
    }

    fn proposed(&self, proposed: raft::Result<()>) -> Result<Position, ProposeError> {
        let index = self.raw.raft.raft_log.last_index();
        let term = self.raw.raft.term;
        proposed
            .map(|()| Position { index, term })
            .map_err(|_| ProposeError::Busy)
    }

    /// Whether a write is under way.
    fn stalls(&self) -> bool {
        self.durable < self.issued
    }

    /// Holds messages back until the writes so far are on the disk, and returns those that may go
    /// at once: all if no write is under way, else only the sign of life for a leader whose term
    /// is on the disk already.
    fn hold(&mut self, number: u64, messages: Vec<eraftpb::Message>) -> Vec<Message> {
        let durable_term = self.durable_term;
        let (now, later) = messages.into_iter().map(Message).partition(|message| {
            let alive = message.0.msg_type == MessageType::MsgHeartbeatResponse;
            alive && message.0.term <= durable_term
        });
        self.held.push_back(Held {
            after: self.issued,
            number,
            term: self.raw.raft.term,
            messages: later,
        });
        if !self.stalls() {
            self.persisted(self.issued);
        }
        now
    }

    /// Takes in changes of members among the committed entries. The caller applies the rest.
    fn apply(&mut self, committed: &[eraftpb::Entry]) {
        let Some(last) = committed.last() else { return };
        for entry in committed {
            if entry.entry_type != EntryType::EntryNormal {
                // Every member fails alike on an entry that it cannot take, and goes on without.
                if let Some(change) = setup::members_change(&entry.data) {
                    let _ = self.raw.apply_conf_change(&change);
                }
            }
        }
        self.step_down_if_removed();
        self.applied = Position {
            index: last.index,
            term: last.term,
        };
        let anchor = self.anchor();
        self.raw.mut_store().applied(&anchor);
        self.raw.advance_apply_to(last.index);
        self.draw_election_timeout(false);
    }

    /// An earlier leader may have removed a member that leads by now. It could append nothing more,
    /// and would keep the others from electing one that can.
    fn step_down_if_removed(&mut self) {
        let raft = &mut self.raw.raft;
        let is_voter = raft.prs().conf().voters().contains(raft.id);
        if raft.state == StateRole::Leader && !is_voter {
            raft.become_follower(raft.term, raft::INVALID_ID);
        }
    }

    /// Raft draws its election timeouts from the thread's generator; this replaces each by one that
    /// follows from the seed.
    fn draw_election_timeout(&mut self, elected: bool) {
        let state = (self.raw.raft.term, self.raw.raft.state);
        if elected || self.drawn_for != state {
            self.draws += 1;
            self.drawn_for = state;
        }
        let (id, term) = (self.raw.raft.id, self.raw.raft.term);
        let parts = [self.seed, id, term, self.draws].into_iter();
        let seed = parts.fold(0, |seed, part| Rng::from_seed(seed ^ part).next_u64());
        let missed_after = self.timing.missed_after();
        let spread = missed_after.len() as u64;
        let extra = usize::try_from(Rng::from_seed(seed).below(spread)).unwrap_or(0);
        let timeout = missed_after.start + extra;
        self.raw.raft.set_randomized_election_timeout(timeout);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.raw.raft.id)
            .field("term", &self.raw.raft.term)
            .field("leadership", &self.leadership())
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// The question that raft's own record of it answers.
fn read(state: raft::ReadState) -> Option<Read> {
    let number = u64::from_be_bytes(state.request_ctx.try_into().ok()?);
    let index = state.index;
    Some(Read { number, index })
}

pub mod members;
#[cfg(test)]
mod tests;
