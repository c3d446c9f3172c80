//! Output of programs as the API sends it: framed by stream, unless it comes from a terminal.

use bytes::{Buf, Bytes, BytesMut};

use crate::cli::client::Download;
use crate::cli::failure::Failure;

const HEADER_BYTES: usize = 8;
/// The stream on which the daemon says why there is no more.
const SYSTEM_ERROR: u8 = 3;
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Which of a program's outputs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Takes frames apart, however they are cut on their way.
#[derive(Debug, Default)]
pub struct Frames {
    waiting: BytesMut,
}

impl Frames {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn take(&mut self) -> Result<Option<(Stream, Bytes)>, Failure> {
        let Some(header) = self.waiting.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [stream, 0, 0, 0, a, b, c, d] = *header else {
            return Err(Failure::Lacking("the frames of a stream"));
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(Failure::Lacking("frames of a sensible length"));
        }
        if self.waiting.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.waiting.advance(HEADER_BYTES);
        if stream == SYSTEM_ERROR {
            let text = self.waiting.split_to(length);
            let text = String::from_utf8_lossy(&text);
            let text = text.trim_end();
            return Err(Failure::Reported(format!(
                "error from daemon in stream: {text}"
            )));
        }
        let stream = if stream == 2 {
            Stream::Error
        } else {
            Stream::Out
        };
        Ok(Some((stream, self.waiting.split_to(length).freeze())))
    }
}

/// Hands every frame of an answer on.
pub async fn each(
    download: &mut Download,
    mut take: impl AsyncFnMut(Stream, Bytes) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut frames = Frames::default();
    while let Some(bytes) = download.next().await? {
        frames.push(&bytes);
        while let Some((stream, frame)) = frames.take()? {
            take(stream, frame).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_however_they_are_cut() {
        let whole = b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x03err";
        for cut in 0..whole.len() {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for part in [&whole[..cut], &whole[cut..]] {
                frames.push(part);
                while let Some(frame) = frames.take().unwrap() {
                    got.push(frame);
                }
            }
            let expect = [
                (Stream::Out, Bytes::from("hi")),
                (Stream::Error, Bytes::from("err")),
            ];
            assert_eq!(got, expect, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut frames = Frames::default();
        frames.push(b"plain text");
        assert!(frames.take().is_err());
        let mut frames = Frames::default();
        frames.push(b"\x03\0\0\0\0\0\0\x04why\n");
        let error = frames.take().unwrap_err().to_string();
        assert_eq!(error, "error from daemon in stream: why");
        let mut frames = Frames::default();
        frames.push(b"\x01\0\0\0\xff\0\0\0");
        assert!(frames.take().is_err());
    }
}
