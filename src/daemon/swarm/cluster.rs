//! The swarm as the API of this host sees it.

use std::rc::Rc;

use async_net::unix::UnixStream;
use futures_lite::future::BoxedLocal;

use crate::api::context::{
    Cluster, ClusterError, Finding, Init, Join, MemberState, Membership, Restore,
};
use crate::daemon::doctor::{self, Part, Patient};
use crate::daemon::swarm::{Place, Swarm};
use crate::identity::unlock::UnlockKey;
use crate::manager::backup::Backup;
use crate::manager::figures::Figures;
use crate::model::id::NodeId;
use crate::wire::control::{Refusal, Request, Response};

impl Cluster for Rc<Swarm> {
    fn request(&self, request: Request) -> BoxedLocal<Result<Response, ClusterError>> {
        let manager = match &*self.place.borrow() {
            Place::Inside(parts) => parts.standing.manager().ok_or(ClusterError::Worker),
            Place::Locked(_) => Err(ClusterError::Locked),
            Place::Outside | Place::Moving => Err(ClusterError::NotInSwarm),
        };
        Box::pin(async move { Ok(manager?.request(request).await?) })
    }

    fn stream(&self, node: NodeId) -> BoxedLocal<Result<UnixStream, ClusterError>> {
        let streams = match &*self.place.borrow() {
            Place::Inside(parts) => parts.standing.streams(),
            Place::Outside | Place::Moving | Place::Locked(_) => None,
        };
        Box::pin(async move {
            let streams = streams.ok_or(ClusterError::NotInSwarm)?;
            let stream = streams.open(node).await;
            stream.map_err(|error| ClusterError::NoStream(error.to_string()))
        })
    }

    fn examine(&self) -> BoxedLocal<Vec<Finding>> {
        let part = match &*self.place.borrow() {
            Place::Inside(parts) => Some(Part {
                member: parts.standing.member.borrow().clone(),
                networks: parts.agency.networks().clone(),
                keyring: parts.keyring.clone(),
            }),
            Place::Outside | Place::Moving | Place::Locked(_) => None,
        };
        let state_dir = self.site.host.state_dir.clone();
        Box::pin(doctor::examine(Patient { state_dir, part }))
    }

    fn figures(&self) -> BoxedLocal<Option<Figures>> {
        let manager = self.manager();
        Box::pin(async move { manager?.figures().await })
    }

    fn membership(&self) -> Membership {
        match &*self.place.borrow() {
            Place::Inside(parts) => {
                let member = parts.standing.member.borrow();
                Membership {
                    state: MemberState::Active,
                    node: Some(member.node),
                    address: member.address.clone(),
                    keeps_secrets: parts.agency.keeps_secrets(),
                    is_manager: parts.standing.managing.borrow().is_some(),
                    managers: member.managers.clone(),
                    error: String::new(),
                }
            }
            Place::Locked(locked) => Membership {
                state: MemberState::Locked,
                node: Some(locked.member.node),
                address: locked.member.address.clone(),
                ..Membership::default()
            },
            Place::Moving => Membership {
                state: MemberState::Pending,
                ..Membership::default()
            },
            Place::Outside => Membership::default(),
        }
    }

    fn init(&self, init: Init) -> BoxedLocal<Result<NodeId, ClusterError>> {
        self.to_its_end(async move |swarm| {
            let is_inside = !matches!(*swarm.place.borrow(), Place::Outside);
            match init.force_new_cluster && is_inside {
                true => swarm.go_alone(init).await,
                false => swarm.enter(swarm.found(init)).await,
            }
        })
    }

    fn join(&self, join: Join) -> BoxedLocal<Result<(), ClusterError>> {
        self.to_its_end(async move |swarm| {
            swarm.enter(swarm.join_at(join)).await?;
            swarm.until_ready().await
        })
    }

    fn leave(&self, force: bool) -> BoxedLocal<Result<(), ClusterError>> {
        self.to_its_end(async move |swarm| swarm.go(force).await)
    }

    fn unlock(&self, unlock: UnlockKey) -> BoxedLocal<Result<(), ClusterError>> {
        self.to_its_end(async move |swarm| swarm.unlock(unlock).await)
    }

    fn backup(&self) -> BoxedLocal<Result<Backup, ClusterError>> {
        // Not older than the question, if there is somebody to ask.
        let asked = self.request(Request::Cluster);
        let manager = self.manager();
        Box::pin(async move {
            asked.await?;
            let backup = manager.ok_or(ClusterError::Worker)?.backup().await;
            backup.ok_or(ClusterError::Refused(Refusal::NoLeader))
        })
    }

    fn restore(&self, restore: Restore) -> BoxedLocal<Result<NodeId, ClusterError>> {
        self.to_its_end(async move |swarm| swarm.enter(swarm.restored(restore)).await)
    }
}
