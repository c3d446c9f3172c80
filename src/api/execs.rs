//! The execs of this host: made, started, and remembered until they are too many.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::api::failure::Failure;
use crate::api::types::exec::ExecConfig;
use crate::host::rng::entropy;
use crate::model::id::NodeId;
use crate::runtime::exec::Streams;

/// Most execs that are remembered; those that have ended are forgotten first.
const EXECS_MAX: usize = 256;
const ID_BYTES: usize = 32;

/// All of them, by id.
#[derive(Debug, Default)]
pub struct Execs {
    /// By order of their making.
    known: RefCell<BTreeMap<u64, Rc<Exec>>>,
    made: Cell<u64>,
    /// Those that other nodes have made for this host's clients, the newest last.
    elsewhere: RefCell<VecDeque<(String, NodeId)>>,
}

/// One command to be run beside a container's own.
#[derive(Debug)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub config: ExecConfig,
    pub progress: RefCell<Progress>,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub enum Progress {
    Made,
    Starting,
    Running { pid: i32, streams: Streams },
    Ended { code: i32 },
}

impl Execs {
    /// Remembers a new one.
    pub fn add(&self, container: String, config: ExecConfig) -> Result<Rc<Exec>, Failure> {
        let mut bytes = [0; ID_BYTES];
        entropy(&mut bytes).map_err(Failure::internal)?;
        let exec = Rc::new(Exec {
            id: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            container,
            config,
            progress: RefCell::new(Progress::Made),
        });
        let mut known = self.known.borrow_mut();
        if known.len() >= EXECS_MAX {
            let oldest = known
                .iter()
                .find(|(_, exec)| exec.is_over())
                .map(|(number, _)| *number);
            let oldest = oldest.ok_or_else(|| {
                Failure::unavailable(format!("{EXECS_MAX} execs run or wait to be started"))
            })?;
            known.remove(&oldest);
        }
        let number = self.made.get();
        self.made.set(number + 1);
        known.insert(number, exec.clone());
        Ok(exec)
    }

    pub fn find(&self, id: &str) -> Result<Rc<Exec>, Failure> {
        let known = self.known.borrow();
        let found = known.values().find(|exec| exec.id == id).cloned();
        found.ok_or_else(|| Failure::not_found(format!("No such exec instance: {id}")))
    }

    /// Remembers on which node an exec is.
    pub fn note_elsewhere(&self, id: String, node: NodeId) {
        let mut elsewhere = self.elsewhere.borrow_mut();
        if elsewhere.len() >= EXECS_MAX {
            elsewhere.pop_front();
        }
        elsewhere.push_back((id, node));
    }

    /// The node that has an exec, if it is one of another's.
    pub fn elsewhere(&self, id: &str) -> Option<NodeId> {
        let elsewhere = self.elsewhere.borrow();
        let found = elsewhere.iter().find(|(known, _)| known == id);
        found.map(|(_, node)| *node)
    }

    /// Those of a container that run.
    pub fn running_in(&self, container: &str) -> Vec<String> {
        let known = self.known.borrow();
        let its = known
            .values()
            .filter(|exec| exec.container == container && exec.is_running());
        its.map(|exec| exec.id.clone()).collect()
    }
}

impl Exec {
    pub fn is_running(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Running { .. })
    }

    /// Ended, or made long ago and never started.
    fn is_over(&self) -> bool {
        matches!(
            *self.progress.borrow(),
            Progress::Ended { .. } | Progress::Made
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn execs_that_ended_make_room_and_running_ones_do_not() {
        let execs = Execs::default();
        let first = execs.add("c".into(), ExecConfig::default()).unwrap();
        for _ in 1..EXECS_MAX {
            let exec = execs.add("c".into(), ExecConfig::default()).unwrap();
            *exec.progress.borrow_mut() = Progress::Starting;
        }
        execs.add("c".into(), ExecConfig::default()).unwrap();
        assert!(execs.find(&first.id).is_err());
        let last = execs.known.borrow().values().next_back().unwrap().clone();
        *last.progress.borrow_mut() = Progress::Starting;
        let refused = execs.add("c".into(), ExecConfig::default()).unwrap_err();
        assert_eq!(refused.message, "256 execs run or wait to be started");
    }
}
