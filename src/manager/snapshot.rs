//! The whole state on its way from one manager to another that lacks too much of the log.
//!
//! ```text
//!  Start(what consensus says)   Rows(some of the state's rows) …   End(how many came, and a CRC)
//! ```
//!
//! The state is as it was when the transfer began: its objects are shared, not copied, and become
//! bytes as the frames are asked for. The other side hands nothing on before the end has come and
//! all of it adds up.

use std::vec;

use serde::{Deserialize, Serialize};

use crate::model::record::{self, RecordError};
use crate::model::state::{Object, State};
use crate::raft::message::Message;
use crate::wire::frame::{self, FrameError};

/// A frame ends with the row that crosses this.
const FRAME_BYTES: usize = 256 << 10;
/// The most that a state may have.
const STATE_BYTES_MAX: usize = 512 << 20;

/// One frame of a transfer.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    Start(Box<Message>),
    Rows(Vec<StateRow>),
    End { frames: u64, crc: u32 },
}

/// A row of the state: its key and its bytes.
pub type StateRow = (Vec<u8>, Vec<u8>);

/// Why a transfer failed. It is begun again, from the start.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a row of the state does not encode")]
    Row(#[from] RecordError),
    #[error("the frames of a state came out of order")]
    Order,
    #[error("the state has more than {STATE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the state that came is not the one that was sent")]
    Sum,
}

/// A state that goes out: an iterator of frames.
#[derive(Debug)]
pub struct Outgoing {
    start: Option<Message>,
    objects: vec::IntoIter<Object>,
    sum: Sum,
    has_ended: bool,
}

impl Outgoing {
    /// The state as it is, to go with `message`.
    pub fn new(message: Message, state: &State) -> Self {
        let objects = state.objects().filter_map(|id| state.object(id));
        let objects: Vec<_> = objects.collect();
        Self {
            start: Some(message),
            objects: objects.into_iter(),
            sum: Sum::default(),
            has_ended: false,
        }
    }

    fn part(&mut self) -> Result<Part, SnapshotError> {
        if let Some(message) = self.start.take() {
            return Ok(Part::Start(Box::new(message)));
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < FRAME_BYTES
            && let Some(object) = self.objects.next()
        {
            let row = record::encode_row(&object)?;
            bytes += row.0.len() + row.1.len();
            rows.push(row);
        }
        if !rows.is_empty() {
            return Ok(Part::Rows(rows));
        }
        self.has_ended = true;
        let (frames, crc) = self.sum.total();
        Ok(Part::End { frames, crc })
    }
}

impl Iterator for Outgoing {
    type Item = Result<Vec<u8>, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let part = self.part();
        // There is nothing to be said after what could not be.
        self.has_ended |= part.is_err();
        Some(part.and_then(|part| {
            let frame = frame::encode(&part)?;
            self.sum.add(&frame);
            Ok(frame)
        }))
    }
}

/// A state that comes in.
#[derive(Debug, Default)]
pub struct Incoming {
    start: Option<Message>,
    rows: Vec<StateRow>,
    bytes: usize,
    sum: Sum,
}

/// A state that has come in whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    pub message: Message,
    pub rows: Vec<StateRow>,
}

impl Incoming {
    /// Takes in the next frame; the last one gives the state.
    pub fn take(&mut self, frame: &[u8]) -> Result<Option<Arrived>, SnapshotError> {
        let part = frame::decode(frame)?;
        if !matches!(part, Part::End { .. }) {
            self.sum.add(frame);
        }
        match (part, &self.start) {
            (Part::Start(message), None) => self.start = Some(*message),
            (Part::Rows(rows), Some(_)) => self.take_rows(rows)?,
            (Part::End { frames, crc }, Some(_)) => {
                if self.sum.total() != (frames, crc) {
                    return Err(SnapshotError::Sum);
                }
                let rows = std::mem::take(&mut self.rows);
                let message = self.start.take();
                return Ok(message.map(|message| Arrived { message, rows }));
            }
            (Part::Start(_), Some(_)) | (Part::Rows(_) | Part::End { .. }, None) => {
                return Err(SnapshotError::Order);
            }
        }
        Ok(None)
    }

    fn take_rows(&mut self, rows: Vec<StateRow>) -> Result<(), SnapshotError> {
        for row in rows {
            self.bytes += row.0.len() + row.1.len();
            if self.bytes > STATE_BYTES_MAX {
                return Err(SnapshotError::TooLong);
            }
            self.rows.push(row);
        }
        Ok(())
    }
}

/// What both sides count.
#[derive(Debug, Default)]
struct Sum {
    frames: u64,
    crc: crc32fast::Hasher,
}

impl Sum {
    fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.crc.update(&(frame.len() as u64).to_le_bytes());
        self.crc.update(frame);
    }

    fn total(&self) -> (u64, u32) {
        (self.frames, self.crc.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::genesis::genesis;
    use crate::manager::tests::swarm::a_genesis;
    use crate::model::change::Batch;
    use crate::model::time::Time;

    fn frames() -> (State, Vec<Vec<u8>>) {
        let mut state = State::default();
        let changes = genesis(a_genesis(), Time(5));
        state.apply(
            1,
            &Batch {
                at: Time(5),
                changes,
            },
        );
        let outgoing = Outgoing::new(Message::default(), &state);
        let frames = outgoing.collect::<Result<_, _>>().unwrap();
        (state, frames)
    }

    fn take_all(frames: &[Vec<u8>]) -> Result<Option<Arrived>, SnapshotError> {
        let mut incoming = Incoming::default();
        let mut last = None;
        for frame in frames {
            last = incoming.take(frame)?;
        }
        Ok(last)
    }

    #[test]
    fn a_state_comes_in_as_it_went_out() {
        let (state, frames) = frames();
        assert_eq!(frames.len(), 3);
        let arrived = take_all(&frames).unwrap().unwrap();
        let restored = record::restore(1, arrived.rows).unwrap();
        assert!(state.objects().eq(restored.objects()));
        assert_eq!(state.cluster(), restored.cluster());
    }

    #[test]
    fn what_is_not_whole_is_never_handed_on() {
        let (_, frames) = frames();
        assert_eq!(take_all(&frames[..2]).unwrap(), None);
        let check = |frames: &[Vec<u8>], expect: &str| {
            assert_eq!(take_all(frames).unwrap_err().to_string(), expect);
        };
        let [start, rows, end] = [0, 1, 2].map(|place| frames[place].clone());
        let order = "the frames of a state came out of order";
        check(std::slice::from_ref(&rows), order);
        check(std::slice::from_ref(&end), order);
        check(&[start.clone(), start.clone()], order);
        let other = "the state that came is not the one that was sent";
        check(&[start.clone(), end.clone()], other);
        check(
            &[start.clone(), rows.clone(), rows.clone(), end.clone()],
            other,
        );
        let rotten = |frame: &[u8], place: usize| {
            let mut frame = frame.to_vec();
            frame[place] ^= 1;
            frame
        };
        let middle = rotten(&rows, rows.len() / 2);
        assert!(take_all(&[start.clone(), middle, end.clone()]).is_err());
        let last = rotten(&start, start.len() - 1);
        assert!(take_all(&[last, rows, end]).is_err());
    }
}
