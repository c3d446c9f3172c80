//! One side of a session, whatever carries it.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::transport::local::Queues;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::wire::frame::{self, FrameError};

/// Frames that wait in one direction before the sender waits, or, if it cannot, is told so.
pub const QUEUE_FRAMES: usize = 64;

/// One side of a session. Dropping it, or closing it, ends the session on both sides; what was sent
/// before still arrives, and surely so if it was ended with [`End::finish`].
#[derive(Debug)]
pub struct End<Out, In> {
    carrier: Carrier,
    messages: PhantomData<fn(Out) -> In>,
}

#[derive(Debug)]
enum Carrier {
    Local(Queues),
    Tls(Connection),
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the session is closed")]
    Closed,
    #[error("the peer does not read: {0} frames wait for it")]
    Full(usize),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Connection(ConnectionError),
}

/// Why no further message comes though the peer did not end the session.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl<Out: Serialize, In: DeserializeOwned> End<Out, In> {
    /// Sends a message, waiting while the peer does not read.
    pub async fn send(&self, message: &Out) -> Result<(), SendError> {
        let frame = frame::encode(message)?;
        match &self.carrier {
            Carrier::Local(queues) => queues.send(frame).await,
            Carrier::Tls(connection) => Ok(connection.send(frame).await?),
        }
    }

    /// Sends a message without waiting.
    pub fn try_send(&self, message: &Out) -> Result<(), SendError> {
        let frame = frame::encode(message)?;
        match &self.carrier {
            Carrier::Local(queues) => queues.try_send(frame),
            Carrier::Tls(connection) => Ok(connection.try_send(frame)?),
        }
    }

    /// The next message; `None` once the session is closed. One at a time may wait for it.
    pub async fn receive(&self) -> Result<Option<In>, ReceiveError> {
        let frame = match &self.carrier {
            Carrier::Local(queues) => queues.receive().await,
            Carrier::Tls(connection) => connection.receive().await?,
        };
        Ok(frame.map(|frame| frame::decode(&frame)).transpose()?)
    }
}

impl<Out, In> End<Out, In> {
    /// A session over a connection that has been greeted.
    pub fn over(connection: Connection) -> Self {
        Self::new(Carrier::Tls(connection))
    }

    pub(super) fn local(queues: Queues) -> Self {
        Self::new(Carrier::Local(queues))
    }

    fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            messages: PhantomData,
        }
    }

    /// Ends the session; whoever waits on either side is woken.
    pub fn close(&self) {
        match &self.carrier {
            Carrier::Local(queues) => queues.close(),
            Carrier::Tls(connection) => connection.close(),
        }
    }

    /// Ends the session after the peer has had a short time to take what was sent.
    pub async fn finish(self) {
        if let Carrier::Tls(connection) = self.carrier {
            connection.finish().await;
        }
    }
}

impl From<ConnectionError> for SendError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Closed => Self::Closed,
            ConnectionError::Full(frames) => Self::Full(frames),
            other => Self::Connection(other),
        }
    }
}
