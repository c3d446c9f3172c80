//! This host's part in a swarm: begins one, goes on with it after a restart, and leaves it.
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
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Sender;
use async_executor::{LocalExecutor, Task};
use futures_lite::future::BoxedLocal;

use crate::agent::{self, Agent, Farewell};
use crate::api::context::{Cluster, ClusterError, Init, MemberState, Membership};
use crate::api::events::Events;
use crate::daemon::address::{self, AddressError};
use crate::daemon::beginning::{self, BeginningError};
use crate::daemon::containers::{ContainersError, HostContainers};
use crate::daemon::identity::{Identity, IdentityError};
use crate::daemon::member::{self, Member};
use crate::daemon::record::RecordError;
use crate::daemon::sessions;
use crate::host::clock;
use crate::host::rng::{EntropyError, Rng};
use crate::host::wait::blocking;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::manager::run::{self as manager, ManagerHandle, RunError, StartError};
use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::runtime::containers::Runtime;
use crate::runtime::volume::Volumes;
use crate::store::error::StoreError;
use crate::store::file_disk::{FileDisk, LockError};
use crate::store::manager_store::{ManagerStore, Opened};
use crate::transport::local;
use crate::wire::control::{Request, Response};

/// What a swarm needs of this host.
#[derive(Debug)]
pub struct Host {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    /// Where a swarm listens if whoever begins it does not say.
    pub listen: Option<SocketAddr>,
    pub description: NodeDescription,
    pub runtime: Rc<Runtime>,
    pub images: Arc<ImageStore>,
    pub registries: Rc<Registries>,
    pub volumes: Volumes,
}

/// This host's place in a swarm, and what runs for it.
pub struct Swarm {
    host: Host,
    executor: Rc<LocalExecutor<'static>>,
    events: Rc<Events>,
    /// Hears of a part that ended though it should not have.
    failures: Sender<SwarmError>,
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
    Inside(Parts),
}

/// What runs on a host that is in a swarm.
struct Parts {
    member: Member,
    manager: ManagerHandle,
    farewells: Sender<Farewell>,
    running: Task<()>,
    agent: Task<()>,
    sessions: Task<()>,
    events: Task<()>,
}

/// Why a swarm could not be begun, gone on with or left.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{0}")]
    Lock(#[from] LockError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "{} is empty, but this host is a member of a swarm: restore it, or remove the file \
         \"member\" beside it to start outside any swarm",
        .0.display()
    )]
    Lost(PathBuf),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{}", chain(.0))]
    Store(#[from] StoreError),
    #[error("{}", chain(.0))]
    Start(#[from] StartError),
    #[error("{}", chain(.0))]
    Manager(#[from] RunError),
    #[error(transparent)]
    Beginning(#[from] BeginningError),
    #[error("the agent cannot take over what an earlier daemon left: {0}")]
    Agent(#[from] ContainersError),
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
            // What a crash on the way in or out left behind.
            return self.remove_state().await;
        };
        let (store, opened) = self.open_store().await?;
        if opened.is_new() {
            return Err(SwarmError::Lost(self.manager_dir()));
        }
        let known = Identity::load(&self.host.state_dir)?;
        let parts = self.start(member, store, opened)?;
        if known.as_ref().is_none_or(|known| known.certified.is_none()) {
            // A crash came in between.
            let identity = known.map_or_else(Identity::generate, Ok)?;
            self.certify(&parts, identity).await?;
        }
        self.place.replace(Place::Inside(parts));
        Ok(())
    }

    /// Stops what runs for the swarm; the containers go on and are found again.
    pub async fn pause(&self) {
        if let Place::Inside(parts) = self.place.replace(Place::Moving) {
            parts.end(Farewell::BackSoon).await;
        }
    }

    async fn begin(&self, init: Init) -> Result<NodeId, ClusterError> {
        if !matches!(*self.place.borrow(), Place::Outside) {
            return Err(ClusterError::AlreadyInSwarm);
        }
        self.place.replace(Place::Moving);
        match self.found(init).await {
            Ok(parts) => {
                let node = parts.member.node;
                self.place.replace(Place::Inside(parts));
                Ok(node)
            }
            Err(error) => {
                self.place.replace(Place::Outside);
                Err(ClusterError::Failed(error.to_string()))
            }
        }
    }

    async fn found(&self, init: Init) -> Result<Parts, SwarmError> {
        let default = self
            .host
            .listen
            .filter(|_| init.listen.ip().is_unspecified());
        let listen = default.unwrap_or(init.listen);
        let address = address::advertised(&init.advertise, listen)?;
        self.remove_state().await?;
        let description = self.host.description.clone();
        let (genesis, identity) = beginning::begin(init, description, address)?;
        identity.store(&self.host.state_dir)?;
        let member = Member {
            node: genesis.node,
            address: genesis.address.clone(),
            raft_id: genesis.raft_id,
        };
        let (mut store, _) = self.open_store().await?;
        let (store, opened) = blocking(move || {
            let opened = manager::found(&mut store, genesis, clock::now())?;
            Ok::<_, StartError>((store, opened))
        })
        .await?;
        member::store(&self.host.state_dir, &member)?;
        let parts = self.start(member, store, opened)?;
        self.certify(&parts, identity).await?;
        Ok(parts)
    }

    /// Gets the first certificate of a manager's node: from itself.
    async fn certify(&self, parts: &Parts, mut identity: Identity) -> Result<(), SwarmError> {
        identity
            .renew_here(parts.member.node, &parts.manager)
            .await?;
        Ok(identity.store(&self.host.state_dir)?)
    }

    async fn go(&self, force: bool) -> Result<(), ClusterError> {
        match &*self.place.borrow() {
            Place::Inside(_) if force => {}
            Place::Inside(_) => return Err(ClusterError::LastManager),
            Place::Outside | Place::Moving => return Err(ClusterError::NotPartOfSwarm),
        }
        let Place::Inside(parts) = self.place.replace(Place::Moving) else {
            return Err(ClusterError::NotPartOfSwarm);
        };
        let forgotten = member::forget(&self.host.state_dir);
        parts.end(Farewell::Leave).await;
        let removed = self.remove_state().await;
        self.place.replace(Place::Outside);
        let left = forgotten.map_err(SwarmError::from).and(removed);
        left.map_err(|error| ClusterError::Failed(error.to_string()))
    }

    /// Starts manager and agent and joins them.
    fn start(
        &self,
        member: Member,
        store: ManagerStore,
        opened: Opened,
    ) -> Result<Parts, SwarmError> {
        let mut rng = Rng::from_entropy()?;
        let seed = rng.next_u64();
        let core = manager::resume(opened, member.raft_id, seed)?;
        let (manager, inbox) = manager::channel();
        let (dialer, listener) = local::listen();
        let (farewells, said) = async_channel::bounded(1);
        let containers = self.containers(member.node);
        let agent = Agent::new(member.node, self.host.description.clone());
        let agent_rng = rng.fork("agent");
        let agent = async move {
            Ok(agent::run::run(agent, agent_rng, &containers, &dialer, &said).await?)
        };
        let manager_rng = rng.fork("manager");
        let running = async move { Ok(manager::run(core, store, manager_rng, inbox).await?) };
        let sessions = sessions::local(self.executor.clone(), listener, manager.clone());
        Ok(Parts {
            running: self.watched(running),
            agent: self.watched(agent),
            sessions: self.executor.spawn(sessions),
            events: self
                .executor
                .spawn(pass_on(manager.clone(), self.events.clone())),
            member,
            manager,
            farewells,
        })
    }

    /// Runs a part and reports its failure.
    fn watched(&self, part: impl Future<Output = Result<(), SwarmError>> + 'static) -> Task<()> {
        let failures = self.failures.clone();
        self.executor.spawn(async move {
            if let Err(error) = part.await {
                // The first failure ends the daemon; later ones add nothing.
                let _ = failures.try_send(error);
            }
        })
    }

    fn containers(&self, node: NodeId) -> HostContainers {
        HostContainers {
            runtime: self.host.runtime.clone(),
            registries: self.host.registries.clone(),
            volumes: self.host.volumes.clone(),
            events: self.events.clone(),
            node,
            hostname: self.host.description.hostname.clone(),
            layers_dir: self.layers_dir(),
            mounts_dir: self.mounts_dir(),
            records_dir: self.host.run_dir.join("records"),
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

    /// Removes what only counts while the host is in a swarm.
    async fn remove_state(&self) -> Result<(), SwarmError> {
        Identity::forget(&self.host.state_dir)?;
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
            Place::Inside(parts) => Some(parts.manager.clone()),
            Place::Outside | Place::Moving => None,
        };
        Box::pin(async move {
            let manager = manager.ok_or(ClusterError::NotInSwarm)?;
            Ok(manager.request(request).await?)
        })
    }

    fn membership(&self) -> Membership {
        match &*self.place.borrow() {
            Place::Inside(parts) => Membership {
                state: MemberState::Active,
                node: Some(parts.member.node),
                address: parts.member.address.clone(),
                is_manager: true,
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
        let swarm = self.clone();
        Box::pin(async move { swarm.begin(init).await })
    }

    fn leave(&self, force: bool) -> BoxedLocal<Result<(), ClusterError>> {
        let swarm = self.clone();
        Box::pin(async move { swarm.go(force).await })
    }
}

impl Parts {
    /// Ends the agent, which says farewell to its manager, and then the manager.
    async fn end(self, farewell: Farewell) {
        // A full queue or a closed one means that the agent is about to end anyway.
        let _ = self.farewells.try_send(farewell);
        self.agent.await;
        self.manager.stop().await;
        self.running.await;
        self.sessions.cancel().await;
        self.events.cancel().await;
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

/// An error with its sources, as one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}
