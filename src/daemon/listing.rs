//! The containers of this host, as the API lists them.

use std::path::PathBuf;
use std::rc::Rc;

use crate::agent::containers::Record;
use crate::api::context::{Container, ContainerState, Containers};
use crate::daemon::containers::read_record;
use crate::model::id::NodeId;
use crate::runtime::attempt::{Exit, Running};
use crate::runtime::containers::Runtime;
use crate::runtime::plan::Plan;

/// Reads what the runtime keeps of each container.
#[derive(Debug)]
pub struct Listing {
    pub runtime: Rc<Runtime>,
    pub records_dir: PathBuf,
}

impl Containers for Listing {
    fn list(&self) -> Vec<Rc<Container>> {
        let ids = self.runtime.ids().unwrap_or_default();
        // One that is removed meanwhile is not there any more.
        ids.iter()
            .filter_map(|id| self.container(id))
            .map(Rc::new)
            .collect()
    }
}

impl Listing {
    fn container(&self, id: &str) -> Option<Container> {
        let record = read_record(&self.records_dir, id).ok()?;
        let plan = self.runtime.bundle(id).ok()?.plan;
        let running = self.runtime.running(id).ok()?;
        let exit = self.runtime.exit(id).ok()?;
        Some(container(record, plan, running, exit))
    }
}

fn container(
    record: Record,
    plan: Plan,
    running: Option<Running>,
    exit: Option<Exit>,
) -> Container {
    let node = plan
        .labels
        .get("com.docker.swarm.node.id")
        .and_then(|id| id.parse().ok());
    let started = running.filter(|running| running.init.is_some());
    let pid = started
        .and_then(|running| u32::try_from(running.init?.pid).ok())
        .unwrap_or(0);
    let state = match (started, exit) {
        (started, Some(exit)) => ContainerState::Exited {
            code: exit.code.map(|code| u8::try_from(code).unwrap_or(u8::MAX)),
            oom_killed: exit.oom_killed,
            since: started.map(|running| running.started),
            at: exit.finished,
            error: String::new(),
        },
        (Some(running), None) => ContainerState::Running {
            pid,
            since: running.started,
        },
        (None, None) => ContainerState::Created,
    };
    Container {
        id: plan.id,
        assignment: record.assignment,
        node: node.unwrap_or(NodeId(0)),
        image_id: plan.origin.image_id,
        command: plan.process.args,
        created: plan.origin.created,
        state,
    }
}
