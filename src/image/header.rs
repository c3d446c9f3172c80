//! The blocks of a tar: what one header, with the extended headers before it, says of a member.

use std::io;

use crate::image::sparse::{Sparse, SparseRecords};

/// Everything in a tar is a multiple of this.
pub const BLOCK: usize = 512;
/// The same, for sizes.
pub const BLOCK_U64: u64 = 512;
/// What may follow the end of an archive: usually zeros up to a multiple of 10 KiB.
pub const TRAILER_BYTES_MAX: u64 = 16 << 20;

/// One block.
pub type Block = [u8; BLOCK];

/// Why a stream is no tar that skep takes.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("not a tar archive: header checksum does not match")]
    Checksum,
    #[error("\"{0}\" has more in its headers than {1} bytes")]
    HeaderTooLong(String, u64),
    #[error("the archive has more than {0} entries")]
    Entries(u64),
    #[error("header has a number that cannot be read: \"{0}\"")]
    Number(String),
    #[error("PAX header is damaged")]
    Pax,
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("\"{0}\" is a sparse file with a map that makes no sense")]
    Sparse(String),
    #[error("the archive goes on for more than {TRAILER_BYTES_MAX} bytes after its end")]
    Trailer,
    #[error("the archive ends in the middle")]
    Truncated,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Block,
    Char,
    Directory,
    Fifo,
    File,
    /// A hard link.
    Link,
    /// A type that only says something about the archive, or one nobody knows.
    Other(u8),
    Symlink,
}

/// One member: everything but its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub kind: Kind,
    /// As the archive spells it.
    pub path: Vec<u8>,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Bytes of contents in the archive.
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime_s: i64,
    pub mtime_ns: u32,
    pub major: u32,
    pub minor: u32,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the pieces of a sparse file go.
    pub sparse: Option<Sparse>,
}

/// What the extended headers before a member said about it.
#[derive(Debug, Default)]
pub struct Headers {
    /// Its path, if a field was too short for it.
    pub path: Option<Vec<u8>>,
    /// Its link's target.
    pub link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The lengths of the headers so far.
    pub bytes: u64,
    pub sparse: SparseRecords,
}

impl Headers {
    /// Takes a PAX header. Records are `<length> <key>=<value>\n`, the length being the record's.
    pub fn pax(&mut self, mut text: &[u8]) -> Result<(), TarError> {
        while !text.is_empty() {
            let space = text.iter().position(|b| *b == b' ').ok_or(TarError::Pax)?;
            let length = decimal(&text[..space]).and_then(|l| usize::try_from(l).ok());
            let length = length.ok_or(TarError::Pax)?;
            let record = text.get(space + 1..length).ok_or(TarError::Pax)?;
            let record = record.strip_suffix(b"\n").ok_or(TarError::Pax)?;
            let equals = record
                .iter()
                .position(|b| *b == b'=')
                .ok_or(TarError::Pax)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            text = &text[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value).ok_or(TarError::Pax)?),
            b"uid" => self.uid = Some(narrow(decimal(value).ok_or(TarError::Pax)?)?),
            b"gid" => self.gid = Some(narrow(decimal(value).ok_or(TarError::Pax)?)?),
            b"mtime" => self.mtime = Some(time(value).ok_or(TarError::Pax)?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(key, value).ok_or(TarError::Pax)?;
                }
            }
        }
        Ok(())
    }
}

/// Decodes a header of one member; its sparse map, which may go on after it, is not read.
pub fn member(block: &Block, headers: Headers) -> Result<Member, TarError> {
    let size = match headers.size {
        Some(size) => size,
        None => number(&block[124..136])?,
    };
    let (mtime_s, mtime_ns) = match headers.mtime {
        Some(time) => time,
        None => (signed(&block[136..148])?, 0),
    };
    let path = headers.sparse.name.or(headers.path);
    let path = path.unwrap_or_else(|| self::path(block));
    let kind = kind(block[156], &path);
    let is_device = matches!(kind, Kind::Block | Kind::Char);
    let device = |field: &[u8]| {
        if is_device {
            narrow(number(field)?)
        } else {
            Ok(0)
        }
    };
    Ok(Member {
        kind,
        link: headers
            .link
            .unwrap_or_else(|| until_nul(&block[157..257]).to_vec()),
        path,
        // These types have no contents, whatever their size field says; Go and GNU tar agree.
        size: if (b'1'..=b'6').contains(&block[156]) {
            0
        } else {
            size
        },
        mode: narrow(number(&block[100..108])?)?,
        uid: headers
            .uid
            .map_or_else(|| narrow(number(&block[108..116])?), Ok)?,
        gid: headers
            .gid
            .map_or_else(|| narrow(number(&block[116..124])?), Ok)?,
        mtime_s,
        mtime_ns,
        major: device(&block[329..337])?,
        minor: device(&block[337..345])?,
        xattrs: headers.xattrs,
        sparse: None,
    })
}

/// Whether 512 bytes are a tar header: its checksum is right.
pub fn is_header(block: &[u8]) -> bool {
    let Some(Ok(expected)) = block.get(148..156).map(number) else {
        return false;
    };
    let outside = block[..148].iter().chain(&block[156..]);
    // Ancient tars summed signed bytes.
    let (mut sum, mut signed) = (8 * 32i64, 8 * 32i64);
    for byte in outside {
        sum += i64::from(*byte);
        signed += i64::from(byte.cast_signed());
    }
    i64::try_from(expected).is_ok_and(|e| e == sum || e == signed)
}

/// A path for an error message: printable and not too long.
pub fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(until_nul(path));
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

fn kind(flag: u8, path: &[u8]) -> Kind {
    match flag {
        0 | b'0' | b'7' | b'S' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Link,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    }
}

/// Name, and with ustar the prefix before it.
fn path(block: &Block) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// Bytes from the end of `size` bytes of contents to the next block.
pub fn padding(size: u64) -> usize {
    let beyond = size % BLOCK_U64;
    usize::try_from((BLOCK_U64 - beyond) % BLOCK_U64).unwrap_or(0)
}

/// A field's text.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn narrow(number: u64) -> Result<u32, TarError> {
    u32::try_from(number).map_err(|_| TarError::Number(number.to_string()))
}

/// A number that cannot be negative.
pub fn number(field: &[u8]) -> Result<u64, TarError> {
    u64::try_from(signed(field)?).map_err(|_| TarError::Number(shown(field)))
}

/// Octal text, or big-endian binary where the first bit is set; blank is 0.
fn signed(field: &[u8]) -> Result<i64, TarError> {
    let wrong = || TarError::Number(shown(field));
    if field[0] & 0x80 == 0 {
        let text = std::str::from_utf8(until_nul(field))
            .map_err(|_| wrong())?
            .trim();
        return if text.is_empty() {
            Ok(0)
        } else {
            i64::from_str_radix(text, 8).map_err(|_| wrong())
        };
    }
    // The second bit is the sign of what follows.
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = i128::from(first.cast_signed());
    let rest = field[1..].iter().try_fold(start, |sum, byte| {
        sum.checked_mul(256)?.checked_add(i128::from(*byte))
    });
    rest.and_then(|n| i64::try_from(n).ok()).ok_or_else(wrong)
}

/// Decimal digits and nothing else.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

/// `-12.345` as whole seconds downwards and nanoseconds.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (negative, digits) = match whole.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, whole),
    };
    let seconds = i64::try_from(decimal(digits.as_bytes())?).ok()?;
    let mut ns = 0u32;
    for place in 0..9 {
        let digit = fraction.as_bytes().get(place).copied().unwrap_or(b'0');
        ns = ns * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some(match (negative, ns) {
        (false, _) => (seconds, ns),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - ns),
    })
}
