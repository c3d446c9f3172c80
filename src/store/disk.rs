//! The little that a store asks of a directory.

use std::fmt::Debug;
use std::io;

/// A directory of files, without sub-directories.
pub trait Disk: Debug + Send + Sync {
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file, or empties the one of this name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of the files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes the names durable: what was created, renamed and removed.
    fn sync(&self) -> io::Result<()>;

    /// How to call a file in a message to the user.
    fn describe(&self, name: &str) -> String;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// The file's length.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from an offset on; fails if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all the bytes at an offset, and makes the file longer if need be.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or makes it longer with zeros for which the room is reserved.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable, as fdatasync does.
    fn sync(&self) -> io::Result<()>;
}
