//! One host's process: opens what lies on disk, starts the parts and joins them.
//!
//! ```text
//! STATE/id        tells this daemon from others
//! STATE/vault     the key to what of this host's part in a swarm is sealed
//! STATE/images/   the image store          STATE/volumes/  named volumes
//! STATE/images.d/ archives of images that are loaded at the start
//! STATE/member, STATE/identity, STATE/manager/, STATE/layers/  this host's part in a swarm, see
//!                 `site`
//! RUN/containers/, RUN/records/  what runs, gone after a reboot
//! ```

pub mod describe;
pub mod address;
pub mod record;
pub mod vault;
pub mod lookup;
pub mod member;
mod memory;
pub mod identity;
pub mod beginning;
pub mod files;
pub mod logging;
mod attach;
mod places;
pub mod networks;
pub mod left;
pub mod holders;
pub mod holding;
mod images;
pub mod containers;
pub mod sessions;
pub mod link;
pub mod joining;
pub mod renewal;
pub mod peers;
pub mod streams;
pub mod port;
pub mod failure;
mod tunnels;
pub mod doctor;
pub mod shutdown;
mod site;
mod managing;
mod agency;
mod steward;
mod parts;
pub mod swarm;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Receiver;
use async_executor::LocalExecutor;
use async_net::unix::UnixStream;
use futures_lite::future;

use crate::agent::Farewell;
use crate::api;
use crate::api::context::{Cluster, Context};
use crate::api::events::Events;
use crate::api::execs::Execs;
use crate::api::listen::{Address, ListenError, Listener};
use crate::api::serve::{Serves, connection, serve};
use crate::daemon::failure::SwarmError;
use crate::daemon::shutdown::is_host_stopping;
use crate::daemon::site::Site;
use crate::daemon::swarm::Swarm;
use crate::daemon::vault::Vault;
use crate::host::rng::{EntropyError, Rng};
use crate::host::signal::Endings;
use crate::host::wait::blocking;
use crate::image::digest::Digest;
use crate::image::garbage::Thresholds;
use crate::image::registries::Registries;
use crate::image::registry::endpoint::{Insecure, Mirror};
use crate::image::registry::proxy::Proxies;
use crate::image::registry::settings::Settings;
use crate::image::removal::InUse;
use crate::image::store::{ImageStore, OpenError};
use crate::model::id::NodeId;
use crate::model::spec::task::GenericResource;
use crate::runtime::containers::{self as runtime_containers, Runtime, RuntimeError};
use crate::runtime::volume::{VolumeError, Volumes};
use crate::store::file_disk::{DirectoryLock, LockError};
use crate::wire::MANAGER_PORT;

/// The run directory whose control group has no suffix.
pub const RUN_DIR: &str = "/run/skep";

/// Where everything else is kept.
pub const STATE_DIR: &str = "/var/lib/skep";

/// Where the certificates of registries are: skep's own, and those of a Docker before it.
const CERTIFICATES: [&str; 2] = ["/etc/skep/certs.d", "/etc/docker/certs.d"];

/// What a daemon is told.
#[derive(Clone, Debug)]
pub struct Options {
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    /// Where the API is served.
    pub api: Vec<Address>,
    /// Where a swarm listens if whoever begins it does not say.
    pub listen: Option<SocketAddr>,
    /// Where metrics are served as well.
    pub metrics: Option<SocketAddr>,
    /// What its node has to give beside processors and memory.
    pub generic: Vec<GenericResource>,
    /// The UDP port of the tunnels to other nodes, if it is not the swarm's.
    pub data_path_port: Option<u16>,
    pub registries: RegistryOptions,
    /// A folder of archives that are loaded at the start, if it is not the one beside the images.
    pub images_dir: Option<PathBuf>,
    /// From when on images that no task uses go.
    pub garbage: Thresholds,
}

/// What a daemon is told of registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    pub insecure: Vec<Insecure>,
    pub mirrors: Vec<Mirror>,
}

impl RegistryOptions {
    fn settings(&self) -> Settings {
        Settings {
            certificates: CERTIFICATES.map(PathBuf::from).into(),
            insecure: self.insecure.clone(),
            mirrors: self.mirrors.clone(),
            proxies: Proxies::read(|name| std::env::var(name).ok()),
            lookup: lookup::lookup(),
        }
    }
}

/// Why a daemon did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("skep daemon must run as root: containers need it")]
    NotRoot,
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Images(#[from] OpenError),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    #[error(transparent)]
    Volumes(#[from] VolumeError),
}

/// Runs a daemon until it is told to stop (SIGTERM, SIGINT) or cannot go on.
pub async fn run(
    executor: Rc<LocalExecutor<'static>>,
    options: Options,
) -> Result<(), DaemonError> {
    if !rustix::process::geteuid().is_root() {
        return Err(DaemonError::NotRoot);
    }
    let mut endings = Endings::listen().map_err(DaemonError::Signals)?;
    let _locks = [
        DirectoryLock::take(&options.state_dir)?,
        lock_run_dir(&options.run_dir)?,
    ];
    let (failed, failures) = async_channel::bounded(1);
    let (streams_out, streams) = async_channel::bounded(1);
    let events = Rc::new(Events::default());
    let (host, api_host) = open(&options).await?;
    let runtime = host.runtime.clone();
    load_archives(&options, &host, &executor);
    let swarm = Rc::new(Swarm::new(Site {
        host,
        vault: Rc::new(Vault::open(&options.state_dir).map_err(SwarmError::from)?),
        executor: executor.clone(),
        events: events.clone(),
        streams: streams_out,
        failures: failed,
    }));
    swarm.resume().await?;
    let cluster = Rc::new(swarm.clone());
    let port = options.listen.map_or(MANAGER_PORT, |listen| listen.port());
    let port = Some(port).filter(|_| cluster.membership().is_manager);
    executor.spawn(doctor::warn_of_rules(port)).detach();
    let context = Rc::new(Context {
        cluster,
        host: api_host,
        events,
        execs: Execs::default(),
        executor: executor.clone(),
    });
    for address in &options.api {
        let listener = Listener::bind(address).await?;
        executor
            .spawn(serve(listener, context.clone(), Serves::Everything))
            .detach();
    }
    executor
        .spawn(serve_streams(streams, context.clone()))
        .detach();
    if let Some(address) = options.metrics {
        let listener = Listener::bind(&Address::Tcp(address)).await?;
        executor
            .spawn(serve(listener, context.clone(), Serves::Metrics))
            .detach();
    }
    tell_systemd(sd_notify::NotifyState::Ready);
    tracing::info!("skep {} is ready", env!("CARGO_PKG_VERSION"));
    let ended = future::or(failure(&failures), async {
        endings.next().await.map_err(DaemonError::Signals)
    })
    .await;
    tell_systemd(sd_notify::NotifyState::Stopping);
    let farewell = match ended.is_ok() && is_host_stopping().await {
        true => Farewell::SwitchedOff,
        false => Farewell::BackSoon,
    };
    swarm.pause(farewell).await;
    // With containers left the groups stay, and the next daemon finds them.
    runtime.close();
    ended
}

/// Answers the managers that ask this host for something.
async fn serve_streams(streams: Receiver<UnixStream>, context: Rc<Context>) {
    while let Ok(stream) = streams.recv().await {
        let served = connection(stream, context.clone(), Serves::Managers);
        context.executor.spawn(served).detach();
    }
}

/// Opens the images, volumes and containers of this host, once for the swarm and once for the API.
async fn open(options: &Options) -> Result<(site::Host, api::context::Host), DaemonError> {
    let runtime = Rc::new(Runtime::open(runtime_containers::Settings::new(
        options.run_dir.clone(),
        cgroup_parent(&options.run_dir),
    ))?);
    let volumes = Volumes::open(options.state_dir.join("volumes"))?;
    let images = open_images(options.state_dir.join("images"), in_use(&runtime)).await?;
    let registries = Rc::new(Registries::new(
        images.clone(),
        options.registries.settings(),
    ));
    let description = describe::describe(options.generic.clone());
    let host = site::Host {
        state_dir: options.state_dir.clone(),
        run_dir: options.run_dir.clone(),
        listen: options.listen,
        data_path_port: options.data_path_port,
        description: description.clone(),
        runtime: runtime.clone(),
        images: images.clone(),
        registries: registries.clone(),
        volumes: volumes.clone(),
        garbage: options.garbage,
    };
    let api_host = api::context::Host {
        id: daemon_id(&options.state_dir)?,
        description,
        root_dir: options.state_dir.clone(),
        runtime,
        images,
        registries,
        volumes,
    };
    Ok((host, api_host))
}

/// Loads the archives of this host beside whatever else it does.
fn load_archives(options: &Options, host: &site::Host, executor: &LocalExecutor<'static>) {
    let beside = || options.state_dir.join("images.d");
    let folder = options.images_dir.clone().unwrap_or_else(beside);
    let (loading, loaded) = async_channel::bounded(1);
    host.registries.wait_for(loaded);
    let images = host.images.clone();
    let load = blocking(move || {
        if let Err(error) = images.load_folder(&folder) {
            tracing::warn!("{error}");
        }
        drop(loading);
    });
    executor.spawn(load).detach();
}

async fn open_images(dir: PathBuf, in_use: InUse) -> Result<Arc<ImageStore>, DaemonError> {
    blocking(move || {
        let images = ImageStore::open(&dir)?;
        let made = std::env::current_exe().map(|exe| images.install_hello(&exe, &in_use));
        if let Ok(Err(error)) = made {
            // A full disk must not keep a host from running what it has.
            tracing::warn!("there is no hello image: {error}");
        }
        Ok(Arc::new(images))
    })
    .await
}

/// The images of this host's containers, and which container uses each.
fn in_use(runtime: &Runtime) -> InUse {
    let ids = runtime.ids().unwrap_or_default();
    let origins = ids
        .iter()
        .filter_map(|id| Some(runtime.bundle(id).ok()?.plan.origin));
    let by_image = origins.filter_map(|origin| {
        let digest: Digest = origin.image_id.parse().ok()?;
        Some((digest, origin.name))
    });
    by_image.collect()
}

/// Tells daemons of one machine apart: each has its own control group.
fn cgroup_parent(run_dir: &Path) -> PathBuf {
    if run_dir == Path::new(RUN_DIR) {
        return "skep".into();
    }
    let name = run_dir.as_os_str().as_encoded_bytes();
    format!("skep-{:08x}", crc32fast::hash(name)).into()
}

fn lock_run_dir(run_dir: &Path) -> Result<DirectoryLock, DaemonError> {
    use std::os::unix::fs::PermissionsExt;
    let lock = DirectoryLock::take(run_dir)?;
    // The socket in it is for a group as well.
    fs::set_permissions(run_dir, fs::Permissions::from_mode(0o755))
        .map_err(failed("open to all", run_dir))?;
    Ok(lock)
}

/// A name that this daemon keeps for good.
fn daemon_id(state_dir: &Path) -> Result<String, DaemonError> {
    let path = state_dir.join("id");
    let known = fs::read_to_string(&path).ok();
    if let Some(id) = known.and_then(|text| text.trim().parse::<NodeId>().ok()) {
        return Ok(id.to_string());
    }
    let id = NodeId(Rng::from_entropy()?.next_u128()).to_string();
    fs::write(&path, &id).map_err(failed("write", &path))?;
    Ok(id)
}

async fn failure(failures: &Receiver<SwarmError>) -> Result<(), DaemonError> {
    match failures.recv().await {
        Ok(error) => Err(error.into()),
        Err(_) => Ok(()),
    }
}

fn tell_systemd(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot tell systemd: {error}");
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DaemonError {
    let path = path.to_owned();
    move |source| DaemonError::Io { what, path, source }
}
