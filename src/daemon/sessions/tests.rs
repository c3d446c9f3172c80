//! A manager and an agent as the daemon runs them, with TLS on the loopback interface between them.

use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::{or, yield_now, zip};

use super::*;
use crate::agent::run::tests::Host;
use crate::agent::{Agent, Farewell, run as agent};
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::manager::run as manager;
use crate::manager::tests::swarm::{NODE, a_genesis, create_request};
use crate::model::object::{NodeState, Task, TaskState};
use crate::model::spec::node::NodeDescription;
use crate::store::manager_store::ManagerStore;
use crate::store::memory_disk::MemoryDisk;
use crate::transport::tls::credentials::{Credentials, Dates};
use crate::transport::tls::dial::ManagerDialer;
use crate::transport::tls::tests::kit::{Ca, Life, MANAGER, Port, WORKER, keyring, run};
use crate::wire::control::{Filters, Request, Response};

/// For a story that must end; far more than it ever takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a manager at a port beside a story about it.
async fn manage(port: &Port, executor: &LocalExecutor<'_>, story: impl AsyncFnOnce(ManagerHandle)) {
    let (mut store, _) = ManagerStore::open(Arc::new(MemoryDisk::default())).unwrap();
    let opened = manager::found(&mut store, a_genesis(), clock::now()).unwrap();
    let core = manager::resume(opened, 1, 1).unwrap();
    let (handle, inbox) = manager::channel();
    let running = manager::run(core, store, Rng::from_seed(1), inbox);
    let sessions = async {
        loop {
            let incoming = port.next().await;
            executor.spawn(remote(incoming, handle.clone())).detach();
        }
    };
    let story = async {
        let late = async {
            sleep(PATIENCE).await;
            panic!("the story does not end; the log is {:#?}", port.lines());
        };
        or(story(handle.clone()), late).await;
        handle.stop().await;
    };
    let (ended, ()) = zip(Box::pin(running), or(sessions, story)).await;
    ended.unwrap();
}

async fn agent(host: &Host, port: &Port, own: &Credentials, farewells: &Receiver<Farewell>) {
    let dialer = ManagerDialer::new(keyring(own, &Dates::new(true)), vec![port.address]);
    let agent = Agent::new(NODE, NodeDescription::default());
    let running = agent::run(agent, Rng::from_seed(2), host, &dialer, farewells);
    Box::pin(running).await.unwrap();
}

/// Asks until the answer is as expected.
async fn until(handle: &ManagerHandle, question: Request, holds: impl Fn(Response) -> bool) {
    while !holds(handle.request(question.clone()).await.unwrap()) {
        yield_now().await;
    }
}

fn run_three(answer: Response) -> bool {
    let Response::Tasks(tasks) = answer else {
        return false;
    };
    let run = |task: &&Arc<Task>| task.status.state == TaskState::Running;
    tasks.iter().filter(run).count() == 3
}

fn is_down(answer: Response) -> bool {
    matches!(answer, Response::Node(view) if view.node.status.state == NodeState::Down)
}

#[test]
fn tasks_are_assigned_and_reported_and_goodbye_is_said_over_tls() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let own = ca.issue_for(WORKER, NODE, Life::Present);
        let host = Host::default();
        let (say, farewells) = async_channel::bounded(1);
        let story = async |handle: ManagerHandle| {
            handle.request(create_request("web", 3)).await.unwrap();
            until(&handle, Request::Tasks(Filters::default()), run_three).await;
            say.send(Farewell::Leave).await.unwrap();
            until(&handle, Request::Node(NODE.to_string()), is_down).await;
        };
        zip(
            manage(&port, executor, story),
            agent(&host, &port, &own, &farewells),
        )
        .await;
    });
}

#[test]
fn a_node_cannot_speak_for_another() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let other = NodeId(NODE.0 + 1);
        let own = ca.issue_for(WORKER, other, Life::Present);
        let host = Host::default();
        let (_say, farewells) = async_channel::bounded(1);
        let story = async |_| port.saw("had another node's certificate").await;
        or(
            manage(&port, executor, story),
            agent(&host, &port, &own, &farewells),
        )
        .await;
    });
}
