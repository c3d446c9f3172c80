//! Stands in for the `protobuf` crate, of which raft 0.7 calls three methods and names one error.
//! The bytes behind them are postcard's, like everywhere else in skep; see `raft-proto`.

use std::fmt;

/// What raft asks of a message type.
pub trait Message: Sized {
    /// The length of the encoded message, which raft adds up to limit batches.
    fn compute_size(&self) -> u32;

    /// Encodes the message.
    fn write_to_bytes(&self) -> Result<Vec<u8>, ProtobufError>;

    /// Decodes into the message. No bytes at all are the default value, as in protobuf; raft relies
    /// on it for the empty change that leaves a joint configuration.
    fn merge_from_bytes(&mut self, bytes: &[u8]) -> Result<(), ProtobufError>;
}

/// A message that could not be encoded or decoded.
#[derive(Debug)]
pub struct ProtobufError;

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed raft message")
    }
}

impl std::error::Error for ProtobufError {}
