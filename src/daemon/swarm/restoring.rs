//! `swarm restore`: this host goes on with a swarm from its backup, as a new node and its only
//! manager.

use crate::api::context::Restore;
use crate::daemon::failure::SwarmError;
use crate::daemon::identity::Identity;
use crate::daemon::member::Member;
use crate::daemon::parts::Parts;
use crate::daemon::swarm::Swarm;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::blocking;
use crate::manager::refound::{Newcomer, Survivor, refound};
use crate::manager::run::StartError;
use crate::model::id::NodeId;

impl Swarm {
    pub(super) async fn restored(&self, order: Restore) -> Result<Parts, SwarmError> {
        let site = &self.site;
        let (socket, listen, address) = self.bind(order.listen, &order.advertise)?;
        let identity = Identity::generate()?;
        let mut rng = Rng::from_entropy()?;
        let (node, raft_id) = (NodeId(rng.next_u128()), rng.next_u64().max(1));
        let survivor = Survivor {
            node,
            raft_id,
            address: address.ip().to_string(),
            manager_address: address.to_string(),
            newcomer: Some(Newcomer {
                description: site.host.description.clone(),
                key: identity.digest(),
            }),
        };
        let backup = order.backup;
        // Before anything of this host is touched.
        let refounded = blocking(move || refound(backup, survivor, clock::now())).await?;
        site.remove_state().await?;
        identity.store(&site.vault)?;
        let member = Member {
            node,
            address: address.ip().to_string(),
            listen,
            port: address.port(),
            raft_id: Some(raft_id),
            managers: Vec::new(),
            follows: order.advertise.is_empty(),
        };
        let (mut store, _) = site.open_store().await?;
        let held = blocking(move || {
            let begun = store.begin(&refounded.anchor, &refounded.rows);
            begun.map_err(StartError::Store)?;
            Ok::<_, StartError>((store, refounded.opened()))
        });
        let held = held.await?;
        self.begin(member, raft_id, identity, held, socket).await
    }
}
