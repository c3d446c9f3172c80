//! Identifiers: 128 random bits, written as 25 characters of base 36 as Docker's are.
//!
//! The text is zero-padded, so the order of the numbers is the order of the texts and a prefix is a
//! range.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const TEXT_LEN: usize = 25;
const BASE: u128 = 36;

/// Why a text is no identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an id: ids are 25 characters of 0-9 and a-z")]
pub struct NotAnId(String);

fn write_base36(mut bits: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [b'0'; TEXT_LEN];
    for place in text.iter_mut().rev() {
        let digit = u8::try_from(bits % BASE).unwrap_or(0);
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        bits /= BASE;
    }
    f.pad(std::str::from_utf8(&text).unwrap_or_default())
}

fn digit(byte: u8) -> Option<u128> {
    match byte {
        b'0'..=b'9' => Some(u128::from(byte - b'0')),
        b'a'..=b'z' => Some(u128::from(byte - b'a') + 10),
        _ => None,
    }
}

/// The ids whose text starts with `prefix`, or `None` if no id can.
fn prefix_bits(prefix: &str) -> Option<RangeInclusive<u128>> {
    if prefix.len() > TEXT_LEN {
        return None;
    }
    let (mut low, mut high) = (0_u128, 0_u128);
    let padding = std::iter::repeat_n((0, BASE - 1), TEXT_LEN - prefix.len());
    let digits: Option<Vec<_>> = prefix.bytes().map(|b| digit(b).map(|d| (d, d))).collect();
    for (least, most) in digits?.into_iter().chain(padding) {
        low = low.checked_mul(BASE)?.checked_add(least)?;
        high = high.saturating_mul(BASE).saturating_add(most);
    }
    Some(low..=high)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl $name {
            /// The range of ids whose text starts with `prefix`; `None` if none can.
            pub fn with_prefix(prefix: &str) -> Option<RangeInclusive<Self>> {
                let bits = prefix_bits(prefix)?;
                Some(Self(*bits.start())..=Self(*bits.end()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base36(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base36(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let bits = (text.len() == TEXT_LEN).then(|| prefix_bits(text)).flatten();
                let shown = || NotAnId(text.chars().take(64).collect());
                bits.map(|b| Self(*b.start())).ok_or_else(shown)
            }
        }
    )*};
}

ids! {
    /// Names a swarm.
    ClusterId
    /// Names a config.
    ConfigId
    /// Names a network.
    NetworkId
    /// Names a node.
    NodeId
    /// Names a secret.
    SecretId
    /// Names a service.
    ServiceId
    /// Names a task.
    TaskId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_25_characters_and_parses_back() {
        for bits in [0, 35, 36, u128::MAX] {
            let text = TaskId(bits).to_string();
            assert_eq!(text.len(), 25);
            assert_eq!(text.parse(), Ok(TaskId(bits)));
        }
    }

    #[test]
    fn order_of_texts_is_order_of_ids() {
        let (small, large) = (TaskId(36), TaskId(1 << 100));
        assert!(small < large && small.to_string() < large.to_string());
    }

    #[test]
    fn a_prefix_is_the_range_of_its_ids() {
        let id = TaskId(u128::MAX / 7);
        let range = TaskId::with_prefix(&id.to_string()[..6]).unwrap();
        assert!(range.contains(&id));
        assert!(!range.contains(&TaskId(id.0 / 2)));
        assert!(
            TaskId::with_prefix("")
                .unwrap()
                .contains(&TaskId(u128::MAX))
        );
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "ABC",
            "zzzzzzzzzzzzzzzzzzzzzzzzz",
            "0123456789012345678901234é",
            "00",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}
