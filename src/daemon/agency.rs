//! This host's agent, and what its tasks need around it.

use std::rc::Rc;

use async_channel::Sender;
use async_executor::Task;

use crate::agent::{self, Agent, Farewell};
use crate::daemon::holders::Holders;
use crate::daemon::memory::Memory;
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
    memory: Rc<Memory>,
    keeping: Task<()>,
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
        let memory = Rc::new(Memory::new(site.agent_dir()));
        let containers = site.containers(node, networks.clone(), holders, memory.clone());
        let keeping = memory.clone();
        let keeping = async move { keeping.serve().await };
        let (farewells, said) = async_channel::bounded(1);
        let rng = rng.fork("agent");
        let run = async move { Ok(agent::run::run(agent, rng, &containers, &*link, &said).await?) };
        Self {
            farewells,
            agent: site.watched(Box::pin(run)),
            memory,
            keeping: site.executor.spawn(Box::pin(keeping)),
            networks,
            beside,
        }
    }

    pub fn networks(&self) -> &HostNetworks {
        &self.networks
    }

    /// Whether this host's disk has secrets of its tasks.
    pub fn keeps_secrets(&self) -> bool {
        self.memory.keeps_secrets()
    }

    /// Ends the agent, which says farewell to its manager if it has one.
    pub async fn end(self, farewell: Farewell) {
        // A full queue or a closed one means that the agent is about to end anyway.
        let _ = self.farewells.try_send(farewell);
        self.agent.await;
        self.memory.close();
        self.keeping.await;
        for task in self.beside {
            task.cancel().await;
        }
        if farewell == Farewell::Leave {
            self.networks.remove().await;
        }
    }
}
