//! Files with holes: what a tar says of where their pieces go. Old GNU headers have fields for it;
//! in PAX there are three formats, of which GNU tar writes the last one today.
//!
//! ```text
//! 0.0   the records GNU.sparse.offset and .numbytes, again and again
//! 0.1   one record GNU.sparse.map: offset,length,offset,length…
//! 1.0   the map lies before the contents: the number of pieces, then offset and length of each,
//!       a line for each number, filled up to a whole block
//! ```

use crate::image::header::{TarError, decimal, number};

/// A file with holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sparse {
    /// Its length with the holes.
    pub length: u64,
    /// Offset and length of each piece of data, in order.
    pub pieces: Vec<(u64, u64)>,
}

/// What PAX records said of a sparse file.
#[derive(Debug, Default)]
pub struct SparseRecords {
    any: bool,
    major: u64,
    minor: u64,
    /// The file's real name; the header has one that shows what it is to tars that do not know.
    pub name: Option<Vec<u8>>,
    length: Option<u64>,
    count: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
}

/// The records of a file do not fit together.
#[derive(Debug, PartialEq, Eq)]
pub struct Contradiction;

/// Where a PAX map is.
#[derive(Debug, PartialEq, Eq)]
pub enum Map {
    Here(Sparse),
    /// Before the contents of a file of this length.
    BeforeContents(u64),
}

impl Sparse {
    /// Takes some entries of an old GNU map, each two numbers of 12 digits.
    pub fn add(&mut self, entries: &[u8]) -> Result<(), TarError> {
        for entry in entries.chunks_exact(24) {
            self.piece(number(&entry[..12])?, number(&entry[12..])?);
        }
        Ok(())
    }

    /// Pieces are in order, do not overlap, end before the file does and are what is stored.
    pub fn is_sound(&self, stored: u64) -> bool {
        let mut end = 0u64;
        let mut sum = 0u64;
        for (offset, length) in &self.pieces {
            let Some(next) = offset.checked_add(*length).filter(|_| *offset >= end) else {
                return false;
            };
            end = next;
            sum += length;
        }
        end <= self.length && sum == stored
    }

    fn of(length: u64, numbers: &[u64]) -> Self {
        let mut sparse = Self {
            length,
            pieces: Vec::new(),
        };
        for pair in numbers.chunks_exact(2) {
            sparse.piece(pair[0], pair[1]);
        }
        sparse
    }

    fn piece(&mut self, offset: u64, length: u64) {
        if length > 0 {
            self.pieces.push((offset, length));
        }
    }
}

impl SparseRecords {
    /// Takes the value of `GNU.sparse.<key>`; nothing if it is none.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.any = true;
        match key {
            b"major" => self.major = decimal(value)?,
            b"minor" => self.minor = decimal(value)?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.length = Some(decimal(value)?),
            b"numblocks" => self.count = Some(decimal(value)?),
            b"offset" | b"numbytes" => self.numbers.push(decimal(value)?),
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.numbers = numbers.collect::<Option<_>>()?;
            }
            _ => {}
        }
        Some(())
    }

    /// Where the map is, if the file has one.
    pub fn map(&self) -> Result<Option<Map>, Contradiction> {
        if !self.any {
            return Ok(None);
        }
        let length = self.length.ok_or(Contradiction)?;
        match (self.major, self.minor) {
            (1, 0) => Ok(Some(Map::BeforeContents(length))),
            (0, 0 | 1) if self.numbers.len().is_multiple_of(2) => {
                let pieces = self.numbers.len() as u64 / 2;
                let counted = self.count.is_none_or(|count| count == pieces);
                let here = Map::Here(Sparse::of(length, &self.numbers));
                counted.then_some(Some(here)).ok_or(Contradiction)
            }
            _ => Err(Contradiction),
        }
    }
}

/// A map that lies before the contents, as it is read block by block.
#[derive(Debug, Default)]
pub struct MapReader {
    numbers: Vec<u64>,
    /// The digits of a number that goes on in the next block.
    digits: Vec<u8>,
}

impl MapReader {
    /// Takes a block; the map, for a file of this length, once it is whole. Nothing at all if this
    /// is no map.
    pub fn take(&mut self, block: &[u8], length: u64) -> Option<Option<Sparse>> {
        for byte in block {
            if *byte != b'\n' {
                self.digits.push(*byte);
                continue;
            }
            self.numbers
                .push(decimal(&std::mem::take(&mut self.digits))?);
            let pieces = self.numbers.len() as u64 / 2;
            if self.numbers.len() % 2 == 1 && self.numbers[0] == pieces {
                return Some(Some(Sparse::of(length, &self.numbers[1..])));
            }
        }
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(records: &[(&str, &str)]) -> Result<Option<Map>, Contradiction> {
        let mut sparse = SparseRecords::default();
        for (key, value) in records {
            let taken = sparse.take(key.as_bytes(), value.as_bytes());
            taken.ok_or(Contradiction)?;
        }
        sparse.map()
    }

    #[test]
    fn maps_in_records_are_read_in_both_formats() {
        let expect = || {
            Map::Here(Sparse {
                length: 9,
                pieces: vec![(0, 2), (5, 1)],
            })
        };
        let zero = [
            ("size", "9"),
            ("numblocks", "3"),
            ("offset", "0"),
            ("numbytes", "2"),
            ("offset", "5"),
            ("numbytes", "1"),
            ("offset", "9"),
            ("numbytes", "0"),
        ];
        assert_eq!(records(&zero), Ok(Some(expect())));
        let one = [("size", "9"), ("numblocks", "2"), ("map", "0,2,5,1")];
        assert_eq!(records(&one), Ok(Some(expect())));
        let last = [("major", "1"), ("minor", "0"), ("realsize", "9")];
        assert_eq!(records(&last), Ok(Some(Map::BeforeContents(9))));
        assert_eq!(records(&[]), Ok(None));
    }

    #[test]
    fn records_that_contradict_each_other_are_refused() {
        for bad in [
            &[("map", "0,2")][..],
            &[("size", "9"), ("map", "0,2,5")],
            &[("size", "9"), ("map", "0,x")],
            &[("size", "9"), ("numblocks", "2"), ("map", "0,2")],
            &[("size", "9"), ("major", "2")],
            &[("size", "-9"), ("map", "0,2")],
        ] {
            assert_eq!(records(bad), Err(Contradiction), "{bad:?}");
        }
    }

    #[test]
    fn a_map_before_the_contents_may_go_over_blocks() {
        let text = b"2\n0\n2\n5\n1\n\0\0";
        for cut in 0..text.len() {
            let mut reader = MapReader::default();
            let first = reader.take(&text[..cut], 9).unwrap();
            let sparse = match first {
                Some(sparse) => sparse,
                None => reader.take(&text[cut..], 9).unwrap().unwrap(),
            };
            assert_eq!(sparse.pieces, [(0, 2), (5, 1)]);
        }
        assert_eq!(MapReader::default().take(b"2\nx\n", 9), None);
        assert_eq!(
            MapReader::default().take(b"18446744073709551616\n", 9),
            None
        );
        let none = MapReader::default().take(b"0\n", 9).unwrap().unwrap();
        assert_eq!((none.length, none.pieces.len()), (9, 0));
    }
}
