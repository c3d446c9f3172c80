//! What this host's manager does for nodes that lack an image: gives them what this host has of
//! it, a few at a time. A node gets the images of its own tasks and no others.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::{or, zip};

use crate::host::wait::{blocking, sleep};
use crate::image::digest::Digest;
use crate::image::save::SaveError;
use crate::image::store::ImageStore;
use crate::model::id::NodeId;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::connection::ConnectionError;
use crate::transport::tls::listener::Incoming;
use crate::wire::image::{Bytes, Found, FromHolder, ToHolder};

/// Nodes that are served at the same time; more are told to come again.
const CALLERS_MAX: usize = 128;
/// Layers that are sent at the same time; others wait for their turn, and are told so.
const LAYERS_AT_ONCE: usize = 4;
const WAIT_TOLD_EVERY: Duration = Duration::from_secs(5);
/// What a layer is sent in, and how much of it is read ahead.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_AHEAD: usize = 2;
/// How long a node may take to say what it wants next, and to take a piece.
const SAID_WITHIN: Duration = Duration::from_secs(60);
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// The images of this host, for others.
#[derive(Debug)]
pub struct Holding {
    images: Arc<ImageStore>,
    callers: Cell<usize>,
    /// Holds a word for each layer that may be sent now.
    turns: (Sender<()>, Receiver<()>),
}

/// Why a node was not served to the end.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    #[error("{CALLERS_MAX} nodes ask for images")]
    Busy,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("it shows no certificate")]
    Stranger,
    #[error("it did not say what it wants, or not take it, within a minute")]
    Late,
    #[error("it asked for a layer of no image that it was told of")]
    Layer,
}

impl Holding {
    pub fn new(images: Arc<ImageStore>) -> Self {
        let turns = async_channel::bounded(LAYERS_AT_ONCE);
        while turns.0.try_send(()).is_ok() {}
        Self {
            images,
            callers: Cell::new(0),
            turns,
        }
    }

    /// Serves a node; `may_have` says whether it has a task with an image of that name.
    pub async fn serve(
        &self,
        incoming: Incoming,
        may_have: impl AsyncFn(NodeId, &str) -> bool,
    ) -> Result<(), Unserved> {
        if self.callers.get() >= CALLERS_MAX {
            incoming
                .refuse("too many nodes ask for images".into())
                .await;
            return Err(Unserved::Busy);
        }
        self.callers.set(self.callers.get() + 1);
        let _one_less = OneLess(&self.callers);
        let node = incoming.peer().map(|peer| peer.node);
        let node = node.ok_or(Unserved::Stranger)?;
        let end = End::<FromHolder, ToHolder>::over(incoming.accept().await?);
        let mut offered = Vec::new();
        loop {
            let late = async {
                sleep(SAID_WITHIN).await;
                Err(Unserved::Late)
            };
            let said = async { Ok(end.receive().await?) };
            match or(said, late).await? {
                None => return Ok(()),
                Some(ToHolder::Find { name }) => {
                    let found = match may_have(node, &name).await {
                        true => self.find(name).await,
                        false => None,
                    };
                    let (answer, layers) = found.unwrap_or((FromHolder::Unknown, Vec::new()));
                    offered = layers;
                    end.send(&answer).await?;
                }
                Some(ToHolder::Send { layer, from }) => {
                    let layer = Digest::from(layer);
                    if !offered.contains(&layer) {
                        return Err(Unserved::Layer);
                    }
                    self.send(&end, layer, from).await?;
                }
            }
        }
    }

    async fn find(&self, name: String) -> Option<(FromHolder, Vec<Digest>)> {
        let images = self.images.clone();
        let (offer, layers) = blocking(move || images.offer(&name)).await.ok()?;
        let found = Found {
            config: Bytes(offer.config),
            layers: offer.layers,
        };
        Some((FromHolder::Found(found), layers))
    }

    async fn send(
        &self,
        end: &End<FromHolder, ToHolder>,
        layer: Digest,
        from: u64,
    ) -> Result<(), Unserved> {
        let _turn = self.turn(end).await?;
        let (pieces_out, pieces) = async_channel::bounded(PIECES_AHEAD);
        let images = self.images.clone();
        let reading = blocking(move || {
            let mut pieces = Pieces {
                out: pieces_out,
                piece: Vec::new(),
            };
            images.send_layer(layer, from, &mut pieces)?;
            pieces.flush().map_err(SaveError::from)
        });
        let sending = async move {
            while let Ok(piece) = pieces.recv().await {
                taken(end, &FromHolder::Piece(Bytes(piece))).await?;
            }
            Ok::<_, Unserved>(())
        };
        let (read, sent) = zip(reading, sending).await;
        sent?;
        let last = match read {
            Ok(()) => FromHolder::End,
            Err(error) => {
                tracing::warn!("an image was not sent to another host: {error}");
                let reason = error.to_string();
                FromHolder::Failed { reason }
            }
        };
        taken(end, &last).await
    }

    /// Waits until a layer may be sent.
    async fn turn(&self, end: &End<FromHolder, ToHolder>) -> Result<Turn<'_>, Unserved> {
        loop {
            let turn = async { self.turns.1.recv().await.is_ok() };
            let long = async {
                sleep(WAIT_TOLD_EVERY).await;
                false
            };
            if or(turn, long).await {
                return Ok(Turn(&self.turns.0));
            }
            taken(end, &FromHolder::Wait).await?;
        }
    }
}

async fn taken(end: &End<FromHolder, ToHolder>, message: &FromHolder) -> Result<(), Unserved> {
    let late = async {
        sleep(TAKEN_WITHIN).await;
        Err(Unserved::Late)
    };
    or(async { Ok(end.send(message).await?) }, late).await
}

/// The right to send a layer.
struct Turn<'a>(&'a Sender<()>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // There is room, as it came from there.
        let _ = self.0.try_send(());
    }
}

struct OneLess<'a>(&'a Cell<usize>);

impl Drop for OneLess<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Cuts a stream into pieces for the network; waits while it does not take them.
struct Pieces {
    out: Sender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let n = room.min(bytes.len());
        self.piece.extend_from_slice(&bytes[..n]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        let sent = self.out.send_blocking(piece);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
