//! How a node gets an image from a host of the swarm that has it.
//!
//! The node asks by the name that its task has, and then for one layer after the other, each from
//! some byte of its tar on. A layer comes in pieces and ends with [`FromHolder::End`]. The node
//! checks everything by digest.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest frame of such a connection, either way.
pub const IMAGE_FRAME_BYTES_MAX: usize = 5 << 20;

/// What a node says that lacks an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHolder {
    Find {
        name: String,
    },
    /// A layer of the image that was found, by its diff id.
    Send {
        layer: [u8; 32],
        from: u64,
    },
}

/// What a host says that may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHolder {
    Unknown,
    Found(Found),
    /// Others are served first; the layer will come.
    Wait,
    Piece(Bytes),
    End,
    /// The layer does not come, or not to its end.
    Failed {
        reason: String,
    },
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub config: Bytes,
    /// How long the tar of each layer is, lowest first.
    pub layers: Vec<u64>,
}

/// Bytes that are encoded at once and not one by one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Bytes, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(Bytes(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame;

    #[test]
    fn pieces_come_back_from_their_frames() {
        let piece = FromHolder::Piece(Bytes((0..=255).collect()));
        let encoded = frame::encode(&piece).unwrap();
        // Protocol, variant, a length of two bytes.
        assert_eq!(encoded.len(), 2 + 1 + 2 + 256);
        assert_eq!(frame::decode::<FromHolder>(&encoded).unwrap(), piece);
        assert!(frame::decode::<FromHolder>(&encoded[..200]).is_err());
    }
}
