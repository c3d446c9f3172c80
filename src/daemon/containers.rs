//! The agent's containers on this host: image, volumes and runtime joined.
//!
//! ```text
//! RUN/records/ID   the agent's record of an attempt, there before its container and after it
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::pending;

use crate::agent::containers::{
    Attempt, Change, Containers, Exit, Found, Health, Left, Record, RecordError, Started,
};
use crate::api::events::Events;
use crate::daemon::attach::{self, AttachError, attach};
use crate::daemon::files::{FilesError, files, filled};
use crate::daemon::holders::Holders;
use crate::daemon::left::{condition, health, is_running, read_record, seen, seen_health};
use crate::daemon::logging::{self, LogError};
use crate::daemon::memory::Memory;
use crate::daemon::networks::{HostNetworks, network, order};
use crate::daemon::places::{make_mount_points, sweep};
use crate::host::clock;
use crate::host::wait::blocking;
use crate::image::garbage::Thresholds;
use crate::image::hello;
use crate::image::registries::{ObtainError, Registries};
use crate::image::store::Image;
use crate::model::device::Device;
use crate::model::generic;
use crate::model::id::NodeId;
use crate::model::spec::Labels;
use crate::model::spec::container::{ContainerSpec, Healthcheck};
use crate::model::spec::mount::MountKind;
use crate::model::spec::node::NodeDescription;
use crate::model::spec::service::RegistryAuth;
use crate::network::node::NetworkError;
use crate::runtime::attempt::RecordError as BundleError;
use crate::runtime::containers::{RemoveError, Runtime, RuntimeError};
use crate::runtime::plan::{FilePlan, Origin, Plan};
use crate::runtime::request::{self, ContainerRequest, ImageDefaults, Joined, Refused};
use crate::runtime::volume::{VolumeError, Volumes};
use crate::template::task::Known;
use crate::wire::dependency::Dependency;
use crate::wire::reach::Reach;
use crate::wire::session::Assignment;

/// What a container's host name falls back to: the start of its id, as Docker's.
const SHORT_ID_LEN: usize = 12;

/// Where the containers of this host come from and go to.
#[derive(Debug)]
pub struct HostContainers {
    pub runtime: Rc<Runtime>,
    pub registries: Rc<Registries>,
    /// Who has images that this host lacks.
    pub holders: Option<Rc<Holders>>,
    pub volumes: Volumes,
    /// Told what happens to containers.
    pub events: Rc<Events>,
    pub node: NodeId,
    pub host: NodeDescription,
    /// Writable layers, on the disk of the state directory.
    pub layers_dir: PathBuf,
    /// The layer below every image, on the same disk.
    pub mounts_dir: PathBuf,
    pub records_dir: PathBuf,
    pub memory: Rc<Memory>,
    pub networks: HostNetworks,
    pub garbage: Thresholds,
}

/// What could not be done for a task and why.
#[derive(Debug, thiserror::Error)]
pub enum ContainersError {
    #[error("{0}")]
    Image(#[from] ObtainError),
    #[error("image {name} is for {image}, and this node is {node}")]
    Platform {
        name: String,
        image: String,
        node: String,
    },
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    Volume(#[from] VolumeError),
    #[error("{0}")]
    Attach(#[from] AttachError),
    #[error("{0}")]
    Files(#[from] FilesError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{0}")]
    Networking(#[from] NetworkError),
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
    #[error("{0}")]
    Remove(#[from] RemoveError),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("cannot make the mount points in {}: {source}", .path.display())]
    MountPoints { path: PathBuf, source: io::Error },
    #[error("cannot {what} the record of container {id}: {source}")]
    RecordFile {
        what: &'static str,
        id: String,
        source: io::Error,
    },
}

impl Containers for HostContainers {
    type Error = ContainersError;

    async fn adopt(&self) -> Result<Left, ContainersError> {
        fs::create_dir_all(&self.records_dir).map_err(record_failed("make room for", "any"))?;
        make_mount_points(&self.mounts_dir).map_err(|source| ContainersError::MountPoints {
            path: self.mounts_dir.clone(),
            source,
        })?;
        let mut found = Vec::new();
        for adopted in self.runtime.adopt().await? {
            attach::adopt(&self.volumes, &adopted.bundle.plan);
            let record = read_record(&self.records_dir, &adopted.id);
            match record.ok().zip(condition(&adopted)) {
                Some((record, condition)) => found.push(Found {
                    record,
                    condition,
                    health: health(&self.runtime, &adopted.id),
                }),
                // Nobody knows what it was for, or it was never started: the manager will say anew
                // what shall run. What cannot be removed now is tried again at the next start.
                None => {
                    if let Err(error) = self.remove_id(&adopted.id).await {
                        tracing::warn!("{error}");
                    }
                }
            }
        }
        let running = found.iter().filter(|found| is_running(found));
        let orders = running.map(|found| {
            order(
                &found.record.attempt.container.to_string(),
                &found.record.assignment,
            )
        });
        let orders: Vec<_> = orders
            .filter(|order| !order.attachments.is_empty())
            .collect();
        if let Err(error) = self.networks.adopt(orders).await {
            // The containers go on; what is wrong shows when the next one is to be attached.
            tracing::warn!("networks: {error}");
        }
        let volumes = self.volumes.clone();
        blocking(move || volumes.release_unheld()).await?;
        sweep(&self.records_dir, &found);
        sweep(&self.layers_dir, &found);
        let kept = self.memory.recall().await;
        Ok(Left { found, kept })
    }

    fn keep(&self, changes: Vec<Change>) {
        self.memory.keep(changes);
    }

    async fn prepare(
        &self,
        mut record: Record,
        dependencies: Vec<Arc<Dependency>>,
    ) -> Result<(), ContainersError> {
        let id = record.attempt.container.to_string();
        let known = Known::of(&record.assignment, self.node, &self.host);
        let container = filled(&record.assignment.spec.container, &known)?;
        let files = files(&container, &dependencies, &known)?;
        let plan = self
            .plan(&id, &record.assignment, &container, files.plans)
            .await?;
        // The image is here: nobody needs them any more, and a file is no place for them.
        Arc::make_mut(&mut record.assignment).registry_auth = RegistryAuth::default();
        let bytes = record.encode()?;
        fs::write(self.record_path(&id), bytes).map_err(record_failed("write", &id))?;
        match files.content {
            Some(content) => self.runtime.prepare_with(plan, content).await?,
            None => self.runtime.prepare(plan).await?,
        }
        self.publish(&id, "create", &[]);
        Ok(())
    }

    fn is_passing(error: &ContainersError) -> bool {
        match error {
            ContainersError::Image(error) => error.is_passing(),
            ContainersError::Volume(VolumeError::Io { source, .. })
            | ContainersError::RecordFile { source, .. }
            | ContainersError::Runtime(RuntimeError::Io { source, .. })
            | ContainersError::Runtime(RuntimeError::Record(BundleError::Io { source, .. })) => {
                passes(source)
            }
            _ => false,
        }
    }

    async fn start(&self, attempt: Attempt) -> Result<Started, ContainersError> {
        let id = attempt.container.to_string();
        attach(&self.volumes, &self.runtime.bundle(&id)?.plan).await?;
        let running = self.runtime.start(&id).await?;
        self.networks.started(&id).await;
        self.publish(&id, "start", &[]);
        let pid = running.init.map_or(0, |init| init.pid);
        Ok(Started {
            pid: u32::try_from(pid).unwrap_or(0),
            health: health(&self.runtime, &id),
        })
    }

    async fn health(&self, attempt: Attempt) -> Health {
        let id = attempt.container.to_string();
        match self.runtime.health_change(&id).await {
            Ok(status) => {
                let action = format!("health_status: {}", status.name());
                self.publish(&id, &action, &[]);
                seen_health(status)
            }
            Err(error) => {
                tracing::warn!("cannot check the health of container {id}: {error}");
                pending().await
            }
        }
    }

    fn reach(&self, news: Reach) {
        self.networks.hear(news);
    }

    async fn wait(&self, attempt: Attempt) -> Exit {
        let id = attempt.container.to_string();
        let ended = self.runtime.wait(&id).await;
        self.networks.detach(&id).await;
        match ended {
            Ok(exit) => {
                if exit.oom_killed {
                    self.publish(&id, "oom", &[]);
                }
                let code = exit.code.map_or_else(String::new, |code| code.to_string());
                self.publish(&id, "die", &[("exitCode", code)]);
                seen(&exit)
            }
            Err(error) => {
                tracing::warn!("container {}: {error}", attempt.container);
                Exit {
                    at: clock::now(),
                    ..Exit::default()
                }
            }
        }
    }

    async fn stop(&self, attempt: Attempt) -> Result<(), ContainersError> {
        let id = attempt.container.to_string();
        self.networks.withdraw(&id).await;
        let signal = self.runtime.stop(&id)?;
        self.publish(&id, "kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    async fn kill(&self, attempt: Attempt) -> Result<(), ContainersError> {
        let id = attempt.container.to_string();
        self.runtime.kill(&id)?;
        self.publish(&id, "kill", &[("signal", libc::SIGKILL.to_string())]);
        Ok(())
    }

    async fn remove(&self, attempt: Attempt) -> Result<(), ContainersError> {
        let id = attempt.container.to_string();
        // Read before it is gone.
        let plan = self.runtime.bundle(&id).map(|bundle| bundle.plan);
        self.remove_id(&id).await?;
        if let Ok(plan) = plan {
            self.events
                .publish_container(clock::now(), "destroy", &plan, &[]);
        }
        Ok(())
    }
}

impl HostContainers {
    /// Resolves everything that the assignment names on this host.
    async fn plan(
        &self,
        id: &str,
        task: &Assignment,
        container: &ContainerSpec,
        files: Vec<FilePlan>,
    ) -> Result<Plan, ContainersError> {
        let spec = &task.spec;
        let image = self.image(task).await?;
        let volumes = self.volumes(container)?;
        let hostname: String = id.chars().take(SHORT_ID_LEN).collect();
        let network = network(spec);
        let joined = self.join(id, task).await?;
        let defaults = defaults(&image);
        let origin = Origin {
            name: task.container_name(),
            image: spec.container.image.clone(),
            image_id: image.id.to_string(),
            created: clock::now(),
        };
        Ok(request::plan(ContainerRequest {
            id,
            spec: container,
            resources: spec.resources.as_ref(),
            image: &defaults,
            layers: self.layers(&image),
            writable: self.layers_dir.join(id),
            hostname: &hostname,
            network,
            joined,
            log: logging::plan(id, spec, container, &origin)?,
            origin,
            labels: self.labels(task, &image),
            env: self.env(task, &image),
            volumes,
            files,
            devices: generic::devices(&task.generic).map(Device::whole).collect(),
        })?)
    }

    /// Makes the interfaces of a task that is on networks.
    async fn join(&self, id: &str, task: &Assignment) -> Result<Option<Joined>, ContainersError> {
        let order = order(id, task);
        if order.attachments.is_empty() {
            return Ok(None);
        }
        let own = order.attachments.iter();
        let addresses = own.map(|attachment| attachment.address).collect();
        Ok(Some(Joined {
            namespace: self.networks.attach(order).await?,
            nameserver: self.networks.router(),
            addresses,
        }))
    }

    /// The image's layers, with the mount points below them.
    fn layers(&self, image: &Image) -> Vec<PathBuf> {
        let mut layers = image.layer_dirs();
        if !layers.is_empty() {
            layers.insert(0, self.mounts_dir.clone());
        }
        layers
    }

    /// What the task was given of the node; and what the built-in image says of itself, while other
    /// images get nothing that Docker would not give.
    fn env(&self, task: &Assignment, image: &Image) -> Vec<String> {
        let mut env = generic::variables(&task.generic);
        if image.config.config.labels.contains_key(hello::LABEL) {
            env.push(format!("SKEP_TASK={}", task.task_name()));
            env.push(format!("SKEP_NODE={}", self.host.hostname));
        }
        env
    }

    /// Where the named volumes of a spec lie, made if they are not there yet.
    fn volumes(&self, spec: &ContainerSpec) -> Result<BTreeMap<String, PathBuf>, ContainersError> {
        let mut places = BTreeMap::new();
        for mount in spec
            .mounts
            .iter()
            .filter(|mount| mount.kind == MountKind::Volume)
        {
            if !mount.source.is_empty() {
                let given = mount.volume.clone().unwrap_or_default();
                let options = given.driver.unwrap_or_default().options;
                let now = clock::now();
                self.volumes
                    .ensure(&mount.source, &given.labels, &options, now)?;
                places.insert(mount.source.clone(), self.volumes.data(&mount.source)?);
            }
        }
        Ok(places)
    }

    /// The labels of the image and of the spec, and those by which Docker's tools know a task's
    /// container.
    fn labels(&self, task: &Assignment, image: &Image) -> Labels {
        let mut labels = image.config.config.labels.clone();
        labels.extend(task.spec.container.labels.clone());
        let swarm = [
            ("node.id", self.node.to_string()),
            ("service.id", task.service.to_string()),
            ("service.name", task.service_name.clone()),
            ("task", String::new()),
            ("task.id", task.task.to_string()),
            ("task.name", task.container_name()),
        ];
        labels.extend(swarm.map(|(key, value)| (format!("com.docker.swarm.{key}"), value)));
        labels
    }

    /// Tells of something that happened to a container; one that is gone is not told of.
    fn publish(&self, id: &str, action: &str, more: &[(&str, String)]) {
        if let Ok(bundle) = self.runtime.bundle(id) {
            self.events
                .publish_container(clock::now(), action, &bundle.plan, more);
        }
    }

    async fn remove_id(&self, id: &str) -> Result<(), ContainersError> {
        let removed = self.runtime.remove(id).await;
        // A task without processes keeps no interface either.
        self.networks.detach(id).await;
        removed?;
        let (volumes, container) = (self.volumes.clone(), id.to_owned());
        blocking(move || volumes.release(&container)).await?;
        match fs::remove_file(self.record_path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(record_failed("remove", id)(error))
            }
            _ => Ok(()),
        }
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.records_dir.join(id)
    }
}

pub(super) fn record_failed(
    what: &'static str,
    id: &str,
) -> impl FnOnce(io::Error) -> ContainersError {
    let id = id.to_owned();
    move |source| ContainersError::RecordFile { what, id, source }
}

/// Whether there may be room, or a reader that is not in the way, later.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let scarce = [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::EIO];
    let passing = matches!(
        error.kind(),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::OutOfMemory | Kind::ResourceBusy
    );
    passing
        || error
            .raw_os_error()
            .is_some_and(|number| scarce.contains(&number))
}

fn defaults(image: &Image) -> ImageDefaults {
    let run = &image.config.config;
    ImageDefaults {
        entrypoint: run.entrypoint.clone(),
        cmd: run.cmd.clone(),
        env: run.env.clone(),
        dir: run.working_dir.clone(),
        user: run.user.clone(),
        volumes: run.volumes.keys().cloned().collect(),
        stop_signal: run.stop_signal.clone(),
        healthcheck: run.healthcheck.as_ref().map(|check| Healthcheck {
            test: check.test.clone(),
            interval_ns: check.interval,
            timeout_ns: check.timeout,
            start_period_ns: check.start_period,
            start_interval_ns: check.start_interval,
            retries: check.retries,
        }),
        shell: run.shell.clone(),
    }
}
