//! Output for systemd's journal, in its own protocol: one datagram a line, with Docker's fields.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::runtime::log::Stream;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Priorities of syslog.
const INFORMATION: &str = "6";
const ERROR: &str = "3";

/// The journal of this host.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    /// Fields of every entry, written out.
    fields: Vec<u8>,
    entry: Vec<u8>,
}

impl Journal {
    /// Finds the journal at its socket.
    pub fn open(socket: &Path, fields: &[(String, String)]) -> io::Result<Self> {
        let journal = UnixDatagram::unbound()?;
        journal.connect(socket)?;
        // A journal that does not keep up costs lines, not the container.
        journal.set_nonblocking(true)?;
        let mut written = Vec::new();
        for (name, value) in fields {
            field(name, value.as_bytes(), &mut written);
        }
        Ok(Self {
            socket: journal,
            fields: written,
            entry: Vec::new(),
        })
    }

    /// Sends a line, or a piece of one.
    pub fn append(&mut self, stream: Stream, piece: &[u8]) -> io::Result<()> {
        let line = piece.strip_suffix(b"\n");
        let priority = match stream {
            Stream::Stdout => INFORMATION,
            Stream::Stderr => ERROR,
        };
        self.entry.clone_from(&self.fields);
        field("PRIORITY", priority.as_bytes(), &mut self.entry);
        if line.is_none() {
            field("CONTAINER_PARTIAL_MESSAGE", b"true", &mut self.entry);
        }
        field("MESSAGE", line.unwrap_or(piece), &mut self.entry);
        self.socket.send(&self.entry).map(drop)
    }
}

/// A value of several lines is told by its length.
fn field(name: &str, value: &[u8], into: &mut Vec<u8>) {
    into.extend(name.as_bytes());
    if value.contains(&b'\n') {
        into.push(b'\n');
        into.extend((value.len() as u64).to_le_bytes());
    } else {
        into.push(b'=');
    }
    into.extend(value);
    into.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_entry_with_the_containers_fields() {
        let path = std::env::temp_dir().join(format!("skep-journal-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let server = UnixDatagram::bind(&path).unwrap();
        let fields = [
            ("CONTAINER_NAME", "web.1"),
            ("SYSLOG_IDENTIFIER", "two\nlines"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut journal = Journal::open(&path, &fields).unwrap();
        journal.append(Stream::Stdout, b"hello\n").unwrap();
        journal.append(Stream::Stderr, b"part").unwrap();
        let mut buffer = [0; 4096];
        let mut next = || {
            let length = server.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        let head = b"CONTAINER_NAME=web.1\nSYSLOG_IDENTIFIER\n\x09\0\0\0\0\0\0\0two\nlines\n";
        assert_eq!(next(), [&head[..], b"PRIORITY=6\nMESSAGE=hello\n"].concat());
        let tail = b"PRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=part\n";
        assert_eq!(next(), [&head[..], tail].concat());
        std::fs::remove_file(&path).unwrap();
        assert!(Journal::open(&path, &[]).is_err());
    }
}
