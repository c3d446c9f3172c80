//! The networks of this node: its tasks' interfaces, and the rules for what passes between them,
//! made from what the managers say of services and from what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::address::Subnet;
use crate::model::id::{NodeId, TaskId};
use crate::model::spec::node::TunnelEnd;
use crate::network::dns::names::Names;
use crate::network::flows::Change;
use crate::network::interface::{self, Interface, InterfaceError};
use crate::network::namespace::Namespace;
use crate::network::netlink::link;
use crate::network::netlink::message::TooLong;
use crate::network::netlink::nftables::Batch;
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::peers::Peers;
use crate::network::rules::{LINKS, Rules, TUNNELS};
use crate::network::services::{Services, Way, network_rules};
use crate::network::tunnel::hub::Heard;
use crate::network::ways::{TunnelSettings, WayError, Ways};
use crate::wire::reach::{Attachment, Reach};

/// The longest that a link's name may be.
const LINK_CHARS_MAX: usize = 15;

/// What tells the networks of one daemon from those of another on the same machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the table of packet rules, and the start of all else.
    pub name: String,
    /// What tasks see of this host: where they send what leaves them, and whom they ask for names.
    pub router: Ipv4Addr,
    pub node: NodeId,
    pub tunnel: TunnelSettings,
}

/// Why something could not be done for a task's networks. Users see this.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error("cannot {what}: {source}")]
    Netlink {
        what: &'static str,
        source: NetlinkError,
    },
    #[error("the packet rules are too long: {0}")]
    TooLong(#[from] TooLong),
    #[error("cannot make a network namespace: {0}")]
    Namespace(#[source] io::Error),
    #[error(
        "network {network} ({subnet}) overlaps {route}, to which this host has a route: make it \
         with another subnet, or the swarm with another --default-addr-pool"
    )]
    Overlap {
        network: String,
        subnet: Subnet,
        route: Subnet,
    },
    #[error("tasks of other nodes cannot be reached: {0}")]
    Way(#[from] WayError),
    #[error("the container is not wanted any more")]
    Gone,
}

/// A container that is on networks.
#[derive(Clone, Debug)]
pub struct Order {
    pub container: String,
    pub task: TaskId,
    pub attachments: Vec<Attachment>,
    /// Whom to ask for names that are not the swarm's; nobody in particular if it is empty.
    pub nameservers: Vec<IpAddr>,
}

/// The networks of this node. Its calls block, but for [`Networks::hear`] and [`Networks::names`].
#[derive(Debug)]
pub struct Networks {
    settings: Settings,
    inner: Mutex<Inner>,
    /// What the managers said and is not taken in yet.
    news: Mutex<Vec<Reach>>,
    names: Mutex<Arc<Names>>,
    /// Containers that are to be attached: one that is detached before is not any more.
    expected: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By container.
    tasks: BTreeMap<String, Joined>,
    services: Services,
    peers: Peers,
    ways: Ways,
    /// There are none: nothing leads to other nodes.
    is_cut: bool,
    /// What is in place; until the managers have told of all services, the rules of an earlier
    /// daemon stay.
    rules: Option<Rules>,
}

/// A task of this node that is on networks.
#[derive(Debug)]
struct Joined {
    task: TaskId,
    attachments: Vec<Attachment>,
    nameservers: Vec<IpAddr>,
    interfaces: Vec<Interface>,
    /// Kept until the container's own processes hold it.
    namespace: Option<Namespace>,
}

impl Networks {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            inner: Mutex::default(),
            news: Mutex::default(),
            names: Mutex::default(),
            expected: Mutex::default(),
        }
    }

    /// This node's end of the tunnels, for the managers.
    pub fn tunnel(&self) -> TunnelEnd {
        let TunnelSettings { key, port } = &self.settings.tunnel;
        TunnelEnd {
            public_key: key.public(),
            port: *port,
        }
    }

    /// What tasks ask for names.
    pub fn router(&self) -> Ipv4Addr {
        self.settings.router
    }

    /// Takes over the tasks that an earlier daemon left running, and removes the links of others.
    pub fn adopt(&self, tasks: impl IntoIterator<Item = Order>) -> Result<(), NetworkError> {
        let mut inner = self.lock();
        for order in tasks {
            let joined = self.joined(&order, None);
            inner.tasks.insert(order.container, joined);
        }
        let mut host = Socket::route().map_err(failed("list the links"))?;
        if !inner.tasks.is_empty() {
            interface::open_host(&mut host, self.settings.router)?;
        }
        let own = inner.tasks.values().flat_map(|joined| &joined.interfaces);
        let own: BTreeSet<_> = own.map(|interface| interface.link.as_str()).collect();
        let prefix = self.prefix();
        let links = link::all(&mut host).map_err(failed("list the links"))?;
        let is_stray = |name: &str| name.starts_with(&prefix) && !own.contains(name);
        // One that cannot go keeps no other.
        let strays = links.iter().filter(|link| is_stray(&link.name));
        let removed = strays.map(|link| interface::remove_link(&mut host, link));
        Ok(removed.fold(Ok(()), Result::and)?)
    }

    /// Notes that a container is about to be attached.
    pub fn expect(&self, container: &str) {
        lock(&self.expected).insert(container.to_owned());
    }

    /// Makes a namespace with the interfaces of a task; a path to it, for as long as this daemon
    /// runs.
    pub fn attach(&self, order: Order) -> Result<PathBuf, NetworkError> {
        let namespace = Namespace::create().map_err(NetworkError::Namespace)?;
        let path = namespace.path();
        let joined = self.joined(&order, Some(namespace));
        let mut inner = self.lock();
        if !lock(&self.expected).remove(&order.container) {
            return Err(NetworkError::Gone);
        }
        let mut host = Socket::route().map_err(failed("make links"))?;
        self.check_routes(&mut host, &order)?;
        interface::open_host(&mut host, self.settings.router)?;
        let interfaces = joined.interfaces.clone();
        let (router, mtu) = (self.settings.router, inner.ways.mtu());
        if let Some(namespace) = &joined.namespace
            && let Err(error) = interface::set_up(&mut host, namespace, &interfaces, router, mtu)
        {
            // What is there of it goes; what cannot go now goes when the daemon starts again.
            let _ = interface::remove(&mut host, &interfaces);
            return Err(error.into());
        }
        inner.tasks.insert(order.container, joined);
        self.settle(&mut inner)?;
        Ok(path)
    }

    /// A task's address must not take the place of a machine that this host has another way to.
    fn check_routes(&self, host: &mut Socket, order: &Order) -> Result<(), NetworkError> {
        let (prefix, tunnel) = (self.prefix(), self.tunnel_name());
        let links = link::all(host).map_err(failed("list the links"))?;
        let is_own = |name: &str| name.starts_with(&prefix) || name == tunnel;
        let own = links.iter().filter(|link| is_own(&link.name));
        let own: BTreeSet<_> = own.map(|link| link.index).collect();
        let routes = link::routes(host).map_err(failed("list the routes"))?;
        for (route, _) in routes.into_iter().filter(|(_, link)| !own.contains(link)) {
            let networks = order.attachments.iter().map(|own| &own.network);
            let mut overlapping = networks.filter(|network| network.subnet.overlaps(route));
            if let Some(network) = overlapping.next() {
                return Err(NetworkError::Overlap {
                    network: network.name.clone(),
                    subnet: network.subnet,
                    route,
                });
            }
        }
        Ok(())
    }

    /// The container's processes hold the namespace now.
    pub fn started(&self, container: &str) {
        if let Some(joined) = self.lock().tasks.get_mut(container) {
            joined.namespace = None;
        }
    }

    /// A task is about to end: it gets no new connections.
    pub fn withdraw(&self, container: &str) -> Result<(), NetworkError> {
        let mut inner = self.lock();
        let Some(task) = inner.tasks.get(container).map(|joined| joined.task) else {
            return Ok(());
        };
        inner.services.withdrawn.insert(task);
        self.settle(&mut inner)
    }

    /// Leaves nothing of a task's networks; one that is on none is fine.
    pub fn detach(&self, container: &str) -> Result<(), NetworkError> {
        let mut inner = self.lock();
        lock(&self.expected).remove(container);
        let Some(joined) = inner.tasks.remove(container) else {
            return Ok(());
        };
        inner.services.withdrawn.insert(joined.task);
        let settled = self.settle(&mut inner);
        let mut host = Socket::route().map_err(failed("remove links"))?;
        interface::remove(&mut host, &joined.interfaces)?;
        settled
    }

    /// Notes what the managers say, for [`Networks::take_in`].
    pub fn hear(&self, news: Reach) {
        lock(&self.news).push(news);
    }

    /// Takes in what was heard, and looks again at the ways to other nodes. Whether there are any:
    /// they change by themselves.
    pub fn take_in(&self) -> Result<bool, NetworkError> {
        let mut inner = self.lock();
        // The rules come first: nothing gets through a tunnel without them.
        self.settle(&mut inner)?;
        let followed = self.follow_peers(&mut inner);
        if followed.is_err() != inner.is_cut {
            inner.is_cut = followed.is_err();
            self.settle(&mut inner)?;
        }
        followed.map(|()| inner.ways.is_open())
    }

    /// Lets the ways to other nodes be what the managers say.
    fn follow_peers(&self, inner: &mut Inner) -> Result<(), NetworkError> {
        let rules = inner.rules.as_ref();
        if rules.is_none_or(|rules| rules.networks.is_empty()) {
            inner.ways = Ways::default();
            return Ok(());
        }
        let here = inner.tasks.values().flat_map(|joined| &joined.interfaces);
        let here = here.map(|interface| interface.address).collect();
        let (name, settings) = (self.tunnel_name(), &self.settings.tunnel);
        Ok({ &mut inner.ways }.follow(&name, settings, &inner.peers, &here)?)
    }

    /// Asks all nodes that tunnels lead to for a sign of life; whether there are any.
    pub fn knock(&self) -> bool {
        let inner = self.lock();
        let tunnel = inner.ways.tunnel();
        tunnel.inspect(|tunnel| tunnel.knock()).is_some()
    }

    /// The UDP port of the tunnels, the longest packet that goes through them, and what is known of
    /// the nodes that they lead to.
    pub fn heard(&self) -> Option<(u16, u32, Vec<Heard>)> {
        let inner = self.lock();
        let tunnel = inner.ways.tunnel()?;
        Some((tunnel.port, tunnel.mtu, tunnel.heard()))
    }

    /// The names as they are at the moment.
    pub fn names(&self) -> Arc<Names> {
        lock(&self.names).clone()
    }

    /// Removes everything of this daemon's: the node has left its swarm.
    pub fn remove(&self) -> Result<(), NetworkError> {
        let mut inner = self.lock();
        // With the tunnel go its link and its routes.
        *inner = Inner::default();
        let mut host = Socket::route().map_err(failed("remove links"))?;
        let prefix = self.prefix();
        let links = link::all(&mut host).map_err(failed("list the links"))?;
        // What cannot go keeps nothing else.
        let own = links.iter().filter(|link| link.name.starts_with(&prefix));
        let removed = own.map(|link| interface::remove_link(&mut host, link));
        let removed = removed.fold(Ok(()), Result::and);
        let closed = interface::close_host(&mut host, self.settings.router);
        let batch = Batch::remove(&self.settings.name).finish()?;
        let unruled = commit(&batch).map_err(failed("remove the packet rules"));
        removed?;
        closed?;
        unruled
    }

    /// What the names of all links of this daemon begin with.
    fn prefix(&self) -> String {
        format!("{LINKS}{}", self.digits())
    }

    fn tunnel_name(&self) -> String {
        format!("{TUNNELS}{}", self.digits())
    }

    fn digits(&self) -> String {
        let name = self.settings.name.as_bytes();
        format!("{:04x}", crc32fast::hash(name) & 0xffff)
    }

    fn joined(&self, order: &Order, namespace: Option<Namespace>) -> Joined {
        let interfaces = order.attachments.iter().enumerate();
        let interfaces = interfaces.map(|(number, attachment)| Interface {
            link: self.link_name(&order.container, number),
            address: attachment.address,
            subnet: attachment.network.subnet,
            leads_out: !attachment.network.internal,
        });
        Joined {
            task: order.task,
            interfaces: interfaces.collect(),
            attachments: order.attachments.clone(),
            nameservers: order.nameservers.clone(),
            namespace,
        }
    }

    /// The name of a task's link on this host: the same whenever it is asked for.
    fn link_name(&self, container: &str, number: usize) -> String {
        let mut name = self.prefix();
        let digits = LINK_CHARS_MAX - name.len() - 1;
        name.extend(container.chars().take(digits));
        name.push_str(&format!("{:x}", number % 16));
        name
    }

    /// Puts in place what follows from what is known now: names, and rules if they are others than
    /// those in place.
    fn settle(&self, inner: &mut Inner) -> Result<(), NetworkError> {
        for mut news in std::mem::take(&mut *lock(&self.news)) {
            inner.peers.hear(std::mem::take(&mut news.peers));
            inner.services.hear(news);
        }
        let mut names = Names::default();
        for joined in inner.tasks.values() {
            let own = joined.attachments.iter();
            let own: Vec<_> = own.map(|own| (own.network.id, own.address)).collect();
            let leads_out = joined.interfaces.iter().any(|own| own.leads_out);
            names.add_asker(&own, &joined.nameservers, leads_out);
        }
        inner.services.add_names(&mut names, self.way(inner));
        *lock(&self.names) = Arc::new(names);
        if !inner.services.is_told() {
            return Ok(());
        }
        let rules = self.rules(inner);
        if inner.rules.as_ref() == Some(&rules) {
            return Ok(());
        }
        if rules.networks.is_empty() {
            // Nothing is on a network, as on a host whose kernel knows no packet rules.
            let removed = commit(&Batch::remove(&self.settings.name).finish()?);
            if inner.rules.is_some() {
                removed.map_err(failed("remove the packet rules"))?;
            }
        } else {
            commit(&rules.batch()?).map_err(failed("set the packet rules"))?;
        }
        let before = inner.rules.take();
        let now = inner.rules.insert(rules);
        if let Some(change) = Change::between(before.as_ref(), now)
            && let Err(error) = change.apply()
        {
            // Everything but flows that go on without a pause is as it shall be.
            tracing::warn!("cannot move flows of datagrams: {error}");
        }
        Ok(())
    }

    fn rules(&self, inner: &Inner) -> Rules {
        let mut rules = Rules {
            table: self.settings.name.clone(),
            prefix: self.prefix(),
            router: Some(self.settings.router),
            tunnel: self.tunnel_name(),
            address: inner.peers.own().and_then(|own| own.address),
            nodes: inner.peers.nodes(),
            ..Rules::default()
        };
        for joined in inner.tasks.values() {
            let links = joined.interfaces.iter();
            let links = links.map(|own| (own.link.clone(), own.address));
            rules.links.extend(links);
            for from in &joined.interfaces {
                let all = joined.interfaces.iter();
                rules
                    .itself
                    .extend(all.map(|to| (from.address, to.address)));
            }
            let networks = joined.attachments.iter().map(|own| &own.network);
            rules.networks.extend(networks.map(network_rules));
        }
        inner.services.add_rules(&mut rules, self.way(inner));
        rules
    }

    /// Which tasks can be reached from here.
    fn way<'a>(&self, inner: &'a Inner) -> Way<'a> {
        static NONE: Peers = Peers::none();
        Way {
            node: self.settings.node,
            peers: if inner.is_cut { &NONE } else { &inner.peers },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn commit(batch: &[u8]) -> Result<(), NetlinkError> {
    Socket::netfilter()?.commit(batch)
}

fn failed(what: &'static str) -> impl FnOnce(NetlinkError) -> NetworkError {
    move |source| NetworkError::Netlink { what, source }
}
