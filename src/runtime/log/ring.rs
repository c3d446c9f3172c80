//! The writing end of the log, in the shim.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::model::time::Time;
use crate::runtime::log::{DATA_BYTES_MAX, HEADER_BYTES, Record, Stream, half, halves};

/// Appends output, forgetting the oldest half when the newest is full.
#[derive(Debug)]
pub struct Ring {
    dir: PathBuf,
    half_bytes: usize,
    number: u64,
    file: File,
    used: usize,
}

impl Ring {
    /// Starts a log that keeps at most `bytes`.
    pub fn create(dir: &Path, bytes: u32) -> io::Result<Self> {
        let half_bytes = usize::try_from(bytes / 2).unwrap_or(usize::MAX);
        let half_bytes = half_bytes.max(DATA_BYTES_MAX + HEADER_BYTES);
        let file = File::create(half(dir, 0))?;
        Ok(Self {
            dir: dir.to_owned(),
            half_bytes,
            number: 0,
            file,
            used: 0,
        })
    }

    /// Appends what was read from the container at once, cut into lines. `scratch` is reused.
    pub fn append(
        &mut self,
        stream: Stream,
        at: Time,
        data: &[u8],
        scratch: &mut Vec<u8>,
    ) -> io::Result<()> {
        scratch.clear();
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            for piece in line.chunks(DATA_BYTES_MAX) {
                if self.used + scratch.len() + HEADER_BYTES + piece.len() > self.half_bytes {
                    self.flush(scratch)?;
                    self.turn()?;
                }
                Record::encode(stream, at, piece, scratch);
            }
        }
        self.flush(scratch)
    }

    fn flush(&mut self, scratch: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(scratch)?;
        self.used += scratch.len();
        scratch.clear();
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        if let Some(before) = self.number.checked_sub(1) {
            fs::remove_file(half(&self.dir, before))?;
        }
        self.number += 1;
        self.file = File::create(half(&self.dir, self.number))?;
        self.used = 0;
        Ok(())
    }
}

/// The last bytes of a container's output, for the record of its failure.
pub fn tail(dir: &Path, bytes_max: usize) -> Vec<u8> {
    let mut output = Vec::new();
    for number in halves(dir) {
        let bytes = fs::read(half(dir, number)).unwrap_or_default();
        let mut rest = bytes.as_slice();
        while let Some((record, length)) = Record::decode(rest) {
            output.extend(record.data);
            rest = &rest[length..];
        }
    }
    output.split_off(output.len().saturating_sub(bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, writes: &[&[u8]], expect: impl FnOnce(&Path)) {
        let dir = std::env::temp_dir().join(format!("skep-ring-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut ring = Ring::create(&dir, 64 << 10).unwrap();
        for data in writes {
            ring.append(Stream::Stdout, Time(1), data, &mut Vec::new())
                .unwrap();
        }
        expect(&dir);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_tail_is_the_end_of_the_output() {
        check("tail", &[b"one\n", b"two\nthree"], |dir| {
            assert_eq!(tail(dir, 100), b"one\ntwo\nthree");
            assert_eq!(tail(dir, 7), b"o\nthree");
        });
    }

    #[test]
    fn an_endless_output_keeps_to_its_size_and_to_two_halves() {
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        let writes = vec![line.as_slice(); 5000];
        check("endless", &writes, |dir| {
            assert_eq!(halves(dir).len(), 2);
            let size = |number| fs::metadata(half(dir, number)).unwrap().len();
            let total: u64 = halves(dir).into_iter().map(size).sum();
            assert!((32 << 10..=64 << 10).contains(&total), "{total} bytes");
            assert!(tail(dir, 1 << 20).ends_with(&line));
        });
    }

    #[test]
    fn a_line_longer_than_a_record_is_cut() {
        let long = b"y".repeat(100_000);
        check("long", &[&long], |dir| {
            assert!(tail(dir, 30_000).iter().all(|byte| *byte == b'y'))
        });
    }
}
