//! What runs on a host that is in a swarm.

use std::cell::RefCell;
use std::rc::Rc;

use async_channel::Sender;
use async_executor::Task;

use crate::agent::{self, Agent, Farewell};
use crate::api::events::Events;
use crate::daemon::failure::SwarmError;
use crate::daemon::holders::Holders;
use crate::daemon::holding::Holding;
use crate::daemon::identity::Identity;
use crate::daemon::link::Link;
use crate::daemon::member::Member;
use crate::daemon::networks::HostNetworks;
use crate::daemon::port;
use crate::daemon::renewal::{Issuer, Keeper};
use crate::daemon::sessions;
use crate::daemon::swarm::Swarm;
use crate::host::rng::Rng;
use crate::manager::run::{self as manager, ManagerHandle};
use crate::store::manager_store::{ManagerStore, Opened};
use crate::transport::local;
use crate::transport::tls::credentials::{Dates, Keyring};
use crate::transport::tls::dial::ManagerDialer;
use crate::transport::tls::listener::Socket;

/// What runs on a host that is in a swarm.
pub(super) struct Parts {
    pub member: Member,
    pub manager: Option<Managing>,
    farewells: Sender<Farewell>,
    agent: Task<()>,
    renewal: Task<()>,
    networks: HostNetworks,
    beside: [Task<()>; 2],
}

/// The manager of a host.
pub(super) struct Managing {
    pub handle: ManagerHandle,
    running: Task<()>,
    sessions: Task<()>,
    events: Task<()>,
    port: Task<()>,
}

impl Swarm {
    /// Starts a manager, and the agent of its host. A manager without a certificate gives itself
    /// its first; `socket` is its port if that is taken already.
    pub(super) async fn start_manager(
        &self,
        member: Member,
        identity: Identity,
        (store, opened): (ManagerStore, Opened),
        socket: Option<Socket>,
    ) -> Result<Parts, SwarmError> {
        let mut rng = Rng::from_entropy()?;
        let raft_id = member.raft_id.ok_or(SwarmError::NoManager)?;
        let core = manager::resume(opened, raft_id, rng.next_u64())?;
        let (handle, inbox) = manager::channel();
        let manager_rng = rng.fork("manager");
        let running = async move { Ok(manager::run(core, store, manager_rng, inbox).await?) };
        let running = self.watched(Box::pin(running));
        let identity = self.certified(identity, &member, &handle).await?;
        let keyring = self.keyring(&identity)?;
        let listen = member.listen;
        let (ours, clerk) = (keyring.clone(), handle.clone());
        let holding = Holding::new(self.host.images.clone());
        let port = async move {
            let socket = match socket {
                Some(socket) => socket,
                None => port::bind(listen).await,
            };
            port::serve(socket, ours, clerk, holding).await;
        };
        let (dialer, listener) = local::listen();
        let sessions = sessions::local(self.executor.clone(), listener, handle.clone());
        let events = pass_on(handle.clone(), self.events.clone());
        let manager = Managing {
            running,
            sessions: self.executor.spawn(sessions),
            events: self.executor.spawn(events),
            port: self.executor.spawn(Box::pin(port)),
            handle,
        };
        Ok(self.start_agent(member, identity, keyring, Some((manager, dialer)), rng))
    }

    /// Starts the agent of a worker.
    pub(super) fn start_worker(
        &self,
        member: Member,
        identity: Identity,
    ) -> Result<Parts, SwarmError> {
        let keyring = self.keyring(&identity)?;
        let rng = Rng::from_entropy()?;
        Ok(self.start_agent(member, identity, keyring, None, rng))
    }

    fn start_agent(
        &self,
        member: Member,
        identity: Identity,
        keyring: Keyring,
        manager: Option<(Managing, local::Dialer)>,
        mut rng: Rng,
    ) -> Parts {
        let (farewells, said) = async_channel::bounded(1);
        let networks = self.networks(member.node);
        let beside = networks.run(&self.executor);
        let (images, managers) = (self.host.images.clone(), member.managers.clone());
        let holders = Holders::new(images, keyring.clone(), managers);
        let containers = self.containers(member.node, networks.clone(), holders);
        let agent = Agent::new(member.node, self.host.description.clone());
        let agent_rng = rng.fork("agent");
        let (manager, here) = manager.unzip();
        let elsewhere = ManagerDialer::new(keyring.clone(), member.managers.clone());
        let link = Link::new(here, elsewhere);
        let agent =
            async move { Ok(agent::run::run(agent, agent_rng, &containers, &link, &said).await?) };
        let issuer = match &manager {
            Some(manager) => Issuer::Here(manager.handle.clone()),
            None => Issuer::Elsewhere(Rc::new(RefCell::new(member.managers.clone()))),
        };
        let keeper = Keeper {
            identity,
            state_dir: self.host.state_dir.clone(),
            keyring,
            issuer,
            rng: rng.fork("renewal"),
        };
        Parts {
            agent: self.watched(Box::pin(agent)),
            renewal: self.executor.spawn(Box::pin(keeper.keep())),
            member,
            manager,
            farewells,
            networks,
            beside,
        }
    }

    /// The identity of a manager with a certificate, which it gives itself if there is none: when
    /// the swarm begins, or if a crash came in between.
    async fn certified(
        &self,
        mut identity: Identity,
        member: &Member,
        manager: &ManagerHandle,
    ) -> Result<Identity, SwarmError> {
        if identity.certified.is_none() {
            identity.renew_here(member.node, manager).await?;
            identity.store(&self.host.state_dir)?;
        }
        Ok(identity)
    }

    fn keyring(&self, identity: &Identity) -> Result<Keyring, SwarmError> {
        let credentials = identity.credentials()?;
        let credentials = credentials.ok_or_else(|| self.no_certificate())?;
        Ok(Keyring::new(&credentials, Dates::new(true))?)
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
}

impl Parts {
    /// Ends the agent, which says farewell to its manager, and then the manager.
    pub async fn end(self, farewell: Farewell) {
        // A full queue or a closed one means that the agent is about to end anyway.
        let _ = self.farewells.try_send(farewell);
        self.agent.await;
        self.renewal.cancel().await;
        for task in self.beside {
            task.cancel().await;
        }
        if farewell == Farewell::Leave {
            self.networks.remove().await;
        }
        if let Some(manager) = self.manager {
            manager.port.cancel().await;
            manager.handle.stop().await;
            manager.running.await;
            manager.sessions.cancel().await;
            manager.events.cancel().await;
        }
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
