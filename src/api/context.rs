//! What the API is built on: the managers and the host, as the daemon hands them in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_executor::LocalExecutor;
use async_net::unix::UnixStream;
use futures_lite::future::{BoxedLocal, ready};

use crate::api::events::Events;
use crate::api::execs::Execs;
use crate::identity::token::Token;
use crate::identity::unlock::UnlockKey;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::manager::backup::Backup;
use crate::manager::figures::Figures;
use crate::model::id::NodeId;
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::{Availability, NodeDescription};
use crate::runtime::containers::Runtime;
use crate::runtime::volume::Volumes;
use crate::store::manager_store::Opened;
use crate::wire::control::{Refusal, Request, Response};

/// Everything that requests are answered from.
pub struct Context {
    pub cluster: Rc<dyn Cluster>,
    pub host: Host,
    pub events: Rc<Events>,
    pub execs: Execs,
    /// Runs what outlives a request: the streams of an exec.
    pub executor: Rc<LocalExecutor<'static>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The host that the socket belongs to.
#[derive(Debug)]
pub struct Host {
    /// Tells this daemon from others; outlives restarts.
    pub id: String,
    pub description: NodeDescription,
    /// Where the daemon keeps its state.
    pub root_dir: PathBuf,
    pub volumes: Volumes,
    pub images: Arc<ImageStore>,
    pub registries: Rc<Registries>,
    pub runtime: Rc<Runtime>,
}

/// The swarm, seen from this host.
pub trait Cluster {
    /// Asks the managers.
    fn request(&self, request: Request) -> BoxedLocal<Result<Response, ClusterError>>;

    /// This host's place in a swarm.
    fn membership(&self) -> Membership;

    /// A connection to the API of another node's host, for what concerns its containers.
    fn stream(&self, _: NodeId) -> BoxedLocal<Result<UnixStream, ClusterError>> {
        Box::pin(ready(Err(ClusterError::NotInSwarm)))
    }

    /// Looks for what keeps this host from doing its part.
    fn examine(&self) -> BoxedLocal<Vec<Finding>> {
        Box::pin(ready(Vec::new()))
    }

    /// What this host's manager counts; `None` if it has none.
    fn figures(&self) -> BoxedLocal<Option<Figures>>;

    /// Begins a swarm with this host as its only manager; answers this node's id.
    fn init(&self, init: Init) -> BoxedLocal<Result<NodeId, ClusterError>>;

    /// Makes this host a node of a swarm that there is.
    fn join(&self, join: Join) -> BoxedLocal<Result<(), ClusterError>>;

    /// Takes this host out of its swarm. A manager goes only if `force` says so.
    fn leave(&self, force: bool) -> BoxedLocal<Result<(), ClusterError>>;

    /// Lets this host's manager, which is locked, go on.
    fn unlock(&self, _unlock: UnlockKey) -> BoxedLocal<Result<(), ClusterError>> {
        Box::pin(ready(Err(ClusterError::NotPartOfSwarm)))
    }

    /// The whole state of the swarm, as this host's manager has it.
    fn backup(&self) -> BoxedLocal<Result<Backup, ClusterError>> {
        Box::pin(ready(Err(ClusterError::NotInSwarm)))
    }

    /// Makes this host, which is in no swarm, the only manager of the one that a backup is of;
    /// answers this node's id.
    fn restore(&self, _restore: Restore) -> BoxedLocal<Result<NodeId, ClusterError>> {
        Box::pin(ready(Err(ClusterError::NotInSwarm)))
    }
}

/// What was found of a host, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    pub outcome: Outcome,
    pub found: String,
    /// Empty if there is nothing to mend.
    pub mend: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It works, but not all of it, or not for long.
    Warning,
    Failure,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// A host's place in a swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub state: MemberState,
    pub node: Option<NodeId>,
    /// The address that other nodes reach this one at.
    pub address: String,
    pub is_manager: bool,
    /// Whether secrets of its tasks lie on its disk.
    pub keeps_secrets: bool,
    /// Where a worker knows managers to be.
    pub managers: Vec<SocketAddr>,
    /// What is wrong, for people.
    pub error: String,
}

/// Whether a host belongs to a swarm, in Docker's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    #[default]
    Inactive,
    Pending,
    Active,
    Error,
    Locked,
}

impl MemberState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Error => "error",
            Self::Locked => "locked",
        }
    }
}

/// How a swarm begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    pub listen: SocketAddr,
    /// The address told to other nodes: an IP address, or an interface, with or without a port; if
    /// empty the host finds it.
    pub advertise: String,
    pub availability: Availability,
    pub spec: ClusterSpec,
    /// In CIDR notation; empty takes the default.
    pub address_pools: Vec<String>,
    pub subnet_size: u32,
    /// 0 takes the default.
    pub data_path_port: u16,
    /// A manager becomes the only one, with all that it knows of its swarm.
    pub force_new_cluster: bool,
}

/// How a host joins a swarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub listen: SocketAddr,
    /// As in [`Init`]; if empty, the address that this host calls the manager from.
    pub advertise: String,
    pub availability: Availability,
    /// Where managers may be: hosts and ports, at least one.
    pub remotes: Vec<(String, u16)>,
    pub token: Token,
}

/// How a swarm goes on from a backup.
#[derive(Debug)]
pub struct Restore {
    pub listen: SocketAddr,
    /// As in [`Init`].
    pub advertise: String,
    pub backup: Opened,
}

/// What becomes of a swarm when a manager leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Everything,
    Quorum {
        left: usize,
        all: usize,
    },
    /// Nothing at once, as far as is known.
    Unknown,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Self::Everything = self {
            return f.write_str(
                "Removing the last manager erases all current state of the swarm. Use `--force` \
                 to ignore this message.",
            );
        }
        if let Self::Quorum { left, all } = self {
            write!(
                f,
                "Removing this node leaves {left} managers out of {all}. Without a Raft quorum \
                 your swarm will be inaccessible. "
            )?;
        }
        f.write_str(
            "The only way to restore a swarm that has lost consensus is to reinitialize it with \
             `--force-new-cluster`. Use `--force` to suppress this message.",
        )
    }
}

/// Why the swarm did not answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClusterError {
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
         connect this node to swarm and try again."
    )]
    NotInSwarm,
    #[error(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster \
         state. Please run this command on a manager node or promote the current node to a manager."
    )]
    Worker,
    #[error("This node is not part of a swarm")]
    NotPartOfSwarm,
    #[error(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker \
         swarm unlock\" to unlock it."
    )]
    Locked,
    #[error(
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this \
         message."
    )]
    StillLocked,
    #[error("swarm is not locked")]
    NotLocked,
    #[error("swarm could not be unlocked: invalid key provided")]
    WrongUnlockKey,
    #[error(
        "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and \
         join another one."
    )]
    AlreadyInSwarm,
    #[error(
        "You are attempting to leave the swarm on a node that is participating as a manager. {0}"
    )]
    StillManager(Loss),
    #[error(
        "Timeout was reached before node joined. The attempt to join the swarm will continue in \
         the background. Use the \"docker info\" command to see the current swarm status of your \
         node."
    )]
    NotReadyYet,
    #[error("cannot use {address:?} as an address: {reason}")]
    Address { address: String, reason: String },
    /// Something of this host did not work; the whole line for the user.
    #[error("{0}")]
    Failed(String),
    /// A node did not answer, and why.
    #[error("{0}")]
    NoStream(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}
