//! Where a container's output goes: as its log driver says.

use std::io;
use std::path::Path;

use crate::model::time::Time;
use crate::runtime::log::journal::{self, Journal};
use crate::runtime::log::ring::Ring;
use crate::runtime::log::{DATA_BYTES_MAX, LOCAL_LINK, Stream};
use crate::runtime::plan::{LogPlan, Plan};

/// The places of one container's output.
#[derive(Debug, Default)]
pub struct Sink {
    /// What `logs` reads.
    ring: Option<Ring>,
    journal: Option<Journal>,
}

impl Sink {
    /// Opens them; the attempt is in `dir`, and its ring in memory keeps at most `ring_bytes`.
    pub fn open(plan: &Plan, dir: &Path, ring_bytes: u32) -> io::Result<Self> {
        match &plan.log {
            LogPlan::None => Ok(Self::default()),
            LogPlan::Ring { bytes } => {
                let bytes = bytes.map_or(ring_bytes, |bytes| bytes.min(ring_bytes));
                Ok(Self::ring(Ring::create(dir, bytes)?))
            }
            LogPlan::Local { bytes } => {
                let place = plan.log_dir();
                std::fs::create_dir_all(&place)?;
                std::os::unix::fs::symlink(&place, dir.join(LOCAL_LINK))?;
                Ok(Self::ring(Ring::create(dir, *bytes)?))
            }
            LogPlan::Journald { fields } => Ok(Self {
                ring: Some(Ring::create(dir, ring_bytes)?),
                journal: Some(Journal::open(Path::new(journal::SOCKET), fields)?),
            }),
        }
    }

    /// One ring alone.
    pub fn ring(ring: Ring) -> Self {
        Self {
            ring: Some(ring),
            journal: None,
        }
    }

    /// Appends what was read from the container at once. `scratch` is reused.
    pub fn append(
        &mut self,
        stream: Stream,
        at: Time,
        data: &[u8],
        scratch: &mut Vec<u8>,
    ) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            let lines = data.split_inclusive(|byte| *byte == b'\n');
            for piece in lines.flat_map(|line| line.chunks(DATA_BYTES_MAX)) {
                // What the journal does not take is in the ring.
                let _ = journal.append(stream, piece);
            }
        }
        match &mut self.ring {
            Some(ring) => ring.append(stream, at, data, scratch),
            None => Ok(()),
        }
    }
}
