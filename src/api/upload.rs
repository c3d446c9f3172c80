//! An archive on its way in: the body of a request as something that blocking code can read.

use std::io::{self, Read};

use async_channel::{Receiver, Sender};
use bytes::{Buf, Bytes};
use hyper::body::Incoming;

use crate::api::call::next_bytes;
use crate::api::failure::Failure;
use crate::host::wait::blocking;

/// Pieces of a body that wait to be read.
const PIECES_MAX: usize = 8;
/// What of a refused archive is still taken, so that a client that writes first and reads then
/// sees why it was refused.
const DRAIN_BYTES_MAX: usize = 256 << 20;

/// Hands the body to `work` on the pool of threads as it arrives.
pub async fn receive<T: Send + 'static>(
    body: &mut Incoming,
    work: impl FnOnce(Upload) -> T + Send + 'static,
) -> Result<T, Failure> {
    let (pieces, arriving) = async_channel::bounded(PIECES_MAX);
    let upload = Upload {
        arriving,
        piece: Bytes::new(),
    };
    let worked = blocking(move || work(upload));
    let (result, sent) = futures_lite::future::zip(worked, send(body, pieces)).await;
    match sent {
        Ok(()) => Ok(result),
        Err(failure) => Err(failure),
    }
}

/// Sends on until the reader wants no more, then takes the rest.
async fn send(body: &mut Incoming, pieces: Sender<io::Result<Bytes>>) -> Result<(), Failure> {
    let mut drained = 0;
    loop {
        let piece = match next_bytes(body).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(()),
            Err(failure) => {
                let broken =
                    io::Error::new(io::ErrorKind::ConnectionAborted, failure.message.clone());
                // A reader that has ended does not need to know.
                let _ = pieces.send(Err(broken)).await;
                return Err(failure);
            }
        };
        let length = piece.len();
        if pieces.send(Ok(piece)).await.is_err() {
            drained += length;
            if drained > DRAIN_BYTES_MAX {
                return Ok(());
            }
        }
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Upload {
    arriving: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.arriving.recv_blocking() {
                Ok(piece) => self.piece = piece?,
                Err(_) => return Ok(0),
            }
        }
        let length = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
