//! Stands in for the `raft-proto` crate: the messages of raft 0.7 as plain structs with the getters
//! and setters raft calls, encoded with postcard instead of protobuf.
//!
//! Field order is wire format: append only, and raise the format number of what carries them.

mod confchange;
mod confstate;
pub mod eraftpb;

pub use crate::confchange::{
    ConfChangeI, new_conf_change_single, parse_conf_change, stringify_conf_change,
};
pub use crate::confstate::conf_state_eq;

/// The names that raft's own prelude passes on.
pub mod prelude {
    pub use crate::eraftpb::{
        ConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2,
        ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot, SnapshotMetadata,
    };
}
