//! The images of this host's tasks: brought when a task needs one, and removed when the disk is
//! filling and none does.

use crate::api::types::registry::AuthConfig;
use crate::daemon::containers::{ContainersError, HostContainers};
use crate::daemon::holders::bring;
use crate::daemon::in_use;
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::store::Image;
use crate::wire::session::Assignment;

impl HostContainers {
    /// The image of a task, which is brought here if it is not there yet.
    pub(super) async fn image(&self, task: &Assignment) -> Result<Image, ContainersError> {
        let name = &task.spec.container.image;
        let auth = AuthConfig::read(task.registry_auth.0.as_bytes());
        let credentials = auth.unwrap_or_default().credentials();
        let others = async |reference: &Reference| bring(&self.holders, name, reference).await;
        let obtain = async || self.registries.obtain(name, &credentials, others).await;
        let image = match obtain().await {
            Err(error) if error.is_passing() && self.collect_garbage(name).await => {
                obtain().await?
            }
            obtained => obtained?,
        };
        self.collect_garbage(name).await;
        let (host, its) = (Platform::host(), image.config.platform());
        if host.rank(&its).is_none() {
            let (image, node) = (its.to_string(), host.to_string());
            return Err(ContainersError::Platform {
                name: name.to_owned(),
                image,
                node,
            });
        }
        Ok(image)
    }

    /// Removes images that no task of this host uses, if the disk is filling; whether any went.
    async fn collect_garbage(&self, name: &str) -> bool {
        if !self.garbage.are_reached(self.registries.images()) {
            return false;
        }
        let mut names = self.memory.images();
        names.push(name.to_owned());
        let in_use = in_use(&self.runtime);
        self.registries.collect(self.garbage, in_use, names).await
    }
}
