//! What the API asks of the managers: one closed list. A request can be sent to another manager as
//! it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::address::Subnet;
use crate::model::id::{NetworkId, NodeId, ServiceId};
use crate::model::object::{Cluster, Config, ManagerMember, Network, Node, Secret, Service, Task};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::NetworkSpec;
use crate::model::spec::node::NodeSpec;
use crate::model::spec::service::ServiceSpec;
use crate::model::spec::{ConfigSpec, SecretSpec};
use crate::model::trust::{Inadmissible, NewTokens, Rotation, UnlockSecret};
use crate::wire::access::{Access, AccessOrder};
use crate::wire::join::{Admission, Certified, Joining, Shown};

/// Everything that can be asked of the managers. References are ids, unique prefixes of ids, or
/// names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    Cluster,
    UnlockKey,
    /// A certificate for the API over TLS.
    Access(AccessOrder),
    UpdateCluster {
        version: u64,
        spec: ClusterSpec,
        /// Drawn where the request came in.
        tokens: NewTokens,
        /// Made where the request came in, if the spec asks for a new root.
        root: Option<Box<NewRoot>>,
    },

    Nodes(Filters),
    Node(String),
    UpdateNode {
        node: String,
        version: u64,
        spec: NodeSpec,
    },
    RemoveNode {
        node: String,
        force: bool,
    },

    Services(Filters),
    Service(String),
    CreateService(ServiceSpec),
    UpdateService {
        service: String,
        version: u64,
        update: ServiceUpdate,
    },
    RemoveService(String),

    Tasks(Filters),
    Task(String),

    Networks(Filters),
    Network(String),
    Secrets(Filters),
    Secret(String),
    Configs(Filters),
    Config(String),

    CreateSecret(SecretSpec),
    UpdateSecret {
        secret: String,
        version: u64,
        spec: SecretSpec,
    },
    RemoveSecret(String),
    CreateConfig(ConfigSpec),
    UpdateConfig {
        config: String,
        version: u64,
        spec: ConfigSpec,
    },
    RemoveConfig(String),
    CreateNetwork(NetworkSpec),
    RemoveNetwork(String),
    /// A host wants to be a node.
    Join(Box<Joining>),
    /// A node wants a new certificate.
    Renew {
        shown: Shown,
        request: Vec<u8>,
    },

    /// A node's daemon takes its place among the managers, or has a new address. Whoever takes it
    /// in has made sure that the node itself asks. `held` is the raft id that its log and state are
    /// under; `None` if it has none.
    TakeSeat {
        node: NodeId,
        held: Option<u64>,
        address: String,
    },
}

impl Request {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Cluster
            | Self::UnlockKey
            | Self::Access(_)
            | Self::Nodes(_)
            | Self::Node(_)
            | Self::Services(_)
            | Self::Service(_)
            | Self::Tasks(_)
            | Self::Task(_)
            | Self::Networks(_)
            | Self::Network(_)
            | Self::Secrets(_)
            | Self::Secret(_)
            | Self::Configs(_)
            | Self::Config(_) => true,
            Self::TakeSeat { .. }
            | Self::UpdateCluster { .. }
            | Self::UpdateNode { .. }
            | Self::RemoveNode { .. }
            | Self::CreateService(_)
            | Self::UpdateService { .. }
            | Self::RemoveService(_)
            | Self::CreateSecret(_)
            | Self::UpdateSecret { .. }
            | Self::RemoveSecret(_)
            | Self::CreateConfig(_)
            | Self::UpdateConfig { .. }
            | Self::RemoveConfig(_)
            | Self::CreateNetwork(_)
            | Self::RemoveNetwork(_)
            | Self::Join(_)
            | Self::Renew { .. } => false,
        }
    }
}

/// A root that is to take the place of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRoot {
    /// The root that has signed the new one.
    pub old: Vec<u8>,
    pub rotation: Rotation,
}

/// A new spec for a service, or its previous one again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "one request at a time; nothing keeps many"
)]
pub enum ServiceUpdate {
    Spec(ServiceSpec),
    Rollback,
}

/// Docker's filters: for each key, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters(pub BTreeMap<String, BTreeSet<String>>);

/// What the managers answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response {
    Cluster(Arc<Cluster>),
    /// `None` if managers are not locked.
    UnlockKey(Option<UnlockSecret>),
    /// To the manager that was asked, which answers with [`Response::Access`].
    MayAccess(AccessOrder),
    Access(Access),
    Nodes(Vec<NodeView>),
    Node(NodeView),
    Services(Vec<ServiceView>),
    Service(ServiceView),
    Tasks(Vec<Arc<Task>>),
    Task(Arc<Task>),
    Networks(Vec<Arc<Network>>),
    Network(Arc<Network>),
    Secrets(Vec<Arc<Secret>>),
    Secret(Arc<Secret>),
    Configs(Vec<Arc<Config>>),
    Config(Arc<Config>),
    Created {
        id: String,
        warnings: Vec<String>,
    },
    Done {
        warnings: Vec<String>,
    },
    /// From the leader to the manager that was asked, which answers with [`Response::Certified`].
    Admitted(Admission),
    Certified(Certified),
    /// Under which raft id a node is a manager, and who the others are.
    Seat {
        raft_id: u64,
        members: Vec<ManagerMember>,
    },
}

/// A node, and what only its managers know at the moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    pub node: Arc<Node>,
    pub leader: bool,
    pub reachable: bool,
}

/// A service, and how many of its tasks run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub service: Arc<Service>,
    pub running: u64,
    pub desired: u64,
    pub completed: u64,
    /// Of the networks on which an address stands for the service.
    pub subnets: Vec<(NetworkId, Subnet)>,
}

/// Something happened to an object; what `docker events` shows of the swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectEvent {
    pub at: crate::model::time::Time,
    pub kind: ObjectKind,
    pub action: ObjectAction,
    pub id: String,
    pub name: String,
    /// Docker's attributes beside the name, such as `replicas.old` and `replicas.new`.
    pub attributes: BTreeMap<String, String>,
}

/// The kinds of objects, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    Cluster,
    Config,
    Network,
    Node,
    Secret,
    Service,
    Task,
}

impl ObjectKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Config => "config",
            Self::Network => "network",
            Self::Node => "node",
            Self::Secret => "secret",
            Self::Service => "service",
            Self::Task => "task",
        }
    }

    /// What Docker says before the name that is taken.
    fn conflict(self) -> &'static str {
        match self {
            Self::Secret | Self::Config => "",
            _ => "name conflicts with an existing object: ",
        }
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectAction {
    Create,
    Update,
    Remove,
}

impl ObjectAction {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
        }
    }
}

/// Why the managers refuse a request: one line for the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("{} {reference} not found", kind.name())]
    NotFound { kind: ObjectKind, reference: String },
    #[error("{} {reference} is ambiguous ({matches} matches found)", kind.name())]
    Ambiguous {
        kind: ObjectKind,
        reference: String,
        matches: usize,
    },
    #[error("{}{} {name} already exists", kind.conflict(), kind.name())]
    NameTaken { kind: ObjectKind, name: String },
    /// The version is not the object's: somebody else changed it in between.
    #[error("update out of sequence: {} {id} is at version {current}, not {given}", kind.name())]
    OutOfSequence {
        kind: ObjectKind,
        id: String,
        current: u64,
        given: u64,
    },
    #[error("{} {name} is in use: {by}", kind.name())]
    InUse {
        kind: ObjectKind,
        name: String,
        by: String,
    },
    /// Each line names the field, the value and what would be right.
    #[error("invalid {}: {}", kind.name(), problems.join("; "))]
    Invalid {
        kind: ObjectKind,
        problems: Vec<String>,
    },
    #[error("service {0} does not have a previous spec")]
    NoPreviousSpec(String),
    #[error("node {0} is not down and can't be removed")]
    NodeNotDown(NodeId),
    #[error("filter {key:?} is not known for {}s; known are {known}", kind.name())]
    UnknownFilter {
        kind: ObjectKind,
        key: String,
        known: String,
    },
    #[error(
        "The swarm does not have a leader. It's possible that too few managers are online. \
         Make sure more than half of the managers are online."
    )]
    NoLeader,
    #[error("the manager is busy with {queued} requests; try again")]
    Busy { queued: usize },
    #[error("the manager cannot write its log: {0}")]
    Storage(String),
    #[error("service {0} was changed in a way that is not possible: {1}")]
    Impossible(ServiceId, String),
    #[error("filter {key}: {value:?} is not known for {}s; known are {known}", kind.name())]
    UnknownFilterValue {
        kind: ObjectKind,
        key: String,
        value: String,
        known: String,
    },
    /// Services that have this secret or config in their specs.
    #[error(
        "{} '{name}' is in use by the following service{}: {}",
        kind.name(),
        if services.len() == 1 { "" } else { "s" },
        services.join(", ")
    )]
    Referenced {
        kind: ObjectKind,
        name: String,
        services: Vec<String>,
    },
    /// What a service refers to is not there.
    #[error(
        "{}{} not found: {}",
        kind.name(),
        if names.len() == 1 { "" } else { "s" },
        names.join(", ")
    )]
    Unknown {
        kind: ObjectKind,
        names: Vec<String>,
    },
    /// A service cannot be reached as its spec says.
    #[error("{0}")]
    Unreachable(String),
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    /// The subnet that was asked for, and whose it is.
    #[error("invalid network: IPAM.Config.Subnet: {subnet} overlaps {other} of network {network}")]
    SubnetTaken {
        subnet: Subnet,
        other: Subnet,
        network: String,
    },
    #[error(
        "could not find an available, non-overlapping subnet among the default address pools {0}: \
         remove a network, or give one with --subnet"
    )]
    NoSubnet(String),
    #[error(transparent)]
    Inadmissible(Inadmissible),
    #[error("the request for a certificate does not hold: {0}")]
    NoRequest(String),
    #[error("node {0} was removed from the swarm: leave it and join again")]
    NodeRemoved(NodeId),
    #[error(
        "the certificate of node {0} ran out, and its key is not the one on record: leave the \
         swarm and join again"
    )]
    OtherKey(NodeId),
    #[error("the manager cannot sign a certificate: {0}")]
    NoCertificate(String),
    #[error("attempting to demote the last manager of the swarm")]
    LastManager,
    #[error("can't remove member from the raft: this would result in a loss of quorum")]
    LosesQuorum,
    #[error(
        "node {0} is a cluster manager and is a member of the raft cluster. It must be demoted to \
         worker before removal"
    )]
    NodeIsManager(NodeId),
    #[error("node {0} is no manager; promote it first")]
    NotManager(NodeId),
    #[error("node {0} has another place among the managers by now; it must join anew")]
    OldSeat(NodeId),
    #[error(
        "the root is being rotated already: \"swarm ca\" shows which nodes have not used the new \
         one yet; those that never will have to be removed"
    )]
    Rotating,
    #[error("managers cannot be locked without an unlock key: none was given")]
    NoUnlockKey,
}
