//! A connection that carries frames both ways. A frame is queued whole or not at all, so whoever
//! stops waiting for a send or a receive does no harm to the next.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_io::Async;
use futures_lite::future::{or, yield_now};
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, PeerIncompatible,
    ServerConfig, ServerConnection,
};

use crate::host::wait::sleep;
use crate::identity::certificate::Peer;
use crate::transport::tls::state::{State, Step};
use crate::wire::frame::FRAME_BYTES_MAX;
use crate::wire::greeting::{GREETING_BYTES_MAX, Purpose};
use crate::wire::image::IMAGE_FRAME_BYTES_MAX;
use crate::wire::join::JOINING_BYTES_MAX;
use crate::wire::stream::PIECE_BYTES_MAX;

/// How long a peer may leave what was sent without a sign that it came, and how long it may be
/// silent before it is asked for one. Who has other managers to turn to, or is waited for by them,
/// has to know sooner: an agent finds another one before it is missed.
const UNANSWERED_MS_MAX: u32 = 20_000;
const UNANSWERED_MS_MAX_LIVE: u32 = 3_000;
const SILENT: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How long a peer has to take the last words of a connection.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A TLS connection with a peer. Dropping it ends it.
pub struct Connection {
    socket: Async<TcpStream>,
    state: Box<RefCell<State>>,
    peer: Option<Box<Peer>>,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("{}", in_words(.0))]
    Tls(#[source] Error),
    #[error("a frame of {bytes} bytes is over the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("the connection was cut off")]
    Cut,
    #[error("the connection is closed")]
    Closed,
    #[error("the peer does not read: {0} frames wait for it")]
    Full(usize),
}

impl Connection {
    pub(super) fn client(
        socket: Async<TcpStream>,
        config: Arc<ClientConfig>,
    ) -> Result<Self, ConnectionError> {
        // Managers are known by their certificates and not by a name, but TLS wants one.
        let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let tls = ClientConnection::new(config, name).map_err(ConnectionError::Tls)?;
        Self::new(socket, tls.into())
    }

    pub(super) fn server(
        socket: Async<TcpStream>,
        config: Arc<ServerConfig>,
    ) -> Result<Self, ConnectionError> {
        let tls = ServerConnection::new(config).map_err(ConnectionError::Tls)?;
        Self::new(socket, tls.into())
    }

    fn new(socket: Async<TcpStream>, tls: rustls::Connection) -> Result<Self, ConnectionError> {
        prepare(socket.get_ref())?;
        let state = Box::new(RefCell::new(State::new(tls, GREETING_BYTES_MAX)));
        Ok(Self {
            socket,
            state,
            peer: None,
        })
    }

    /// Waits until the peer says something.
    pub(super) async fn is_spoken_to(&self) -> Result<(), ConnectionError> {
        Ok(self.socket.readable().await?)
    }

    /// Finds out who the peer is.
    pub(super) async fn handshake(&self) -> Result<(), ConnectionError> {
        self.each(State::handshake).await
    }

    /// Takes frames as long as its purpose needs from now on.
    pub(super) fn greeted(&self, purpose: Purpose) {
        self.state.borrow_mut().frame_bytes_max = match purpose {
            Purpose::Join | Purpose::Renew | Purpose::Seat => JOINING_BYTES_MAX,
            Purpose::Stream { .. } => PIECE_BYTES_MAX,
            Purpose::Image => IMAGE_FRAME_BYTES_MAX,
            _ => FRAME_BYTES_MAX,
        };
        if let Purpose::Session | Purpose::Raft | Purpose::Request = purpose {
            let socket = self.socket.get_ref();
            // It was set before, so it can be; if not, the longer time stands.
            let _ = sockopt::set_tcp_user_timeout(socket, UNANSWERED_MS_MAX_LIVE);
        }
    }

    /// The address that this side has in the connection.
    pub fn own_address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The certificates that the peer has shown, its own first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let state = self.state.borrow();
        state.tls.peer_certificates().unwrap_or_default().to_vec()
    }

    /// Who the peer is, by its certificate; one that joins has none.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    pub(super) fn is_from(&mut self, peer: Peer) {
        self.peer = Some(Box::new(peer));
    }

    /// Sends a frame and waits until the network has taken it.
    pub async fn send(&self, frame: Vec<u8>) -> Result<(), ConnectionError> {
        while !self.state.borrow().has_room(frame.len()) {
            self.flush_some().await?;
        }
        self.state.borrow_mut().queue(frame)?;
        while !self.flush_some().await? {}
        Ok(())
    }

    /// Sends a frame without waiting. What the network does not take at once goes on while somebody
    /// sends or receives.
    pub fn try_send(&self, frame: Vec<u8>) -> Result<(), ConnectionError> {
        let mut state = self.state.borrow_mut();
        if state.is_closed {
            return Err(ConnectionError::Closed);
        }
        if !state.has_room(frame.len()) {
            return Err(ConnectionError::Full(state.frames_waiting()));
        }
        state.queue(frame)?;
        if !state.write(self.socket.get_ref())?
            && let Some(waker) = state.waker.take()
        {
            waker.wake();
        }
        Ok(())
    }

    /// The next frame; `None` once the connection is closed. One at a time may wait for it.
    pub async fn receive(&self) -> Result<Option<Vec<u8>>, ConnectionError> {
        self.each(State::receive).await
    }

    /// Ends the connection; whoever waits on either side is woken.
    pub fn close(&self) {
        let mut state = self.state.borrow_mut();
        if !state.is_closed {
            state.is_closed = true;
            state.tls.send_close_notify();
            // A peer that takes nothing more, or is gone, is not told.
            let _ = state.write(self.socket.get_ref());
            let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Ends the connection after the peer has had a short time to take what was sent: closing at
    /// once would throw that away if something of the peer's is still unread.
    pub async fn finish(self) {
        let last_words = async {
            while !self.flush_some().await? {}
            self.state.borrow_mut().tls.send_close_notify();
            while !self.flush_some().await? {}
            self.socket.get_ref().shutdown(Shutdown::Write)?;
            self.discard().await?;
            Ok::<_, ConnectionError>(())
        };
        let in_time = async { drop(last_words.await) };
        or(in_time, sleep(LAST_WORDS)).await;
    }

    /// Reads until the peer has closed its side too.
    async fn discard(&self) -> io::Result<()> {
        // Not in the future itself, which every session has.
        let mut scratch = vec![0; 4096];
        loop {
            match self.socket.get_ref().read(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(_) => yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.readable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes steps until one is done.
    async fn each<T>(
        &self,
        step: impl Fn(&mut State, &TcpStream) -> Result<Step<T>, ConnectionError>,
    ) -> Result<T, ConnectionError> {
        loop {
            let taken = step(&mut self.state.borrow_mut(), self.socket.get_ref())?;
            match taken {
                Step::Done(outcome) => return Ok(outcome),
                Step::Wait { write } => self.wait(write).await?,
                Step::Yield => yield_now().await,
            }
        }
    }

    /// Waits for something to read, and for room to write or for something to write.
    async fn wait(&self, write: bool) -> io::Result<()> {
        let writable = async {
            match write {
                true => self.socket.writable().await,
                false => {
                    self.output().await;
                    Ok(())
                }
            }
        };
        or(self.socket.readable(), writable).await
    }

    async fn output(&self) {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if state.is_closed || state.wants_write() {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Writes what the socket takes and waits for more room if that was not all; whether it was.
    async fn flush_some(&self) -> Result<bool, ConnectionError> {
        let written = {
            let mut state = self.state.borrow_mut();
            if state.is_closed {
                return Err(ConnectionError::Closed);
            }
            state.write(self.socket.get_ref())?
        };
        if !written {
            self.socket.writable().await?;
        }
        Ok(written)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Small messages go at once, and a peer that is gone is noticed.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, SILENT)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    sockopt::set_tcp_user_timeout(socket, UNANSWERED_MS_MAX)?;
    Ok(())
}

/// What went wrong in TLS, for users.
fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is not from this swarm".into()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.to_string(),
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not take this node's certificate, which is not from its swarm".into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => "it speaks no TLS 1.3".into(),
        other => format!("TLS failed: {other}"),
    }
}
