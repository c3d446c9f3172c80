//! Consensus: the raft crate behind a synchronous [`node::Node`] without IO.
//!
//! ```text
//!  tick, step(message), propose(bytes), persisted(number)
//!        |
//!        v
//!   node::Node --ready()--> Ready { messages    send at once
//!        |  ^                       persist     write to the journal, one fdatasync, in order
//!        |  |                       committed   apply before the next call
//!        |  |                       reads       questions whether this member leads, answered
//!        |  |                       leadership  who leads, if that changed }
//!        |  +--persisted(number)-- when that write is on the disk
//!        v
//!   log::Log    the tail of the log in memory, loaded from the journal at start
//! ```
//!
//! What a member promises (a vote, an acknowledged entry) is sent only after it is on the disk:
//! the node holds such messages back and releases them on `persisted`. Ticks and heartbeats go on
//! meanwhile, so a disk that stalls for seconds deposes no leader.
//!
//! The raft crate is version 0.7.0 exactly, because a function it hides from its documentation
//! makes elections deterministic. Its protobuf messages are replaced by the plain structs of
//! `raft-proto/`, on the three methods of `protobuf/`, through `[patch.crates-io]`.

pub mod record;
pub mod message;
mod log;
pub mod setup;
pub mod node;
