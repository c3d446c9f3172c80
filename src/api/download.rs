//! An archive on its way out: what blocking code writes, as the body of an answer.

use std::io::{self, Write};

use async_channel::Sender;
use bytes::Bytes;
use futures_lite::{Stream, StreamExt, stream};

use crate::api::answer::Broken;
use crate::api::merge::merged;
use crate::host::wait::blocking;

const PIECES_MAX: usize = 8;
const PIECE_BYTES: usize = 64 << 10;

/// Runs `work` on the pool of threads while the client takes what it writes. A failure cuts the
/// stream, so that the client does not take it for whole.
pub fn send<E: std::fmt::Display + 'static>(
    work: impl FnOnce(&mut Download) -> Result<(), E> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Broken>> {
    let (pieces, leaving) = async_channel::bounded(PIECES_MAX);
    let working = blocking(move || {
        let mut download = Download {
            pieces,
            piece: Vec::with_capacity(PIECE_BYTES),
        };
        let worked = work(&mut download).map_err(|error| Broken(error.to_string()));
        worked.and_then(|()| download.flush().map_err(|error| Broken(error.to_string())))
    });
    let written = stream::unfold(leaving, |leaving| async {
        let piece = leaving.recv().await.ok()?;
        Some((Ok(piece), leaving))
    });
    let end = stream::once_future(working);
    let failure = end.filter_map(|result| result.err().map(Err));
    // The pieces first: the work is over only when they have been taken.
    merged(Box::pin(written), Box::pin(failure))
}

/// The writing end.
#[derive(Debug)]
pub struct Download {
    pieces: Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for Download {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.send_blocking(piece.into()).map_err(gone)
    }
}
