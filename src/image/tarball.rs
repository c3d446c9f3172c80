//! Reads tar streams: ustar, old GNU and PAX, member by member.
//!
//! The tar crate's own iterator splits PAX records at newlines (binary xattrs hold some) and keeps
//! long headers of any length in memory; and it does not show the bytes between the contents, which
//! `frames` keeps. So the blocks are walked here.

use std::fmt;
use std::io::{self, Read};

use crate::image::header::{
    self, BLOCK, BLOCK_U64, Block, Headers, Kind, Member, TRAILER_BYTES_MAX, TarError, is_header,
    number, padding, shown, until_nul,
};
use crate::image::limits::Limits;
use crate::image::sparse::{Map, MapReader, Sparse};

/// Takes the bytes of a tar that are not contents, in their order.
pub trait Framing {
    /// Some further bytes.
    fn frame(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Keeps nothing.
impl Framing for () {
    fn frame(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the members of a tar and hands what lies between contents to a `Framing`.
pub struct Tarball<R, F> {
    input: R,
    framing: F,
    limits: Limits,
    entries: u64,
    entries_max: u64,
    /// Contents of the present member that were not read yet, and the padding after them.
    left: u64,
    padding: usize,
}

impl<R: Read, F: Framing> Tarball<R, F> {
    /// Starts at the beginning of `input`.
    pub fn new(input: R, framing: F, entries_max: u64, limits: &Limits) -> Self {
        Self {
            input,
            framing,
            limits: limits.clone(),
            entries: 0,
            entries_max,
            left: 0,
            padding: 0,
        }
    }

    /// The next member, or `None` at the end. Contents that were not read count as frames.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        self.frame_contents()?;
        self.frame_padding()?;
        let mut headers = Headers::default();
        loop {
            self.entries += 1;
            if self.entries > self.entries_max {
                return Err(TarError::Entries(self.entries_max));
            }
            let Some(block) = self.header()? else {
                return Ok(None);
            };
            let kind = block[156];
            if !b"xLK".contains(&kind) {
                return Ok(Some(self.member(&block, headers)?));
            }
            let text = self.long_header(&block, &mut headers)?;
            match kind {
                b'L' => headers.path = Some(until_nul(&text).to_vec()),
                b'K' => headers.link = Some(until_nul(&text).to_vec()),
                _ => headers.pax(&text)?,
            }
        }
    }

    /// Reads the present member's contents.
    pub fn read_contents(&mut self, buf: &mut [u8]) -> Result<usize, TarError> {
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut buf[..wanted])?;
        if n == 0 {
            return Err(TarError::Truncated);
        }
        self.left -= n as u64;
        Ok(n)
    }

    /// Reads what follows the last member, and gives back framing and input.
    pub fn finish(mut self) -> Result<(F, R), TarError> {
        let mut buf = [0; 8192];
        let mut trailer = 0;
        loop {
            let n = self.input.read(&mut buf)?;
            if n == 0 {
                return Ok((self.framing, self.input));
            }
            trailer += n as u64;
            if trailer > TRAILER_BYTES_MAX {
                return Err(TarError::Trailer);
            }
            self.framing.frame(&buf[..n])?;
        }
    }

    /// The framing, to tell it of contents.
    pub fn framing(&mut self) -> &mut F {
        &mut self.framing
    }

    /// Passes contents that nobody reads to the framing, so that they are not lost.
    pub fn frame_contents(&mut self) -> Result<(), TarError> {
        let mut buf = [0; 8192];
        loop {
            let n = self.read_contents(&mut buf)?;
            if n == 0 {
                return Ok(());
            }
            self.framing.frame(&buf[..n])?;
        }
    }

    fn frame_padding(&mut self) -> Result<(), TarError> {
        let mut buf = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding);
        self.exact(&mut buf[..padding])?;
        Ok(self.framing.frame(&buf[..padding])?)
    }

    /// One header block with a right checksum; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Block>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(TarError::Truncated),
                n => filled += n,
            }
        }
        self.framing.frame(&block)?;
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if !is_header(&block) {
            return Err(TarError::Checksum);
        }
        Ok(Some(block))
    }

    /// All extended headers of a member together must stay within the limit.
    fn long_header(&mut self, block: &Block, headers: &mut Headers) -> Result<Vec<u8>, TarError> {
        let size = number(&block[124..136])?;
        let max = self.limits.header_bytes_max;
        headers.bytes = headers.bytes.saturating_add(size);
        let length = usize::try_from(size).ok().filter(|_| headers.bytes <= max);
        let Some(length) = length else {
            return Err(TarError::HeaderTooLong(shown(&block[..100]), max));
        };
        let mut text = vec![0; length];
        self.exact(&mut text)?;
        self.framing.frame(&text)?;
        self.padding = padding(size);
        self.frame_padding()?;
        Ok(text)
    }

    fn exact(&mut self, buf: &mut [u8]) -> Result<(), TarError> {
        self.input.read_exact(buf).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => TarError::Truncated,
            _ => e.into(),
        })
    }

    fn member(&mut self, block: &Block, headers: Headers) -> Result<Member, TarError> {
        let map = headers.sparse.map();
        let mut member = header::member(block, headers)?;
        let wrong = || TarError::Sparse(shown(&member.path));
        let map = map.map_err(|_| wrong())?;
        if map.is_some() && member.kind != Kind::File {
            return Err(wrong());
        }
        if block[156] == b'S' {
            member.sparse = Some(self.sparse_map(block, &member)?);
        }
        self.left = member.size;
        self.padding = padding(member.size);
        match map {
            None => {}
            Some(Map::Here(sparse)) => member.sparse = Some(sparse),
            Some(Map::BeforeContents(length)) => {
                member.sparse = Some(self.map_before_contents(&member, length)?);
            }
        }
        match &member.sparse {
            Some(sparse) if !sparse.is_sound(self.left) => Err(wrong()),
            _ => Ok(member),
        }
    }

    /// The map that the contents of a PAX sparse file begin with, in blocks of its own.
    fn map_before_contents(&mut self, member: &Member, length: u64) -> Result<Sparse, TarError> {
        let wrong = || TarError::Sparse(shown(&member.path));
        let mut reader = MapReader::default();
        let mut read = 0;
        loop {
            read += BLOCK_U64;
            if read > self.limits.header_bytes_max || self.left < BLOCK_U64 {
                return Err(wrong());
            }
            let mut block = [0; BLOCK];
            self.exact(&mut block)?;
            self.left -= BLOCK_U64;
            self.framing.frame(&block)?;
            if let Some(sparse) = reader.take(&block, length).ok_or_else(wrong)? {
                return Ok(sparse);
            }
        }
    }

    /// The map of an old GNU sparse file: four pieces in the header, 21 in each block after it.
    fn sparse_map(&mut self, block: &Block, member: &Member) -> Result<Sparse, TarError> {
        let wrong = || TarError::Sparse(shown(&member.path));
        let mut sparse = Sparse {
            length: number(&block[483..495])?,
            pieces: Vec::new(),
        };
        sparse.add(&block[386..482])?;
        let mut more = block[482] != 0;
        let mut read = 0;
        while more {
            read += BLOCK_U64;
            if read > self.limits.header_bytes_max {
                return Err(wrong());
            }
            let mut next = [0; BLOCK];
            self.exact(&mut next)?;
            self.framing.frame(&next)?;
            sparse.add(&next[..504])?;
            more = next[504] != 0;
        }
        Ok(sparse)
    }
}

impl<R, F> fmt::Debug for Tarball<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tarball({} entries, {} left)", self.entries, self.left)
    }
}
