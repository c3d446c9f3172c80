//! `swarm init --force-new-cluster`: this host's manager goes on without the others.

use std::net::{Ipv4Addr, SocketAddr};

use crate::agent::Farewell;
use crate::api::context::{ClusterError, Init};
use crate::daemon::address;
use crate::daemon::failure::SwarmError;
use crate::daemon::member::{self, Member};
use crate::daemon::swarm::{Place, Swarm};
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::blocking;
use crate::manager::refound::{Survivor, refound};
use crate::manager::run::StartError;
use crate::model::id::NodeId;
use crate::wire::MANAGER_PORT;

/// Where a client says that a manager listens if its user does not say.
const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), MANAGER_PORT);

impl Swarm {
    /// Makes this host's manager the only one. Whatever comes of it, the host goes on with what is
    /// on its disk then.
    pub(super) async fn go_alone(&self, init: Init) -> Result<NodeId, ClusterError> {
        match &*self.place.borrow() {
            Place::Inside(parts) if parts.standing.manager().is_some() => {}
            Place::Inside(_) => return Err(ClusterError::Worker),
            Place::Locked(_) => return Err(ClusterError::Locked),
            Place::Outside | Place::Moving => return Err(ClusterError::AlreadyInSwarm),
        }
        let Place::Inside(parts) = self.place.replace(Place::Moving) else {
            return Err(ClusterError::AlreadyInSwarm);
        };
        let mut member = parts.standing.member.borrow().clone();
        let node = member.node;
        let failed = |error: SwarmError| ClusterError::Failed(error.to_string());
        if let Err(error) = move_to(&mut member, &init) {
            self.place.replace(Place::Inside(parts));
            return Err(failed(error));
        }
        parts.end(Farewell::BackSoon).await;
        let refounded = self.refound(member).await;
        if let Err(error) = self.resume().await {
            let line = error.to_string();
            // The daemon ends: started again, it may find what is missing now.
            let _ = self.site.failures.try_send(error);
            return Err(ClusterError::Failed(line));
        }
        refounded.map_err(failed)?;
        tracing::warn!("this node is the only manager of its swarm from here on");
        self.until_ready().await?;
        Ok(node)
    }

    async fn refound(&self, mut member: Member) -> Result<(), SwarmError> {
        let raft_id = Rng::from_entropy()?.next_u64().max(1);
        let survivor = Survivor {
            node: member.node,
            raft_id,
            address: member.address.clone(),
            manager_address: member.manager_address(),
            newcomer: None,
        };
        let (mut store, opened) = self.site.open_store().await?;
        blocking(move || {
            let refounded = refound(opened, survivor, clock::now())?;
            let stored = store.begin(&refounded.anchor, &refounded.rows);
            stored.map_err(StartError::Store)
        })
        .await?;
        // The store alone would do: see `manager::run::resume_of`.
        member.raft_id = Some(raft_id);
        member.managers.clear();
        Ok(member::store(&self.site.host.state_dir, &member)?)
    }
}

/// Where the manager is found from now on, if its user says so.
fn move_to(member: &mut Member, init: &Init) -> Result<(), SwarmError> {
    if init.listen != ANYWHERE {
        member.listen = init.listen;
        member.port = init.listen.port();
    }
    if !init.advertise.is_empty() {
        let listen = SocketAddr::new(member.listen.ip(), member.port);
        let address = address::advertised(&init.advertise, listen)?;
        member.address = address.ip().to_string();
        member.port = address.port();
        member.follows = false;
    }
    Ok(())
}
