//! After a restart of the daemon: what of its containers still runs, what ended meanwhile, and what
//! was left behind half made.

use std::collections::BTreeSet;

use crate::model::time::Time;
use crate::runtime::attempt::{Attempt, Bundle, Exit, Running};
use crate::runtime::containers::{Runtime, RuntimeError};

/// A container found at start.
#[derive(Clone, Debug)]
pub struct Adopted {
    pub id: String,
    pub bundle: Bundle,
    pub state: Found,
    /// When it was asked to stop, if it was.
    pub stopped: Option<Time>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its shim and it go on.
    Running(Running),
    /// It ended; if its shim was killed, nobody knows how.
    Ended(Running, Exit),
    /// Written down but never started.
    Prepared,
}

impl Runtime {
    /// Finds every container, and sweeps what belongs to none: half-written directories, starts
    /// that a crash interrupted, and groups without a directory.
    pub async fn adopt(&self) -> Result<Vec<Adopted>, RuntimeError> {
        let mut found = Vec::new();
        for id in self.ids()? {
            let attempt = self.attempt(&id)?;
            match self.adopt_one(&id, &attempt).await {
                Ok(Some(adopted)) => found.push(adopted),
                // What cannot be read cannot be run either.
                Ok(None) | Err(_) => {
                    if let Err(error) = self.remove(&id).await {
                        tracing::warn!("{error}");
                    }
                }
            }
        }
        let known: BTreeSet<_> = found.iter().map(|adopted| adopted.id.as_str()).collect();
        let parent = self.hierarchy.group(&self.settings.cgroup_parent);
        for name in parent
            .children()
            .iter()
            .filter(|name| !known.contains(name.as_str()))
        {
            let stray = self.group(name);
            if name != "shims" {
                stray.kill();
                // Its processes end in their own time; the next start removes what is left.
                let _ = stray.remove();
            }
        }
        Ok(found)
    }

    async fn adopt_one(
        &self,
        id: &str,
        attempt: &Attempt,
    ) -> Result<Option<Adopted>, RuntimeError> {
        let (bundle, stopped) = (attempt.bundle()?, attempt.stopped()?);
        let adopted = |state| {
            Some(Adopted {
                id: id.to_owned(),
                bundle,
                state,
                stopped,
            })
        };
        let Some(running) = attempt.running()? else {
            return Ok(adopted(Found::Prepared));
        };
        if let Some(exit) = attempt.exit()? {
            return Ok(adopted(Found::Ended(running, exit)));
        }
        if running.init.is_none() {
            // Interrupted before its program ran.
            return Ok(None);
        }
        if running.shim.is_there() {
            return Ok(adopted(Found::Running(running)));
        }
        // The shim may have written its last word just before it was looked at.
        let exit = match attempt.exit()? {
            Some(exit) => exit,
            None => self.unknown_exit(id, attempt).await?,
        };
        Ok(adopted(Found::Ended(running, exit)))
    }
}
