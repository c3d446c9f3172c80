//! Frames: a protocol version, then one message in postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The protocol that this skep speaks; what follows a higher number cannot be read.
pub const PROTOCOL: u16 = 1;

/// The longest frame that is sent or taken.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Why bytes are no frame, or a message cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("a frame of {0} bytes has no protocol version")]
    TooShort(usize),
    #[error("the peer speaks protocol {0}; this skep speaks {PROTOCOL}")]
    Protocol(u16),
    #[error("the frame does not decode")]
    Decode(#[source] postcard::Error),
    #[error("the message does not encode")]
    Encode(#[source] postcard::Error),
}

/// The frame of a message.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let bytes = postcard::to_extend(message, PROTOCOL.to_le_bytes().to_vec())
        .map_err(FrameError::Encode)?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// The message of a frame.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(frame.len()));
    }
    let (version, body) = frame
        .split_first_chunk()
        .ok_or(FrameError::TooShort(frame.len()))?;
    match u16::from_le_bytes(*version) {
        PROTOCOL => postcard::from_bytes(body).map_err(FrameError::Decode),
        other => Err(FrameError::Protocol(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_from_its_frame() {
        let frame = encode(&("hello", 7_u8)).unwrap();
        assert_eq!(decode::<(String, u8)>(&frame).unwrap(), ("hello".into(), 7));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert!(matches!(decode::<u8>(&[1]), Err(FrameError::TooShort(1))));
        assert!(matches!(
            decode::<u8>(&[9, 0, 1]),
            Err(FrameError::Protocol(9))
        ));
        assert!(matches!(
            decode::<String>(&[1, 0, 200]),
            Err(FrameError::Decode(_))
        ));
        assert!(matches!(
            decode::<u8>(&vec![0; FRAME_BYTES_MAX + 1]),
            Err(FrameError::TooLong(_))
        ));
    }
}
