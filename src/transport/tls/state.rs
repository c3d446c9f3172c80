//! Frames in and out of a TLS connection, as far as the socket goes along without waiting.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::task::Waker;

use crate::transport::end::QUEUE_FRAMES;
use crate::transport::tls::connection::ConnectionError;
use crate::wire::frame::FRAME_BYTES_MAX;

const HEADER_BYTES: usize = 4;

/// By how much a frame grows while it comes in: what is announced takes no memory, only what comes.
const CHUNK_BYTES: usize = 16 << 10;

/// Reads in a row before others have their turn.
const READS_MAX: usize = 64;

/// What to do next.
pub(super) enum Step<T> {
    Done(T),
    /// Come back when there is something to read, or room to write if that is what lacks too.
    Wait {
        write: bool,
    },
    /// Come back when others had their turn.
    Yield,
}

pub(super) struct State {
    pub tls: rustls::Connection,
    pub frame_bytes_max: usize,
    /// Whoever receives, to be woken when there is something to write, or the end.
    pub waker: Option<Waker>,
    pub is_closed: bool,
    outgoing: VecDeque<Outgoing>,
    outgoing_bytes: usize,
    /// The length of the next frame, as far as it has come.
    header: Vec<u8>,
    body: Vec<u8>,
}

/// A frame on its way out.
struct Outgoing {
    header: [u8; HEADER_BYTES],
    body: Vec<u8>,
    /// How much of both has gone.
    gone: usize,
}

/// What was found in what has been read.
enum Found {
    Frame(Vec<u8>),
    End,
    Nothing,
}

impl State {
    pub fn new(tls: rustls::Connection, frame_bytes_max: usize) -> Self {
        Self {
            tls,
            frame_bytes_max,
            waker: None,
            is_closed: false,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            header: Vec::with_capacity(HEADER_BYTES),
            body: Vec::new(),
        }
    }

    /// Whether a frame may be queued: the queue is bounded in frames and in bytes.
    pub fn has_room(&self, bytes: usize) -> bool {
        let fits = self.outgoing_bytes.saturating_add(bytes) <= FRAME_BYTES_MAX;
        self.outgoing.is_empty() || (fits && self.outgoing.len() < QUEUE_FRAMES)
    }

    pub fn queue(&mut self, body: Vec<u8>) -> Result<(), ConnectionError> {
        let bytes = body.len();
        let length = u32::try_from(bytes)
            .ok()
            .filter(|_| bytes <= FRAME_BYTES_MAX);
        let header = length.ok_or(ConnectionError::TooLong {
            bytes,
            limit: FRAME_BYTES_MAX,
        })?;
        self.outgoing_bytes += bytes;
        self.outgoing.push_back(Outgoing {
            header: header.to_le_bytes(),
            body,
            gone: 0,
        });
        Ok(())
    }

    pub fn frames_waiting(&self) -> usize {
        self.outgoing.len()
    }

    pub fn wants_write(&self) -> bool {
        !self.outgoing.is_empty() || self.tls.wants_write()
    }

    /// Writes as much as the socket takes; whether that was all.
    pub fn write(&mut self, socket: &TcpStream) -> io::Result<bool> {
        loop {
            self.encrypt()?;
            if !self.tls.wants_write() {
                return Ok(true);
            }
            match self.tls.write_tls(&mut { socket }) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands frames to TLS as far as it has room.
    fn encrypt(&mut self) -> io::Result<()> {
        while let Some(frame) = self.outgoing.front_mut() {
            let taken = self.tls.writer().write(frame.rest())?;
            if taken == 0 {
                break;
            }
            frame.gone += taken;
            if frame.rest().is_empty() {
                self.outgoing_bytes -= frame.body.len();
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// The next frame; `None` at the end.
    pub fn receive(
        &mut self,
        socket: &TcpStream,
    ) -> Result<Step<Option<Vec<u8>>>, ConnectionError> {
        if self.is_closed {
            return Ok(Step::Done(None));
        }
        let written = self.write(socket)?;
        for _ in 0..READS_MAX {
            match self.find()? {
                Found::Frame(frame) => return Ok(Step::Done(Some(frame))),
                Found::End => return Ok(Step::Done(None)),
                Found::Nothing => {}
            }
            if !self.read(socket)? {
                return Ok(Step::Wait { write: !written });
            }
        }
        Ok(Step::Yield)
    }

    /// Goes on with the handshake.
    pub fn handshake(&mut self, socket: &TcpStream) -> Result<Step<()>, ConnectionError> {
        for _ in 0..READS_MAX {
            let written = self.write(socket)?;
            let is_over = !self.tls.is_handshaking();
            if is_over && written {
                return Ok(Step::Done(()));
            }
            if is_over || !self.read(socket)? {
                return Ok(Step::Wait { write: !written });
            }
        }
        Ok(Step::Yield)
    }

    /// Reads once and decrypts; false if there is nothing to read.
    fn read(&mut self, socket: &TcpStream) -> Result<bool, ConnectionError> {
        match self.tls.read_tls(&mut { socket }) {
            Ok(0) if self.tls.is_handshaking() => return Err(ConnectionError::Cut),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        if let Err(error) = self.tls.process_new_packets() {
            // The peer is told as far as that is possible; what counts is the error.
            let _ = self.write(socket);
            return Err(ConnectionError::Tls(error));
        }
        Ok(true)
    }

    /// Takes what is decrypted until a frame is complete.
    fn find(&mut self) -> Result<Found, ConnectionError> {
        loop {
            let wanted = self.wanted()?;
            if wanted == Some(self.body.len()) {
                self.header.clear();
                return Ok(Found::Frame(std::mem::take(&mut self.body)));
            }
            let (part, end) = match wanted {
                None => (&mut self.header, HEADER_BYTES),
                Some(length) => (&mut self.body, length),
            };
            let begin = part.len();
            part.resize(end.min(begin + CHUNK_BYTES), 0);
            let read = self.tls.reader().read(&mut part[begin..]);
            part.truncate(begin + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) if self.header.is_empty() => return Ok(Found::End),
                Ok(0) => return Err(ConnectionError::Cut),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Found::Nothing),
                    io::ErrorKind::UnexpectedEof => return Err(ConnectionError::Cut),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// The length of the frame that comes in, once it is known.
    fn wanted(&self) -> Result<Option<usize>, ConnectionError> {
        let Ok(header) = <[u8; HEADER_BYTES]>::try_from(&self.header[..]) else {
            return Ok(None);
        };
        let limit = self.frame_bytes_max;
        let bytes = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
        match bytes > limit {
            true => Err(ConnectionError::TooLong { bytes, limit }),
            false => Ok(Some(bytes)),
        }
    }
}

impl Outgoing {
    fn rest(&self) -> &[u8] {
        match self.gone.checked_sub(HEADER_BYTES) {
            None => &self.header[self.gone..],
            Some(gone) => &self.body[gone..],
        }
    }
}
