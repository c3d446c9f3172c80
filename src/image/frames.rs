//! What a layer's tar held besides file contents, so that the very same tar can be made again.
//!
//! ```text
//! u16 format, then gzip of records, numbers little-endian:
//!   1 u32 n, n bytes              bytes of the tar
//!   2 u16 n, path, u64 size       the contents of fs/path
//!   3 u16 n, path, u32 k          what was at fs/path so far is gone/k from here on
//!   0                             the end
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::image::tarball::Framing;
use crate::image::tree::Tree;

const FORMAT: u16 = 1;
const BYTES: u8 = 1;
const CONTENTS: u8 = 2;
const REPLACED: u8 = 3;
const END: u8 = 0;
/// Frames are written in pieces of about this size.
const PIECE_BYTES: usize = 32 << 10;

/// Writes a layer's frames while it is unpacked.
pub struct FrameWriter {
    out: GzEncoder<File>,
    piece: Vec<u8>,
}

/// Why a layer's tar cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("frames are damaged")]
    Damaged,
    #[error("frames have format {0}, which this version does not know")]
    Format(u16),
    #[error("\"{path}\" has changed: {source}")]
    Contents { path: String, source: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameWriter {
    /// Creates the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create_new(path)?;
        file.write_all(&FORMAT.to_le_bytes())?;
        Ok(Self {
            out: GzEncoder::new(file, Compression::default()),
            piece: Vec::new(),
        })
    }

    /// Here follow `size` bytes that are the contents of the file at `path`.
    pub fn contents(&mut self, path: &[u8], size: u64) -> io::Result<()> {
        self.flush_piece()?;
        self.path(CONTENTS, path)?;
        self.out.write_all(&size.to_le_bytes())
    }

    /// What was unpacked at `path` was moved away, to number `k`.
    pub fn replaced(&mut self, path: &[u8], k: u32) -> io::Result<()> {
        self.flush_piece()?;
        self.path(REPLACED, path)?;
        self.out.write_all(&k.to_le_bytes())
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush_piece()?;
        self.out.write_all(&[END])?;
        self.out.finish().map(drop)
    }

    fn path(&mut self, record: u8, path: &[u8]) -> io::Result<()> {
        let length = u16::try_from(path.len()).map_err(|_| io::ErrorKind::InvalidFilename)?;
        self.out.write_all(&[record])?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(path)
    }

    fn flush_piece(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.piece.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if length > 0 {
            self.out.write_all(&[BYTES])?;
            self.out.write_all(&length.to_le_bytes())?;
            self.out.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(())
    }
}

impl Framing for FrameWriter {
    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush_piece()?;
        }
        Ok(())
    }
}

/// Writes the tar of the layer in `layer` to `out`, byte for byte as it came.
pub fn replay(layer: &Path, out: &mut dyn Write) -> Result<(), ReplayError> {
    let moves = moves(layer)?;
    let mut fs = Tree::open(&layer.join("fs"))?;
    let mut gone = None;
    let mut read = Records::open(layer)?;
    let mut replaced = 0;
    while let Some(record) = read.next()? {
        match record {
            Record::Bytes(bytes) => out.write_all(&bytes)?,
            Record::Replaced(..) => replaced += 1,
            Record::Contents(path, size) => {
                let later: &[Move] = moves.get(replaced..).unwrap_or_default();
                let moved = later.iter().find_map(|m| m.place(&path));
                let file = match moved {
                    None => fs.open_file(&path),
                    Some(place) => gone_tree(&mut gone, layer)?.open_file(&place),
                };
                let damaged = |source| ReplayError::Contents {
                    path: crate::image::header::shown(&path),
                    source,
                };
                copy_exactly(file.map_err(damaged)?, size, out, damaged)?;
            }
        }
    }
    Ok(())
}

fn gone_tree<'a>(gone: &'a mut Option<Tree>, layer: &Path) -> io::Result<&'a mut Tree> {
    let tree = match gone.take() {
        Some(tree) => tree,
        None => Tree::open(&layer.join("gone"))?,
    };
    Ok(gone.insert(tree))
}

fn copy_exactly(
    file: File,
    size: u64,
    out: &mut dyn Write,
    damaged: impl Fn(io::Error) -> ReplayError,
) -> Result<(), ReplayError> {
    let mut file = file.take(size);
    let mut buf = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        let n = file.read(&mut buf).map_err(&damaged)?;
        if n == 0 {
            break;
        }
        out.write_all(&buf[..n])?;
        copied += n as u64;
    }
    if copied < size {
        return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// Something that was replaced, and where it went.
struct Move {
    path: Vec<u8>,
    k: u32,
}

impl Move {
    /// Where in `gone/` the file at `path` is, if this move took it along.
    fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        let below = path.strip_prefix(self.path.as_slice())?;
        let whole = below.is_empty() || below.starts_with(b"/");
        whole.then(|| [self.k.to_string().as_bytes(), below].concat())
    }
}

fn moves(layer: &Path) -> Result<Vec<Move>, ReplayError> {
    let mut moves = Vec::new();
    if !layer.join("gone").exists() {
        return Ok(moves);
    }
    let mut read = Records::open(layer)?;
    while let Some(record) = read.next()? {
        if let Record::Replaced(path, k) = record {
            moves.push(Move { path, k });
        }
    }
    Ok(moves)
}

enum Record {
    Bytes(Vec<u8>),
    Contents(Vec<u8>, u64),
    Replaced(Vec<u8>, u32),
}

struct Records {
    input: BufReader<GzDecoder<BufReader<File>>>,
}

impl Records {
    fn open(layer: &Path) -> Result<Self, ReplayError> {
        let path: PathBuf = layer.join("frames");
        let mut file = BufReader::new(File::open(path)?);
        let mut format = [0; 2];
        file.read_exact(&mut format)?;
        match u16::from_le_bytes(format) {
            FORMAT => Ok(Self {
                input: BufReader::new(GzDecoder::new(file)),
            }),
            other => Err(ReplayError::Format(other)),
        }
    }

    fn next(&mut self) -> Result<Option<Record>, ReplayError> {
        match self.array::<1>()?[0] {
            END => Ok(None),
            BYTES => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                if length > PIECE_BYTES + (2 << 20) {
                    return Err(ReplayError::Damaged);
                }
                Ok(Some(Record::Bytes(self.bytes(length)?)))
            }
            CONTENTS => {
                let path = self.path()?;
                Ok(Some(Record::Contents(
                    path,
                    u64::from_le_bytes(self.array()?),
                )))
            }
            REPLACED => {
                let path = self.path()?;
                Ok(Some(Record::Replaced(
                    path,
                    u32::from_le_bytes(self.array()?),
                )))
            }
            _ => Err(ReplayError::Damaged),
        }
    }

    fn path(&mut self) -> Result<Vec<u8>, ReplayError> {
        let length = u16::from_le_bytes(self.array()?);
        self.bytes(length.into())
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ReplayError> {
        let mut bytes = vec![0; length];
        self.input
            .read_exact(&mut bytes)
            .map_err(|_| ReplayError::Damaged)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReplayError> {
        let mut bytes = [0; N];
        self.input
            .read_exact(&mut bytes)
            .map_err(|_| ReplayError::Damaged)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrameWriter({} bytes waiting)", self.piece.len())
    }
}
