//! The first words of a connection to the cluster's port: which protocols the caller speaks and
//! what it wants, and the answer. They are understood across protocols, so that peers that cannot
//! talk to each other can say so: their frames have a format number of their own, and the range of
//! protocols comes first in it.

use serde::{Deserialize, Serialize};

use crate::wire::frame::PROTOCOL;

/// The shape of greeting and answer.
const FORMAT: u16 = 1;

/// The longest greeting or answer; nobody is known by then.
pub const GREETING_BYTES_MAX: usize = 4 << 10;

/// The longest reason that is shown to a user.
const REASON_CHARS_MAX: usize = 400;

/// The protocols that a peer speaks: every number from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocols {
    pub lowest: u16,
    pub highest: u16,
}

impl Protocols {
    /// What this skep speaks.
    pub const OURS: Self = Self {
        lowest: PROTOCOL,
        highest: PROTOCOL,
    };

    /// The newest protocol that both sides speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }
}

impl std::fmt::Display for Protocols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.lowest == self.highest {
            true => write!(f, "protocol {}", self.lowest),
            false => write!(f, "protocols {} to {}", self.lowest, self.highest),
        }
    }
}

/// What a connection is for; each has one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To become a node, by a token.
    Join,
    /// To get a new certificate for a node.
    Renew,
    /// An agent's session.
    Session,
    /// Messages of consensus between managers.
    Raft,
    /// A snapshot of the state, from one manager to another.
    Snapshot,
    /// Whatever else managers say to each other.
    Request,
    /// What a manager asked an agent for on its session: exec, logs or bulk.
    Stream { id: u64 },
    /// To get an image that the manager's host has.
    Image,
    /// To get a place among the managers.
    Seat,
}

/// What a caller says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    pub protocols: Protocols,
    pub purpose: Purpose,
}

/// What a caller is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Accepted { protocol: u16 },
    Refused { reason: String },
}

/// Why bytes are no greeting, or one that cannot be answered with yes.
#[derive(Debug, thiserror::Error)]
pub enum GreetingError {
    #[error("{0} bytes are no greeting: at least 2 and at most {GREETING_BYTES_MAX} are")]
    Length(usize),
    #[error("the greeting has format {0}; this skep knows {FORMAT}")]
    Format(u16),
    #[error("the greeting does not decode")]
    Decode(#[source] postcard::Error),
    #[error("the greeting does not encode")]
    Encode(#[source] postcard::Error),
    #[error(
        "the caller speaks {theirs}, this skep {}: one of the two is too old",
        Protocols::OURS
    )]
    Incompatible { theirs: Protocols },
}

impl Greeting {
    pub fn encode(&self) -> Result<Vec<u8>, GreetingError> {
        encode(self)
    }

    /// The purpose of a greeting, and the protocol to go on in.
    pub fn decode(frame: &[u8]) -> Result<(Purpose, u16), GreetingError> {
        let body = body(frame)?;
        let (theirs, rest) =
            postcard::take_from_bytes::<Protocols>(body).map_err(GreetingError::Decode)?;
        // Before the purpose, which may be one that came later.
        let common = Protocols::OURS.common(theirs);
        let protocol = common.ok_or(GreetingError::Incompatible { theirs })?;
        let purpose = postcard::from_bytes(rest).map_err(GreetingError::Decode)?;
        Ok((purpose, protocol))
    }
}

impl Answer {
    pub fn encode(&self) -> Result<Vec<u8>, GreetingError> {
        encode(self)
    }

    /// The answer of a frame; a reason is made fit to be shown.
    pub fn decode(frame: &[u8]) -> Result<Self, GreetingError> {
        let answer = postcard::from_bytes(body(frame)?).map_err(GreetingError::Decode)?;
        Ok(match answer {
            Self::Refused { reason } => Self::Refused {
                reason: one_line(&reason),
            },
            accepted @ Self::Accepted { .. } => accepted,
        })
    }
}

fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, GreetingError> {
    let bytes = postcard::to_extend(message, FORMAT.to_le_bytes().to_vec())
        .map_err(GreetingError::Encode)?;
    match bytes.len() {
        length if length > GREETING_BYTES_MAX => Err(GreetingError::Length(length)),
        _ => Ok(bytes),
    }
}

fn body(frame: &[u8]) -> Result<&[u8], GreetingError> {
    let length = frame.len();
    let split = frame
        .split_first_chunk()
        .filter(|_| length <= GREETING_BYTES_MAX);
    let (format, body) = split.ok_or(GreetingError::Length(length))?;
    match u16::from_le_bytes(*format) {
        FORMAT => Ok(body),
        other => Err(GreetingError::Format(other)),
    }
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(REASON_CHARS_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: Greeting = Greeting {
        protocols: Protocols::OURS,
        purpose: Purpose::Stream { id: 300 },
    };

    fn protocols(lowest: u16, highest: u16) -> Protocols {
        Protocols { lowest, highest }
    }

    #[test]
    fn a_greeting_never_changes_its_shape() {
        // Format 1, protocols 1 to 1, the seventh purpose, the number 300.
        let bytes = [1, 0, 1, 1, 6, 172, 2];
        assert_eq!(GREETING.encode().unwrap(), bytes);
        assert_eq!(Greeting::decode(&bytes).unwrap(), (GREETING.purpose, 1));
        let accepted = Answer::Accepted { protocol: 1 };
        assert_eq!(accepted.encode().unwrap(), [1, 0, 0, 1]);
    }

    #[test]
    fn what_a_later_skep_appends_is_passed_over() {
        let bytes = [1, 0, 1, 7, 2, 99, 99];
        assert_eq!(Greeting::decode(&bytes).unwrap(), (Purpose::Session, 1));
    }

    #[test]
    fn an_incompatible_peer_is_told_both_versions_whatever_it_wants() {
        let bytes = [1, 0, 2, 3, 99];
        let refused = Greeting::decode(&bytes).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the caller speaks protocols 2 to 3, this skep protocol 1: one of the two is too old"
        );
    }

    #[test]
    fn the_newest_common_protocol_is_chosen() {
        assert_eq!(protocols(1, 3).common(protocols(2, 5)), Some(3));
        assert_eq!(protocols(1, 3).common(protocols(3, 3)), Some(3));
        assert_eq!(protocols(1, 3).common(protocols(4, 5)), None);
        assert_eq!(protocols(4, 5).common(protocols(1, 3)), None);
        assert_eq!(protocols(3, 1).common(protocols(1, 3)), None);
    }

    #[test]
    fn what_is_no_greeting_is_refused() {
        let decode = |bytes: &[u8]| Greeting::decode(bytes).unwrap_err();
        assert!(matches!(decode(&[1]), GreetingError::Length(1)));
        assert!(matches!(decode(&[7, 0, 1, 1]), GreetingError::Format(7)));
        assert!(matches!(decode(&[1, 0, 1, 1]), GreetingError::Decode(_)));
        assert!(matches!(
            decode(&[1, 0, 1, 1, 200]),
            GreetingError::Decode(_)
        ));
        let long = vec![1; GREETING_BYTES_MAX + 1];
        assert!(matches!(decode(&long), GreetingError::Length(_)));
    }

    #[test]
    fn a_reason_is_one_line_that_can_be_shown() {
        let refused = |reason: String| Answer::Refused { reason };
        let frame = refused("go\n\u{1b}[31maway".into()).encode().unwrap();
        let shown = refused("go  [31maway".into());
        assert_eq!(Answer::decode(&frame).unwrap(), shown);
        let frame = refused("x".repeat(2 * REASON_CHARS_MAX)).encode().unwrap();
        let shown = refused("x".repeat(REASON_CHARS_MAX));
        assert_eq!(Answer::decode(&frame).unwrap(), shown);
    }
}
