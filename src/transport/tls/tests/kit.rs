//! A CA, a port and callers.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::Receiver;
use async_executor::LocalExecutor;
use futures_lite::future::{block_on, yield_now, zip};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::host::clock::{self, Stopwatch};
use crate::host::wait::blocking;
use crate::identity::authority::{Authority, Order};
use crate::identity::key::PrivateKey;
use crate::identity::token::Token;
use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::Role;
use crate::model::time::Time;
use crate::model::trust::TokenSecret;
use crate::transport::tls::connection::Connection;
use crate::transport::tls::credentials::{Credentials, Dates, Keyring};
use crate::transport::tls::dial::Caller;
use crate::transport::tls::listener::{Incoming, Limits, Listener, Socket};
use crate::wire::greeting::Purpose;

pub const MANAGER: Role = Role::Manager;
pub const WORKER: Role = Role::Worker;

/// The node that credentials are issued for if nothing else is said.
pub const NODE: NodeId = NodeId(7);

/// The secret of tokens.
pub const SECRET: [u8; 16] = *b"the token's word";

const CLUSTER: ClusterId = ClusterId(5);
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// For a line that must come; far more than it ever takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A root that issues certificates, ten years old.
pub struct Ca(Authority);

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub enum Life {
    Past,
    Present,
    Future,
}

impl Ca {
    pub fn new() -> Self {
        let begun = Time(clock::now().0 - 10 * YEAR_MS);
        Self(Authority::found(begun, [1; 16]).unwrap())
    }

    pub fn root(&self) -> CertificateDer<'static> {
        self.0.root().clone()
    }

    /// A token that pins this root.
    pub fn token(&self) -> Token {
        Token::new(self.0.root(), TokenSecret(SECRET))
    }

    /// Credentials for a role, with the root at the end of the chain.
    pub fn issue(&self, role: Role) -> Credentials {
        self.issue_for(role, NODE, Life::Present)
    }

    pub fn issue_for(&self, role: Role, node: NodeId, life: Life) -> Credentials {
        let now = clock::now().0;
        let begun = match life {
            Life::Past => now - 5 * YEAR_MS,
            Life::Present => now,
            Life::Future => now + 5 * YEAR_MS,
        };
        let key = PrivateKey::generate().unwrap();
        let order = Order {
            request: &key.request().unwrap(),
            node,
            role,
            cluster: CLUSTER,
            life_ms: YEAR_MS,
            serial: [2; 16],
        };
        let certificate = self.0.issue(&order, Time(begun)).unwrap();
        Credentials {
            chain: vec![certificate, self.root()],
            key,
            roots: vec![self.root()],
            cluster: CLUSTER,
        }
    }
}

pub fn keyring(credentials: &Credentials, dates: &Dates) -> Keyring {
    Keyring::new(credentials, dates.clone()).unwrap()
}

/// Runs a story on an executor of its own.
pub fn run(story: impl AsyncFnOnce(&Rc<LocalExecutor<'static>>)) {
    let executor = Rc::new(LocalExecutor::new());
    block_on(executor.run(Box::pin(story(&executor))));
}

/// A port whose callers wait to be accepted, and what it logs.
pub struct Port {
    pub address: SocketAddr,
    pub keyring: Keyring,
    greeted: Receiver<Incoming>,
    log: Log,
    seen: RefCell<usize>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Port {
    pub fn open(executor: &Rc<LocalExecutor<'static>>, credentials: &Credentials) -> Self {
        Self::with(executor, credentials, Limits::default(), &Dates::new(true))
    }

    pub fn with(
        executor: &Rc<LocalExecutor<'static>>,
        credentials: &Credentials,
        limits: Limits,
        dates: &Dates,
    ) -> Self {
        let keyring = keyring(credentials, dates);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = Socket::bind(any).unwrap();
        let address = socket.address().unwrap();
        let listener = Listener::new(socket, keyring.clone(), limits);
        let (greeted_out, greeted) = async_channel::unbounded();
        let accept =
            async move { while greeted_out.send(listener.accept().await).await.is_ok() {} };
        executor.spawn(accept).detach();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            address,
            keyring,
            greeted,
            log,
            seen: RefCell::new(0),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The next caller that has greeted.
    pub async fn next(&self) -> Incoming {
        self.greeted.recv().await.unwrap()
    }

    /// Whether nobody was handed up since.
    pub fn is_idle(&self) -> bool {
        self.greeted.is_empty()
    }

    /// Connects somebody; both ends.
    pub async fn connect(
        &self,
        credentials: &Credentials,
        purpose: Purpose,
    ) -> (Connection, Connection) {
        let caller = Caller::member(&keyring(credentials, &Dates::new(true)));
        self.call(&caller, purpose).await
    }

    pub async fn call(&self, caller: &Caller, purpose: Purpose) -> (Connection, Connection) {
        let accept = async {
            let incoming = self.next().await;
            assert_eq!(incoming.purpose, purpose);
            incoming.accept().await.unwrap()
        };
        let (dialled, accepted) = zip(caller.dial(self.address, purpose), accept).await;
        (dialled.unwrap(), accepted)
    }

    /// Why somebody does not get through.
    pub async fn refused(&self, credentials: &Credentials, purpose: Purpose) -> String {
        let caller = Caller::member(&keyring(credentials, &Dates::new(true)));
        let dialled = caller.dial(self.address, purpose).await;
        dialled.unwrap_err().to_string()
    }

    /// Waits until the log has a line with `part` after those that were seen before.
    pub async fn saw(&self, part: &str) {
        let waited = Stopwatch::start();
        loop {
            let text = self.log.text();
            assert!(waited.elapsed() < PATIENCE, "no line has {part:?}:\n{text}");
            let found = text[*self.seen.borrow()..].find(part);
            if let Some(at) = found {
                *self.seen.borrow_mut() += at + part.len();
                return;
            }
            yield_now().await;
        }
    }

    /// The lines that are in the log.
    pub fn lines(&self) -> Vec<String> {
        self.log.text().lines().map(str::to_owned).collect()
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends bytes over TCP and reads until the other side ends it.
pub async fn over_tcp(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&bytes).unwrap();
        read_all(&mut socket)
    })
    .await
}

/// Sends bytes within TLS and reads until the other side ends it.
pub async fn over_tls(config: Arc<ClientConfig>, address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    blocking(move || {
        let socket = TcpStream::connect(address).unwrap();
        let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let tls = rustls::ClientConnection::new(config, name).unwrap();
        let mut stream = rustls::StreamOwned::new(tls, socket);
        stream.write_all(&bytes).unwrap();
        stream.flush().unwrap();
        read_all(&mut stream)
    })
    .await
}

fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // However it ends, what came before counts.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
