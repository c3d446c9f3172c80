//! Answers that are one JSON object after the other.

use serde_json::Value;

use crate::cli::client::Download;
use crate::cli::failure::Failure;

const LINE_BYTES_MAX: usize = 1 << 20;

/// Objects as they come.
#[derive(Debug)]
pub struct JsonLines {
    download: Download,
    waiting: Vec<u8>,
}

impl JsonLines {
    /// Objects from an answer.
    pub fn new(download: Download) -> Self {
        Self {
            download,
            waiting: Vec::new(),
        }
    }

    /// The next object, as written and as read; none at the end.
    pub async fn next(&mut self) -> Result<Option<(String, Value)>, Failure> {
        loop {
            if let Some(end) = self.waiting.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                match parse(&line) {
                    Some(object) => return Ok(Some(object)),
                    None => continue,
                }
            }
            if self.waiting.len() > LINE_BYTES_MAX {
                return Err(Failure::Lacking("an end to its lines"));
            }
            match self.download.next().await? {
                Some(bytes) => self.waiting.extend_from_slice(&bytes),
                None => return Ok(parse(&std::mem::take(&mut self.waiting))),
            }
        }
    }
}

/// A line that is not JSON is passed over: it is an empty one, or the connection broke within it.
fn parse(line: &[u8]) -> Option<(String, Value)> {
    let text = String::from_utf8_lossy(line).trim().to_owned();
    let value = serde_json::from_str(&text).ok()?;
    Some((text, value))
}
