//! One file of a journal, or of rows: blocks, records and their check sums.

use std::ops::Range;
use std::sync::Arc;

use crate::store::disk::{Disk, DiskFile};
use crate::store::error::{Damage, StoreError};

const MAGIC: &[u8; 8] = b"skepjrnl";
const FORMAT: u32 = 1;
const BLOCK_BYTES: usize = 4096;
pub const HEADER_BYTES: u64 = BLOCK_BYTES as u64;
const RECORD_HEADER_BYTES: usize = 28;
const SEGMENT_BYTES: u64 = 1 << 20;
/// Twice the longest record, which a turn makes room for.
const SEGMENT_BYTES_MAX: u64 = 2 * RECORD_BYTES_MAX as u64;
/// The most bytes in one record, far above what consensus leaves unwritten.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    file: Box<dyn DiskFile>,
    pub path: String,
    pub length: u64,
}

/// Which record of which turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Number {
    pub generation: u64,
    pub sequence: u64,
}

/// A record as it was found.
#[derive(Debug)]
pub struct Found {
    pub at: u64,
    pub number: Number,
    pub body: Range<usize>,
}

/// What a segment holds.
#[derive(Debug)]
pub struct Scan {
    pub bytes: Vec<u8>,
    /// The records of one generation, from the first block on, without a gap.
    pub records: Vec<Found>,
    /// Where they end.
    pub end: u64,
    /// Whole records behind `end`.
    pub strays: Vec<Found>,
}

impl Segment {
    /// Makes a segment of zeros with one record, or none, under another name first: a file under
    /// its own name is whole.
    pub fn create(disk: &Arc<dyn Disk>, name: &str, record: &[u8]) -> Result<(), StoreError> {
        let new = format!("{name}.new");
        let path = disk.describe(&new);
        let file = disk.create(&new);
        let file = file.map_err(|source| StoreError::io("create", path.clone(), source))?;
        let mut segment = Self {
            file,
            path: path.clone(),
            length: 0,
        };
        segment.write(0, &header())?;
        segment.write(HEADER_BYTES, record)?;
        segment.make_room(HEADER_BYTES + record.len() as u64)?;
        segment.sync()?;
        let renamed = disk.rename(&new, name);
        renamed.map_err(|source| StoreError::io("rename", path.clone(), source))?;
        let synced = disk.sync();
        synced.map_err(|source| StoreError::Sync { file: path, source })
    }

    /// Opens a segment.
    pub fn open(disk: &Arc<dyn Disk>, name: &str) -> Result<Self, StoreError> {
        let path = disk.describe(name);
        let file = disk.open(name).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing { file: path.clone() },
            _ => StoreError::io("open", path.clone(), source),
        })?;
        let length = file.length();
        let length = length.map_err(|source| StoreError::io("read", path.clone(), source))?;
        Ok(Self { file, path, length })
    }

    /// Reads the whole segment.
    pub fn scan(&self) -> Result<Scan, StoreError> {
        let length = usize::try_from(self.length.min(SEGMENT_BYTES_MAX)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = self.file.read_at(0, &mut bytes);
        read.map_err(|source| StoreError::io("read", self.path.clone(), source))?;
        self.check_header(&bytes)?;
        let mut scan = Scan {
            bytes,
            records: Vec::new(),
            end: HEADER_BYTES,
            strays: Vec::new(),
        };
        let mut at = BLOCK_BYTES;
        let mut chained = true;
        while at < length {
            let Some((found, blocks)) = self.record(&scan.bytes, at)? else {
                chained = false;
                at += BLOCK_BYTES;
                continue;
            };
            chained &= follows(scan.records.last(), found.number);
            at += blocks * BLOCK_BYTES;
            if chained {
                scan.end = at as u64;
                scan.records.push(found);
            } else {
                scan.strays.push(found);
            }
        }
        Ok(scan)
    }

    /// Writes a record at its place.
    pub fn write(&mut self, offset: u64, record: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_at(offset, record);
        written.map_err(|source| StoreError::io("write", self.path.clone(), source))?;
        self.length = self.length.max(offset + record.len() as u64);
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync().map_err(|source| StoreError::Sync {
            file: self.path.clone(),
            source,
        })
    }

    /// Sees to it that a record which ends at `end` fits, and as much again behind it. The room is
    /// written with zeros behind `end`; what is before is for the record to write.
    pub fn make_room(&mut self, end: u64) -> Result<(), StoreError> {
        if end <= self.length && self.length >= SEGMENT_BYTES {
            return Ok(());
        }
        let room = (2 * (end - HEADER_BYTES)).next_multiple_of(SEGMENT_BYTES);
        let length = room.clamp(SEGMENT_BYTES, SEGMENT_BYTES_MAX);
        let zeros = [0; 16 * BLOCK_BYTES];
        let mut at = end.max(self.length);
        while at < length {
            let rest = usize::try_from(length - at).unwrap_or(usize::MAX);
            let chunk = rest.min(zeros.len());
            self.write(at, &zeros[..chunk])?;
            at += chunk as u64;
        }
        Ok(())
    }

    fn check_header(&self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.get(..BLOCK_BYTES) == Some(header().as_slice()) {
            return Ok(());
        }
        let file = self.path.clone();
        let magic = bytes.get(..16).filter(|header| {
            let crc = u32_at(header, 12);
            header.starts_with(MAGIC) && crc == crc32fast::hash(&header[..12])
        });
        Err(match magic {
            Some(header) => StoreError::Format {
                file,
                found: u32_at(header, 8),
                known: FORMAT,
            },
            None => StoreError::Damaged {
                file,
                what: Damage::Magic,
            },
        })
    }

    /// The record at a block and how many blocks it takes, if there is a whole one.
    fn record(&self, bytes: &[u8], at: usize) -> Result<Option<(Found, usize)>, StoreError> {
        let Some(header) = bytes.get(at..at + RECORD_HEADER_BYTES) else {
            return Ok(None);
        };
        let format = u32_at(header, 0);
        let start = at + RECORD_HEADER_BYTES;
        let end = start.saturating_add(u32_at(header, 8) as usize);
        let Some(body) = bytes.get(start..end) else {
            return Ok(None);
        };
        // Zeros are no record, and their check sum need not be computed for a whole segment.
        if format == 0 || u32_at(header, 4) != checksum(header, body) {
            return Ok(None);
        }
        if format != FORMAT {
            return Err(StoreError::Format {
                file: self.path.clone(),
                found: format,
                known: FORMAT,
            });
        }
        let number = Number {
            generation: u64_at(header, 12),
            sequence: u64_at(header, 20),
        };
        let found = Found {
            at: at as u64,
            number,
            body: start..end,
        };
        Ok(Some((found, (end - at).div_ceil(BLOCK_BYTES))))
    }
}

/// Which segment of two counts: the one with the larger generation, unless it has lost records.
pub fn newest(segments: &[Segment; 2], scans: &[Scan; 2]) -> Result<usize, StoreError> {
    let generation = |scan: &Scan| scan.records.last().map(|last| last.number.generation);
    let active = usize::from(generation(&scans[1]) > generation(&scans[0]));
    let last = generation(&scans[active]).ok_or_else(|| StoreError::Damaged {
        file: segments[0].path.clone(),
        what: Damage::Empty,
    })?;
    for (segment, scan) in segments.iter().zip(scans) {
        // What is left of earlier turns has a smaller generation.
        let lost = |stray: &&Found| {
            let same = generation(scan) == Some(last) && stray.number.generation == last;
            same || stray.number.generation > last
        };
        if let Some(stray) = scan.strays.iter().find(lost) {
            return Err(StoreError::Damaged {
                file: segment.path.clone(),
                what: Damage::Hole {
                    at: scan.end,
                    later: stray.at,
                },
            });
        }
    }
    Ok(active)
}

/// The bytes of a record, filled up to whole blocks.
pub fn frame(
    path: &str,
    number: Number,
    body: &impl serde::Serialize,
) -> Result<Vec<u8>, StoreError> {
    // Plain structs into memory: this cannot fail, and if it did the size would be the reason.
    let too_large = |bytes| StoreError::TooLarge {
        file: path.to_owned(),
        bytes,
        bytes_max: RECORD_BYTES_MAX,
    };
    let mut record = postcard::to_extend(body, vec![0; RECORD_HEADER_BYTES])
        .map_err(|_| too_large(usize::MAX))?;
    let length = record.len() - RECORD_HEADER_BYTES;
    if record.len() > RECORD_BYTES_MAX {
        return Err(too_large(record.len()));
    }
    let length = u32::try_from(length).map_err(|_| too_large(length))?;
    record[..4].copy_from_slice(&FORMAT.to_le_bytes());
    record[8..12].copy_from_slice(&length.to_le_bytes());
    record[12..20].copy_from_slice(&number.generation.to_le_bytes());
    record[20..28].copy_from_slice(&number.sequence.to_le_bytes());
    let (header, body) = record.split_at(RECORD_HEADER_BYTES);
    let crc = checksum(header, body);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record.resize(record.len().next_multiple_of(BLOCK_BYTES), 0);
    Ok(record)
}

fn follows(last: Option<&Found>, number: Number) -> bool {
    let Some(last) = last else {
        return number.sequence == 0;
    };
    number.generation == last.number.generation && number.sequence == last.number.sequence + 1
}

/// The first block of a segment.
fn header() -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Over all of a record but the sum itself.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..4]);
    hasher.update(&header[8..]);
    hasher.update(body);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
