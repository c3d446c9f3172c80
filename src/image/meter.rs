//! Guards against archives that unpack to far more than was sent.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use crate::image::limits::Limits;

/// What one load has received and what came of it, from end to end however often it is packed.
#[derive(Debug, Default)]
pub struct Meter {
    received: Cell<u64>,
    archive: Cell<u64>,
    layers: Cell<u64>,
}

/// More came out than the limits allow.
#[derive(Debug, thiserror::Error)]
#[error("{received} bytes unpack to more than {produced}: taken for a decompression bomb")]
pub struct Bomb {
    /// Bytes from the client so far.
    pub received: u64,
    /// Bytes they unpacked to.
    pub produced: u64,
}

impl Meter {
    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.get()
    }
}

/// Counts what arrives from the client.
pub struct Received<R> {
    input: R,
    meter: Rc<Meter>,
}

impl<R> Received<R> {
    /// Counts into `meter`.
    pub fn new(input: R, meter: Rc<Meter>) -> Self {
        Self { input, meter }
    }
}

impl<R: Read> Read for Received<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.meter.received.set(self.meter.received() + n as u64);
        Ok(n)
    }
}

/// What an unpacked stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The archive as a whole.
    Archive,
    /// The layers, all of a load together.
    Layer,
}

/// Fails when an unpacked stream grows out of proportion to what was received.
pub struct Guarded<R> {
    input: R,
    meter: Rc<Meter>,
    stream: Stream,
    free: u64,
    ratio: u64,
}

impl<R> Guarded<R> {
    /// Guards `input`, which was unpacked from what `meter` counts.
    pub fn new(input: R, stream: Stream, meter: Rc<Meter>, limits: &Limits) -> Self {
        Self {
            input,
            meter,
            stream,
            free: limits.ratio_free_bytes,
            ratio: limits.ratio_max,
        }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        let produced = match self.stream {
            Stream::Archive => &self.meter.archive,
            Stream::Layer => &self.meter.layers,
        };
        produced.set(produced.get().saturating_add(n as u64));
        let received = self.meter.received();
        let allowed = self
            .free
            .saturating_add(received.saturating_mul(self.ratio));
        if produced.get() > allowed {
            let produced = allowed;
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                Bomb { received, produced },
            ));
        }
        Ok(n)
    }
}

impl<R> fmt::Debug for Received<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({:?})", self.meter)
    }
}

impl<R> fmt::Debug for Guarded<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?}, {:?})", self.stream, self.meter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_grow_by_the_ratio_and_no_further() {
        let limits = Limits {
            ratio_free_bytes: 100,
            ratio_max: 10,
            ..Limits::default()
        };
        let meter = Rc::new(Meter::default());
        let mut sent = Received::new(&[7u8; 5][..], meter.clone());
        io::copy(&mut sent, &mut io::sink()).unwrap();
        let mut out = Guarded::new(io::repeat(0), Stream::Layer, meter.clone(), &limits);
        out.read_exact(&mut [0; 150]).unwrap();
        let mut second = Guarded::new(io::repeat(0), Stream::Layer, meter, &limits);
        let error = second.read_exact(&mut [0; 1]).unwrap_err();
        let expect = "5 bytes unpack to more than 150: taken for a decompression bomb";
        assert_eq!(error.to_string(), expect);
    }
}
