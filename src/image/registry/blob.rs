//! A blob on its way here, whatever becomes of the connection.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use ureq::BodyReader;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use crate::host::clock::Stopwatch;
use crate::image::digest::Digest;
use crate::image::registry::failure::{RegistryError, printable};
use crate::image::registry::http::Answer;
use crate::image::registry::pace::{Cancel, Pace};
use crate::image::registry::repository::Repository;

/// Less than this within the window is no connection but a trap, or as good as one.
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_BYTES_MIN: u64 = 8 << 10;
/// A connection that brought less counts as one that brought nothing.
const WORTH_BYTES: u64 = 16 << 10;
const SKIP_BYTES: usize = 32 << 10;

/// Reads a blob of a known size; after a cut it goes on where it was.
pub struct Blob<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    received: u64,
    connection: Option<Connection>,
    pace: Pace,
    cancel: Cancel,
    failure: Option<RegistryError>,
}

struct Connection {
    body: BodyReader<'static>,
    brought: u64,
    window: Stopwatch,
    window_bytes: u64,
}

impl<'a> Blob<'a> {
    pub fn new(repository: &'a Repository, digest: Digest, size: u64, cancel: &Cancel) -> Self {
        Self {
            repository,
            digest,
            size,
            received: 0,
            connection: None,
            pace: Pace::new(cancel.clone()),
            cancel: cancel.clone(),
            failure: None,
        }
    }

    /// Why reading failed; decoders hide it in errors of their own.
    pub fn failure(&mut self) -> Option<RegistryError> {
        self.failure.take()
    }

    /// How many bytes have arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The whole of a small blob, checked.
    pub fn bytes(mut self) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        if let Err(error) = self.read_to_end(&mut bytes) {
            return Err(self.failure().unwrap_or_else(|| self.unreachable(&error)));
        }
        let (host, expected) = (self.repository.host().to_owned(), self.digest);
        match Digest::of(&bytes) {
            found if found == expected => Ok(bytes),
            found => Err(RegistryError::Digest {
                host,
                expected,
                found,
            }),
        }
    }

    fn try_read(&mut self, into: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            self.cancel.check()?;
            match self.read_once(into) {
                Ok(n) => return Ok(n),
                Err(error) => {
                    if let Some(connection) = self.connection.take()
                        && connection.brought >= WORTH_BYTES
                    {
                        self.pace.reset();
                    }
                    self.pace.wait(error)?;
                }
            }
        }
    }

    /// One read of this connection, or of a new one.
    fn read_once(&mut self, into: &mut [u8]) -> Result<usize, RegistryError> {
        if self.received == self.size {
            return self.end();
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let left = usize::try_from(self.size - self.received).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let read = connection.read(&mut into[..most]);
        let n = *read.as_ref().unwrap_or(&0);
        self.received += n as u64;
        self.connection = Some(connection);
        match read {
            Ok(0) => Err(self.unreachable(&io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => Ok(n),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Nothing may come after the last byte. Some registries do not say how much will.
    fn end(&mut self) -> Result<usize, RegistryError> {
        let more = match self.connection.take() {
            Some(mut connection) => connection.body.read(&mut [0]).unwrap_or(0),
            None => 0,
        };
        match more {
            0 => Ok(0),
            _ => Err(self.nonsense(format!("more than the {} bytes of a blob", self.size))),
        }
    }

    fn connect(&mut self) -> Result<Connection, RegistryError> {
        let answer = self.repository.blob(self.digest, self.received)?;
        let begins = self.begins_at(&answer)?;
        let mut connection = Connection {
            body: answer.into_reader(),
            brought: 0,
            window: Stopwatch::start(),
            window_bytes: 0,
        };
        // The registry begins anew: what is here already is passed over.
        let mut piece = vec![0; SKIP_BYTES];
        let mut left = self.received - begins;
        while left > 0 {
            self.cancel.check()?;
            let most = usize::try_from(left).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
            match connection.read(&mut piece[..most]) {
                Ok(0) => return Err(self.unreachable(&io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => left -= n as u64,
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        connection.brought = 0;
        Ok(connection)
    }

    /// At which byte an answer begins; an error if it is not about this blob.
    fn begins_at(&self, answer: &Answer) -> Result<u64, RegistryError> {
        let is_part = answer.status() == 206;
        let (begins, size) = match is_part {
            true => {
                let range = answer
                    .header(CONTENT_RANGE.as_str())
                    .and_then(content_range);
                range.ok_or_else(|| self.nonsense("a part of a blob, and not which".to_owned()))?
            }
            false => {
                let length = answer.header(CONTENT_LENGTH.as_str());
                (0, length.and_then(|length| length.parse().ok()))
            }
        };
        if size.is_some_and(|size| size != self.size) || begins > self.received {
            return Err(self.nonsense(format!(
                "a blob of {} bytes from byte {begins} on where byte {} of {} was asked for",
                size.unwrap_or(0),
                self.received,
                self.size
            )));
        }
        Ok(begins)
    }

    fn nonsense(&self, what: String) -> RegistryError {
        RegistryError::Nonsense {
            host: self.repository.host().to_owned(),
            what,
        }
    }

    fn unreachable(&self, error: &io::Error) -> RegistryError {
        let host = self.repository.host().to_owned();
        let (received, size) = (self.received, self.size);
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("it hung up after {received} of {size} bytes of a blob")
            }
            _ => format!(
                "{} after {received} of {size} bytes",
                printable(&error.to_string())
            ),
        };
        RegistryError::Unreachable { host, reason }
    }
}

impl Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(into)?;
        self.brought += n as u64;
        self.window_bytes += n as u64;
        if self.window.elapsed() >= WINDOW {
            if self.window_bytes < WINDOW_BYTES_MIN {
                let text = format!("{} bytes within a minute", self.window_bytes);
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            (self.window, self.window_bytes) = (Stopwatch::start(), 0);
        }
        Ok(n)
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        self.try_read(into).map_err(|error| {
            self.failure = Some(error.clone());
            io::Error::other(error)
        })
    }
}

/// `bytes 5-9/10`: where it begins, and the size of the whole if it is told.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (begins, _) = range.split_once('-')?;
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    Some((begins.trim().parse().ok()?, size))
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Blob({}, {} of {})",
            self.digest, self.received, self.size
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_answers_are_understood() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for wrong in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-9/x",
            "bytes -9/10",
            "5-9/10",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
