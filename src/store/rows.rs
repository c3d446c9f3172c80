//! A few rows on a disk, all of them in memory: what an agent remembers of its tasks.
//!
//! ```text
//!  DIR/rows-0   two preallocated segments, written in turn, as the journal's: each write is one
//!  DIR/rows-1   record with the rows that changed, and one fdatasync
//! ```
//!
//! When a segment is full, the next record goes to the other one and has every row. Values are
//! sealed; the keys of rows, which are ids, stay readable.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::disk::Disk;
use crate::store::error::{Damage, StoreError};
use crate::store::sealer::Sealer;
use crate::store::segment::{Found, HEADER_BYTES, Number, Scan, Segment, frame, newest};

const FILES: [&str; 2] = ["rows-0", "rows-1"];
const FIRST: Number = Number {
    generation: 1,
    sequence: 0,
};

/// Rows that are to be: each key with its new value, or none if it goes.
pub type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Rows that are open.
#[derive(Debug)]
pub struct Rows {
    segments: [Segment; 2],
    active: usize,
    next: Number,
    offset: u64,
    sealer: Sealer,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The rows of a write that failed are not on the disk: the next one writes all.
    lags: bool,
}

/// One write.
#[derive(Debug, Deserialize, Serialize)]
struct Body {
    /// There are no other rows than these.
    is_all: bool,
    changes: Changes,
}

impl Rows {
    /// Opens the rows of a disk, or begins with none.
    pub fn open(disk: &Arc<dyn Disk>, sealer: Sealer) -> Result<Self, StoreError> {
        let path = disk.describe(FILES[0]);
        let names = disk.list();
        let names = names.map_err(|source| StoreError::io("list", path, source))?;
        if !names.iter().any(|name| name == FILES[0]) {
            let none = Body {
                is_all: true,
                changes: Vec::new(),
            };
            Segment::create(disk, FILES[1], &[])?;
            Segment::create(disk, FILES[0], &frame(FILES[0], FIRST, &none)?)?;
        }
        let segments = [
            Segment::open(disk, FILES[0])?,
            Segment::open(disk, FILES[1])?,
        ];
        let scans = [segments[0].scan()?, segments[1].scan()?];
        let active = newest(&segments, &scans)?;
        let (scan, segment) = (&scans[active], &segments[active]);
        let mut rows = BTreeMap::new();
        for found in &scan.records {
            replay(&mut rows, &sealer, found, scan, segment)?;
        }
        let last = scan.records.last().map_or(FIRST, |last| last.number);
        Ok(Self {
            active,
            next: Number {
                sequence: last.sequence + 1,
                ..last
            },
            offset: scan.end,
            sealer,
            rows,
            lags: false,
            segments,
        })
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().map(|(key, value)| (&key[..], &value[..]))
    }

    /// Changes rows, here at once and on the disk with one write. If that fails for lack of room,
    /// the next write has all that this one lacks.
    pub fn change(&mut self, changes: Changes) -> Result<(), StoreError> {
        let sealed = self.seal(&changes, false)?;
        for (key, value) in changes {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        let lagged = std::mem::replace(&mut self.lags, true);
        let segment = &mut self.segments[self.active];
        let record = frame(&segment.path, self.next, &sealed)?;
        let end = self.offset + record.len() as u64;
        if lagged || end > segment.length {
            self.turn()?;
        } else {
            segment.write(self.offset, &record)?;
            segment.sync()?;
            self.next.sequence += 1;
            self.offset = end;
        }
        self.lags = false;
        Ok(())
    }

    /// Goes on in the other segment.
    fn turn(&mut self) -> Result<(), StoreError> {
        let all = self.rows.clone().into_iter();
        let all: Changes = all.map(|(key, value)| (key, Some(value))).collect();
        let body = self.seal(&all, true)?;
        let number = Number {
            generation: self.next.generation + 1,
            sequence: 0,
        };
        let other = 1 - self.active;
        let segment = &mut self.segments[other];
        let record = frame(&segment.path, number, &body)?;
        let end = HEADER_BYTES + record.len() as u64;
        segment.make_room(end)?;
        segment.write(HEADER_BYTES, &record)?;
        segment.sync()?;
        self.active = other;
        self.next = Number {
            sequence: 1,
            ..number
        };
        self.offset = end;
        Ok(())
    }

    fn seal(&self, changes: &Changes, is_all: bool) -> Result<Body, StoreError> {
        let file = || self.segments[self.active].path.clone();
        let seal = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            let sealed = value.as_ref().map(|value| self.sealer.seal_row(key, value));
            let sealed = sealed.transpose();
            let sealed = sealed.map_err(|source| StoreError::io("seal", file(), source))?;
            Ok((key.clone(), sealed))
        };
        let changes = changes
            .iter()
            .map(seal)
            .collect::<Result<_, StoreError>>()?;
        Ok(Body { is_all, changes })
    }
}

fn replay(
    rows: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    sealer: &Sealer,
    found: &Found,
    scan: &Scan,
    segment: &Segment,
) -> Result<(), StoreError> {
    let damaged = |what| StoreError::Damaged {
        file: segment.path.clone(),
        what,
    };
    let body: Body = postcard::from_bytes(&scan.bytes[found.body.clone()])
        .map_err(|_| damaged(Damage::Record { at: found.at }))?;
    if body.is_all {
        rows.clear();
    }
    for (key, sealed) in body.changes {
        let Some(sealed) = sealed else {
            rows.remove(&key);
            continue;
        };
        let value = sealer.open_row(&key, &sealed);
        let value = value.map_err(|_| damaged(Damage::SealedRow))?;
        rows.insert(key, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::identity::seal::SealKey;
    use crate::store::memory_disk::{MemoryDisk, Tear};

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(SealKey::from_bytes([key; 32]))
    }

    fn open(disk: &MemoryDisk) -> Result<Rows, StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        Rows::open(&disk, sealer(1))
    }

    fn all(rows: &Rows) -> Model {
        let rows = rows.iter();
        rows.map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }

    /// A few changes to sixteen rows, some of them long.
    fn draw(rng: &mut Rng) -> Changes {
        let mut drawn = BTreeMap::new();
        for _ in 0..=rng.below(3) {
            let key = vec![u8::try_from(rng.below(16)).unwrap()];
            let length = usize::try_from(rng.below(2000)).unwrap();
            let byte = u8::try_from(rng.below(256)).unwrap();
            let value = (rng.below(3) > 0).then(|| vec![byte; length]);
            drawn.insert(key, value);
        }
        drawn.into_iter().collect()
    }

    fn take_in(model: &mut Model, changes: &Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(model.insert(key.clone(), value.clone())),
                None => drop(model.remove(key)),
            }
        }
    }

    #[test]
    fn what_was_changed_is_there_after_a_power_cut_wherever_it_came() {
        for seed in 0..12 {
            let mut rng = Rng::from_seed(seed);
            let disk = MemoryDisk::default();
            let mut model = Model::new();
            drop(open(&disk).unwrap());
            for _ in 0..8 {
                let mut rows = open(&disk).unwrap();
                assert_eq!(all(&rows), model, "seed {seed}");
                disk.cut_power_at(disk.steps() + rng.below(300));
                let mut torn = model.clone();
                for _ in 0..100 {
                    let changes = draw(&mut rng);
                    take_in(&mut torn, &changes);
                    match rows.change(changes) {
                        Ok(()) => model = torn.clone(),
                        Err(_) => break,
                    }
                }
                disk.restart(Tear::Garbage, &mut rng);
                // The write that the power failed in may be there or not.
                let rows = open(&disk).unwrap();
                assert!([&model, &torn].contains(&&all(&rows)), "seed {seed}");
                model = all(&rows);
            }
        }
    }

    #[test]
    fn a_full_disk_is_made_up_for_by_the_next_write() {
        let disk = MemoryDisk::default();
        let mut rows = open(&disk).unwrap();
        let row = |key: u8, length: usize| vec![(vec![key], Some(vec![key; length]))];
        rows.change(row(1, 10)).unwrap();
        disk.fill(Some(disk.used_bytes()));
        let error = rows.change(row(2, 3 << 20)).unwrap_err();
        assert!(error.is_passing(), "{error}");
        disk.fill(None);
        rows.change(row(3, 10)).unwrap();
        assert_eq!(all(&rows).len(), 3);
        assert_eq!(all(&open(&disk).unwrap()), all(&rows));
    }

    #[test]
    fn values_are_sealed_and_under_another_key_nothing_opens() {
        let disk = MemoryDisk::default();
        let mut rows = open(&disk).unwrap();
        let secret = b"a tiger in the night";
        rows.change(vec![(b"key".to_vec(), Some(secret.to_vec()))])
            .unwrap();
        for name in FILES {
            disk.corrupt(name, |bytes| {
                assert!(!bytes.windows(secret.len()).any(|part| part == secret));
            });
        }
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let error = Rows::open(&disk, sealer(2)).unwrap_err();
        assert!(matches!(
            error,
            StoreError::Damaged {
                what: Damage::SealedRow,
                ..
            }
        ));
    }
}
