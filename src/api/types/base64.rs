//! Bytes in JSON: base 64, as Go writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::identity::text::{base64, from_base64};

/// Bytes that JSON shows in base 64. They may be secret, so nothing else shows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl std::fmt::Debug for Base64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_base64(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected base64"))
    }
}
