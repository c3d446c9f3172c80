//! Streams that may be gzip, zstd or plain; the first bytes tell.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames begin `5x 2a 4d 18`; some builders begin a layer with one.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// The largest window of zstd: what the best level of usual builders needs, and a board can spare.
const ZSTD_WINDOW_BYTES_MAX: u64 = 64 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Plain,
    Zstd,
}

impl Compression {
    /// What the first bytes say.
    pub fn sniff(start: &[u8]) -> Self {
        let skippable = start.len() >= 4 && start[0] >> 4 == 5 && start[1..4] == ZSTD_SKIPPABLE;
        if start.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if start.starts_with(&ZSTD_MAGIC) || skippable {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    /// The plain bytes of `input`.
    pub fn decoder<'a>(self, input: impl Read + 'a) -> Box<dyn Read + 'a> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Plain => Box::new(input),
            Self::Zstd => Box::new(Zstd::new(input)),
        }
    }
}

/// A stream with its first bytes put back.
pub type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads up to `len` bytes ahead and puts them back.
pub fn peek<R: Read>(mut input: R, len: usize) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut start = Vec::with_capacity(len);
    input.by_ref().take(len as u64).read_to_end(&mut start)?;
    let whole = Cursor::new(start.clone()).chain(input);
    Ok((start, whole))
}

/// All frames of a zstd stream, one after the other.
struct Zstd<R> {
    input: BufReader<R>,
    decoder: FrameDecoder,
    running: bool,
}

impl<R: Read> Zstd<R> {
    fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            decoder,
            running: false,
        }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(length)?,
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }

    fn skip(&mut self, length: u32) -> io::Result<()> {
        let mut frame = self.input.by_ref().take(u64::from(length));
        let skipped = io::copy(&mut frame, &mut io::sink())?;
        if skipped < u64::from(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.running {
                self.running = self.begin()?;
                if !self.running {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buf);
            }
            if self.decoder.is_finished() {
                check_sum(&self.decoder)?;
                self.running = false;
                continue;
            }
            let one = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder
                .decode_blocks(&mut self.input, one)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        }
    }
}

/// ruzstd computes the checksum and leaves comparing it to its caller.
fn check_sum(decoder: &FrameDecoder) -> io::Result<()> {
    let expected = decoder.get_checksum_from_data();
    if expected.is_some() && expected != decoder.get_calculated_checksum() {
        let text = "zstd checksum does not match";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(())
}

impl<R> fmt::Debug for Zstd<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zstd")
    }
}
