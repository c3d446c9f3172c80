//! A manager that waits for the swarm's unlock key: it has neither its state nor its node's key.
//! Its agent looks after the containers that run.

use std::future::pending;
use std::rc::Rc;

use crate::agent::Farewell;
use crate::api::context::ClusterError;
use crate::daemon::agency::Agency;
use crate::daemon::failure::SwarmError;
use crate::daemon::member::Member;
use crate::daemon::site::Site;
use crate::daemon::swarm::{Place, Swarm};
use crate::daemon::vault::VaultError;
use crate::host::rng::Rng;
use crate::identity::unlock::UnlockKey;
use crate::transport::Dial;
use crate::transport::end::End;
use crate::wire::session::{ToAgent, ToManager};

/// A host whose manager is locked.
pub(super) struct Locked {
    pub member: Member,
    agency: Agency,
}

/// The way to managers of a node that cannot show who it is.
struct Nowhere;

impl Dial for Nowhere {
    type Error = &'static str;

    fn dial(&self) -> impl Future<Output = Result<End<ToManager, ToAgent>, Self::Error>> {
        pending()
    }
}

impl Locked {
    pub fn start(site: &Site, member: Member) -> Result<Self, SwarmError> {
        let networks = site.networks(member.node)?;
        let description = site.host.description.clone();
        let (link, rng) = (Rc::new(Nowhere), Rng::from_entropy()?);
        let agency = Agency::start(site, member.node, description, networks, None, link, rng);
        tracing::warn!("the manager of this host is locked: \"skep swarm unlock\" lets it go on");
        Ok(Self { member, agency })
    }

    pub async fn end(self, farewell: Farewell) {
        self.agency.end(farewell).await;
    }
}

impl Swarm {
    /// Lets the manager of this host go on.
    pub(super) async fn unlock(&self, unlock: UnlockKey) -> Result<(), ClusterError> {
        match &*self.place.borrow() {
            Place::Locked(_) => {}
            Place::Outside => return Err(ClusterError::NotPartOfSwarm),
            Place::Moving | Place::Inside(_) => return Err(ClusterError::NotLocked),
        }
        self.site
            .vault
            .unlock(&unlock)
            .map_err(|error| match error {
                VaultError::DoesNotOpen(_) => ClusterError::WrongUnlockKey,
                error => ClusterError::Failed(error.to_string()),
            })?;
        let Place::Locked(locked) = self.place.replace(Place::Moving) else {
            return Err(ClusterError::NotLocked);
        };
        locked.end(Farewell::BackSoon).await;
        if let Err(error) = self.resume().await {
            let line = error.to_string();
            // The daemon ends: started again, it may find what is missing now.
            let _ = self.site.failures.try_send(error);
            return Err(ClusterError::Failed(line));
        }
        Ok(())
    }
}
