//! The networks of this host, beside the agent: what blocks runs on threads, what the managers say
//! is taken in when it comes, and names are answered once a task may ask.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::{LocalExecutor, Task};
use futures_lite::future::or;

use crate::host::wait::{blocking, sleep, start};
use crate::model::id::NodeId;
use crate::model::spec::node::TunnelEnd;
use crate::model::spec::task::{NetworkAttachment, TaskSpec};
use crate::network::dns::server::Server;
use crate::network::node::{NetworkError, Networks, Order, Settings};
use crate::network::tunnel::hub::Heard;
use crate::network::ways::TunnelSettings;
use crate::runtime::plan::Network;
use crate::wire::reach::Reach;
use crate::wire::session::Assignment;

/// What could not be done is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked how long packets to other nodes may be.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the tasks of a daemon see of their host; each daemon of a machine has its own.
const ROUTER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 1, 1);

/// The networks of this host, for the agent.
#[derive(Clone, Debug)]
pub struct HostNetworks {
    networks: Arc<Networks>,
    heard: Sender<()>,
    to_hear: Receiver<()>,
    opened: Sender<()>,
    to_open: Receiver<()>,
}

impl HostNetworks {
    /// `name` tells the daemons of one machine apart.
    pub fn new(name: &str, is_only: bool, node: NodeId, tunnel: TunnelSettings) -> Self {
        let [a, b, c, d] = ROUTER.octets();
        let other = u8::try_from(crc32fast::hash(name.as_bytes()) % 250).unwrap_or_default();
        let last = if is_only { d } else { d + 1 + other };
        let networks = Networks::new(Settings {
            name: name.to_owned(),
            router: [a, b, c, last].into(),
            node,
            tunnel,
        });
        // One word is enough, whatever is said until it is heard.
        let (heard, to_hear) = async_channel::bounded(1);
        let (opened, to_open) = async_channel::bounded(1);
        Self {
            networks: Arc::new(networks),
            heard,
            to_hear,
            opened,
            to_open,
        }
    }

    /// Everything that goes on beside the agent; it ends with what is returned.
    pub fn run(&self, executor: &Rc<LocalExecutor<'static>>) -> [Task<()>; 2] {
        let follow = follow(self.networks.clone(), self.to_hear.clone());
        let (networks, open) = (self.networks.clone(), self.to_open.clone());
        let serve = serve(networks, open, executor.clone());
        [executor.spawn(follow), executor.spawn(serve)]
    }

    /// This node's end of the tunnels, for the managers.
    pub fn tunnel(&self) -> TunnelEnd {
        self.networks.tunnel()
    }

    pub fn router(&self) -> std::net::Ipv4Addr {
        self.networks.router()
    }

    /// Asks the nodes that tunnels lead to for a sign of life; whether there are any.
    pub async fn knock(&self) -> bool {
        self.apart(Networks::knock).await
    }

    /// See [`Networks::heard`].
    pub async fn heard(&self) -> Option<(u16, u32, Vec<Heard>)> {
        self.apart(Networks::heard).await
    }

    /// Takes over the containers that an earlier daemon left running.
    pub async fn adopt(&self, orders: Vec<Order>) -> Result<(), NetworkError> {
        let is_used = !orders.is_empty();
        self.apart(move |networks| networks.adopt(orders)).await?;
        if is_used {
            // A full channel says it already.
            let _ = self.opened.try_send(());
        }
        Ok(())
    }

    /// Takes in what the managers say, soon.
    pub fn hear(&self, news: Reach) {
        self.networks.hear(news);
        let _ = self.heard.try_send(());
    }

    /// Makes the interfaces of a container; a path to their namespace.
    pub async fn attach(&self, order: Order) -> Result<PathBuf, NetworkError> {
        self.networks.expect(&order.container);
        let path = self.apart(move |networks| networks.attach(order)).await?;
        let _ = self.opened.try_send(());
        Ok(path)
    }

    /// The container's own processes hold its namespace now.
    pub async fn started(&self, container: &str) {
        let container = container.to_owned();
        self.apart(move |networks| networks.started(&container))
            .await;
    }

    /// No new connections go to a container.
    pub async fn withdraw(&self, container: &str) {
        let container = container.to_owned();
        let withdrawn = self.apart(move |networks| networks.withdraw(&container));
        warn(&withdrawn.await);
    }

    /// Leaves nothing of a container's networks.
    pub async fn detach(&self, container: &str) {
        let container = container.to_owned();
        // It goes on if nobody waits any more.
        let networks = self.networks.clone();
        let (done_out, done) = async_channel::bounded(1);
        drop(start(move || {
            let _ = done_out.try_send(networks.detach(&container));
        }));
        if let Ok(detached) = done.recv().await {
            warn(&detached);
        }
    }

    /// Leaves nothing of the networks on this host.
    pub async fn remove(&self) {
        warn(&self.apart(Networks::remove).await);
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Networks) -> T + Send + 'static,
    ) -> T {
        let networks = self.networks.clone();
        blocking(move || work(&networks)).await
    }
}

/// Takes in what was heard, again and again, and looks at the ways to other nodes now and then.
async fn follow(networks: Arc<Networks>, to_hear: Receiver<()>) {
    let mut obstacle = String::new();
    let mut has_ways = false;
    while due(&to_hear, has_ways).await {
        loop {
            let networks = networks.clone();
            let error = match blocking(move || networks.take_in()).await {
                Ok(has_some) => {
                    has_ways = has_some;
                    obstacle.clear();
                    break;
                }
                Err(error) => error,
            };
            // What stays is said once.
            if error.to_string() != obstacle {
                obstacle = error.to_string();
                tracing::warn!("networks: {obstacle}");
            }
            sleep(PAUSE).await;
        }
    }
}

/// Waits until something was heard, or the ways to other nodes are to be looked at; false at the
/// end.
async fn due(to_hear: &Receiver<()>, has_ways: bool) -> bool {
    let heard = async { to_hear.recv().await.is_ok() };
    if !has_ways {
        return heard.await;
    }
    let late = async {
        sleep(LOOK_AGAIN).await;
        true
    };
    or(heard, late).await
}

/// Answers names once the first task is there.
async fn serve(
    networks: Arc<Networks>,
    to_open: Receiver<()>,
    executor: Rc<LocalExecutor<'static>>,
) {
    if to_open.recv().await.is_err() {
        return;
    }
    let router = networks.router();
    let mut obstacle = String::new();
    loop {
        let networks = networks.clone();
        let known = Rc::new(move || networks.names());
        match Server::bind(router, known, executor.clone()).await {
            Ok(server) => return server.serve().await,
            Err(error) if error.to_string() != obstacle => {
                tracing::warn!("names are not answered at {router}: {error}");
                obstacle = error.to_string();
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

fn warn(result: &Result<(), NetworkError>) {
    if let Err(error) = result {
        tracing::warn!("networks: {error}");
    }
}

/// The name by which one daemon's networks are told from another's.
pub fn name(run_dir: &Path, default: &Path) -> (String, bool) {
    if run_dir == default {
        return ("skep".to_owned(), true);
    }
    let bytes = run_dir.as_os_str().as_encoded_bytes();
    (format!("skep-{:08x}", crc32fast::hash(bytes)), false)
}

/// What a container's networks are made from.
pub fn order(id: &str, task: &Assignment) -> Order {
    let dns = task.spec.container.dns.iter();
    let nameservers = dns.flat_map(|dns| &dns.nameservers);
    Order {
        container: id.to_owned(),
        task: task.task,
        attachments: task.networks.clone(),
        nameservers: nameservers.filter_map(|text| text.parse().ok()).collect(),
    }
}

/// The network namespace of a task: the host's if it names that network, else its own.
pub fn network(spec: &TaskSpec) -> Network {
    match spec.networks.iter().any(NetworkAttachment::is_host) {
        true => Network::Host,
        false => Network::Own,
    }
}
