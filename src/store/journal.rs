//! The journal: log entries and votes, each write one record and one fdatasync.
//!
//! Two segments of equal make, preallocated with written zeros so that a write changes no metadata:
//!
//! ```text
//!  block 0    "skepjrnl", format u32, CRC-32 of the 12 bytes before; never written again
//!  block 1…   records, each from the start of a 4 KiB block on:
//!               byte 0    format u32                 \
//!               byte 4    CRC-32 of all but itself    | little endian
//!               byte 8    length of the body u32      |
//!               byte 12   generation u64              | of the segment, one more at each turn
//!               byte 20   sequence u64               /  within the generation, from 0
//!               byte 28   body: Body in postcard
//!               then zeros to the end of the block
//! ```
//!
//! A record never shares a block with an earlier one: a torn write cannot hurt what was
//! acknowledged, the page cache reads nothing back, and a lone entry costs the device the same
//! 4 KiB as if it were packed.
//!
//! When a segment is full, the next record goes to the other one as its record 0, and carries with
//! it whatever the checkpoint does not have yet. So the segment with the larger generation alone
//! is the journal, and the other one is what it replaced, until the turn is on the disk. 1 MiB is
//! 255 lone entries, among which what a turn carries is spread, and two such segments take little
//! of an SD card and are quickly read at a start. A record 0 that needs more makes its segment
//! larger.
//!
//! On opening, records are read up to the first that is not whole. If a later one of the same
//! generation is, the disk has lost something that was acknowledged, and the journal is refused;
//! else the write was cut off before anyone relied on it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::raft::record::{Entry, HardState, Position};
use crate::store::disk::Disk;
use crate::store::error::{Damage, StoreError};
use crate::store::segment::{Found, HEADER_BYTES, Number, Scan, Segment, frame, newest};

const FILES: [&str; 2] = ["journal-0", "journal-1"];
/// How far the checkpoint may lag behind: a checkpoint costs as much as a dozen lone entries, a
/// turn what it carries.
const LIVE_ENTRIES_MAX: usize = 512;
const LIVE_BYTES_MAX: usize = 256 << 10;

/// One write.
#[derive(Debug, Deserialize, Serialize)]
struct Body {
    /// Set if the log begins anew after this entry; what was recorded before is void.
    before: Option<Position>,
    hard_state: HardState,
    /// Replace the log from the first of them on.
    entries: Vec<Entry>,
}

/// What a journal holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovered {
    pub hard_state: HardState,
    /// The entry before the first.
    pub before: Position,
    pub entries: Vec<Entry>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    segments: [Segment; 2],
    active: usize,
    /// What the next record is, and where it goes.
    next: Number,
    offset: u64,
    /// The log after the checkpoint: what the next turn carries over.
    before: Position,
    live: VecDeque<Entry>,
    /// Whether `before` is ahead of what is recorded, so that the next record has to say so.
    restarts: bool,
}

impl Journal {
    /// Makes a journal where there is none. Its first segment comes last: if that is there, the
    /// journal is whole.
    pub fn create(disk: &Arc<dyn Disk>) -> Result<(), StoreError> {
        Segment::create(disk, FILES[1], &[])?;
        let body = Body {
            before: Some(Position::default()),
            hard_state: HardState::default(),
            entries: Vec::new(),
        };
        let number = Number {
            generation: 1,
            sequence: 0,
        };
        Segment::create(disk, FILES[0], &frame(FILES[0], number, &body)?)
    }

    /// Whether there is a journal on a disk with these files.
    pub fn exists(names: &[String]) -> bool {
        names.iter().any(|name| name == FILES[0])
    }

    /// Opens a journal and reads it.
    pub fn open(disk: &Arc<dyn Disk>) -> Result<(Self, Recovered), StoreError> {
        let segments = [
            Segment::open(disk, FILES[0])?,
            Segment::open(disk, FILES[1])?,
        ];
        let scans = [segments[0].scan()?, segments[1].scan()?];
        let active = newest(&segments, &scans)?;
        let (scan, segment) = (&scans[active], &segments[active]);
        let mut recovered = Recovered::default();
        let mut next = Number {
            generation: 0,
            sequence: 0,
        };
        for found in &scan.records {
            replay(&mut recovered, found, scan, segment)?;
            next = Number {
                sequence: found.number.sequence + 1,
                ..found.number
            };
        }
        // After a kill, what was read may be in the host's memory only, and others will rely on it.
        segment.sync()?;
        let journal = Self {
            active,
            next,
            offset: scan.end,
            before: recovered.before,
            live: recovered.entries.iter().cloned().collect(),
            restarts: false,
            segments,
        };
        Ok((journal, recovered))
    }

    /// Writes one record and syncs it. If there is no room, nothing has changed.
    pub fn append(&mut self, entries: &[Entry], hard_state: HardState) -> Result<(), StoreError> {
        let body = Body {
            before: self.restarts.then_some(self.before),
            hard_state,
            entries: entries.to_vec(),
        };
        let segment = &mut self.segments[self.active];
        let record = frame(&segment.path, self.next, &body)?;
        let end = self.offset + record.len() as u64;
        if end > segment.length {
            return self.turn(entries, hard_state);
        }
        segment.write(self.offset, &record)?;
        segment.sync()?;
        self.next.sequence += 1;
        self.offset = end;
        self.take_in(entries);
        Ok(())
    }

    /// Says that the checkpoint has everything up to `applied`: the journal may forget it.
    pub fn cut(&mut self, applied: Position) {
        while self
            .live
            .front()
            .is_some_and(|entry| entry.index <= applied.index)
        {
            self.live.pop_front();
        }
        if applied.index > self.before.index {
            self.before = applied;
        }
    }

    /// Begins a new log after `applied`: what there is of the old one is void.
    pub fn begin(&mut self, applied: Position) {
        self.live.clear();
        self.before = applied;
        self.restarts = true;
    }

    /// Whether the log has begun anew and no record says so yet.
    pub fn is_anew(&self) -> bool {
        self.restarts
    }

    /// Whether a checkpoint should be made soon, so that the next turn has little to carry.
    pub fn is_checkpoint_due(&self) -> bool {
        let bytes: usize = self.live.iter().map(|entry| entry.data.len()).sum();
        self.live.len() >= LIVE_ENTRIES_MAX || bytes >= LIVE_BYTES_MAX
    }

    /// Goes on in the other segment.
    fn turn(&mut self, entries: &[Entry], hard_state: HardState) -> Result<(), StoreError> {
        let kept = self.kept(entries);
        let live = self.live.range(..kept).chain(entries);
        let body = Body {
            before: Some(self.before),
            hard_state,
            entries: live.cloned().collect(),
        };
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
        self.take_in(entries);
        Ok(())
    }

    fn take_in(&mut self, entries: &[Entry]) {
        self.restarts = false;
        self.live.truncate(self.kept(entries));
        self.live.extend(entries.iter().cloned());
    }

    /// How many of the live entries stay when these are appended.
    fn kept(&self, entries: &[Entry]) -> usize {
        entries.first().map_or(self.live.len(), |first| {
            self.live.partition_point(|entry| entry.index < first.index)
        })
    }
}

fn replay(
    recovered: &mut Recovered,
    found: &Found,
    scan: &Scan,
    segment: &Segment,
) -> Result<(), StoreError> {
    let at = found.at;
    let damaged = |what| StoreError::Damaged {
        file: segment.path.clone(),
        what,
    };
    let body: Body = postcard::from_bytes(&scan.bytes[found.body.clone()])
        .map_err(|_| damaged(Damage::Record { at }))?;
    if let Some(before) = body.before {
        recovered.before = before;
        recovered.entries.clear();
    }
    if let Some(first) = body.entries.first() {
        let kept = recovered
            .entries
            .partition_point(|entry| entry.index < first.index);
        recovered.entries.truncate(kept);
    }
    for entry in body.entries {
        let last = recovered
            .entries
            .last()
            .map_or(recovered.before.index, |last| last.index);
        if last.checked_add(1) != Some(entry.index) {
            let index = entry.index;
            return Err(damaged(Damage::Gap { at, index, last }));
        }
        recovered.entries.push(entry);
    }
    recovered.hard_state = body.hard_state;
    Ok(())
}
