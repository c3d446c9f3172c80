//! The host under what runs for a swarm: what it is made of, and where what counts lies.
//!
//! ```text
//! STATE/member    which node this host is; without it nothing below counts
//! STATE/identity  the node's key and certificate
//! STATE/tunnel    the node's key for its tunnels
//! STATE/manager/  the manager's log and state, sealed as the node's key is
//! STATE/layers/   the containers' writable layers
//! STATE/mounts/   the layer below every image, of what is mounted over
//! ```

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Sender;
use async_executor::{LocalExecutor, Task};
use async_net::unix::UnixStream;

use crate::api::events::Events;
use crate::daemon::RUN_DIR;
use crate::daemon::containers::HostContainers;
use crate::daemon::failure::SwarmError;
use crate::daemon::holders::Holders;
use crate::daemon::identity::Identity;
use crate::daemon::memory::Memory;
use crate::daemon::networks::{self, HostNetworks};
use crate::daemon::tunnels;
use crate::daemon::vault::Vault;
use crate::host::wait::blocking;
use crate::image::garbage::Thresholds;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::network::ways::TunnelSettings;
use crate::runtime::containers::Runtime;
use crate::runtime::volume::Volumes;
use crate::store::file_disk::FileDisk;
use crate::store::manager_store::{ManagerStore, Opened};
use crate::transport::tls::credentials::{Dates, Keyring};

/// What a swarm needs of this host.
#[derive(Debug)]
pub struct Host {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    /// Where a manager listens if whoever makes it one does not say.
    pub listen: Option<SocketAddr>,
    /// The UDP port of the tunnels to other nodes, if it is not the swarm's.
    pub data_path_port: Option<u16>,
    pub description: NodeDescription,
    pub runtime: Rc<Runtime>,
    pub images: Arc<ImageStore>,
    pub registries: Rc<Registries>,
    pub volumes: Volumes,
    /// From when on images that no task uses go.
    pub garbage: Thresholds,
}

/// A host, and what tasks on it need.
pub struct Site {
    pub host: Host,
    pub vault: Rc<Vault>,
    pub executor: Rc<LocalExecutor<'static>>,
    pub events: Rc<Events>,
    /// Takes streams on which managers ask this host for something.
    pub streams: Sender<UnixStream>,
    /// Hears of a part that ended though it should not have.
    pub failures: Sender<SwarmError>,
}

impl Site {
    /// Runs a part and reports its failure.
    pub fn watched(
        &self,
        part: impl Future<Output = Result<(), SwarmError>> + 'static,
    ) -> Task<()> {
        let failures = self.failures.clone();
        self.executor.spawn(async move {
            if let Err(error) = part.await {
                // The first failure ends the daemon; later ones add nothing.
                let _ = failures.try_send(error);
            }
        })
    }

    pub fn networks(&self, node: NodeId) -> Result<HostNetworks, SwarmError> {
        let (name, is_only) = networks::name(&self.host.run_dir, Path::new(RUN_DIR));
        let tunnel = TunnelSettings {
            key: tunnels::key(&self.host.state_dir)?,
            port: self.host.data_path_port,
        };
        Ok(HostNetworks::new(&name, is_only, node, tunnel))
    }

    pub fn containers(
        &self,
        node: NodeId,
        networks: HostNetworks,
        holders: Option<Rc<Holders>>,
        memory: Rc<Memory>,
    ) -> HostContainers {
        HostContainers {
            runtime: self.host.runtime.clone(),
            registries: self.host.registries.clone(),
            holders,
            volumes: self.host.volumes.clone(),
            events: self.events.clone(),
            node,
            host: self.host.description.clone(),
            layers_dir: self.layers_dir(),
            mounts_dir: self.mounts_dir(),
            records_dir: self.host.run_dir.join("records"),
            memory,
            networks,
            garbage: self.host.garbage,
        }
    }

    pub async fn open_store(&self) -> Result<(ManagerStore, Opened), SwarmError> {
        let (dir, sealer) = (self.manager_dir(), self.vault.sealer()?);
        blocking(move || {
            let disk = FileDisk::open(&dir)?;
            Ok(ManagerStore::open_sealed(Arc::new(disk), sealer)?)
        })
        .await
    }

    /// An empty store, in the place of one that is of no use any more.
    pub async fn new_store(&self) -> Result<(ManagerStore, Opened), SwarmError> {
        self.remove(self.manager_dir()).await?;
        self.open_store().await
    }

    /// Removes what a manager has stored.
    pub async fn remove_store(&self) -> Result<(), SwarmError> {
        self.remove(self.manager_dir()).await
    }

    /// Removes what only counts while the host is in a swarm, but for its key.
    pub async fn remove_state(&self) -> Result<(), SwarmError> {
        tunnels::forget(&self.host.state_dir)?;
        for path in [
            self.manager_dir(),
            self.agent_dir(),
            self.layers_dir(),
            self.mounts_dir(),
        ] {
            self.remove(path).await?;
        }
        Ok(())
    }

    async fn remove(&self, path: PathBuf) -> Result<(), SwarmError> {
        let doomed = path.clone();
        match blocking(move || fs::remove_dir_all(doomed)).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SwarmError::Io {
                what: "remove",
                path,
                source,
            }),
            _ => Ok(()),
        }
    }

    pub fn keyring(&self, identity: &Identity) -> Result<Keyring, SwarmError> {
        let credentials = identity.credentials()?;
        let credentials = credentials.ok_or_else(|| self.no_certificate())?;
        Ok(Keyring::new(&credentials, Dates::new(true))?)
    }

    pub fn no_certificate(&self) -> SwarmError {
        SwarmError::NoCertificate(self.host.state_dir.join("identity"))
    }

    pub fn agent_dir(&self) -> PathBuf {
        self.host.state_dir.join("agent")
    }

    pub fn manager_dir(&self) -> PathBuf {
        self.host.state_dir.join("manager")
    }

    fn layers_dir(&self) -> PathBuf {
        self.host.state_dir.join("layers")
    }

    fn mounts_dir(&self) -> PathBuf {
        self.host.state_dir.join("mounts")
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
