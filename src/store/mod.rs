//! What a node remembers: a directory with a journal for the log and a checkpoint for the state.
//!
//! ```text
//!  DIR/lock        held with flock while a daemon runs
//!  DIR/state       the checkpoint: rows and an anchor, in redb     (checkpoint.rs)
//!  DIR/journal-0   two preallocated segments, written in turn:     (journal.rs)
//!  DIR/journal-1   log entries and votes that the checkpoint does not have yet
//!
//!  DIR/rows-0, rows-1   instead of these, what an agent remembers of its tasks (rows.rs)
//! ```
//!
//! A lone commit costs redb about 34 KB on the device whatever its size, and a record in a
//! preallocated file 4 KiB; SD cards die of the difference. So each write of consensus goes to the
//! journal with one fdatasync, and every few hundred entries the changed rows go to redb in one
//! transaction.
//!
//! Everything here is synchronous and sits on a [`disk::Disk`], so that a test can crash, tear and
//! fill it. The store knows bytes and log entries; what the rows mean is the caller's affair.

pub mod error;
pub mod disk;
pub mod file_disk;
pub mod memory_disk;
mod segment;
mod journal;
pub mod rows;
pub mod checkpoint;
pub mod sealer;
pub mod manager_store;
