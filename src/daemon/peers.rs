//! What this host's manager has for the others, and they for it.
//!
//! ```text
//!  one connection for consensus   }  each way, to each of the others; dialled by the sender,
//!  one for everything else        }  which says who it is and where it is found
//!  one for each whole state, which is answered when it has come in
//! ```
//!
//! Whatever waits for a manager that cannot be reached is thrown away: consensus says it again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{AddrParseError, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::{LocalExecutor, Task};
use futures_lite::future::or;

use crate::host::wait::sleep;
use crate::manager::run::{ManagerHandle, ToPeers};
use crate::manager::snapshot::{self, Outgoing, SnapshotError};
use crate::model::id::NodeId;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::dial::{Caller, DialError};
use crate::transport::tls::listener::Incoming;
use crate::wire::frame::{self, FrameError};
use crate::wire::greeting::Purpose;
use crate::wire::peer::{Opening, Whereabouts};

/// Messages that wait for a manager; what does not fit is lost.
const MESSAGES_QUEUED: usize = 256;
/// The waits after a manager that was not reached.
const AGAIN_MS_MIN: u64 = 100;
const AGAIN_MS_MAX: u64 = 1_000;
/// How long the other side may take to say who it is, or that a state has come in.
const WORD_WITHIN: Duration = Duration::from_secs(30);
/// How long what a manager said last may take to get out.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Managers that are known only because they said where they are.
const HEARD_MAX: usize = 64;

/// This host's manager, as the others see it.
#[derive(Debug)]
pub struct Own {
    pub raft_id: u64,
    address: RefCell<String>,
    pub keyring: Keyring,
    pub manager: ManagerHandle,
    book: RefCell<Book>,
    /// Whether a state is coming in: each is held in memory.
    is_taking: Cell<bool>,
}

/// Where the others are.
#[derive(Debug, Default)]
struct Book {
    /// As the state has it.
    told: BTreeMap<u64, Whereabouts>,
    /// As they say themselves: who lags has not got that in its state.
    heard: BTreeMap<u64, Whereabouts>,
}

/// Why nothing can be said to another manager, or heard from it.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("nobody knows where it is")]
    Unknown,
    #[error("it is at {0:?}, which is no address: {1}")]
    Address(String, AddrParseError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("another node is at {0}")]
    OtherNode(String),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    State(#[from] SnapshotError),
    #[error("it said nothing for {} s", WORD_WITHIN.as_secs())]
    Silent,
    #[error("it hung up")]
    HungUp,
    #[error("it wants manager {0}, which is not here")]
    OtherManager(u64),
    #[error("it says that it is manager {0}, which is another node's")]
    NotItself(u64),
    #[error("another state is coming in")]
    Busy,
}

impl Book {
    fn find(&self, id: u64) -> Option<&Whereabouts> {
        self.heard.get(&id).or_else(|| self.told.get(&id))
    }

    /// What the state says anew counts more than what was heard before.
    fn know(&mut self, told: BTreeMap<u64, Whereabouts>) {
        let old = std::mem::replace(&mut self.told, told);
        let is_as_before = |id: &u64| old.get(id) == self.told.get(id);
        self.heard.retain(|id, _| is_as_before(id));
    }

    fn hear(&mut self, id: u64, at: Whereabouts) -> Result<(), PeerError> {
        let known = self.told.get(&id);
        if known.is_some_and(|known| known.node != at.node) {
            return Err(PeerError::NotItself(id));
        }
        let has_room = self.heard.len() < HEARD_MAX || self.heard.contains_key(&id);
        if known != Some(&at) && has_room {
            self.heard.insert(id, at);
        }
        Ok(())
    }
}

impl Own {
    pub fn new(raft_id: u64, address: String, keyring: Keyring, manager: ManagerHandle) -> Self {
        Self {
            raft_id,
            address: RefCell::new(address),
            keyring,
            manager,
            book: RefCell::default(),
            is_taking: Cell::new(false),
        }
    }

    /// Where it is found.
    pub fn address(&self) -> String {
        self.address.borrow().clone()
    }

    /// It is found elsewhere from now on; whoever it has something for hears of it first.
    pub fn move_to(&self, address: String) {
        self.address.replace(address);
    }

    /// Calls another manager, and makes sure that it is the one.
    async fn dial(&self, to: u64, purpose: Purpose) -> Result<Connection, PeerError> {
        let at = self.book.borrow().find(to).cloned();
        let Whereabouts { node, address } = at.ok_or(PeerError::Unknown)?;
        let parsed = address.parse::<SocketAddr>();
        let socket = parsed.map_err(|error| PeerError::Address(address.clone(), error))?;
        let caller = Caller::member(&self.keyring);
        let connection = caller.dial(socket, purpose).await?;
        if connection.peer().map(|peer| peer.node) != Some(node) {
            return Err(PeerError::OtherNode(address));
        }
        let opening = Opening {
            from: self.raft_id,
            to,
            address: self.address(),
        };
        connection.send(frame::encode(&opening)?).await?;
        Ok(connection)
    }

    /// Hears what another manager has for this one, until it hangs up.
    pub async fn hear(&self, incoming: Incoming) -> Result<(), PeerError> {
        let purpose = incoming.purpose;
        let node = incoming.peer().map(|peer| peer.node);
        let connection = incoming.accept().await?;
        let from = self.opened(node, &connection).await?;
        if purpose == Purpose::Snapshot {
            return self.take_state(from, &connection).await;
        }
        while let Some(frame) = connection.receive().await? {
            match purpose {
                Purpose::Raft => self.manager.hear_raft(from, frame::decode(&frame)?).await,
                _ => self.manager.hear_peer(from, frame::decode(&frame)?).await,
            }
        }
        Ok(())
    }

    /// The raft id of whoever has dialled, which is a manager by its certificate.
    async fn opened(&self, node: Option<NodeId>, peer: &Connection) -> Result<u64, PeerError> {
        let frame = within(peer.receive()).await?.ok_or(PeerError::HungUp)?;
        let Opening { from, to, address } = frame::decode(&frame)?;
        if to != self.raft_id {
            return Err(PeerError::OtherManager(to));
        }
        if let Err(error) = address.parse::<SocketAddr>() {
            return Err(PeerError::Address(address, error));
        }
        let node = node.ok_or(PeerError::NotItself(from))?;
        let at = Whereabouts { node, address };
        self.book.borrow_mut().hear(from, at)?;
        Ok(from)
    }

    async fn take_state(&self, from: u64, peer: &Connection) -> Result<(), PeerError> {
        if self.is_taking.replace(true) {
            return Err(PeerError::Busy);
        }
        let arrived = receive_state(peer).await;
        self.is_taking.set(false);
        self.manager.hear_state(from, arrived?).await;
        peer.send(frame::encode(&())?).await?;
        Ok(())
    }

    /// Sends a whole state, and says what became of that.
    async fn send_state(self: Rc<Self>, to: u64, state: Outgoing) {
        let sent = self.try_send_state(to, state).await;
        if let Err(error) = &sent {
            tracing::warn!("manager {to} did not get the state of the swarm: {error}");
        }
        self.manager.sent_state(to, sent.is_ok()).await;
    }

    async fn try_send_state(&self, to: u64, state: Outgoing) -> Result<(), PeerError> {
        let connection = self.dial(to, Purpose::Snapshot).await?;
        for frame in state {
            connection.send(frame?).await?;
        }
        let answer = within(connection.receive()).await?;
        answer.map(drop).ok_or(PeerError::HungUp)
    }
}

async fn receive_state(peer: &Connection) -> Result<snapshot::Arrived, PeerError> {
    let mut state = snapshot::Incoming::default();
    loop {
        let frame = within(peer.receive()).await?.ok_or(PeerError::HungUp)?;
        if let Some(arrived) = state.take(&frame)? {
            return Ok(arrived);
        }
    }
}

async fn within<T>(word: impl Future<Output = Result<T, ConnectionError>>) -> Result<T, PeerError> {
    let late = async {
        sleep(WORD_WITHIN).await;
        Err(PeerError::Silent)
    };
    or(async { Ok(word.await?) }, late).await
}

/// Carries what the manager has for the others, until it has nothing any more.
pub async fn carry(own: Rc<Own>, messages: Receiver<ToPeers>) {
    let executor = LocalExecutor::new();
    let carrying = async {
        let mut consensus = Lanes::new(Purpose::Raft);
        let mut rest = Lanes::new(Purpose::Request);
        while let Ok(message) = messages.recv().await {
            match message {
                ToPeers::Know(told) => {
                    own.book.borrow_mut().know(told);
                    let is_known = |id| own.book.borrow().find(id).is_some();
                    consensus.keep(is_known);
                    rest.keep(is_known);
                }
                ToPeers::Raft { to, message } => {
                    consensus.send(&executor, &own, to, frame::encode(&*message));
                }
                ToPeers::Message { to, message } => {
                    rest.send(&executor, &own, to, frame::encode(&message));
                }
                ToPeers::State { to, state } => {
                    executor.spawn(own.clone().send_state(to, *state)).detach();
                }
            }
        }
        or(
            async {
                consensus.end().await;
                rest.end().await;
            },
            sleep(LAST_WORDS),
        )
        .await;
    };
    executor.run(carrying).await
}

/// The connections of one purpose, by the raft ids of those at their other ends.
struct Lanes {
    purpose: Purpose,
    lanes: BTreeMap<u64, (Sender<Vec<u8>>, Task<()>)>,
}

impl Lanes {
    fn new(purpose: Purpose) -> Self {
        let lanes = BTreeMap::new();
        Self { purpose, lanes }
    }

    fn send<'a>(
        &mut self,
        executor: &LocalExecutor<'a>,
        own: &Rc<Own>,
        to: u64,
        frame: Result<Vec<u8>, FrameError>,
    ) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return tracing::warn!("cannot tell manager {to}: {error}"),
        };
        if own.book.borrow().find(to).is_none() {
            return;
        }
        let (lane, _) = self.lanes.entry(to).or_insert_with(|| {
            let (frames_out, frames) = async_channel::bounded(MESSAGES_QUEUED);
            let lane = lane(own.clone(), to, self.purpose, frames);
            (frames_out, executor.spawn(lane))
        });
        // What does not fit is lost, as on a bad link.
        let _ = lane.try_send(frame);
    }

    fn keep(&mut self, is_known: impl Fn(u64) -> bool) {
        self.lanes.retain(|id, _| is_known(*id));
    }

    /// Lets what waits get out.
    async fn end(self) {
        for (frames, lane) in self.lanes.into_values() {
            drop(frames);
            lane.await;
        }
    }
}

/// Keeps a connection to another manager as long as there is something to be said to it.
async fn lane(own: Rc<Own>, to: u64, purpose: Purpose, frames: Receiver<Vec<u8>>) {
    let mut again_ms = AGAIN_MS_MIN;
    let mut obstacle = String::new();
    let mut connection = None;
    let mut told = String::new();
    while let Ok(frame) = next(&frames, &mut connection).await {
        let sent = async {
            if told != *own.address.borrow() {
                // The other side would go on calling where this one is no more.
                connection = None;
            }
            if connection.is_none() {
                told = own.address();
                connection = Some(own.dial(to, purpose).await?);
            }
            if let Some(connection) = &connection {
                connection.send(frame).await?;
            }
            Ok::<_, PeerError>(())
        };
        let Err(error) = sent.await else {
            again_ms = AGAIN_MS_MIN;
            obstacle.clear();
            continue;
        };
        connection = None;
        let error = error.to_string();
        if obstacle != error {
            tracing::info!("cannot reach manager {to}: {error}");
            obstacle = error;
        }
        sleep(Duration::from_millis(again_ms)).await;
        again_ms = (2 * again_ms).min(AGAIN_MS_MAX);
        // It is of no use any more.
        while frames.try_recv().is_ok() {}
    }
}

/// The next frame. A connection that the other side ends meanwhile is one no more: nothing is ever
/// said on it.
async fn next(
    frames: &Receiver<Vec<u8>>,
    connection: &mut Option<Connection>,
) -> Result<Vec<u8>, async_channel::RecvError> {
    let Some(open) = connection else {
        return frames.recv().await;
    };
    let frame = async { Some(frames.recv().await) };
    let ended = async {
        let _ = open.receive().await;
        None
    };
    match or(frame, ended).await {
        Some(frame) => frame,
        None => {
            *connection = None;
            frames.recv().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: u128, address: &str) -> Whereabouts {
        let address = address.to_owned();
        let node = NodeId(node);
        Whereabouts { node, address }
    }

    fn address(book: &Book, id: u64) -> Option<&str> {
        book.find(id).map(|at| &*at.address)
    }

    #[test]
    fn where_a_manager_says_it_is_counts_until_the_state_says_something_new() {
        let mut book = Book::default();
        book.know([(1, at(11, "old")), (2, at(12, "second"))].into());
        book.hear(1, at(11, "new")).unwrap();
        book.hear(3, at(13, "third")).unwrap();
        book.know([(1, at(11, "old")), (2, at(12, "other"))].into());
        let found = [1, 2, 3].map(|id| address(&book, id));
        assert_eq!(found, [Some("new"), Some("other"), Some("third")]);
        book.know([(1, at(11, "newer"))].into());
        let found = [1, 2, 3].map(|id| address(&book, id));
        assert_eq!(found, [Some("newer"), None, Some("third")]);
    }

    #[test]
    fn nobody_is_taken_for_another_nodes_manager() {
        let mut book = Book::default();
        book.know([(1, at(11, "first"))].into());
        let refused = book.hear(1, at(12, "first")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "it says that it is manager 1, which is another node's"
        );
        assert_eq!(address(&book, 1), Some("first"));
    }
}
