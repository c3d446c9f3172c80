//! Lines of logs, on their way from the node that has them to the manager that was asked for them.

use bytes::{Buf, BytesMut};
use serde::{Deserialize, Serialize};

use crate::model::id::TaskId;
use crate::model::time::Time;
use crate::wire::frame::{self, FrameError};

/// The longest line; what is longer comes in pieces.
pub const LINE_BYTES_MAX: usize = 32 << 10;

const LENGTH_BYTES: usize = 4;

/// A line of a task's output, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub task: TaskId,
    pub at: Time,
    pub is_error: bool,
    /// Ends with a newline unless the line goes on.
    pub data: Vec<u8>,
}

/// Why bytes are no lines.
#[derive(Debug, thiserror::Error)]
pub enum LogLinesError {
    #[error("a line of {0} bytes is over the limit of {LINE_BYTES_MAX}")]
    TooLong(usize),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl LogLine {
    /// Its length, and a frame.
    pub fn encode(&self) -> Result<Vec<u8>, LogLinesError> {
        let frame = frame::encode(self)?;
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if frame.len() > LINE_BYTES_MAX {
            return Err(LogLinesError::TooLong(frame.len()));
        }
        Ok([&length.to_le_bytes()[..], &frame].concat())
    }
}

/// Takes lines apart, however they are cut on their way.
#[derive(Debug, Default)]
pub struct LogLines {
    waiting: BytesMut,
}

impl LogLines {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole line.
    pub fn take(&mut self) -> Result<Option<LogLine>, LogLinesError> {
        let Some(length) = self.waiting.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > LINE_BYTES_MAX {
            return Err(LogLinesError::TooLong(length));
        }
        if self.waiting.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.waiting.advance(LENGTH_BYTES);
        let frame = self.waiting.split_to(length);
        Ok(Some(frame::decode(&frame)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_however_they_are_cut() {
        let line = |number: u8| LogLine {
            task: TaskId(u128::from(number)),
            at: Time(7),
            is_error: number == 2,
            data: vec![number; 3],
        };
        let whole = [1, 2].map(|number| line(number).encode().unwrap()).concat();
        for cut in 0..whole.len() {
            let (mut lines, mut got) = (LogLines::default(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                lines.push(part);
                while let Some(line) = lines.take().unwrap() {
                    got.push(line);
                }
            }
            assert_eq!(got, [line(1), line(2)], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused_before_it_is_kept() {
        let mut lines = LogLines::default();
        lines.push(&u32::MAX.to_le_bytes());
        assert!(matches!(lines.take(), Err(LogLinesError::TooLong(_))));
        let mut lines = LogLines::default();
        lines.push(&[3, 0, 0, 0, 9, 9, 9]);
        assert!(matches!(lines.take(), Err(LogLinesError::Frame(_))));
    }
}
