//! Hears questions of tasks, and answers them or passes them on to this host's own name servers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_executor::LocalExecutor;
use async_net::{TcpListener, TcpStream, UdpSocket};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::host::clock::Stopwatch;
use crate::host::wait::sleep;
use crate::network::dns::answer::{self, Reply};
use crate::network::dns::names::Names;
use crate::network::dns::upstream;
use crate::network::resolve::config;

const PORT: u16 = 53;

/// The longest datagram that is taken in.
const QUESTION_BYTES_MAX: usize = 4096;

/// Questions that wait for an answer of other servers, in all and of one task.
const WAITING_MAX: usize = 256;
const WAITING_OF_ONE_MAX: usize = 32;

/// Streams at the same time, and how long one may say nothing.
const STREAMS_MAX: usize = 64;
const STREAM_IDLE: Duration = Duration::from_secs(10);

/// The host's own list of servers is read again after so long.
const LIST_AGE_MAX: Duration = Duration::from_secs(2);

/// A socket that fails is tried again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// The names that are known at the moment.
pub type Known = Rc<dyn Fn() -> Arc<Names>>;

/// A name server that is about to serve.
pub struct Server {
    router: Ipv4Addr,
    datagrams: UdpSocket,
    streams: TcpListener,
    shared: Rc<Shared>,
}

/// What all questions have in common.
struct Shared {
    router: Ipv4Addr,
    known: Known,
    executor: Rc<LocalExecutor<'static>>,
    waiting: RefCell<BTreeMap<Ipv4Addr, usize>>,
    open: Cell<usize>,
    servers: RefCell<Option<(Stopwatch, Vec<SocketAddr>)>>,
}

/// The place of one question among those that wait.
struct Ticket {
    shared: Rc<Shared>,
    asker: Ipv4Addr,
}

/// The place of one stream among those that are open.
struct Place(Rc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the port; the router's address must be this host's.
    pub async fn bind(
        router: Ipv4Addr,
        known: Known,
        executor: Rc<LocalExecutor<'static>>,
    ) -> io::Result<Self> {
        Ok(Self {
            router,
            datagrams: UdpSocket::bind((router, PORT)).await?,
            streams: TcpListener::bind((router, PORT)).await?,
            shared: Rc::new(Shared {
                router,
                known,
                executor,
                waiting: RefCell::default(),
                open: Cell::default(),
                servers: RefCell::default(),
            }),
        })
    }

    /// Serves until it is dropped.
    pub async fn serve(self) {
        let Self {
            datagrams,
            streams,
            shared,
            ..
        } = self;
        future::zip(
            hear_datagrams(datagrams, shared.clone()),
            hear_streams(streams, shared),
        )
        .await;
    }
}

async fn hear_datagrams(socket: UdpSocket, shared: Rc<Shared>) {
    let mut buffer = vec![0; QUESTION_BYTES_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(heard) => heard,
            // What an earlier answer met comes back as an error of the socket.
            Err(error) => {
                tracing::debug!("name server: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let IpAddr::V4(asker) = from.ip() else {
            continue;
        };
        let question = &buffer[..length];
        match answer::reply(&(shared.known)(), asker, question, true) {
            Reply::Ignore => {}
            Reply::Answer(bytes) => send(&socket, &bytes, from).await,
            Reply::PassOn => match Ticket::take(&shared, asker) {
                None => {
                    if let Some(bytes) = answer::failure(question) {
                        send(&socket, &bytes, from).await;
                    }
                }
                Some(ticket) => {
                    let (socket, question) = (socket.clone(), question.to_vec());
                    let passing = async move {
                        if let Some(bytes) = ticket.pass_on(&question, true).await {
                            send(&socket, &bytes, from).await;
                        }
                    };
                    shared.executor.spawn(passing).detach();
                }
            },
        }
    }
}

/// Whoever asked may be gone, which is no matter.
async fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    let _ = socket.send_to(bytes, to).await;
}

async fn hear_streams(listener: TcpListener, shared: Rc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) if shared.open.get() < STREAMS_MAX => {
                let IpAddr::V4(asker) = from.ip() else {
                    continue;
                };
                shared.open.set(shared.open.get() + 1);
                let place = Place(shared.clone());
                let serving = async move {
                    // A stream that fails has said enough.
                    let _ = serve_stream(stream, asker, &place.0).await;
                };
                shared.executor.spawn(serving).detach();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("name server: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one question after the other.
async fn serve_stream(
    mut stream: TcpStream,
    asker: Ipv4Addr,
    shared: &Rc<Shared>,
) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        in_time(stream.read_exact(&mut length)).await?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        in_time(stream.read_exact(&mut question)).await?;
        let bytes = match answer::reply(&(shared.known)(), asker, &question, false) {
            Reply::Ignore => return Ok(()),
            Reply::Answer(bytes) => Some(bytes),
            Reply::PassOn => match Ticket::take(shared, asker) {
                Some(ticket) => ticket.pass_on(&question, false).await,
                None => answer::failure(&question),
            },
        };
        let bytes = bytes.unwrap_or_default();
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &bytes].concat();
        in_time(stream.write_all(&framed)).await?;
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        sleep(STREAM_IDLE).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future::or(work, late).await
}

impl Ticket {
    /// `None` if too many wait already.
    fn take(shared: &Rc<Shared>, asker: Ipv4Addr) -> Option<Self> {
        let mut waiting = shared.waiting.borrow_mut();
        let all: usize = waiting.values().sum();
        let own = waiting.get(&asker).copied().unwrap_or(0);
        if all >= WAITING_MAX || own >= WAITING_OF_ONE_MAX {
            return None;
        }
        waiting.insert(asker, own + 1);
        Some(Self {
            shared: shared.clone(),
            asker,
        })
    }

    /// What the host's servers answer, or that none did.
    async fn pass_on(self, question: &[u8], is_datagram: bool) -> Option<Vec<u8>> {
        let names = (self.shared.known)();
        let servers = match names.others(self.asker) {
            Some(others) => others.iter().map(|ip| (*ip, PORT).into()).collect(),
            None => self.shared.servers().await,
        };
        let answer = upstream::ask(&servers, question, is_datagram).await;
        answer.or_else(|| answer::failure(question))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting.borrow_mut();
        match waiting.get(&self.asker).copied() {
            Some(count @ 2..) => waiting.insert(self.asker, count - 1),
            _ => waiting.remove(&self.asker),
        };
    }
}

impl Shared {
    /// The servers that this host asks itself; never this one.
    async fn servers(&self) -> Vec<SocketAddr> {
        if let Some((read, servers)) = &*self.servers.borrow()
            && read.elapsed() < LIST_AGE_MAX
        {
            return servers.clone();
        }
        let (_, config) = config::load().await;
        let mut servers = config.nameservers;
        servers.retain(|server| server.ip() != IpAddr::V4(self.router));
        self.servers
            .replace(Some((Stopwatch::start(), servers.clone())));
        servers
    }
}
