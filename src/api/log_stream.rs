//! Logs as Docker streams them: in frames, with what was asked for before each line.

use bytes::{BufMut, Bytes, BytesMut};
use futures_lite::{Stream, StreamExt};

use crate::api::answer::Broken;
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::log_lines;
use crate::api::query::Query;
use crate::api::types::timestamp::rfc3339_nano;
use crate::runtime::listing::Listed;
use crate::runtime::log::Stream as Origin;
use crate::runtime::log::reader::Wanted;
use crate::wire::log::LogLine;

const STDOUT: u8 = 1;
const STDERR: u8 = 2;

/// What of which logs is wanted, and how it is to be written.
#[derive(Clone, Debug)]
pub struct LogQuery {
    pub wanted: Wanted,
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    details: bool,
}

impl LogQuery {
    /// Reads the parameters for a service: Docker is stricter there.
    pub fn read_strictly(query: &Query) -> Result<Self, Failure> {
        let read = Self::read(query)?;
        match query.text("tail") {
            "" | "all" => Ok(read),
            _ if read.wanted.tail_lines.is_some() => Ok(read),
            _ => Err(Failure::bad(
                "tail value must be a positive integer or \"all\"",
            )),
        }
    }

    /// Reads Docker's parameters.
    pub fn read(query: &Query) -> Result<Self, Failure> {
        let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
        if !stdout && !stderr {
            let message = "Bad parameters: you must choose at least one stream";
            return Err(Failure::bad(message));
        }
        let tail_lines = match query.text("tail") {
            "" | "all" => None,
            // As Docker, anything else that is no number is everything.
            text => text.parse().ok(),
        };
        Ok(Self {
            wanted: Wanted {
                follow: query.flag("follow"),
                since: query.time("since")?,
                until: query.time("until")?,
                tail_lines,
            },
            stdout,
            stderr,
            timestamps: query.flag("timestamps"),
            details: query.flag("details"),
        })
    }
}

/// The log of one container.
pub fn of_container(
    context: &Context,
    container: &Listed,
    query: &LogQuery,
) -> Result<impl Stream<Item = Result<Bytes, Broken>> + use<>, Failure> {
    let lines = log_lines::of_container(context, container, query.wanted.clone())?;
    let mut writer = Writer::new(query, container.plan.process.tty, String::new());
    Ok(lines.filter_map(move |line| line.map(|line| writer.write(&line)).transpose()))
}

/// Writes lines in Docker's form.
pub struct Writer {
    /// A terminal has one stream and no frames.
    tty: bool,
    timestamps: bool,
    /// Before each line.
    details: Option<String>,
    /// Of each stream: whether its next piece goes on with a line.
    goes_on: [bool; 2],
    shown: [bool; 2],
}

impl Writer {
    pub fn new(query: &LogQuery, tty: bool, details: String) -> Self {
        Self {
            tty,
            timestamps: query.timestamps,
            details: query.details.then(|| format!("{details} ")),
            goes_on: [false; 2],
            shown: [query.stdout, query.stderr],
        }
    }

    /// `None` for a line of a stream that is not wanted.
    pub fn write(&mut self, line: &LogLine) -> Option<Bytes> {
        let stream = usize::from(line.is_error);
        if !self.shown[stream] {
            return None;
        }
        let mut bytes = Vec::with_capacity(line.data.len() + 64);
        if !self.goes_on[stream] {
            if self.timestamps {
                bytes.extend(rfc3339_nano(line.at).bytes().chain(*b" "));
            }
            bytes.extend(self.details.iter().flat_map(|details| details.bytes()));
        }
        self.goes_on[stream] = !line.data.ends_with(b"\n");
        bytes.extend(&line.data);
        let number = if line.is_error { STDERR } else { STDOUT };
        Some(match self.tty {
            true => bytes.into(),
            false => frame_of(number, &bytes),
        })
    }
}

/// Docker's frame: the stream, three zeros, the length, the bytes.
pub fn frame(stream: Origin, bytes: &[u8]) -> Bytes {
    match stream {
        Origin::Stdout => frame_of(STDOUT, bytes),
        Origin::Stderr => frame_of(STDERR, bytes),
    }
}

/// The same for a stream by its number.
pub fn frame_of(number: u8, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(bytes.len() + 8);
    frame.put_slice(&[number, 0, 0, 0]);
    // Lines and reads are far shorter than 4 GiB.
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.put_slice(bytes);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::TaskId;
    use crate::model::time::Time;

    fn line(at: u64, data: &str) -> LogLine {
        LogLine {
            task: TaskId(1),
            is_error: false,
            at: Time(at),
            data: data.into(),
        }
    }

    fn writer(tty: bool, timestamps: bool, details: Option<&str>) -> Writer {
        Writer {
            tty,
            timestamps,
            details: details.map(|details| format!("{details} ")),
            goes_on: [false; 2],
            shown: [true; 2],
        }
    }

    #[test]
    fn records_are_framed_unless_there_is_a_terminal() {
        let line = line(1, "hi\n");
        assert_eq!(
            writer(false, false, None).write(&line).unwrap(),
            &b"\x01\0\0\0\0\0\0\x03hi\n"[..]
        );
        assert_eq!(writer(true, false, None).write(&line).unwrap(), "hi\n");
    }

    #[test]
    fn prefixes_stand_before_lines_and_not_within_them() {
        let mut writer = writer(true, true, Some("a=b"));
        let first = writer.write(&line(1_795_428_000_250, "long ")).unwrap();
        assert_eq!(first, "2026-11-23T10:00:00.250000000Z a=b long ");
        assert_eq!(writer.write(&line(2, "line\n")).unwrap(), "line\n");
        let last = writer.write(&line(3, "next\n")).unwrap();
        assert!(last.ends_with(b"a=b next\n"));
    }
}
