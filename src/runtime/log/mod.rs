//! A container's output in the run directory: a ring of records in two halves.
//!
//! ```text
//! log.7   full; goes when log.8 is full
//! log.8   being written
//! record: length of the data (2 bytes), stream (1), milliseconds since 1970 (8), data
//! ```
//! Where the log driver keeps it on the disk, `log` leads there, and the halves are in it.
//! A file is never written again once the next one exists, so readers need no lock.

pub mod ring;
pub mod journal;
pub mod sink;
pub mod reader;

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::time::Time;

const HEADER_BYTES: usize = 11;

/// Most bytes of data in one record.
pub const DATA_BYTES_MAX: usize = 16 << 10;

/// Where a container wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A line of output, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub stream: Stream,
    pub at: Time,
    /// Ends with a newline unless the line goes on in the next record of this stream.
    pub data: Vec<u8>,
}

impl Record {
    fn encode(stream: Stream, at: Time, data: &[u8], into: &mut Vec<u8>) {
        // Callers cut data to DATA_BYTES_MAX, which fits.
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        into.extend(length.to_le_bytes());
        into.push(match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        });
        into.extend(at.0.to_le_bytes());
        into.extend(data);
    }

    /// The record at the start of `bytes` and its length there; none if it is not whole yet.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let length = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let data = rest.get(..length)?.to_vec();
        let stream = if header[2] == 2 {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        let at = Time(u64::from_le_bytes(header[3..].try_into().ok()?));
        Some((Self { stream, at, data }, HEADER_BYTES + length))
    }
}

/// In the attempt's directory, where the halves are if not beside it.
const LOCAL_LINK: &str = "log";

/// The directory of the halves.
fn place(dir: &Path) -> PathBuf {
    let local = dir.join(LOCAL_LINK);
    if local.is_dir() {
        local
    } else {
        dir.to_owned()
    }
}

fn half(dir: &Path, number: u64) -> PathBuf {
    place(dir).join(format!("log.{number}"))
}

/// The numbers of the halves that are there, the older first.
fn halves(dir: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(place(dir)) else {
        return Vec::new();
    };
    let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
    let number = |name: String| name.strip_prefix("log.")?.parse().ok();
    let mut numbers: Vec<u64> = entries
        .flatten()
        .filter_map(name)
        .filter_map(number)
        .collect();
    numbers.sort_unstable();
    numbers
}
