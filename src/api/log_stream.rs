//! Logs of containers as Docker streams them: in frames, several containers' together in order.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Waking, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_lite::{Stream, StreamExt, stream};

use crate::api::answer::Broken;
use crate::api::context::Context;
use crate::api::events::Listener;
use crate::api::failure::Failure;
use crate::api::query::Query;
use crate::api::types::timestamp::rfc3339_nano;
use crate::model::time::Time;
use crate::runtime::listing::Listed;
use crate::runtime::log::reader::{Reader, Wanted};
use crate::runtime::log::{Record, Stream as Origin};
use crate::runtime::plan::LogPlan;

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

/// Chooses the containers of a log.
pub type Choice = Rc<dyn Fn(&Listed) -> bool>;

/// Bytes for the client, as they come.
type Pieces = Pin<Box<dyn Stream<Item = Result<Piece, Broken>>>>;

/// A record as it is written, and what it is put in order by.
struct Piece {
    at: Time,
    bytes: Bytes,
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
    let pieces = pieces(context, container, query, String::new())?;
    Ok(pieces.map(|piece| piece.map(|piece| piece.bytes)))
}

/// The logs of all containers that are chosen, in the order of time. Followed, it goes on with
/// those that are started later.
pub fn of_many(
    context: Rc<Context>,
    chosen: Choice,
    query: LogQuery,
    details: fn(&Listed) -> String,
) -> Result<impl Stream<Item = Result<Bytes, Broken>>, Failure> {
    let listener = query.wanted.follow.then(|| context.events.listen());
    let mut merged = Merged {
        sources: Sources::default(),
        starts: listener.map(starts),
        joined: Vec::new(),
        context,
        chosen,
        query,
        details,
    };
    merged.join()?;
    Ok(merged)
}

/// Several containers' logs as one, and those to come.
struct Merged {
    sources: Sources,
    /// Says when containers may have been started; `None` if nothing is awaited.
    starts: Option<Pin<Box<dyn Stream<Item = ()>>>>,
    /// The ids of containers whose logs are, or were, part of it.
    joined: Vec<String>,
    context: Rc<Context>,
    chosen: Choice,
    query: LogQuery,
    details: fn(&Listed) -> String,
}

/// Several logs as one.
#[derive(Default)]
struct Sources(Vec<Source>);

struct Source {
    pieces: Pieces,
    head: Option<Piece>,
}

impl Merged {
    /// Opens the logs of containers that are not part of it yet.
    fn join(&mut self) -> Result<(), Failure> {
        let containers = self.context.host.runtime.list()?;
        self.joined
            .retain(|id| containers.iter().any(|c| c.plan.id == *id));
        for container in containers {
            if self.joined.contains(&container.plan.id) || !(self.chosen)(&container) {
                continue;
            }
            let details = (self.details)(&container);
            let pieces = pieces(&self.context, &container, &self.query, details)?;
            self.joined.push(container.plan.id);
            self.sources.0.push(Source { pieces, head: None });
        }
        Ok(())
    }
}

impl Sources {
    /// The oldest of what the logs have next; none when all have ended.
    fn poll_oldest(&mut self, waking: &mut Waking<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut broken = None;
        self.0.retain_mut(|source| match source.poll_head(waking) {
            Poll::Ready(Some(Err(error))) => {
                broken = Some(error);
                false
            }
            Poll::Ready(None) => false,
            Poll::Ready(Some(Ok(()))) | Poll::Pending => true,
        });
        if let Some(error) = broken {
            return Poll::Ready(Some(Err(error)));
        }
        let heads = self.0.iter_mut().filter(|source| source.head.is_some());
        let oldest = heads.min_by_key(|source| source.head.as_ref().map(|piece| piece.at));
        match oldest.and_then(|source| source.head.take()) {
            Some(piece) => Poll::Ready(Some(Ok(piece.bytes))),
            None if self.0.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Source {
    fn poll_head(&mut self, waking: &mut Waking<'_>) -> Poll<Option<Result<(), Broken>>> {
        if self.head.is_none() {
            match self.pieces.as_mut().poll_next(waking) {
                Poll::Ready(Some(Ok(piece))) => self.head = Some(piece),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Some(Ok(())))
    }
}

impl Stream for Merged {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, waking: &mut Waking<'_>) -> Poll<Option<Self::Item>> {
        while let Some(starts) = &mut self.starts {
            match starts.as_mut().poll_next(waking) {
                // A container that is gone again has no log to show.
                Poll::Ready(Some(())) => drop(self.join()),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        match self.sources.poll_oldest(waking) {
            Poll::Ready(None) if self.starts.is_some() => Poll::Pending,
            polled => polled,
        }
    }
}

/// Yields whenever a container was started.
fn starts(listener: Listener) -> Pin<Box<dyn Stream<Item = ()>>> {
    let started = stream::unfold(listener, |mut listener| async {
        loop {
            let event = listener.next().await;
            if event.kind == "container" && event.action == "start" {
                return Some(((), listener));
            }
        }
    });
    Box::pin(started)
}

/// One container's log, written as the query says.
fn pieces(
    context: &Context,
    container: &Listed,
    query: &LogQuery,
    details: String,
) -> Result<Pieces, Failure> {
    if container.plan.log == LogPlan::None {
        return Ok(Box::pin(stream::empty()));
    }
    let wanted = query.wanted.clone();
    let reader = context.host.runtime.logs(&container.plan.id, wanted);
    let reader = reader.map_err(Failure::internal)?;
    let writer = Writer {
        tty: container.plan.process.tty,
        timestamps: query.timestamps,
        details: query.details.then(|| format!("{details} ")),
        goes_on: [false; 2],
        shown: [query.stdout, query.stderr],
    };
    let records = stream::unfold((reader, writer), |(mut reader, mut writer)| async {
        let record = next(&mut reader, &writer).await.transpose()?;
        let piece = record.map(|record| Piece {
            at: record.at,
            bytes: writer.write(&record),
        });
        Some((piece, (reader, writer)))
    });
    Ok(Box::pin(records))
}

async fn next(reader: &mut Reader, writer: &Writer) -> Result<Option<Record>, Broken> {
    loop {
        let record = reader
            .next()
            .await
            .map_err(|error| Broken(error.to_string()))?;
        match record {
            Some(record) if !writer.shown[index(record.stream)] => {}
            record => return Ok(record),
        }
    }
}

/// Writes records in Docker's form.
struct Writer {
    /// A terminal has one stream and no frames.
    tty: bool,
    timestamps: bool,
    /// Before each line.
    details: Option<String>,
    /// Of each stream: whether its next record goes on with a line.
    goes_on: [bool; 2],
    shown: [bool; 2],
}

impl Writer {
    fn write(&mut self, record: &Record) -> Bytes {
        let stream = index(record.stream);
        let mut line = Vec::with_capacity(record.data.len() + 64);
        if !self.goes_on[stream] {
            if self.timestamps {
                line.extend(rfc3339_nano(record.at).bytes().chain(*b" "));
            }
            line.extend(self.details.iter().flat_map(|details| details.bytes()));
        }
        self.goes_on[stream] = !record.data.ends_with(b"\n");
        line.extend(&record.data);
        match self.tty {
            true => line.into(),
            false => frame(record.stream, &line),
        }
    }
}

/// Docker's frame: the stream, three zeros, the length, the bytes.
pub fn frame(stream: Origin, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(bytes.len() + 8);
    let number = match stream {
        Origin::Stdout => STDOUT,
        Origin::Stderr => STDERR,
    };
    frame.put_slice(&[number, 0, 0, 0]);
    // Records and reads are far shorter than 4 GiB.
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.put_slice(bytes);
    frame.freeze()
}

fn index(stream: Origin) -> usize {
    match stream {
        Origin::Stdout => 0,
        Origin::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;

    fn record(at: u64, data: &str) -> Record {
        Record {
            stream: Origin::Stdout,
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
        let record = record(1, "hi\n");
        assert_eq!(
            writer(false, false, None).write(&record),
            &b"\x01\0\0\0\0\0\0\x03hi\n"[..]
        );
        assert_eq!(writer(true, false, None).write(&record), "hi\n");
    }

    #[test]
    fn prefixes_stand_before_lines_and_not_within_them() {
        let mut writer = writer(true, true, Some("a=b"));
        let first = writer.write(&record(1_795_428_000_250, "long "));
        assert_eq!(first, "2026-11-23T10:00:00.250000000Z a=b long ");
        assert_eq!(writer.write(&record(2, "line\n")), "line\n");
        assert!(writer.write(&record(3, "next\n")).ends_with(b"a=b next\n"));
    }

    fn source(times: &[u64]) -> Source {
        let piece = |at: &u64| {
            let (at, bytes) = (Time(*at), format!("{at} ").into());
            Ok(Piece { at, bytes })
        };
        let pieces: Vec<_> = times.iter().map(piece).collect();
        Source {
            pieces: Box::pin(stream::iter(pieces)),
            head: None,
        }
    }

    #[test]
    fn several_logs_come_in_the_order_of_time() {
        let mut sources = Sources(vec![source(&[1, 4, 9]), source(&[]), source(&[2, 3, 10])]);
        let merged = stream::poll_fn(|waking| sources.poll_oldest(waking));
        let pieces: Vec<_> = future::block_on(merged.collect::<Vec<_>>());
        let text: Vec<u8> = pieces.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(String::from_utf8(text).unwrap(), "1 2 3 4 9 10 ");
    }
}
