use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use futures_lite::future::block_on;

use super::*;
use crate::agent::containers::{Change, ContainerId, Exit, Health, Left, Record, Started};
use crate::agent::tests::assignment;
use crate::model::id::{NodeId, TaskId};
use crate::model::object::TaskState;
use crate::model::spec::node::NodeDescription;
use crate::transport::local::{Listener, listen as open};
use crate::wire::dependency::Dependency;
use crate::wire::reach::Reach;
use crate::wire::session::{Assignment, Assignments};

/// A host in memory: its containers run until they are told to stop.
#[derive(Default)]
pub(crate) struct Host {
    found: RefCell<Vec<Found>>,
    running: RefCell<BTreeMap<ContainerId, Life>>,
    removed: Cell<usize>,
    /// Preparations that do not end by themselves.
    preparing: RefCell<BTreeSet<ContainerId>>,
    cancelled: Cell<usize>,
    /// Containers that were removed while they were prepared.
    removed_early: Cell<usize>,
    /// Containers that were found healthy.
    well: RefCell<BTreeSet<ContainerId>>,
    starting: Cell<usize>,
    starting_max: Cell<usize>,
}

/// A running container, which ends when this is dropped.
struct Life {
    _end: Sender<()>,
    ended: Receiver<()>,
}

impl Host {
    fn run(&self, container: ContainerId) {
        let (_end, ended) = async_channel::bounded(1);
        self.running
            .borrow_mut()
            .insert(container, Life { _end, ended });
    }
}

/// Sees a preparation end.
struct Dropped<'a>(&'a Host, ContainerId);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.preparing.borrow_mut().remove(&self.1);
        self.0.cancelled.set(self.0.cancelled.get() + 1);
    }
}

impl Containers for Host {
    type Error = &'static str;

    async fn adopt(&self) -> Result<Left, Self::Error> {
        Ok(Left {
            found: self.found.take(),
            kept: Vec::new(),
        })
    }

    fn keep(&self, _: Vec<Change>) {}

    async fn prepare(&self, record: Record, _: Vec<Arc<Dependency>>) -> Result<(), Self::Error> {
        match &record.assignment.service_name[..] {
            "broken" => Err("no such image"),
            "endless" => {
                let container = record.attempt.container;
                self.preparing.borrow_mut().insert(container);
                let _dropped = Dropped(self, container);
                pending().await
            }
            _ => Ok(()),
        }
    }

    fn is_passing(_: &Self::Error) -> bool {
        false
    }

    async fn start(&self, attempt: Attempt) -> Result<Started, Self::Error> {
        self.starting.set(self.starting.get() + 1);
        self.starting_max
            .set(self.starting_max.get().max(self.starting.get()));
        futures_lite::future::yield_now().await;
        self.starting.set(self.starting.get() - 1);
        self.run(attempt.container);
        Ok(Started {
            pid: 7,
            health: Health::Starting,
        })
    }

    async fn wait(&self, attempt: Attempt) -> Exit {
        let ended = self.running.borrow()[&attempt.container].ended.clone();
        assert!(ended.recv().await.is_err());
        Exit {
            code: Some(143),
            ..Exit::default()
        }
    }

    async fn health(&self, attempt: Attempt) -> Health {
        let is_news = self.well.borrow_mut().insert(attempt.container);
        match is_news {
            true => Health::Healthy,
            false => pending().await,
        }
    }

    fn reach(&self, _: Reach) {}

    async fn stop(&self, attempt: Attempt) -> Result<(), Self::Error> {
        let ended = self.running.borrow_mut().remove(&attempt.container);
        ended.map(drop).ok_or("not running")
    }

    async fn kill(&self, attempt: Attempt) -> Result<(), Self::Error> {
        self.stop(attempt).await
    }

    async fn remove(&self, attempt: Attempt) -> Result<(), Self::Error> {
        let early = self.preparing.borrow().contains(&attempt.container);
        self.removed_early
            .set(self.removed_early.get() + usize::from(early));
        self.removed.set(self.removed.get() + 1);
        Ok(())
    }
}

/// Runs an agent on `host` beside `story`, which is over when the agent is.
fn beside<F: Future<Output = ()>>(
    host: &Host,
    story: impl FnOnce(Listener, Sender<Farewell>) -> F,
) {
    let (dialer, listener) = open();
    let (say, farewells) = async_channel::bounded(4);
    let agent = Agent::new(NodeId(1), NodeDescription::default());
    let agent = run(agent, Rng::from_seed(1), host, &dialer, &farewells);
    block_on(futures_lite::future::zip(
        async { agent.await.unwrap() },
        story(listener, say),
    ));
}

/// Takes a session and gives it its assignments.
async fn welcome(listener: &Listener, tasks: Vec<Assignment>) -> End<ToAgent, ToManager> {
    let end = listener.accept().await.unwrap();
    let hello = end.receive().await.unwrap();
    assert!(
        matches!(
            hello,
            Some(ToManager::Hello {
                node: NodeId(1),
                ..
            })
        ),
        "{hello:?}"
    );
    end.send(&ToAgent::Welcome {
        heartbeat_ms: 60_000,
    })
    .await
    .unwrap();
    let full = Assignments::Full { version: 1, tasks };
    end.send(&ToAgent::Assignments(full)).await.unwrap();
    end
}

/// Reads statuses until each of the tasks was reported in `state`.
async fn until(end: &End<ToAgent, ToManager>, state: TaskState, mut tasks: Vec<TaskId>) {
    while !tasks.is_empty() {
        if let Some(ToManager::Status(updates)) = end.receive().await.unwrap() {
            let there = |id: &TaskId| {
                updates
                    .iter()
                    .any(|update| update.task == *id && update.status.state == state)
            };
            tasks.retain(|id| !there(id));
        }
    }
}

#[test]
fn what_is_assigned_runs_and_ends_when_the_node_leaves() {
    let host = Host::default();
    beside(&host, |listener, say| async move {
        let end = welcome(&listener, vec![assignment("web.1", "running")]).await;
        until(&end, TaskState::Running, vec![TaskId(1)]).await;
        say.send(Farewell::Leave).await.unwrap();
        assert_eq!(end.receive().await.unwrap(), Some(ToManager::Goodbye));
    });
    assert!(host.running.borrow().is_empty());
    assert_eq!(host.removed.get(), 1);
}

#[test]
fn a_daemon_that_stops_leaves_its_containers_running() {
    let host = Host::default();
    beside(&host, |listener, say| async move {
        let end = welcome(&listener, vec![assignment("web.1", "running")]).await;
        until(&end, TaskState::Running, vec![TaskId(1)]).await;
        say.send(Farewell::BackSoon).await.unwrap();
        assert_eq!(
            end.receive().await.unwrap(),
            Some(ToManager::BackSoon { ms: 60_000 })
        );
        assert_eq!(end.receive().await.unwrap(), None);
    });
    assert_eq!(host.running.borrow().len(), 1);
}

#[test]
fn a_reason_reaches_the_manager() {
    let host = Host::default();
    let broken = Assignment {
        service_name: "broken".into(),
        ..assignment("web.1", "running")
    };
    beside(&host, |listener, say| async move {
        let end = welcome(&listener, vec![broken]).await;
        until(&end, TaskState::Rejected, vec![TaskId(1)]).await;
        drop(say);
    });
}

/// More than are prepared at once: for some, the preparation ends before it has begun.
#[test]
fn a_preparation_ends_when_its_task_shall() {
    let host = Host::default();
    let there = &host;
    beside(there, |listener, say| async move {
        let endless = |n| Assignment {
            service_name: "endless".into(),
            ..assignment(&format!("web.{n}"), "running")
        };
        let end = welcome(&listener, (1..=20).map(endless).collect()).await;
        until(&end, TaskState::Preparing, (1..=20).map(TaskId).collect()).await;
        let difference = Assignments::Difference {
            from: 1,
            to: 2,
            set: Vec::new(),
            desired: (1..=20).map(|n| (TaskId(n), TaskState::Shutdown)).collect(),
            removed: Vec::new(),
        };
        end.send(&ToAgent::Assignments(difference)).await.unwrap();
        until(&end, TaskState::Shutdown, (1..=20).map(TaskId).collect()).await;
        say.send(Farewell::Leave).await.unwrap();
        while end.receive().await.unwrap().is_some() {}
    });
    assert_eq!(
        (host.cancelled.get(), host.removed_early.get()),
        (AT_ONCE, 0)
    );
    assert_eq!(host.removed.get(), 20);
}

#[test]
fn many_containers_start_a_few_at_a_time() {
    let host = Host::default();
    beside(&host, |listener, say| async move {
        let tasks = (1..=30)
            .map(|n| assignment(&format!("web.{n}"), "running"))
            .collect();
        let end = welcome(&listener, tasks).await;
        until(&end, TaskState::Running, (1..=30).map(TaskId).collect()).await;
        drop(say);
    });
    assert_eq!(host.running.borrow().len(), 30);
    assert!(
        (2..=AT_ONCE).contains(&host.starting_max.get()),
        "{}",
        host.starting_max.get()
    );
}

#[test]
fn a_lost_session_is_followed_by_another_that_hears_what_happened() {
    let host = Host::default();
    beside(&host, |listener, say| async move {
        let tasks = || vec![assignment("web.1", "running")];
        let end = welcome(&listener, tasks()).await;
        until(&end, TaskState::Running, vec![TaskId(1)]).await;
        drop(end);
        let end = welcome(&listener, tasks()).await;
        until(&end, TaskState::Running, vec![TaskId(1)]).await;
        drop(say);
    });
}

#[test]
fn what_an_earlier_daemon_started_is_watched() {
    let host = Host::default();
    let container = ContainerId::draw(&mut Rng::from_seed(2));
    let task = assignment("web.1", "running");
    let attempt = Attempt {
        task: task.task,
        number: 1,
        container,
    };
    let record = Record {
        attempt,
        assignment: std::sync::Arc::new(task.clone()),
    };
    let condition = Condition::Running {
        pid: 7,
        since: Time(1),
        stopped: None,
    };
    host.found.borrow_mut().push(Found {
        record,
        condition,
        health: Health::Healthy,
    });
    host.run(container);
    let there = &host;
    beside(there, |listener, say| async move {
        let end = welcome(&listener, vec![task]).await;
        until(&end, TaskState::Running, vec![TaskId(1)]).await;
        there.stop(attempt).await.unwrap();
        until(&end, TaskState::Failed, vec![TaskId(1)]).await;
        drop(say);
    });
}
