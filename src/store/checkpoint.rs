//! The checkpoint: rows of bytes in redb, changed in one transaction at a time.
//!
//! ```text
//!  byte 0     "skepstat"
//!  byte 8     format, u32, little endian: 1
//!  byte 12    CRC-32 of the 12 bytes before
//!  byte 4096  a redb 4 file
//!               table "meta"  ""  -> the owner's own record about the rows, with its own format
//!               table "rows"  key -> value
//! ```

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use crate::store::disk::{Disk, DiskFile};
use crate::store::error::{Damage, StoreError};

pub(super) const FILE: &str = "state";
const FILE_NEW: &str = "state.new";
const MAGIC: &[u8; 8] = b"skepstat";
const FORMAT: u32 = 1;
/// One page, so that redb's own pages stay aligned.
const HEADER_BYTES: u64 = 4096;
/// Reads are served from memory, so redb needs only what one transaction touches.
const CACHE_BYTES: usize = 4 << 20;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// The rows of a store, on the disk.
#[derive(Debug)]
pub struct Checkpoint {
    disk: Arc<dyn Disk>,
    /// None after a failure, until it is opened again.
    database: Option<Database>,
    fault: Fault,
}

/// Rows by their key; `None` for one that is gone.
pub type Changes = [(Vec<u8>, Option<Vec<u8>>)];

/// All that a checkpoint holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    /// Empty in a new checkpoint.
    pub meta: Vec<u8>,
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Checkpoint {
    /// Opens the checkpoint on a disk, or makes an empty one.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let file = disk.describe(FILE);
        let names = disk.list().map_err(|e| StoreError::io("list", file, e))?;
        let mut checkpoint = Self {
            disk,
            database: None,
            fault: Fault::default(),
        };
        if !names.iter().any(|name| name == FILE) {
            checkpoint.create()?;
        }
        checkpoint.reopen()?;
        Ok(checkpoint)
    }

    /// Reads everything.
    pub fn load(&mut self) -> Result<Contents, StoreError> {
        let read = read(self.reopen()?);
        read.map_err(|error| self.failure("read", error))
    }

    /// Puts a new record about the rows and the changed rows (`None` removes one) on the disk, all
    /// or nothing.
    pub fn commit(&mut self, meta: &[u8], rows: &Changes) -> Result<(), StoreError> {
        let written = write(self.reopen()?, meta, false, rows);
        written.map_err(|error| self.failure("write", error))
    }

    /// The same, but nothing stays of the rows that were there.
    pub fn replace(&mut self, meta: &[u8], rows: &Changes) -> Result<(), StoreError> {
        let written = write(self.reopen()?, meta, true, rows);
        written.map_err(|error| self.failure("write", error))
    }

    /// Writes an empty checkpoint under another name first: a file under its own name is whole.
    fn create(&self) -> Result<(), StoreError> {
        let new = self.disk.describe(FILE_NEW);
        let io = |source| StoreError::io("create", new.clone(), source);
        let sync = |source| StoreError::Sync {
            file: new.clone(),
            source,
        };
        let file = self.disk.create(FILE_NEW).map_err(io)?;
        let mut header = [0; 4096];
        header[..16].copy_from_slice(&header_bytes(FORMAT));
        file.write_at(0, &header).map_err(io)?;
        file.sync().map_err(sync)?;
        let database = open_database(file, &self.fault);
        let database = database.map_err(|error| self.explain("create", error))?;
        let written = write(&database, &[], false, &[]);
        written.map_err(|error| self.explain("create", error))?;
        drop(database);
        self.disk.rename(FILE_NEW, FILE).map_err(io)?;
        self.disk.sync().map_err(sync)
    }

    fn reopen(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_file()?,
        };
        Ok(self.database.insert(database))
    }

    fn open_file(&self) -> Result<Database, StoreError> {
        let file = || self.disk.describe(FILE);
        let opened = self.disk.open(FILE);
        let opened = opened.map_err(|source| StoreError::io("open", file(), source))?;
        let mut header = [0; 16];
        let whole = opened.read_at(0, &mut header).is_ok();
        let format = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if !whole || header != header_bytes(format) {
            let what = Damage::Magic;
            return Err(StoreError::Damaged { file: file(), what });
        }
        if format != FORMAT {
            return Err(StoreError::Format {
                file: file(),
                found: format,
                known: FORMAT,
            });
        }
        open_database(opened, &self.fault).map_err(|error| self.explain("open", error))
    }

    /// Lets go of redb, which refuses work after an error, and says what happened.
    fn failure(&mut self, action: &'static str, error: redb::Error) -> StoreError {
        self.database = None;
        self.explain(action, error)
    }

    /// What an error of redb was about: the file's own error, if there was one below it.
    fn explain(&self, action: &'static str, error: redb::Error) -> StoreError {
        let file = self.disk.describe(FILE);
        let fault = self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (fault, error) {
            (Some((Step::Sync, source)), _) => StoreError::Sync { file, source },
            (Some((Step::Write, source)), _) => StoreError::io(action, file, source),
            (None, redb::Error::Io(source)) => StoreError::io(action, file, source),
            (None, error) => StoreError::Damaged {
                file,
                what: Damage::Redb(Box::new(error)),
            },
        }
    }
}

/// The first sixteen bytes of the file.
fn header_bytes(format: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&format.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

fn open_database(file: Box<dyn DiskFile>, fault: &Fault) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    // Without the check, a page that rotted on the card would be trusted.
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    let fault = Arc::clone(fault);
    Ok(builder.create_with_backend(Backend { file, fault })?)
}

fn read(database: &Database) -> Result<Contents, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let meta = meta
        .get("")?
        .map_or_else(Vec::new, |meta| meta.value().to_vec());
    let mut rows = Vec::new();
    for row in transaction.open_table(ROWS)?.iter()? {
        let (key, value) = row?;
        rows.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(Contents { meta, rows })
}

fn write(database: &Database, meta: &[u8], anew: bool, rows: &Changes) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    // A power cut then costs no reading of the whole file.
    transaction.set_quick_repair(true);
    if anew {
        transaction.delete_table(ROWS)?;
    }
    {
        transaction.open_table(META)?.insert("", meta)?;
        let mut table = transaction.open_table(ROWS)?;
        for (key, value) in rows {
            match value {
                Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                None => table.remove(key.as_slice())?,
            };
        }
    }
    Ok(transaction.commit()?)
}

/// The first error of the file below redb, which itself tells only the kind.
type Fault = Arc<Mutex<Option<(Step, io::Error)>>>;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    Sync,
}

/// The part of the file behind the header, as redb sees it.
#[derive(Debug)]
struct Backend {
    file: Box<dyn DiskFile>,
    fault: Fault,
}

impl Backend {
    /// Keeps a copy of an error for [`Checkpoint::explain`].
    fn note<T>(&self, step: Step, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let copy = match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::from(error.kind()),
            };
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            // A failed sync outweighs a failed write.
            if fault.is_none() || matches!(step, Step::Sync) {
                *fault = Some((step, copy));
            }
        }
        result
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.length()?.saturating_sub(HEADER_BYTES))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(HEADER_BYTES + offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.note(Step::Write, self.file.set_length(HEADER_BYTES + length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(Step::Sync, self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(Step::Write, self.file.write_at(HEADER_BYTES + offset, data))
    }
}
