//! This host's part in a swarm: begins or joins one, goes on with it after a restart, and leaves
//! it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{BoxedLocal, or};

use crate::agent::Farewell;
use crate::api::context::{ClusterError, Init, Join, Loss};
use crate::daemon::address;
use crate::daemon::beginning;
use crate::daemon::failure::SwarmError;
use crate::daemon::identity::{Identity, IdentityError};
use crate::daemon::joining;
use crate::daemon::member::{self, Member};
use crate::daemon::parts::{Beginning, Parts};
use crate::daemon::site::Site;
use crate::daemon::swarm::locked::Locked;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::{blocking, sleep};
use crate::manager::run::{self as manager, ManagerHandle, StartError};
use crate::model::id::NodeId;
use crate::store::manager_store::{ManagerStore, Opened};
use crate::transport::tls::listener::Socket;
use crate::wire::control::{Filters, NodeView, Request, Response};

mod cluster;
mod locked;
mod refounding;
mod restoring;

/// How long whoever makes this host a further manager waits until it is one, and how often is
/// looked.
const READY_WITHIN: Duration = Duration::from_secs(20);
const READY_LOOK: Duration = Duration::from_millis(50);

/// This host's place in a swarm, and what runs for it.
pub struct Swarm {
    site: Rc<Site>,
    place: RefCell<Place>,
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swarm")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// Where a host stands.
enum Place {
    Outside,
    /// On the way in or out; only one such move at a time.
    Moving,
    Inside(Box<Parts>),
    /// Inside, but its manager waits for the unlock key.
    Locked(Box<Locked>),
}

impl Swarm {
    pub fn new(site: Site) -> Self {
        Self {
            site: Rc::new(site),
            place: RefCell::new(Place::Outside),
        }
    }

    /// Goes on with the swarm that this host was in when its daemon ended, if it was in one.
    pub async fn resume(&self) -> Result<(), SwarmError> {
        let site = &self.site;
        let Some(mut member) = member::load(&site.host.state_dir)? else {
            // What a crash on the way in or out left behind; but the key of a host that has asked
            // to join stays: asking again with it makes the same node.
            if site.vault.is_locked() {
                Identity::forget(&site.vault)?;
                site.vault.renew()?;
            }
            let is_leftover = match Identity::load(&site.vault) {
                Ok(known) => known.is_some_and(|known| known.certified.is_some()),
                Err(IdentityError::OtherVault(_)) => true,
                Err(error) => return Err(error.into()),
            };
            if is_leftover {
                Identity::forget(&site.vault)?;
            }
            return site.remove_state().await;
        };
        if site.vault.is_locked() {
            let locked = Locked::start(site, member)?;
            self.place.replace(Place::Locked(Box::new(locked)));
            return Ok(());
        }
        let identity = Identity::load(&site.vault)?;
        let beginning = match member.raft_id {
            Some(raft_id) => self.go_on(&mut member, raft_id).await?,
            None => None,
        };
        let identity = match &beginning {
            Some(_) => identity.map_or_else(Identity::generate, Ok)?,
            None => identity.ok_or_else(|| site.no_certificate())?,
        };
        let parts = Parts::start(site.clone(), member, identity, beginning).await?;
        self.place.replace(Place::Inside(Box::new(parts)));
        Ok(())
    }

    /// The manager that goes on from what is stored. One that has nothing, as it had not heard of
    /// the swarm yet or has lost its disk, asks the others for a new place: under its raft id it
    /// may have promised what it does not know any more.
    async fn go_on(
        &self,
        member: &mut Member,
        raft_id: u64,
    ) -> Result<Option<Beginning>, SwarmError> {
        let (store, opened) = self.site.open_store().await?;
        if !opened.is_new() {
            let seed = Rng::from_entropy()?.next_u64();
            let core = manager::resume_of(opened, member.node, raft_id, seed)?;
            let raft_id = core.raft().id();
            if member.raft_id != Some(raft_id) {
                member.raft_id = Some(raft_id);
                member::store(&self.site.host.state_dir, member)?;
            }
            return Ok(Some(Beginning {
                raft_id,
                core,
                store,
                socket: None,
                is_new: false,
            }));
        }
        if member.managers.is_empty() {
            return Err(SwarmError::Lost(self.site.manager_dir()));
        }
        member.raft_id = None;
        member::store(&self.site.host.state_dir, member)?;
        Ok(None)
    }

    /// Stops what runs for the swarm; the containers go on and are found again.
    pub async fn pause(&self, farewell: Farewell) {
        match self.place.replace(Place::Moving) {
            Place::Inside(parts) => parts.end(farewell).await,
            Place::Locked(locked) => locked.end(farewell).await,
            Place::Outside | Place::Moving => {}
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
                let node = parts.standing.member.borrow().node;
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
        let site = &self.site;
        let (socket, listen, address) = self.bind(init.listen, &init.advertise)?;
        let follows = init.advertise.is_empty();
        let description = site.host.description.clone();
        let (genesis, identity) = beginning::begin(init, description, address)?;
        site.remove_state().await?;
        identity.store(&site.vault)?;
        let raft_id = genesis.raft_id;
        let member = Member {
            node: genesis.node,
            address: genesis.address.clone(),
            listen,
            port: address.port(),
            raft_id: Some(raft_id),
            managers: Vec::new(),
            follows,
        };
        let (mut store, _) = site.open_store().await?;
        let (store, opened) = blocking(move || {
            let opened = manager::found(&mut store, genesis, clock::now())?;
            Ok::<_, StartError>((store, opened))
        })
        .await?;
        self.begin(member, raft_id, identity, (store, opened), socket)
            .await
    }

    /// Begins as the only manager, with what a store has.
    async fn begin(
        &self,
        member: Member,
        raft_id: u64,
        identity: Identity,
        (store, opened): (ManagerStore, Opened),
        socket: Socket,
    ) -> Result<Parts, SwarmError> {
        member::store(&self.site.host.state_dir, &member)?;
        let core = manager::resume(opened, raft_id, Rng::from_entropy()?.next_u64())?;
        let beginning = Beginning {
            raft_id,
            core,
            store,
            socket: Some(socket),
            is_new: false,
        };
        Parts::start(self.site.clone(), member, identity, Some(beginning)).await
    }

    /// Joins a swarm.
    async fn join_at(&self, mut order: Join) -> Result<Parts, SwarmError> {
        let site = &self.site;
        order.listen = self.listen_or(order.listen);
        site.remove_state().await?;
        // The key of a try before, whose answer may have got lost: with it this is the same node.
        let known = Identity::load(&site.vault)?;
        let known = known.filter(|known| known.certified.is_none());
        let mut identity = known.map_or_else(Identity::generate, Ok)?;
        identity.store(&site.vault)?;
        let description = site.host.description.clone();
        let mut rng = Rng::from_entropy()?;
        // The leader calls a new manager as soon as it has admitted it.
        let socket = Socket::bind(order.listen).ok();
        let joined = joining::join(&order, description, &mut identity, &mut rng).await?;
        identity.store(&site.vault)?;
        let member = Member {
            node: joined.certified.node,
            address: joined.address.ip().to_string(),
            listen: order.listen,
            port: joined.address.port(),
            raft_id: joined.certified.raft_id,
            managers: joined.managers,
            follows: order.advertise.is_empty(),
        };
        let beginning = match member.raft_id {
            None => None,
            Some(raft_id) => Some(Beginning {
                raft_id,
                core: manager::newcomer(raft_id, rng.next_u64())?,
                store: site.open_store().await?.0,
                socket,
                is_new: true,
            }),
        };
        member::store(&site.host.state_dir, &member)?;
        Parts::start(site.clone(), member, identity, beginning).await
    }

    /// Waits until a manager that has joined has the swarm's state, and a vote.
    async fn until_ready(&self) -> Result<(), ClusterError> {
        let (Some(manager), Some(node)) = (self.manager(), self.node()) else {
            return Ok(());
        };
        let ready = async {
            loop {
                let own = Request::Node(node.to_string());
                if let Ok(Response::Node(view)) = manager.request(own).await
                    && view.reachable
                {
                    return Ok(());
                }
                sleep(READY_LOOK).await;
            }
        };
        let late = async {
            sleep(READY_WITHIN).await;
            Err(ClusterError::NotReadyYet)
        };
        or(ready, late).await
    }

    async fn go(&self, force: bool) -> Result<(), ClusterError> {
        if !force && let Some(manager) = self.manager() {
            return Err(ClusterError::StillManager(
                loss(&manager, self.node()).await,
            ));
        }
        match &*self.place.borrow() {
            Place::Inside(_) => {}
            Place::Locked(_) if force => {}
            Place::Locked(_) => return Err(ClusterError::StillLocked),
            Place::Outside | Place::Moving => return Err(ClusterError::NotPartOfSwarm),
        }
        let place = self.place.replace(Place::Moving);
        let state_dir = &self.site.host.state_dir;
        let forgotten = member::forget(state_dir);
        match place {
            Place::Inside(parts) => parts.end(Farewell::Leave).await,
            Place::Locked(locked) => locked.end(Farewell::Leave).await,
            Place::Outside | Place::Moving => {}
        }
        // Its last move may have been to keep what it was.
        let again = member::forget(state_dir);
        let forgotten = forgotten.and(again);
        let vault = &self.site.vault;
        let identity = Identity::forget(vault);
        let renewed = vault.renew().map_err(SwarmError::from);
        let removed = self.site.remove_state().await;
        self.place.replace(Place::Outside);
        let left = forgotten.and(identity).map_err(SwarmError::from);
        left.and(renewed)
            .and(removed)
            .map_err(|error| ClusterError::Failed(error.to_string()))
    }

    /// The manager of this host, if it has one.
    fn manager(&self) -> Option<ManagerHandle> {
        match &*self.place.borrow() {
            Place::Inside(parts) => parts.standing.manager(),
            Place::Outside | Place::Moving | Place::Locked(_) => None,
        }
    }

    fn node(&self) -> Option<NodeId> {
        match &*self.place.borrow() {
            Place::Inside(parts) => Some(parts.standing.member.borrow().node),
            Place::Outside | Place::Moving | Place::Locked(_) => None,
        }
    }

    /// Takes the port that managers are found at: the socket, where it listens, and where others
    /// reach it.
    fn bind(
        &self,
        asked: SocketAddr,
        advertise: &str,
    ) -> Result<(Socket, SocketAddr, SocketAddr), SwarmError> {
        let address = self.listen_or(asked);
        let socket = Socket::bind(address)?;
        let listen = socket.address();
        let listen = listen.map_err(|source| SwarmError::Listening { address, source })?;
        Ok((socket, listen, address::advertised(advertise, listen)?))
    }

    /// Where a manager of this host listens.
    fn listen_or(&self, asked: SocketAddr) -> SocketAddr {
        let default = self
            .site
            .host
            .listen
            .filter(|_| asked.ip().is_unspecified());
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
        self.site.executor.spawn(doing).detach();
        Box::pin(async move {
            let stopped = || ClusterError::Failed("the daemon stops".to_owned());
            outcome.recv().await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

/// What becomes of the swarm if the manager of `own` goes.
async fn loss(manager: &ManagerHandle, own: Option<NodeId>) -> Loss {
    let Ok(Response::Nodes(nodes)) = manager.request(Request::Nodes(Filters::default())).await
    else {
        return Loss::Unknown;
    };
    let members = nodes.iter().filter(|view| view.node.manager.is_some());
    let is_there = |view: &&NodeView| view.reachable || Some(view.node.id) == own;
    let (reachable, unreachable): (Vec<_>, Vec<_>) = members.partition(is_there);
    let (left, all) = (
        reachable.len().saturating_sub(1),
        reachable.len() + unreachable.len(),
    );
    match left {
        _ if all == 1 => Loss::Everything,
        left if left <= all / 2 => Loss::Quorum { left, all },
        _ => Loss::Unknown,
    }
}
