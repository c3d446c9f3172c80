//! Agents without containers.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use async_executor::LocalExecutor;
use rustls_pki_types::CertificateDer;
use skep::agent::Agent;
use skep::agent::containers::{Attempt, Change, Containers, Exit, Health, Left, Record, Started};
use skep::agent::run::run;
use skep::host::rng::Rng;
use skep::identity::key::PrivateKey;
use skep::identity::roots::issuer;
use skep::identity::token::Token;
use skep::model::spec::node::{
    Availability, EngineDescription, NodeDescription, NodeResources, Platform, TunnelEnd,
};
use skep::transport::Dial;
use skep::transport::end::End;
use skep::transport::tls::credentials::{Credentials, Dates, Keyring};
use skep::transport::tls::dial::{Caller, DialError, ManagerDialer};
use skep::wire::dependency::Dependency;
use skep::wire::greeting::Purpose;
use skep::wire::join::{Certified, Joining, Outcome};
use skep::wire::reach::Reach;
use skep::wire::session::{Roster, ToAgent, ToManager};

/// Hosts that join at the same time; a manager serves 64.
const JOINING: usize = 48;

/// All agents, and what they have in common.
#[derive(Debug)]
pub struct Agents {
    token: Token,
    manager: SocketAddr,
    counts: Rc<Counts>,
}

/// What is counted of all agents.
#[derive(Debug, Default)]
struct Counts {
    /// Which life of the manager this is.
    life: Cell<usize>,
    /// How many have a session in this life.
    up: Cell<usize>,
    /// How often one has called in this life.
    dials: Cell<usize>,
}

/// An agent's place in the swarm.
#[derive(Debug)]
pub struct Joined {
    number: usize,
    key: PrivateKey,
    certified: Certified,
}

impl Agents {
    pub fn new(token: Token, manager: &str) -> Self {
        Self {
            token,
            manager: format!("{manager}:2377").parse().expect("an address"),
            counts: Rc::default(),
        }
    }

    /// How many have a session.
    pub fn up(&self) -> usize {
        self.counts.up.get()
    }

    /// How often one has called.
    pub fn dials(&self) -> usize {
        self.counts.dials.get()
    }

    /// Counts anew: the manager ends, and no session outlives it.
    pub fn lose_all(&self) {
        self.counts.life.set(self.counts.life.get() + 1);
        self.counts.up.set(0);
        self.counts.dials.set(0);
    }

    /// Makes so many nodes.
    pub async fn join(&self, executor: &LocalExecutor<'_>, count: usize) -> Vec<Joined> {
        let (turns_in, turns) = async_channel::bounded(count);
        for number in 0..count {
            turns_in.try_send(number).expect("there is room for all");
        }
        turns_in.close();
        let joined = Rc::new(RefCell::new(Vec::new()));
        let joining = (0..JOINING).map(|_| {
            let (token, manager) = (self.token.clone(), self.manager);
            let (turns, joined) = (turns.clone(), joined.clone());
            executor.spawn(async move {
                while let Ok(number) = turns.recv().await {
                    let one = join(&token, manager, number).await;
                    joined.borrow_mut().push(one);
                }
            })
        });
        for worker in joining.collect::<Vec<_>>() {
            worker.await;
        }
        joined.take()
    }

    /// Starts the agents of all nodes.
    pub fn start(&self, executor: &LocalExecutor<'_>, joined: Vec<Joined>) {
        for node in joined {
            let counts = self.counts.clone();
            executor.spawn(live(node, self.manager, counts)).detach();
        }
    }
}

/// Makes a node as a host becomes one.
async fn join(token: &Token, manager: SocketAddr, number: usize) -> Joined {
    let key = PrivateKey::generate().expect("a key");
    let caller = Caller::stranger(token.clone(), Dates::new(true)).expect("a caller");
    let connection = caller.dial(manager, Purpose::Join).await;
    let end = End::<Joining, Outcome>::over(connection.expect("a manager"));
    let joining = Joining {
        secret: token.secret(),
        request: key.request().expect("a request"),
        description: description(number),
        availability: Availability::Active,
        address: String::new(),
        port: 2377,
    };
    end.send(&joining).await.expect("it is heard");
    let outcome = end.receive().await.expect("it is answered");
    let certified = outcome.expect("it is answered").expect("it is let in");
    end.finish().await;
    Joined {
        number,
        key,
        certified,
    }
}

async fn live(node: Joined, manager: SocketAddr, counts: Rc<Counts>) {
    let Joined {
        number,
        key,
        certified,
    } = node;
    let der = |parts: &[Vec<u8>]| -> Vec<CertificateDer<'static>> {
        parts.iter().cloned().map(Into::into).collect()
    };
    let credentials = Credentials {
        chain: der(&certified.chain),
        key,
        roots: der(&certified.roots),
        cluster: certified.cluster,
    };
    let keyring = Keyring::new(&credentials, Dates::new(true)).expect("credentials");
    let dialer = Counting {
        dialer: ManagerDialer::new(keyring, vec![manager]),
        up_in: Cell::default(),
        counts,
    };
    let mut description = description(number);
    description.issuer = issuer(&certified.roots);
    let agent = Agent::new(certified.node, description);
    let rng = Rng::from_seed(number as u64);
    let (_never, farewells) = async_channel::bounded(1);
    match run(agent, rng, &Nothing, &dialer, &farewells).await {
        Ok(()) => panic!("agent {number} ended"),
        Err(never) => match never {},
    }
}

fn description(number: usize) -> NodeDescription {
    let mut public_key = [1; 32];
    public_key[..8].copy_from_slice(&(number as u64).to_le_bytes());
    NodeDescription {
        hostname: format!("board-{number:05}"),
        platform: Platform {
            architecture: "aarch64".into(),
            os: "linux".into(),
        },
        resources: NodeResources {
            nano_cpus: 4_000_000_000,
            memory_bytes: 1 << 30,
            generic: Vec::new(),
        },
        engine: EngineDescription {
            version: env!("CARGO_PKG_VERSION").into(),
            ..EngineDescription::default()
        },
        kernel: "6.12.47-v8+".into(),
        cgroup_version: 2,
        issuer: None,
        tunnel: Some(TunnelEnd {
            public_key,
            port: None,
        }),
    }
}

/// Counts whose session stands: a manager tells an agent of the managers once it does.
struct Counting {
    dialer: ManagerDialer,
    /// The life of the manager in which it stood last.
    up_in: Cell<Option<usize>>,
    counts: Rc<Counts>,
}

impl Dial for Counting {
    type Error = DialError;

    async fn dial(&self) -> Result<End<ToManager, ToAgent>, DialError> {
        let Counts { life, up, dials } = &*self.counts;
        dials.set(dials.get() + 1);
        if self.up_in.take() == Some(life.get()) {
            up.set(up.get() - 1);
        }
        self.dialer.dial().await
    }

    fn learn(&self, _roster: Roster) {
        let Counts { life, up, .. } = &*self.counts;
        if self.up_in.replace(Some(life.get())) != Some(life.get()) {
            up.set(up.get() + 1);
        }
    }
}

/// A host on which nothing runs, as nothing is asked of it.
struct Nothing;

impl Containers for Nothing {
    type Error = Infallible;

    async fn adopt(&self) -> Result<Left, Infallible> {
        Ok(Left::default())
    }

    fn keep(&self, _: Vec<Change>) {}

    async fn prepare(&self, _: Record, _: Vec<Arc<Dependency>>) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_passing(error: &Infallible) -> bool {
        match *error {}
    }

    async fn start(&self, _: Attempt) -> Result<Started, Infallible> {
        Ok(Started {
            pid: 0,
            health: Health::Unchecked,
        })
    }

    async fn wait(&self, _: Attempt) -> Exit {
        pending().await
    }

    async fn health(&self, _: Attempt) -> Health {
        pending().await
    }

    fn reach(&self, _: Reach) {}

    async fn stop(&self, _: Attempt) -> Result<(), Infallible> {
        Ok(())
    }

    async fn kill(&self, _: Attempt) -> Result<(), Infallible> {
        Ok(())
    }

    async fn remove(&self, _: Attempt) -> Result<(), Infallible> {
        Ok(())
    }
}
