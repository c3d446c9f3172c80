//! Messages between members, and which of them a member takes in.

use raft_proto::eraftpb::{self, MessageType};
use serde::{Deserialize, Serialize};

use crate::raft::record::NUMBER_MAX;

/// What one member says to another. It is serialised as a part of a frame, which has the format
/// number and the limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message(pub(super) eraftpb::Message);

/// Why a message is not taken in. The sender is a manager or claims to be one, so this is a fault
/// somewhere, never the state of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StepError {
    #[error("raft message for member {to} came to member {id}")]
    Address { to: u64, id: u64 },
    #[error("raft message claims to come from member {0}, which cannot be")]
    Sender(u64),
    #[error("raft message of a kind that members do not send each other")]
    Kind,
    #[error("raft message with the term {0}, which no cluster reaches")]
    Term(u64),
    #[error("raft message without a term, as members send themselves")]
    NoTerm,
    #[error("raft message about entry {index}, but the log ends at {last}")]
    Beyond { index: u64, last: u64 },
    #[error("raft message with entries out of order")]
    Order,
    #[error("raft message contradicts committed entry {0}")]
    Conflict(u64),
}

impl Message {
    /// The member that it is for.
    pub fn to(&self) -> u64 {
        self.0.to
    }

    /// The member that it says it is from; the caller compares it with the peer's certificate.
    pub fn from(&self) -> u64 {
        self.0.from
    }

    /// The term and the member that its sender votes for, if it does: whoever asks for votes has
    /// its own.
    pub fn vote(&self) -> Option<(u64, u64)> {
        let candidate = match self.0.msg_type {
            MessageType::MsgRequestVote => self.0.from,
            MessageType::MsgRequestVoteResponse if !self.0.reject => self.0.to,
            _ => return None,
        };
        Some((self.0.term, candidate))
    }

    /// Checks what raft would answer with a panic. `last` is the end of the log, `term_of` the
    /// term of a committed entry that is still in the log.
    pub(super) fn check(
        &self,
        id: u64,
        last: u64,
        term_of: impl Fn(u64) -> Option<u64>,
    ) -> Result<(), StepError> {
        let message = &self.0;
        self.check_ends(id)?;
        self.check_numbers(&[message.log_term, message.index, message.commit])?;
        match message.msg_type {
            MessageType::MsgAppend => self.check_append(term_of),
            MessageType::MsgHeartbeat => beyond(message.commit, last),
            MessageType::MsgAppendResponse if !message.reject => beyond(message.index, last),
            MessageType::MsgAppendResponse
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse
            | MessageType::MsgTimeoutNow => Ok(()),
            // Proposals go to the leader as requests, and the rest is a member's own affair.
            MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgPropose
            | MessageType::MsgSnapshot
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
            | MessageType::MsgTransferLeader
            | MessageType::MsgReadIndex
            | MessageType::MsgReadIndexResp => Err(StepError::Kind),
        }
    }

    fn check_ends(&self, id: u64) -> Result<(), StepError> {
        let message = &self.0;
        if message.to != id {
            let to = message.to;
            return Err(StepError::Address { to, id });
        }
        if message.from == id || message.from == raft::INVALID_ID {
            return Err(StepError::Sender(message.from));
        }
        Ok(())
    }

    fn check_numbers(&self, others: &[u64]) -> Result<(), StepError> {
        let term = self.0.term;
        // Raft takes it for a message of its own, and looks at no term then.
        if term == 0 {
            return Err(StepError::NoTerm);
        }
        let largest = others.iter().copied().chain([term]);
        match largest.into_iter().find(|number| *number > NUMBER_MAX) {
            Some(number) => Err(StepError::Term(number)),
            None => Ok(()),
        }
    }

    /// The same for the message that comes with the whole state.
    pub(super) fn check_snapshot(&self, id: u64) -> Result<(), StepError> {
        let message = &self.0;
        self.check_ends(id)?;
        let metadata = &message.snapshot.metadata;
        self.check_numbers(&[metadata.index, metadata.term])?;
        let own = |ids: &[u64]| ids.contains(&id);
        let members = &metadata.conf_state;
        let is_member = own(&members.voters) || own(&members.learners);
        let is_snapshot = message.msg_type == MessageType::MsgSnapshot && metadata.index > 0;
        match is_snapshot && is_member && metadata.term <= message.term {
            true => Ok(()),
            false => Err(StepError::Kind),
        }
    }

    fn check_append(&self, term_of: impl Fn(u64) -> Option<u64>) -> Result<(), StepError> {
        let message = &self.0;
        let mut before = (message.index, message.log_term);
        // No entry has the term 0, which raft takes for that of an entry it does not have.
        if (before.0 == 0) != (before.1 == 0) {
            return Err(StepError::Order);
        }
        for entry in &message.entries {
            let follows = entry.index == before.0 + 1 && entry.term >= before.1;
            if !follows || entry.term > message.term {
                return Err(StepError::Order);
            }
            if term_of(entry.index).is_some_and(|term| term != entry.term) {
                return Err(StepError::Conflict(entry.index));
            }
            before = (entry.index, entry.term);
        }
        Ok(())
    }
}

fn beyond(index: u64, last: u64) -> Result<(), StepError> {
    if index > last {
        return Err(StepError::Beyond { index, last });
    }
    Ok(())
}
