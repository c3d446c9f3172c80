//! The reading end of the log, in the daemon.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use async_io::Async;
use rustix::fs::inotify;

use crate::model::time::Time;
use crate::runtime::attempt::Attempt;
use crate::runtime::log::{Record, half, halves, place};

/// Read at once, and what a tail may have over before it is cut.
const PIECE_BYTES: u64 = 128 << 10;
const TAIL_SLACK: usize = 4_096;

/// What of a log is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Goes on until the container has ended.
    pub follow: bool,
    pub since: Option<Time>,
    pub until: Option<Time>,
    /// Only the last lines of what is there already.
    pub tail_lines: Option<usize>,
}

/// A log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log in {dir}: {source}")]
pub struct LogError {
    dir: PathBuf,
    source: io::Error,
}

/// The records of one attempt, oldest first.
#[derive(Debug)]
pub struct Reader {
    attempt: Attempt,
    wanted: Wanted,
    /// Wakes up when the shim writes.
    changes: Option<Async<OwnedFd>>,
    number: Option<u64>,
    file: Option<File>,
    /// How much of the file was read.
    read: u64,
    /// Where a log that is not followed ends: half and length.
    end: Option<(u64, u64)>,
    unread: Vec<u8>,
    ready: VecDeque<Record>,
}

impl Reader {
    /// Opens a log, at what is wanted of what is there.
    pub fn open(dir: &Path, wanted: Wanted) -> Result<Self, LogError> {
        let failed = |source: io::Error| LogError {
            dir: dir.to_owned(),
            source,
        };
        let changes = if wanted.follow {
            Some(watch(dir).map_err(failed)?)
        } else {
            None
        };
        let mut reader = Self {
            attempt: Attempt {
                dir: dir.to_owned(),
            },
            wanted,
            changes,
            number: None,
            file: None,
            read: 0,
            end: None,
            unread: Vec::new(),
            ready: VecDeque::new(),
        };
        if !reader.wanted.follow {
            reader.end = Some(end(dir));
        }
        if let Some(lines) = reader.wanted.tail_lines {
            while reader.fill().map_err(failed)? {
                // Not for each piece, or a long tail would take its square.
                if reader.ready.len() > lines.saturating_mul(2).saturating_add(TAIL_SLACK) {
                    keep_last(&mut reader.ready, lines);
                }
            }
            keep_last(&mut reader.ready, lines);
        }
        Ok(reader)
    }

    /// The next record; none at the end of the log, or of the container if it is followed.
    pub async fn next(&mut self) -> Result<Option<Record>, LogError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                if self.wanted.until.is_some_and(|until| record.at > until) {
                    return Ok(None);
                }
                return Ok(Some(record));
            }
            // The end is looked at before the log: what was written before it is then read.
            let ended = self.changes.is_none() || self.has_ended();
            if self.fill().map_err(|source| self.failed(source))? {
                continue;
            }
            if ended {
                return Ok(None);
            }
            self.changed().await.map_err(|source| self.failed(source))?;
        }
    }

    fn has_ended(&self) -> bool {
        self.attempt.exit_path().exists() || !self.attempt.dir.exists()
    }

    async fn changed(&self) -> io::Result<()> {
        let Some(changes) = &self.changes else {
            return Ok(());
        };
        changes.readable().await?;
        let dir = &self.attempt.dir;
        if place(dir) != *dir {
            // It may have come since; to watch it again does nothing.
            let _ = inotify::add_watch(changes.get_ref(), place(dir), inotify::WatchFlags::MODIFY);
        }
        let mut events = [0; 4096];
        // What happened does not matter: everything is looked at again.
        while rustix::io::read(changes, &mut events).is_ok_and(|length| length > 0) {}
        Ok(())
    }

    /// Takes in a piece of what was written since the last time; whether there was one.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            let newer = self.next_half();
            if self.read_piece()? {
                return Ok(true);
            }
            // A half that was followed by another before it was read to its end is complete.
            let Some(number) = newer else {
                return Ok(false);
            };
            match File::open(half(&self.attempt.dir, number)) {
                Ok(file) => {
                    self.file = Some(file);
                    self.number = Some(number);
                    self.read = 0;
                    self.unread.clear();
                }
                // The ring has turned meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read_piece(&mut self) -> io::Result<bool> {
        let left = match self.end.filter(|(number, _)| self.number == Some(*number)) {
            Some((_, length)) => length.saturating_sub(self.read),
            None => u64::MAX,
        };
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let piece = file.take(left.min(PIECE_BYTES));
        let length = { piece }.read_to_end(&mut self.unread)?;
        self.read += length as u64;
        self.decode();
        Ok(length > 0)
    }

    fn next_half(&self) -> Option<u64> {
        let is_newer = |number: &u64| {
            self.number.is_none_or(|current| *number > current)
                && self.end.is_none_or(|(last, _)| *number <= last)
        };
        halves(&self.attempt.dir).into_iter().find(is_newer)
    }

    fn decode(&mut self) {
        let mut at = 0;
        while let Some((record, length)) = Record::decode(&self.unread[at..]) {
            at += length;
            if self.wanted.since.is_none_or(|since| record.at >= since) {
                self.ready.push_back(record);
            }
        }
        self.unread.drain(..at);
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError {
            dir: self.attempt.dir.clone(),
            source,
        }
    }
}

/// The newest half, and how long it is now.
fn end(dir: &Path) -> (u64, u64) {
    let number = halves(dir).last().copied().unwrap_or_default();
    let about = std::fs::metadata(half(dir, number));
    (number, about.map_or(0, |about| about.len()))
}

fn watch(dir: &Path) -> io::Result<Async<OwnedFd>> {
    use inotify::{CreateFlags, WatchFlags};
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let what =
        WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
    inotify::add_watch(&fd, dir, what)?;
    if place(dir) != dir {
        inotify::add_watch(&fd, place(dir), what)?;
    }
    Async::new_nonblocking(fd)
}

/// Keeps the records of the last lines; a line may have several.
fn keep_last(records: &mut VecDeque<Record>, lines: usize) {
    let mut left = lines;
    let mut keep = 0;
    for (count, record) in records.iter().rev().enumerate() {
        let ends_line = record.data.ends_with(b"\n") || count == 0;
        if ends_line {
            if left == 0 {
                break;
            }
            left -= 1;
        }
        keep = count + 1;
    }
    records.drain(..records.len() - keep);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_lite::future::block_on;

    use super::*;
    use crate::runtime::attempt::Exit;
    use crate::runtime::log::Stream;
    use crate::runtime::log::ring::Ring;

    struct Log {
        dir: PathBuf,
        ring: Ring,
    }

    impl Log {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("skep-log-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self {
                ring: Ring::create(&dir, 64 << 10).unwrap(),
                dir,
            }
        }

        fn write(&mut self, at: u64, text: &str) {
            self.ring
                .append(Stream::Stdout, Time(at), text.as_bytes(), &mut Vec::new())
                .unwrap();
        }

        fn end(&self) {
            Attempt {
                dir: self.dir.clone(),
            }
            .write_exit(&Exit::default())
            .unwrap();
        }

        fn reader(&self, wanted: Wanted) -> Reader {
            Reader::open(&self.dir, wanted).unwrap()
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.dir).unwrap();
        }
    }

    async fn text(mut reader: Reader) -> String {
        let mut all = Vec::new();
        while let Some(record) = reader.next().await.unwrap() {
            all.extend(record.data);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn reads_what_is_there_by_lines_and_by_time() {
        let mut log = Log::new("parts");
        log.write(1, "one\n");
        log.write(2, "tw");
        log.write(3, "o\nthree\n");
        let read = |wanted| block_on(text(log.reader(wanted)));
        assert_eq!(read(Wanted::default()), "one\ntwo\nthree\n");
        assert_eq!(
            read(Wanted {
                tail_lines: Some(2),
                ..Wanted::default()
            }),
            "two\nthree\n"
        );
        assert_eq!(
            read(Wanted {
                tail_lines: Some(0),
                ..Wanted::default()
            }),
            ""
        );
        assert_eq!(
            read(Wanted {
                since: Some(Time(3)),
                ..Wanted::default()
            }),
            "o\nthree\n"
        );
        assert_eq!(
            read(Wanted {
                until: Some(Time(1)),
                ..Wanted::default()
            }),
            "one\n"
        );
    }

    #[test]
    fn a_follower_sees_every_line_until_the_end_however_often_the_ring_turns() {
        let mut log = Log::new("follow");
        let mut follower = log.reader(Wanted {
            follow: true,
            ..Wanted::default()
        });
        for batch in 0..100 {
            let lines: Vec<_> = (0..20)
                .map(|line| format!("{batch} {line:060}\n"))
                .collect();
            lines.iter().for_each(|line| log.write(1, line));
            for line in lines {
                let record = block_on(follower.next()).unwrap().unwrap();
                assert_eq!(record.data, line.as_bytes());
            }
        }
        assert!(halves(&log.dir)[0] > 0, "the ring has turned");
        log.end();
        assert_eq!(block_on(follower.next()).unwrap(), None);
    }
}
