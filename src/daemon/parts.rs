//! What runs on a host that is in a swarm.

use std::cell::RefCell;
use std::rc::Rc;

use async_executor::Task;

use crate::agent::Farewell;
use crate::daemon::agency::Agency;
use crate::daemon::failure::SwarmError;
use crate::daemon::holders::Holders;
use crate::daemon::identity::Identity;
use crate::daemon::link::Link;
use crate::daemon::member::Member;
use crate::daemon::networks::HostNetworks;
use crate::daemon::renewal::Keeper;
use crate::daemon::site::Site;
use crate::daemon::steward::{Standing, Steward};
use crate::daemon::streams;
use crate::host::rng::Rng;
use crate::manager::Manager;
use crate::model::spec::node::NodeDescription;
use crate::store::manager_store::ManagerStore;
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::dial::ManagerDialer;
use crate::transport::tls::listener::Socket;

/// Streams that managers have asked for and that are not served yet.
const SUMMONS_QUEUED: usize = 64;

/// What runs on a host that is in a swarm.
pub struct Parts {
    pub standing: Rc<Standing>,
    pub agency: Agency,
    pub keyring: Keyring,
    steward: Task<()>,
    answering: Task<()>,
}

/// A manager to begin with.
pub struct Beginning {
    pub raft_id: u64,
    pub core: Manager,
    pub store: ManagerStore,
    /// Its port, if that is taken already.
    pub socket: Option<Socket>,
    /// It has yet to hear of the swarm.
    pub is_new: bool,
}

impl Parts {
    /// Starts an agent, and a manager if there is one to begin with. A manager without a
    /// certificate gives itself its first.
    pub async fn start(
        site: Rc<Site>,
        member: Member,
        mut identity: Identity,
        beginning: Option<Beginning>,
    ) -> Result<Self, SwarmError> {
        let networks = site.networks(member.node)?;
        let mut rng = Rng::from_entropy()?;
        // Not bounded: managers come and go seldom.
        let (news_out, news) = async_channel::unbounded();
        let (summons_out, summons) = async_channel::bounded(SUMMONS_QUEUED);
        let (issuers_out, issuers) = async_channel::unbounded();
        let launched = match beginning {
            None => None,
            Some(beginning) => {
                let (core, store) = (beginning.core, beginning.store);
                let launched = site.launch(core, store, rng.fork("manager"));
                if identity.certified.is_none() {
                    // The swarm begins, or a crash came in between.
                    identity.renew_here(member.node, &launched.handle).await?;
                    identity.store(&site.vault)?;
                }
                let (raft_id, socket) = (beginning.raft_id, beginning.socket);
                Some((launched, raft_id, socket, beginning.is_new))
            }
        };
        let keyring = site.keyring(&identity)?;
        let elsewhere = ManagerDialer::new(keyring.clone(), member.managers.clone());
        let link = Rc::new(Link::new(elsewhere, news_out, summons_out, issuers));
        let managing = launched.map(|(launched, raft_id, socket, is_new)| {
            let (managing, dialer) = site.open(launched, raft_id, &member, keyring.clone(), socket);
            link.set_here(Some(dialer), is_new);
            managing
        });
        let node = member.node;
        let description = description(&site, &identity, &networks);
        let keeper = Keeper::new(identity, site.vault.clone(), keyring.clone(), &mut rng);
        let standing = Rc::new(Standing {
            member: RefCell::new(member),
            managing: RefCell::new(managing),
        });
        let managers = standing.member.borrow().managers.clone();
        let answering = streams::answer(summons, keyring.clone(), site.streams.clone());
        let holders = Holders::new(site.host.images.clone(), keyring.clone(), managers);
        let holders = Rc::new(holders);
        let steward = Steward {
            site: site.clone(),
            holders: holders.clone(),
            standing: standing.clone(),
            keeper,
            link: link.clone(),
            news,
            issuers: issuers_out,
            rng: rng.fork("steward"),
            shall: None,
        };
        let holders = Some(holders);
        let agency = Agency::start(&site, node, description, networks, holders, link, rng);
        Ok(Self {
            standing,
            agency,
            keyring,
            steward: site.executor.spawn(Box::pin(steward.serve())),
            answering: site.executor.spawn(Box::pin(answering)),
        })
    }

    /// Ends the agent, which says farewell to its manager, and then this host's manager.
    pub async fn end(self, farewell: Farewell) {
        self.agency.end(farewell).await;
        self.steward.cancel().await;
        self.answering.cancel().await;
        self.standing.end_manager().await;
    }
}

/// What this node says of itself.
fn description(site: &Site, identity: &Identity, networks: &HostNetworks) -> NodeDescription {
    NodeDescription {
        issuer: identity.issuer(),
        tunnel: Some(networks.tunnel()),
        ..site.host.description.clone()
    }
}
