//! Why a swarm could not be begun, joined, gone on with or left: one line for the user.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::daemon::address::AddressError;
use crate::daemon::beginning::BeginningError;
use crate::daemon::containers::ContainersError;
use crate::daemon::identity::IdentityError;
use crate::daemon::joining::JoinError;
use crate::daemon::record::RecordError;
use crate::daemon::vault::VaultError;
use crate::host::rng::EntropyError;
use crate::identity::key::KeyError;
use crate::manager::run::{RunError, StartError};
use crate::store::error::StoreError;
use crate::store::file_disk::LockError;
use crate::transport::tls::credentials::CredentialsError;
use crate::transport::tls::listener::ListenError;

/// Why a swarm could not be begun, joined, gone on with or left.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{0}")]
    Lock(#[from] LockError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot tell where {address} is listened at: {source}")]
    Listening {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(
        "{} is empty, but this host is a member of a swarm: restore it, or remove the file \
         \"member\" beside it to start outside any swarm",
        .0.display()
    )]
    Lost(PathBuf),
    #[error(
        "{} holds no certificate, but this host is a member of a swarm: restore it, or remove the \
         file \"member\" beside it to start outside any swarm",
        .0.display()
    )]
    NoCertificate(PathBuf),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{}", chain(.0))]
    Store(#[from] StoreError),
    #[error("{}", chain(.0))]
    Start(#[from] StartError),
    #[error("{}", chain(.0))]
    Manager(#[from] RunError),
    #[error(transparent)]
    Beginning(#[from] BeginningError),
    #[error("the agent cannot take over what an earlier daemon left: {0}")]
    Agent(#[from] ContainersError),
}

/// An error with its sources, as one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}
