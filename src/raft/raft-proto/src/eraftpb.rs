//! The messages, in the spirit and with the names of raft's `eraftpb.proto`.

use bytes::Bytes;
use protobuf::ProtobufError;
use serde::{Deserialize, Serialize};

/// What an entry carries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum EntryType {
    #[default]
    EntryNormal,
    EntryConfChange,
    EntryConfChangeV2,
}

/// One entry of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub entry_type: EntryType,
    pub term: u64,
    pub index: u64,
    pub data: Bytes,
    pub context: Bytes,
}

/// What a snapshot is about: the last entry in it, and the members at that point.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct SnapshotMetadata {
    pub conf_state: ConfState,
    pub index: u64,
    pub term: u64,
}

/// A snapshot of the state machine.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub data: Bytes,
    pub metadata: SnapshotMetadata,
}

/// What a message says.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum MessageType {
    #[default]
    MsgHup,
    MsgBeat,
    MsgPropose,
    MsgAppend,
    MsgAppendResponse,
    MsgRequestVote,
    MsgRequestVoteResponse,
    MsgSnapshot,
    MsgHeartbeat,
    MsgHeartbeatResponse,
    MsgUnreachable,
    MsgSnapStatus,
    MsgCheckQuorum,
    MsgTransferLeader,
    MsgTimeoutNow,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgRequestPreVote,
    MsgRequestPreVoteResponse,
}

/// A message between two members.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub msg_type: MessageType,
    pub to: u64,
    pub from: u64,
    pub term: u64,
    pub log_term: u64,
    pub index: u64,
    pub entries: Vec<Entry>,
    pub commit: u64,
    pub commit_term: u64,
    pub snapshot: Snapshot,
    pub request_snapshot: u64,
    pub reject: bool,
    pub reject_hint: u64,
    pub context: Bytes,
    /// The priority as members before raft 0.7 sent it; raft fills and reads it still.
    pub deprecated_priority: u64,
    pub priority: i64,
}

/// What a member must remember across restarts before it answers anyone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct HardState {
    pub term: u64,
    pub vote: u64,
    pub commit: u64,
}

/// How a change of several members is carried out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum ConfChangeTransition {
    #[default]
    Auto,
    Implicit,
    Explicit,
}

/// Who the members are.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfState {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    pub voters_outgoing: Vec<u64>,
    pub learners_next: Vec<u64>,
    pub auto_leave: bool,
}

/// What happens to one member.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum ConfChangeType {
    #[default]
    AddNode,
    RemoveNode,
    AddLearnerNode,
}

/// A change of one member, in the older of the two encodings.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfChange {
    pub change_type: ConfChangeType,
    pub node_id: u64,
    pub context: Bytes,
    pub id: u64,
}

/// One step of a [`ConfChangeV2`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfChangeSingle {
    pub change_type: ConfChangeType,
    pub node_id: u64,
}

/// A change of members; the default value leaves a joint configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfChangeV2 {
    pub transition: ConfChangeTransition,
    pub changes: Vec<ConfChangeSingle>,
    pub context: Bytes,
}

/// Implements protobuf's getters (by reference or by copy), setters and takers for a struct.
macro_rules! accessors {
    ($type:ty { $($kind:ident $field:ident: $value:ty = $($name:ident),+;)* }) => {
        impl $type { $(accessors!(@$kind $field: $value = $($name),+);)* }
    };
    (@copy $field:ident: $value:ty = $get:ident, $set:ident) => {
        #[inline]
        pub fn $get(&self) -> $value {
            self.$field
        }
        #[inline]
        pub fn $set(&mut self, value: $value) {
            self.$field = value;
        }
    };
    (@bytes $field:ident: $value:ty = $get:ident, $set:ident, $mut:ident, $take:ident) => {
        #[inline]
        pub fn $get(&self) -> &[u8] {
            &self.$field
        }
        #[inline]
        pub fn $set(&mut self, value: $value) {
            self.$field = value;
        }
        #[inline]
        pub fn $mut(&mut self) -> &mut $value {
            &mut self.$field
        }
        #[inline]
        pub fn $take(&mut self) -> $value {
            std::mem::take(&mut self.$field)
        }
    };
    (@reference $field:ident: $value:ty = $get:ident, $set:ident, $mut:ident, $take:ident) => {
        #[inline]
        pub fn $get(&self) -> &$value {
            &self.$field
        }
        #[inline]
        pub fn $set(&mut self, value: $value) {
            self.$field = value;
        }
        #[inline]
        pub fn $mut(&mut self) -> &mut $value {
            &mut self.$field
        }
        #[inline]
        pub fn $take(&mut self) -> $value {
            std::mem::take(&mut self.$field)
        }
    };
}

accessors!(Entry {
    copy entry_type: EntryType = get_entry_type, set_entry_type;
    copy term: u64 = get_term, set_term;
    copy index: u64 = get_index, set_index;
    bytes data: Bytes = get_data, set_data, mut_data, take_data;
    bytes context: Bytes = get_context, set_context, mut_context, take_context;
});

accessors!(SnapshotMetadata {
    reference conf_state: ConfState =
        get_conf_state, set_conf_state, mut_conf_state, take_conf_state;
    copy index: u64 = get_index, set_index;
    copy term: u64 = get_term, set_term;
});

accessors!(Snapshot {
    bytes data: Bytes = get_data, set_data, mut_data, take_data;
    reference metadata: SnapshotMetadata = get_metadata, set_metadata, mut_metadata, take_metadata;
});

accessors!(Message {
    copy msg_type: MessageType = get_msg_type, set_msg_type;
    copy to: u64 = get_to, set_to;
    copy from: u64 = get_from, set_from;
    copy term: u64 = get_term, set_term;
    copy log_term: u64 = get_log_term, set_log_term;
    copy index: u64 = get_index, set_index;
    reference entries: Vec<Entry> = get_entries, set_entries, mut_entries, take_entries;
    copy commit: u64 = get_commit, set_commit;
    copy commit_term: u64 = get_commit_term, set_commit_term;
    reference snapshot: Snapshot = get_snapshot, set_snapshot, mut_snapshot, take_snapshot;
    copy request_snapshot: u64 = get_request_snapshot, set_request_snapshot;
    copy reject: bool = get_reject, set_reject;
    copy reject_hint: u64 = get_reject_hint, set_reject_hint;
    bytes context: Bytes = get_context, set_context, mut_context, take_context;
    copy deprecated_priority: u64 = get_deprecated_priority, set_deprecated_priority;
    copy priority: i64 = get_priority, set_priority;
});

accessors!(HardState {
    copy term: u64 = get_term, set_term;
    copy vote: u64 = get_vote, set_vote;
    copy commit: u64 = get_commit, set_commit;
});

accessors!(ConfState {
    reference voters: Vec<u64> = get_voters, set_voters, mut_voters, take_voters;
    reference learners: Vec<u64> = get_learners, set_learners, mut_learners, take_learners;
    reference voters_outgoing: Vec<u64> =
        get_voters_outgoing, set_voters_outgoing, mut_voters_outgoing, take_voters_outgoing;
    reference learners_next: Vec<u64> =
        get_learners_next, set_learners_next, mut_learners_next, take_learners_next;
    copy auto_leave: bool = get_auto_leave, set_auto_leave;
});

accessors!(ConfChange {
    copy change_type: ConfChangeType = get_change_type, set_change_type;
    copy node_id: u64 = get_node_id, set_node_id;
    bytes context: Bytes = get_context, set_context, mut_context, take_context;
});

accessors!(ConfChangeSingle {
    copy change_type: ConfChangeType = get_change_type, set_change_type;
    copy node_id: u64 = get_node_id, set_node_id;
});

accessors!(ConfChangeV2 {
    copy transition: ConfChangeTransition = get_transition, set_transition;
    reference changes: Vec<ConfChangeSingle> =
        get_changes, set_changes, mut_changes, take_changes;
    bytes context: Bytes = get_context, set_context, mut_context, take_context;
});

impl Snapshot {
    /// Whether there is no snapshot here: none is ever taken at index 0.
    pub fn is_empty(&self) -> bool {
        self.metadata.index == 0
    }
}

impl<Voters, Learners> From<(Voters, Learners)> for ConfState
where
    Voters: IntoIterator<Item = u64>,
    Learners: IntoIterator<Item = u64>,
{
    fn from((voters, learners): (Voters, Learners)) -> Self {
        Self {
            voters: voters.into_iter().collect(),
            learners: learners.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// Gives a struct raft's codec, which is postcard.
macro_rules! codec {
    ($($type:ty),+) => {$(
        impl protobuf::Message for $type {
            fn compute_size(&self) -> u32 {
                let size = postcard::experimental::serialized_size(self);
                size.ok().and_then(|size| u32::try_from(size).ok()).unwrap_or(u32::MAX)
            }

            fn write_to_bytes(&self) -> Result<Vec<u8>, ProtobufError> {
                postcard::to_stdvec(self).map_err(|_| ProtobufError)
            }

            fn merge_from_bytes(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
                if !bytes.is_empty() {
                    *self = postcard::from_bytes(bytes).map_err(|_| ProtobufError)?;
                }
                Ok(())
            }
        }
    )+};
}

codec!(Entry, Message, ConfChange, ConfChangeV2);
