//! This host's agent, and what its tasks need around it.

use std::rc::Rc;

use async_channel::Sender;
use async_executor::Task;

use crate::agent::{self, Agent, Farewell};
use crate::daemon::holders::Holders;
use crate::daemon::networks::HostNetworks;
use crate::daemon::site::Site;
use crate::host::rng::Rng;
use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::transport::Dial;

/// An agent that runs.
pub(super) struct Agency {
    farewells: Sender<Farewell>,
    agent: Task<()>,
    networks: HostNetworks,
    beside: [Task<()>; 2],
}

impl Agency {
    /// Starts the agent of a node, which finds managers over `link`, and images that this host
    /// lacks at `holders`.
    pub fn start<L: Dial + 'static>(
        site: &Site,
        node: NodeId,
        description: NodeDescription,
        networks: HostNetworks,
        holders: Option<Rc<Holders>>,
        link: Rc<L>,
        mut rng: Rng,
    ) -> Self {
        let beside = networks.run(&site.executor);
        let agent = Agent::new(node, description);
        let containers = site.containers(node, networks.clone(), holders);
        let (farewells, said) = async_channel::bounded(1);
        let rng = rng.fork("agent");
        let run = async move { Ok(agent::run::run(agent, rng, &containers, &*link, &said).await?) };
        Self {
            farewells,
            agent: site.watched(Box::pin(run)),
            networks,
            beside,
        }
    }

    /// Ends the agent, which says farewell to its manager if it has one.
    pub async fn end(self, farewell: Farewell) {
        // A full queue or a closed one means that the agent is about to end anyway.
        let _ = self.farewells.try_send(farewell);
        self.agent.await;
        for task in self.beside {
            task.cancel().await;
        }
        if farewell == Farewell::Leave {
            self.networks.remove().await;
        }
    }
}
