//! What one manager says to another beside consensus: requests on their way to the leader and their
//! answers, and what a manager sees of the nodes that have their sessions with it.
//!
//! Any of it may be lost. Whoever waits for an answer gives up after a while, and what a report
//! said is told again until the state has it.

use serde::{Deserialize, Serialize};

use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::wire::control::{Refusal, Request, Response};
use crate::wire::session::StatusUpdate;
use crate::wire::stream::Summons;

/// The first words of a connection between managers, from the one that dialled: whom what follows
/// is from and for, by raft id, and where the sender is found itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub from: u64,
    pub to: u64,
    pub address: String,
}

/// Which node's manager one is, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    pub node: NodeId,
    pub address: String,
}

/// What one manager says to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// A request that came to a manager which does not lead. `id` is the sender's.
    Request {
        id: u64,
        request: Box<Request>,
    },
    /// What became of a request.
    Reply {
        id: u64,
        answer: Box<Result<Response, Refusal>>,
    },
    /// Asks how far the log is committed: what has that applied is not older than the question.
    AskIndex {
        id: u64,
    },
    /// The answer; `None` from a manager that does not lead.
    Index {
        id: u64,
        index: Option<u64>,
    },
    Report(Report),
    /// For the node, if it has its session there.
    Summon {
        node: NodeId,
        summons: Summons,
    },
}

/// What a manager that does not lead tells the leader of its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub seen: Vec<Seen>,
    pub statuses: Vec<(NodeId, StatusUpdate)>,
}

/// What a manager saw of a node, and in which of its sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub node: NodeId,
    pub session: u64,
    pub sight: Sight,
}

/// What can be seen of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sight {
    /// It said something.
    Heard,
    /// It began a session. What it says of itself is there if that is news.
    Joined {
        description: Option<Box<NodeDescription>>,
    },
    /// Its session ended without a word.
    Lost,
    /// Its daemon stops, and comes back within `ms`.
    BackSoon { ms: u64 },
    /// It left, or shuts down.
    Goodbye,
}
