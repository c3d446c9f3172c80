//! Streams between a manager and a node, on connections that the node dials when it is asked to.
//! Either side has one end of a socket pair: what speaks there knows nothing of the network.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{AddrParseError, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::LocalExecutor;
use async_net::unix::UnixStream;
use futures_lite::future::{or, try_zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::daemon::peers::Own;
use crate::host::rng::{EntropyError, random};
use crate::host::wait::sleep;
use crate::model::id::NodeId;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::dial::{Caller, DialError};
use crate::transport::tls::listener::Incoming;
use crate::wire::greeting::Purpose;
use crate::wire::stream::{PIECE_BYTES_MAX, Summons};

/// Streams of a manager, and those that a node serves, at the same time.
const STREAMS_MAX: usize = 256;
const ANSWERED_MAX: usize = 64;
/// How long a node may take to call.
const CALLED_WITHIN: Duration = Duration::from_secs(5);

/// The streams of this host's manager.
#[derive(Debug)]
pub struct Streams {
    node: NodeId,
    own: Rc<Own>,
    executor: Rc<LocalExecutor<'static>>,
    /// By their tickets.
    asked: RefCell<BTreeMap<u64, Asked>>,
    count: Rc<Cell<usize>>,
}

/// A stream that a node was asked for.
#[derive(Debug)]
struct Asked {
    node: NodeId,
    connection: Sender<Connection>,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("{STREAMS_MAX} streams are open")]
    Busy,
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("cannot make a pair of sockets: {0}")]
    Pair(#[source] io::Error),
    #[error("it did not answer within {} s", CALLED_WITHIN.as_secs())]
    Late,
}

/// Why a call is not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Unasked {
    #[error("nothing was asked of this node under that ticket")]
    Ticket,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Why a node did not serve a manager.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("{0:?} is no address: {1}")]
    Address(String, AddrParseError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("another node's manager is there")]
    OtherManager,
    #[error("cannot make a pair of sockets: {0}")]
    Pair(#[source] io::Error),
}

/// Why a stream ended early.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error("the other side went")]
    Gone,
}

/// A ticket that is good until this is dropped.
struct Ticket<'a>(&'a Streams, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.asked.borrow_mut().remove(&self.1);
    }
}

/// One of a bounded number.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(count: &Rc<Cell<usize>>, max: usize) -> Option<Self> {
        let taken = count.get();
        count.set(taken + 1);
        // Counted again as it is dropped.
        Some(Self(count.clone())).filter(|_| taken < max)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Streams {
    pub fn new(node: NodeId, own: Rc<Own>, executor: Rc<LocalExecutor<'static>>) -> Self {
        Self {
            node,
            own,
            executor,
            asked: RefCell::default(),
            count: Rc::default(),
        }
    }

    /// Opens a stream to what a node's host has to say.
    pub async fn open(&self, node: NodeId) -> Result<UnixStream, StreamError> {
        let place = Place::take(&self.count, STREAMS_MAX).ok_or(StreamError::Busy)?;
        let (ours, theirs) = UnixStream::pair().map_err(StreamError::Pair)?;
        let summons = Summons {
            ticket: u64::from_le_bytes(random()?),
            manager: self.node,
            address: self.own.address(),
        };
        let (connection_out, called) = async_channel::bounded(1);
        let ticket = Ticket(self, summons.ticket);
        let asked = Asked {
            node,
            connection: connection_out,
        };
        self.asked.borrow_mut().insert(summons.ticket, asked);
        self.own.manager.summon(node, summons).await;
        let late = async {
            sleep(CALLED_WITHIN).await;
            None
        };
        let connection = or(async { called.recv().await.ok() }, late).await;
        drop(ticket);
        let connection = connection.ok_or(StreamError::Late)?;
        let relayed = async move {
            relay(connection, theirs).await;
            drop(place);
        };
        self.executor.spawn(relayed).detach();
        Ok(ours)
    }

    /// Takes a call, if it is one that is waited for from that very node.
    pub async fn take(&self, ticket: u64, incoming: Incoming) -> Result<(), Unasked> {
        let node = incoming.peer().map(|peer| peer.node);
        let asked = {
            let mut asked = self.asked.borrow_mut();
            let is_its = |asked: &Asked| Some(asked.node) == node;
            match asked.get(&ticket).is_some_and(is_its) {
                true => asked.remove(&ticket),
                false => None,
            }
        };
        let Some(asked) = asked else {
            incoming.refuse(Unasked::Ticket.to_string()).await;
            return Err(Unasked::Ticket);
        };
        let connection = incoming.accept().await?;
        // Whoever asked may have given up meanwhile.
        let _ = asked.connection.try_send(connection);
        Ok(())
    }
}

/// Calls every manager that asks for a stream, and hands its other end to whatever answers there.
pub async fn answer(asked: Receiver<Summons>, keyring: Keyring, streams: Sender<UnixStream>) {
    let executor = LocalExecutor::new();
    let count = Rc::default();
    let take = async {
        while let Ok(summons) = asked.recv().await {
            let Some(place) = Place::take(&count, ANSWERED_MAX) else {
                tracing::warn!("a manager asks for more than {ANSWERED_MAX} streams at once");
                continue;
            };
            let (keyring, streams) = (&keyring, &streams);
            let answered = async move {
                match call(summons, keyring).await {
                    Ok((connection, ours, theirs)) => {
                        // Without an API nobody answers, and the other side sees the end.
                        let _ = streams.send(theirs).await;
                        relay(connection, ours).await;
                    }
                    Err(error) => tracing::warn!("a manager got no stream: {error}"),
                }
                drop(place);
            };
            executor.spawn(answered).detach();
        }
    };
    executor.run(take).await
}

async fn call(
    summons: Summons,
    keyring: &Keyring,
) -> Result<(Connection, UnixStream, UnixStream), Unanswered> {
    let address = summons.address;
    let parsed = address.parse::<SocketAddr>();
    let socket = parsed.map_err(|error| Unanswered::Address(address, error))?;
    let purpose = Purpose::Stream { id: summons.ticket };
    let connection = Caller::member(keyring).dial(socket, purpose).await?;
    if connection.peer().map(|peer| peer.node) != Some(summons.manager) {
        return Err(Unanswered::OtherManager);
    }
    let (ours, theirs) = UnixStream::pair().map_err(Unanswered::Pair)?;
    Ok((connection, ours, theirs))
}

/// Carries bytes both ways until both sides have said that nothing more comes, or one is gone. What
/// is not taken is not read.
async fn relay(connection: Connection, socket: UnixStream) {
    let up = async {
        let mut socket = socket.clone();
        let mut bytes = vec![0; PIECE_BYTES_MAX];
        loop {
            let length = socket.read(&mut bytes).await?;
            connection.send(bytes[..length].to_vec()).await?;
            if length == 0 {
                return Ok::<_, Cut>(());
            }
        }
    };
    let down = async {
        let mut socket = socket.clone();
        loop {
            let piece = connection.receive().await?.ok_or(Cut::Gone)?;
            if piece.is_empty() {
                socket.shutdown(Shutdown::Write)?;
                return Ok(());
            }
            socket.write_all(&piece).await?;
        }
    };
    match try_zip(up, down).await {
        Ok(_) => connection.finish().await,
        Err(cut) => tracing::debug!("a stream ended: {cut}"),
    }
}

#[cfg(test)]
mod tests;
