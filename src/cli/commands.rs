//! Every command, and the groups that the help shows them in.

use std::future::Future;
use std::pin::Pin;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::flags::{Command, Parsed};
use crate::cli::{
    config, container, daemon, disk, events, exec, image, info, inspect, login, logs, network,
    node, quickstart, secret, service, stack, stats, swarm, system, version, volume,
};

/// A command that runs.
pub type Running = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// What runs a command.
#[derive(Debug, Clone, Copy)]
pub struct Run(pub fn(Context, Parsed) -> Running);

/// The first word of two, and what it is about.
pub const GROUPS: &[(&str, &str)] = &[
    ("config", "Manage Swarm configs"),
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("node", "Manage Swarm nodes"),
    ("secret", "Manage Swarm secrets"),
    ("service", "Manage Swarm services"),
    ("stack", "Manage Swarm stacks"),
    ("swarm", "Manage Swarm"),
    ("system", "Manage skep"),
    ("volume", "Manage volumes"),
];

/// The commands that most people need first.
pub const TOP: &[&str] = &[
    "daemon",
    "quickstart",
    "ps",
    "exec",
    "images",
    "version",
    "info",
];

/// Every command.
pub const COMMANDS: &[&Command] = &[
    &config::CREATE,
    &config::INSPECT,
    &config::LS,
    &config::RM,
    &container::INSPECT,
    &container::LS,
    &daemon::DAEMON,
    &disk::DF,
    &events::EVENTS,
    &exec::EXEC,
    &image::HISTORY,
    &image::INSPECT,
    &image::PRUNE,
    &image::RM,
    &image::TAG,
    &image::ls::LS,
    &image::pull::PULL,
    &image::push::PUSH,
    &image::transfer::IMPORT,
    &image::transfer::LOAD,
    &image::transfer::SAVE,
    &info::INFO,
    &inspect::INSPECT,
    &login::LOGIN,
    &login::LOGOUT,
    &logs::CONTAINER,
    &logs::SERVICE,
    &network::CREATE,
    &network::INSPECT,
    &network::LS,
    &network::PRUNE,
    &network::RM,
    &node::INSPECT,
    &node::LS,
    &node::PS,
    &node::doctor::DOCTOR,
    &node::edit::DEMOTE,
    &node::edit::PROMOTE,
    &node::edit::RM,
    &node::edit::UPDATE,
    &quickstart::QUICKSTART,
    &secret::CREATE,
    &secret::INSPECT,
    &secret::LS,
    &secret::RM,
    &service::create::CREATE,
    &service::INSPECT,
    &service::LS,
    &service::PS,
    &service::RM,
    &service::SCALE,
    &service::update::ROLLBACK,
    &service::update::UPDATE,
    &stack::LS,
    &stack::PS,
    &stack::RM,
    &stack::SERVICES,
    &stack::config::CONFIG,
    &stack::deploy::DEPLOY,
    &stats::STATS,
    &swarm::INIT,
    &swarm::join::JOIN,
    &swarm::LEAVE,
    &swarm::backup::BACKUP,
    &swarm::backup::RESTORE,
    &swarm::ca::CA,
    &swarm::client_cert::CLIENT_CERT,
    &swarm::settings::UPDATE,
    &swarm::token::JOIN_TOKEN,
    &swarm::unlock::UNLOCK,
    &swarm::unlock::UNLOCK_KEY,
    &system::DIAL_STDIO,
    &version::VERSION,
    &volume::CREATE,
    &volume::INSPECT,
    &volume::LS,
    &volume::PRUNE,
    &volume::RM,
];
