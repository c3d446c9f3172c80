//! Being called: takes connections, finds out who calls and what for, and hands up those that have
//! greeted. Nothing that one caller does, or does not do, holds up another.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::LocalExecutor;
use async_io::Async;
use futures_lite::future::{or, pending};

use crate::host::clock;
use crate::host::wait::sleep;
use crate::identity::certificate::{CertificateError, Peer};
use crate::model::spec::node::Role;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::transport::tls::credentials::{Keyring, Ring};
use crate::transport::tls::half_open::{HalfOpen, Place};
use crate::transport::tls::lines::Lines;
use crate::transport::tls::verify::Disbelief;
use crate::wire::greeting::{Answer, Greeting, GreetingError, Purpose};

/// How long to wait when no connection can be taken, for want of descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Callers that have greeted and wait to be handed up.
const GREETED_QUEUED: usize = 16;

/// What callers are allowed before they have greeted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub half_open_max: usize,
    /// From the connection to the greeting.
    pub greeting: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open_max: 256,
            greeting: Duration::from_secs(10),
        }
    }
}

/// A port that is taken, before anybody can say who answers there.
#[derive(Debug)]
pub struct Socket(Async<TcpListener>);

impl Socket {
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let socket = Async::<TcpListener>::bind(address);
        let socket = socket.map_err(|source| ListenError { address, source })?;
        Ok(Self(socket))
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

/// A port of the cluster.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    executor: LocalExecutor<'static>,
    desk: Rc<Desk>,
    greeted: Receiver<Incoming>,
}

/// What all greetings need.
#[derive(Debug)]
struct Desk {
    keyring: Keyring,
    limits: Limits,
    half_open: Rc<RefCell<HalfOpen>>,
    lines: RefCell<Lines>,
    greeted: Sender<Incoming>,
}

/// A caller that has greeted and waits for its answer. Dropping it ends the connection.
#[derive(Debug)]
pub struct Incoming {
    pub from: SocketAddr,
    pub purpose: Purpose,
    protocol: u16,
    connection: Connection,
}

/// A purpose, and the protocol to go on in.
type Greeted = (Purpose, u16);

/// The port cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {source}")]
pub struct ListenError {
    pub address: SocketAddr,
    pub source: io::Error,
}

/// Why a caller is turned away.
#[derive(Debug, thiserror::Error)]
enum Unwelcome {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    #[error("a certificate of this swarm is needed to {0}")]
    NoCertificate(&'static str),
    #[error("{0}; it can only be used to renew it")]
    OutOfDate(#[source] CertificateError),
    #[error(transparent)]
    Disbelieved(#[from] Disbelief),
    #[error("a manager's certificate is needed to {0}")]
    NoManager(&'static str),
    #[error("it did not greet in time")]
    Late,
    #[error("too many callers have not greeted, and none have fewer than those from there")]
    Shed,
}

impl Listener {
    pub fn new(socket: Socket, keyring: Keyring, limits: Limits) -> Self {
        let (greeted_out, greeted) = async_channel::bounded(GREETED_QUEUED);
        let desk = Rc::new(Desk {
            keyring,
            limits,
            half_open: Rc::default(),
            lines: RefCell::default(),
            greeted: greeted_out,
        });
        Self {
            socket,
            executor: LocalExecutor::new(),
            desk,
            greeted,
        }
    }

    /// The next caller that has greeted. Others are taken and greeted only meanwhile, so whoever
    /// uses a listener always waits for the next and serves the last apart.
    pub async fn accept(&self) -> Incoming {
        let greeted = async {
            match self.greeted.recv().await {
                Ok(incoming) => incoming,
                Err(_) => pending().await,
            }
        };
        self.executor.run(or(greeted, self.take())).await
    }

    /// Takes connections and has each greeted on its own.
    async fn take<T>(&self) -> T {
        loop {
            match self.socket.0.accept().await {
                Ok((socket, from)) => {
                    let max = self.desk.limits.half_open_max;
                    let (half_open, now) = (&self.desk.half_open, clock::now());
                    match HalfOpen::admit(half_open, from.ip(), now, max) {
                        Some(place) => {
                            let greet = greet(self.desk.clone(), socket, from, place);
                            self.executor.spawn(greet).detach();
                        }
                        None => self
                            .desk
                            .warn(format_args!("refused {from}: {}", Unwelcome::Shed)),
                    }
                }
                Err(error) => {
                    self.desk
                        .warn(format_args!("cannot take a connection: {error}"));
                    sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

impl Incoming {
    /// Who calls; whoever joins is nobody yet. Its certificate is in date, except perhaps for
    /// [`Purpose::Renew`].
    pub fn peer(&self) -> Option<&Peer> {
        self.connection.peer()
    }

    /// Lets the caller go on.
    pub async fn accept(self) -> Result<Connection, ConnectionError> {
        let protocol = self.protocol;
        self.connection.greeted(self.purpose);
        if let Ok(frame) = (Answer::Accepted { protocol }).encode() {
            self.connection.send(frame).await?;
        }
        Ok(self.connection)
    }

    /// Turns the caller away and tells it why.
    pub async fn refuse(self, reason: String) {
        refuse(self.connection, reason).await;
    }
}

impl Desk {
    fn warn(&self, line: std::fmt::Arguments<'_>) {
        self.lines.borrow_mut().warn(line);
    }

    /// Finds out who calls and what for.
    async fn meet(
        &self,
        connection: &Connection,
        ring: &Ring,
    ) -> Result<(Greeted, Option<Peer>), Unwelcome> {
        connection.handshake().await?;
        let greeting = connection.receive().await?;
        let greeting = greeting.ok_or(ConnectionError::Cut)?;
        let greeted = Greeting::decode(&greeting)?;
        Ok((greeted, admit(greeted.0, connection, ring)?))
    }
}

/// Whether a caller with this certificate may ask for this, and who it is.
fn admit(
    purpose: Purpose,
    connection: &Connection,
    ring: &Ring,
) -> Result<Option<Peer>, Unwelcome> {
    let (deed, needs_manager) = match purpose {
        Purpose::Join => return Ok(None),
        Purpose::Renew => ("renew one", false),
        Purpose::Session => ("begin a session", false),
        Purpose::Stream { .. } => ("answer a stream", false),
        Purpose::Raft => ("take part in consensus", true),
        Purpose::Snapshot => ("send a snapshot", true),
        Purpose::Request => ("pass on requests", true),
        Purpose::Image => ("get an image", false),
        Purpose::Seat => ("take a place among the managers", true),
    };
    let chain = connection.chain();
    if chain.is_empty() {
        return Err(Unwelcome::NoCertificate(deed));
    }
    let peer = match ring.members.peer(&chain) {
        Ok(peer) => peer,
        Err(Disbelief::Certificate(
            CertificateError::Expired(peer) | CertificateError::NotYet(peer),
        )) if purpose == Purpose::Renew => *peer,
        Err(Disbelief::Certificate(
            error @ (CertificateError::Expired(_) | CertificateError::NotYet(_)),
        )) => return Err(Unwelcome::OutOfDate(error)),
        Err(disbelief) => return Err(disbelief.into()),
    };
    match needs_manager && peer.role != Role::Manager {
        true => Err(Unwelcome::NoManager(deed)),
        false => Ok(Some(peer)),
    }
}

/// Greets one caller and hands it up, or turns it away.
async fn greet(desk: Rc<Desk>, socket: Async<TcpStream>, from: SocketAddr, place: Place) {
    let ring = desk.keyring.current();
    let mut connection = match Connection::server(socket, ring.server.clone()) {
        Ok(connection) => connection,
        Err(error) => return desk.warn(format_args!("refused {from}: {error}")),
    };
    let late = async {
        sleep(desk.limits.greeting).await;
        Err(Unwelcome::Late)
    };
    let meet = async {
        connection.is_spoken_to().await?;
        place.speaks(clock::now());
        desk.meet(&connection, &ring).await
    };
    match or(meet, or(late, shed(&place))).await {
        Ok(((purpose, protocol), peer)) => {
            if let Some(peer) = peer {
                connection.is_from(peer);
            }
            let incoming = Incoming {
                from,
                purpose,
                protocol,
                connection,
            };
            // Nobody takes it any more if the listener is gone.
            let handed_up = async {
                drop(desk.greeted.send(incoming).await);
                Ok(())
            };
            if let Err(unwelcome) = or(handed_up, shed(&place)).await {
                desk.warn(format_args!("refused {from}: {unwelcome}"));
            }
        }
        Err(unwelcome) => {
            desk.warn(format_args!("refused {from}: {unwelcome}"));
            if let Unwelcome::Shed | Unwelcome::Late = unwelcome {
                return;
            }
            or(refuse(connection, unwelcome.to_string()), place.lost()).await;
        }
    }
}

async fn shed<T>(place: &Place) -> Result<T, Unwelcome> {
    place.lost().await;
    Err(Unwelcome::Shed)
}

/// Tells the peer why, as far as it still listens.
async fn refuse(connection: Connection, reason: String) {
    if let Ok(frame) = (Answer::Refused { reason }).encode() {
        let _ = connection.try_send(frame);
    }
    connection.finish().await;
}
