//! This host's part in a swarm: begins or joins one, goes on with it after a restart, and leaves
//! it.
//!
//! ```text
//! STATE/member    which node this host is; without it nothing below counts
//! STATE/identity  the node's key and certificate
//! STATE/manager/  the manager's log and state
//! STATE/layers/   the containers' writable layers
//! STATE/mounts/   the layer below every image, of what is mounted over
//! ```

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Sender;
use async_executor::LocalExecutor;
use futures_lite::future::BoxedLocal;

use crate::agent::Farewell;
use crate::api::context::{Cluster, ClusterError, Init, Join, MemberState, Membership};
use crate::api::events::Events;
use crate::daemon::RUN_DIR;
use crate::daemon::address;
use crate::daemon::beginning;
use crate::daemon::containers::HostContainers;
use crate::daemon::failure::SwarmError;
use crate::daemon::holders::Holders;
use crate::daemon::identity::Identity;
use crate::daemon::joining::{self, JoinError};
use crate::daemon::member::{self, Member};
use crate::daemon::networks::{self, HostNetworks};
use crate::daemon::parts::Parts;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::blocking;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::manager::figures::Figures;
use crate::manager::run::{self as manager, StartError};
use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::runtime::containers::Runtime;
use crate::runtime::volume::Volumes;
use crate::store::file_disk::FileDisk;
use crate::store::manager_store::{ManagerStore, Opened};
use crate::transport::tls::listener::Socket;
use crate::wire::control::{Request, Response};

/// What a swarm needs of this host.
#[derive(Debug)]
pub struct Host {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    /// Where a manager listens if whoever makes it one does not say.
    pub listen: Option<SocketAddr>,
    pub description: NodeDescription,
    pub runtime: Rc<Runtime>,
    pub images: Arc<ImageStore>,
    pub registries: Rc<Registries>,
    pub volumes: Volumes,
}

/// This host's place in a swarm, and what runs for it.
pub struct Swarm {
    pub(super) host: Host,
    pub(super) executor: Rc<LocalExecutor<'static>>,
    pub(super) events: Rc<Events>,
    /// Hears of a part that ended though it should not have.
    pub(super) failures: Sender<SwarmError>,
    place: RefCell<Place>,
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swarm")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Where a host stands.
enum Place {
    Outside,
    /// On the way in or out; only one such move at a time.
    Moving,
    Inside(Box<Parts>),
}

impl Swarm {
    pub fn new(
        host: Host,
        executor: Rc<LocalExecutor<'static>>,
        events: Rc<Events>,
        failures: Sender<SwarmError>,
    ) -> Self {
        let place = RefCell::new(Place::Outside);
        Self {
            host,
            executor,
            events,
            failures,
            place,
        }
    }

    /// Goes on with the swarm that this host was in when its daemon ended, if it was in one.
    pub async fn resume(&self) -> Result<(), SwarmError> {
        let Some(member) = member::load(&self.host.state_dir)? else {
            // What a crash on the way in or out left behind; but the key of a host that has asked
            // to join stays: asking again with it makes the same node.
            let known = Identity::load(&self.host.state_dir)?;
            if known.is_some_and(|known| known.certified.is_some()) {
                Identity::forget(&self.host.state_dir)?;
            }
            return self.remove_state().await;
        };
        let identity = Identity::load(&self.host.state_dir)?;
        let parts = match member.raft_id {
            Some(_) => {
                let stored = self.open_store().await?;
                if stored.1.is_new() {
                    return Err(SwarmError::Lost(self.manager_dir()));
                }
                let identity = identity.map_or_else(Identity::generate, Ok)?;
                self.start_manager(member, identity, stored, None).await?
            }
            None => {
                let identity = identity.ok_or_else(|| self.no_certificate())?;
                self.start_worker(member, identity)?
            }
        };
        self.place.replace(Place::Inside(Box::new(parts)));
        Ok(())
    }

    /// Stops what runs for the swarm; the containers go on and are found again.
    pub async fn pause(&self) {
        if let Place::Inside(parts) = self.place.replace(Place::Moving) {
            parts.end(Farewell::BackSoon).await;
        }
    }

    /// Takes this host into a swarm; which node it is there.
    async fn enter(
        &self,
        entering: impl Future<Output = Result<Parts, SwarmError>>,
    ) -> Result<NodeId, ClusterError> {
        if !matches!(*self.place.borrow(), Place::Outside) {
            return Err(ClusterError::AlreadyInSwarm);
        }
        self.place.replace(Place::Moving);
        match entering.await {
            Ok(parts) => {
                let node = parts.member.node;
                self.place.replace(Place::Inside(Box::new(parts)));
                Ok(node)
            }
            Err(error) => {
                self.place.replace(Place::Outside);
                Err(ClusterError::Failed(error.to_string()))
            }
        }
    }

    /// Begins a swarm.
    async fn found(&self, init: Init) -> Result<Parts, SwarmError> {
        let address = self.listen_or(init.listen);
        let socket = Socket::bind(address)?;
        let listen = socket.address();
        let listen = listen.map_err(|source| SwarmError::Listening { address, source })?;
        let address = address::advertised(&init.advertise, listen)?;
        self.remove_state().await?;
        let description = self.host.description.clone();
        let (genesis, identity) = beginning::begin(init, description, address)?;
        identity.store(&self.host.state_dir)?;
        let member = Member {
            node: genesis.node,
            address: genesis.address.clone(),
            listen,
            raft_id: Some(genesis.raft_id),
            managers: Vec::new(),
        };
        let (mut store, _) = self.open_store().await?;
        let stored = blocking(move || {
            let opened = manager::found(&mut store, genesis, clock::now())?;
            Ok::<_, StartError>((store, opened))
        })
        .await?;
        member::store(&self.host.state_dir, &member)?;
        self.start_manager(member, identity, stored, Some(socket))
            .await
    }

    /// Joins a swarm.
    async fn join_at(&self, mut order: Join) -> Result<Parts, SwarmError> {
        order.listen = self.listen_or(order.listen);
        self.remove_state().await?;
        // The key of a try before, whose answer may have got lost: with it this is the same node.
        let known = Identity::load(&self.host.state_dir)?;
        let known = known.filter(|known| known.certified.is_none());
        let mut identity = known.map_or_else(Identity::generate, Ok)?;
        identity.store(&self.host.state_dir)?;
        let description = self.host.description.clone();
        let mut rng = Rng::from_entropy()?;
        let joined = joining::join(&order, description, &mut identity, &mut rng).await?;
        if joined.certified.raft_id.is_some() {
            return Err(JoinError::Manager.into());
        }
        identity.store(&self.host.state_dir)?;
        let member = Member {
            node: joined.certified.node,
            address: joined.address.to_string(),
            listen: order.listen,
            raft_id: None,
            managers: joined.managers,
        };
        member::store(&self.host.state_dir, &member)?;
        self.start_worker(member, identity)
    }

    async fn go(&self, force: bool) -> Result<(), ClusterError> {
        match &*self.place.borrow() {
            Place::Inside(parts) if force || parts.manager.is_none() => {}
            Place::Inside(_) => return Err(ClusterError::LastManager),
            Place::Outside | Place::Moving => return Err(ClusterError::NotPartOfSwarm),
        }
        let Place::Inside(parts) = self.place.replace(Place::Moving) else {
            return Err(ClusterError::NotPartOfSwarm);
        };
        let forgotten = member::forget(&self.host.state_dir);
        parts.end(Farewell::Leave).await;
        let identity = Identity::forget(&self.host.state_dir);
        let removed = self.remove_state().await;
        self.place.replace(Place::Outside);
        let left = forgotten.and(identity).map_err(SwarmError::from);
        left.and(removed)
            .map_err(|error| ClusterError::Failed(error.to_string()))
    }

    /// Where a manager of this host listens.
    fn listen_or(&self, asked: SocketAddr) -> SocketAddr {
        let default = self.host.listen.filter(|_| asked.ip().is_unspecified());
        default.unwrap_or(asked)
    }

    /// Does something to its end, whether or not the client waits for it.
    fn to_its_end<T: 'static>(
        self: &Rc<Self>,
        deed: impl AsyncFnOnce(&Self) -> Result<T, ClusterError> + 'static,
    ) -> BoxedLocal<Result<T, ClusterError>> {
        let swarm = self.clone();
        let (outcome_out, outcome) = async_channel::bounded(1);
        let doing = Box::pin(async move {
            // The client may be gone by now.
            let _ = outcome_out.try_send(deed(&swarm).await);
        });
        self.executor.spawn(doing).detach();
        Box::pin(async move {
            let stopped = || ClusterError::Failed("the daemon stops".to_owned());
            outcome.recv().await.unwrap_or_else(|_| Err(stopped()))
        })
    }

    pub(super) fn networks(&self, node: NodeId) -> HostNetworks {
        let (name, is_only) = networks::name(&self.host.run_dir, Path::new(RUN_DIR));
        HostNetworks::new(&name, is_only, node)
    }

    pub(super) fn containers(
        &self,
        node: NodeId,
        networks: HostNetworks,
        holders: Holders,
    ) -> HostContainers {
        HostContainers {
            runtime: self.host.runtime.clone(),
            registries: self.host.registries.clone(),
            holders,
            volumes: self.host.volumes.clone(),
            events: self.events.clone(),
            node,
            host: self.host.description.clone(),
            layers_dir: self.layers_dir(),
            mounts_dir: self.mounts_dir(),
            records_dir: self.host.run_dir.join("records"),
            networks,
        }
    }

    async fn open_store(&self) -> Result<(ManagerStore, Opened), SwarmError> {
        let dir = self.manager_dir();
        blocking(move || {
            let disk = FileDisk::open(&dir)?;
            Ok(ManagerStore::open(Arc::new(disk))?)
        })
        .await
    }

    /// Removes what only counts while the host is in a swarm, but for its key.
    async fn remove_state(&self) -> Result<(), SwarmError> {
        for path in [self.manager_dir(), self.layers_dir(), self.mounts_dir()] {
            let doomed = path.clone();
            match blocking(move || fs::remove_dir_all(doomed)).await {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SwarmError::Io {
                        what: "remove",
                        path,
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn no_certificate(&self) -> SwarmError {
        SwarmError::NoCertificate(self.host.state_dir.join("identity"))
    }

    fn manager_dir(&self) -> PathBuf {
        self.host.state_dir.join("manager")
    }

    fn layers_dir(&self) -> PathBuf {
        self.host.state_dir.join("layers")
    }

    fn mounts_dir(&self) -> PathBuf {
        self.host.state_dir.join("mounts")
    }
}

impl Cluster for Rc<Swarm> {
    fn request(&self, request: Request) -> BoxedLocal<Result<Response, ClusterError>> {
        let manager = match &*self.place.borrow() {
            Place::Inside(parts) => {
                let handle = parts.manager.as_ref().map(|manager| manager.handle.clone());
                handle.ok_or(ClusterError::Worker)
            }
            Place::Outside | Place::Moving => Err(ClusterError::NotInSwarm),
        };
        Box::pin(async move { Ok(manager?.request(request).await?) })
    }

    fn figures(&self) -> BoxedLocal<Option<Figures>> {
        let manager = match &*self.place.borrow() {
            Place::Inside(parts) => parts.manager.as_ref().map(|manager| manager.handle.clone()),
            Place::Outside | Place::Moving => None,
        };
        Box::pin(async move { manager?.figures().await })
    }

    fn membership(&self) -> Membership {
        match &*self.place.borrow() {
            Place::Inside(parts) => Membership {
                state: MemberState::Active,
                node: Some(parts.member.node),
                address: parts.member.address.clone(),
                is_manager: parts.manager.is_some(),
                managers: parts.member.managers.clone(),
                error: String::new(),
            },
            Place::Moving => Membership {
                state: MemberState::Pending,
                ..Membership::default()
            },
            Place::Outside => Membership::default(),
        }
    }

    fn init(&self, init: Init) -> BoxedLocal<Result<NodeId, ClusterError>> {
        self.to_its_end(async move |swarm| swarm.enter(swarm.found(init)).await)
    }

    fn join(&self, join: Join) -> BoxedLocal<Result<(), ClusterError>> {
        self.to_its_end(async move |swarm| swarm.enter(swarm.join_at(join)).await.map(drop))
    }

    fn leave(&self, force: bool) -> BoxedLocal<Result<(), ClusterError>> {
        self.to_its_end(async move |swarm| swarm.go(force).await)
    }
}
