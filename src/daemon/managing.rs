//! This host's manager, and what serves it: its port, what it has for the others, the session of
//! this host's agent, and what the API is told of the swarm's objects.

use std::rc::Rc;
use std::time::Duration;

use async_channel::Receiver;
use async_executor::Task;

use crate::api::events::Events;
use crate::daemon::holding::Holding;
use crate::daemon::member::Member;
use crate::daemon::peers::{self, Own};
use crate::daemon::port;
use crate::daemon::sessions;
use crate::daemon::site::Site;
use crate::daemon::streams::Streams;
use crate::daemon::vault::Vault;
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::identity::unlock::UnlockKey;
use crate::manager::Manager;
use crate::manager::run::{self, ManagerHandle, ToPeers};
use crate::model::trust::UnlockSecret;
use crate::store::manager_store::ManagerStore;
use crate::transport::local;
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::listener::Socket;

/// What waits to be carried to the other managers.
const TO_PEERS_QUEUED: usize = 1_024;
/// The waits after a lock that could not be kept.
const LOCK_AGAIN_MIN: Duration = Duration::from_secs(1);
const LOCK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A manager that runs, and that nobody can reach yet.
pub(super) struct Launched {
    pub handle: ManagerHandle,
    running: Task<()>,
    locking: Task<()>,
    to_peers: Receiver<ToPeers>,
}

/// The manager of a host.
pub(super) struct Managing {
    pub handle: ManagerHandle,
    pub streams: Rc<Streams>,
    pub own: Rc<Own>,
    running: Task<()>,
    locking: Task<()>,
    sessions: Task<()>,
    events: Task<()>,
    port: Task<()>,
    peers: Task<()>,
}

impl Site {
    /// Runs a manager.
    pub(super) fn launch(&self, core: Manager, store: ManagerStore, rng: Rng) -> Launched {
        let (peers_out, to_peers) = async_channel::bounded(TO_PEERS_QUEUED);
        let (handle, inbox) = run::channel();
        // Not bounded: unlock keys change seldom.
        let (locks_out, locks) = async_channel::unbounded();
        let inbox = inbox.with_peers(peers_out).with_locks(locks_out);
        let running = run::run(core, store, rng, inbox);
        let running = async move { Ok(running.await?) };
        let locking = keep_locked(self.vault.clone(), locks);
        Launched {
            handle,
            locking: self.executor.spawn(locking),
            running: self.watched(Box::pin(running)),
            to_peers,
        }
    }

    /// Lets a manager be reached: by others at `socket`, or where `member` says, and by the agent
    /// of this host.
    pub(super) fn open(
        &self,
        launched: Launched,
        raft_id: u64,
        member: &Member,
        keyring: Keyring,
        socket: Option<Socket>,
    ) -> (Managing, local::Dialer) {
        let Launched {
            handle,
            running,
            locking,
            to_peers,
        } = launched;
        let own = Own::new(raft_id, member.manager_address(), keyring, handle.clone());
        let own = Rc::new(own);
        let streams = Streams::new(member.node, own.clone(), self.executor.clone());
        let streams = Rc::new(streams);
        let asked = streams.clone();
        let holding = Holding::new(self.host.images.clone());
        let (listen, ours) = (member.listen, own.clone());
        let port = async move {
            let socket = match socket {
                Some(socket) => socket,
                None => port::bind(listen).await,
            };
            port::serve(socket, ours, holding, asked).await;
        };
        let (dialer, listener) = local::listen();
        let sessions = sessions::local(self.executor.clone(), listener, handle.clone());
        let events = pass_on(handle.clone(), self.events.clone());
        let managing = Managing {
            handle,
            streams,
            own: own.clone(),
            running,
            locking,
            sessions: self.executor.spawn(sessions),
            events: self.executor.spawn(events),
            port: self.executor.spawn(Box::pin(port)),
            peers: self.executor.spawn(Box::pin(peers::carry(own, to_peers))),
        };
        (managing, dialer)
    }
}

impl Managing {
    /// Ends the manager, which hands the lead over, and then what serves it.
    pub async fn end(self) {
        self.handle.stop().await;
        self.running.await;
        self.locking.await;
        self.peers.await;
        self.port.cancel().await;
        self.sessions.cancel().await;
        self.events.cancel().await;
    }
}

/// Locks the vault as the swarm wants it, as long as there is a manager.
async fn keep_locked(vault: Rc<Vault>, locks: Receiver<Option<UnlockSecret>>) {
    let mut again = LOCK_AGAIN_MIN;
    while let Ok(mut unlock) = locks.recv().await {
        loop {
            let key = unlock.map(|UnlockSecret(key)| UnlockKey::from_bytes(key));
            let Err(error) = vault.lock(key.as_ref()) else {
                break;
            };
            tracing::warn!("the unlock key of the swarm is not in force on this host: {error}");
            if locks.is_closed() {
                return;
            }
            sleep(again).await;
            again = (2 * again).min(LOCK_AGAIN_MAX);
            unlock = locks.try_recv().unwrap_or(unlock);
        }
        again = LOCK_AGAIN_MIN;
    }
}

/// Passes on what happens to the swarm's objects, as long as there is a manager.
async fn pass_on(manager: ManagerHandle, events: Rc<Events>) {
    while manager.is_running() {
        let happened = manager.events().await;
        while let Ok(event) = happened.recv().await {
            events.publish_object(event);
        }
    }
}
