//! The containers that are there at the moment, for whoever shows them.

use crate::runtime::adopt::Found;
use crate::runtime::attempt::Exit;
use crate::runtime::containers::{Runtime, RuntimeError};
use crate::runtime::health::Health;
use crate::runtime::plan::Plan;

/// A container, seen and not touched.
#[derive(Clone, Debug)]
pub struct Listed {
    pub plan: Plan,
    pub state: Found,
    /// What its health check has found; `None` if it has none.
    pub health: Option<Health>,
}

impl Listed {
    pub fn is_running(&self) -> bool {
        matches!(self.state, Found::Running(_))
    }
}

impl Runtime {
    /// Every container whose directory is whole, by id. One that is just being made or removed is
    /// left out.
    pub fn list(&self) -> Result<Vec<Listed>, RuntimeError> {
        let ids = self.ids()?;
        Ok(ids.iter().filter_map(|id| self.look_at(id).ok()).collect())
    }

    fn look_at(&self, id: &str) -> Result<Listed, RuntimeError> {
        let attempt = self.attempt(id)?;
        let plan = attempt.bundle()?.plan;
        let health = match plan.check {
            Some(_) => Some(attempt.health()?.unwrap_or_default()),
            None => None,
        };
        let running = attempt.running()?;
        let state = match running.zip(attempt.exit()?) {
            Some((running, exit)) => Found::Ended(running, exit),
            None => match running {
                Some(running) if running.init.is_none() => Found::Prepared,
                Some(running) if running.shim.is_there() => Found::Running(running),
                // The shim was killed; whoever waits for it will write this down.
                Some(running) => Found::Ended(running, Exit::default()),
                None => Found::Prepared,
            },
        };
        Ok(Listed {
            plan,
            state,
            health,
        })
    }
}
