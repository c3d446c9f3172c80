//! A manager as the daemon runs it, on a store in memory.

use std::sync::Arc;

use futures_lite::future::{block_on, zip};

use crate::host::clock;
use crate::host::rng::Rng;
use crate::manager::run::{self, ManagerHandle, RunError};
use crate::manager::tests::swarm::{NODE, a_genesis, create_request};
use crate::model::spec::node::NodeDescription;
use crate::store::manager_store::ManagerStore;
use crate::store::memory_disk::{MemoryDisk, Tear};
use crate::wire::control::{Filters, ObjectKind, Refusal, Request, Response};
use crate::wire::session::{Assignments, ToAgent, ToManager};

/// Starts the manager of a disk, founding a swarm if it is empty, lets `story` use it, and stops.
fn run<T>(
    disk: &MemoryDisk,
    story: impl AsyncFnOnce(ManagerHandle) -> T,
) -> (Result<(), RunError>, T) {
    let (mut store, mut opened) = ManagerStore::open(Arc::new(disk.clone())).unwrap();
    if opened.is_new() {
        opened = run::found(&mut store, a_genesis(), clock::now()).unwrap();
    }
    let manager = run::resume(opened, 1, 1).unwrap();
    let (handle, inbox) = run::channel();
    let running = run::run(manager, store, Rng::from_seed(disk.steps()), inbox);
    block_on(zip(running, async move {
        let outcome = story(handle.clone()).await;
        handle.stop().await;
        outcome
    }))
}

pub(super) async fn names(handle: &ManagerHandle) -> Vec<String> {
    let Ok(Response::Services(views)) = handle.request(Request::Services(Filters::default())).await
    else {
        panic!("no services");
    };
    let mut names: Vec<_> = views
        .iter()
        .map(|view| view.service.spec.name.clone())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_answered_is_there_after_a_clean_stop_and_after_a_power_cut() {
    let disk = MemoryDisk::default();
    let (ended, answer) = run(&disk, async |handle| {
        handle.request(create_request("web", 2)).await
    });
    ended.unwrap();
    assert!(matches!(answer, Ok(Response::Created { .. })));
    let (ended, found) = run(&disk, async |handle| {
        handle.request(create_request("db", 1)).await.unwrap();
        // Nothing is written any more, not even at the stop.
        disk.cut_power_at(disk.steps() + 1);
        names(&handle).await
    });
    assert!(matches!(ended, Err(RunError::Store(_))), "{ended:?}");
    assert_eq!(found, ["db", "web"]);
    disk.restart(Tear::Garbage, &mut Rng::from_seed(3));
    let (ended, found) = run(&disk, async |handle| names(&handle).await);
    ended.unwrap();
    assert_eq!(found, ["db", "web"]);
}

#[test]
fn a_failed_sync_ends_the_manager_and_answers_nobody() {
    let disk = MemoryDisk::default();
    let (ended, answer) = run(&disk, async |handle| {
        handle.request(create_request("web", 1)).await.unwrap();
        disk.fail_next_sync(true);
        handle.request(create_request("db", 1)).await
    });
    assert!(matches!(ended, Err(RunError::Store(_))), "{ended:?}");
    assert_eq!(answer, Err(Refusal::NoLeader));
}

#[test]
fn a_disk_that_is_full_at_the_stop_loses_nothing() {
    let disk = MemoryDisk::default();
    let (ended, ()) = run(&disk, async |handle| {
        handle.request(create_request("web", 1)).await.unwrap();
        disk.fill(Some(0));
    });
    ended.unwrap();
    disk.fill(None);
    let (_, found) = run(&disk, async |handle| names(&handle).await);
    assert_eq!(found, ["web"]);
}

#[test]
fn an_agent_gets_its_tasks_and_its_end_is_seen() {
    let disk = MemoryDisk::default();
    let (ended, ()) = run(&disk, async |handle| {
        let events = handle.events().await;
        let session = handle.connect().await.unwrap();
        let hello = ToManager::Hello {
            node: NODE,
            description: NodeDescription::default(),
        };
        assert!(session.send(hello).await);
        assert!(matches!(
            session.receive().await,
            Some(ToAgent::Welcome {
                heartbeat_ms: 2_000
            })
        ));
        let managers = session.receive().await;
        assert!(matches!(managers, Some(ToAgent::Managers(_))));
        let reach = session.receive().await;
        assert!(matches!(reach, Some(ToAgent::Reach(_))));
        let full = session.receive().await;
        assert!(matches!(
            full,
            Some(ToAgent::Assignments(Assignments::Full { .. }))
        ));
        handle.request(create_request("web", 3)).await.unwrap();
        let Some(ToAgent::Assignments(Assignments::Difference { set, .. })) =
            session.receive().await
        else {
            panic!("no difference");
        };
        assert_eq!(set.len(), 3);
        drop(session);
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(events.recv().await.unwrap());
        }
        let words: Vec<_> = seen
            .iter()
            .map(|e| (e.kind, e.attributes.get("state.new")))
            .collect();
        let (ready, gone) = ("ready".to_owned(), "disconnected".to_owned());
        let expected = [
            (ObjectKind::Node, Some(&ready)),
            (ObjectKind::Service, None),
            (ObjectKind::Node, Some(&gone)),
        ];
        assert_eq!(words, expected);
    });
    ended.unwrap();
}

#[test]
fn a_stranger_gets_no_session() {
    let disk = MemoryDisk::default();
    let (ended, ()) = run(&disk, async |handle| {
        let session = handle.connect().await.unwrap();
        assert!(session.send(ToManager::Heartbeat).await);
        assert!(matches!(
            session.receive().await,
            Some(ToAgent::Refused { .. })
        ));
        assert_eq!(session.receive().await, None);
    });
    ended.unwrap();
}
