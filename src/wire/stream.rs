//! Streams between a manager and a node: exec, logs, and whatever else is asked of one host.
//!
//! ```text
//! manager                                node
//!   Summons { ticket, .. } on its session  ->
//!                                        <-  a connection of its own: Purpose::Stream { ticket }
//!   bytes of HTTP both ways, in frames; an empty one says that nothing more comes
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::id::NodeId;

/// The longest frame of a stream.
pub const PIECE_BYTES_MAX: usize = 32 << 10;

/// A manager wants a node to call it, for a stream.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summons {
    /// Drawn at random, good for one call, and by this node alone.
    pub ticket: u64,
    /// Whose manager is to be called, and where it is.
    pub manager: NodeId,
    pub address: String,
}

impl fmt::Debug for Summons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summons")
            .field("manager", &self.manager)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
