//! A manager that asks a node for streams, with TLS on the loopback interface between them.

use std::sync::Arc;

use futures_lite::future::zip;

use super::*;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::manager::run::{self as manager, Session};
use crate::manager::tests::swarm::{NODE, a_genesis};
use crate::model::spec::node::NodeDescription;
use crate::store::manager_store::ManagerStore;
use crate::store::memory_disk::MemoryDisk;
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::tests::kit::{Ca, Life, MANAGER, Port, WORKER, keyring, run};
use crate::wire::session::{ToAgent, ToManager};

const OTHER: NodeId = NodeId(99);

/// A manager at a port, and the session that the node has with it.
async fn manage(
    executor: &Rc<LocalExecutor<'static>>,
    ca: &Ca,
    story: impl AsyncFnOnce(Rc<Streams>, &Port, Session),
) {
    let credentials = ca.issue(MANAGER);
    let port = Port::open(executor, &credentials);
    let (mut store, _) = ManagerStore::open(Arc::new(MemoryDisk::default())).unwrap();
    let opened = manager::found(&mut store, a_genesis(), clock::now()).unwrap();
    let core = manager::resume(opened, 1, 1).unwrap();
    let (handle, inbox) = manager::channel();
    let running = manager::run(core, store, Rng::from_seed(1), inbox);
    executor.spawn(running).detach();
    let session = handle.connect().await.unwrap();
    let hello = ToManager::Hello {
        node: NODE,
        description: NodeDescription::default(),
    };
    assert!(session.send(hello).await);
    while !matches!(session.receive().await, Some(ToAgent::Assignments(_))) {}
    let own = Own::new(1, port.address.to_string(), port.keyring.clone(), handle);
    // The certificate of the port is this node's.
    let streams = Rc::new(Streams::new(NODE, Rc::new(own), executor.clone()));
    story(streams, &port, session).await;
}

async fn summoned(session: &Session) -> Summons {
    loop {
        if let Some(ToAgent::Summon(summons)) = session.receive().await {
            return summons;
        }
    }
}

#[test]
fn a_node_that_is_asked_for_a_stream_calls_and_bytes_go_both_ways() {
    run(async |executor| {
        let ca = Ca::new();
        let own = keyring(&ca.issue(WORKER), &Dates::new(true));
        manage(executor, &ca, async |streams, port, session| {
            let (summons_out, summons) = async_channel::bounded(1);
            let (streams_out, served) = async_channel::bounded(1);
            executor.spawn(answer(summons, own, streams_out)).detach();
            let pass_on = async {
                summons_out.send(summoned(&session).await).await.unwrap();
                let incoming = port.next().await;
                let Purpose::Stream { id } = incoming.purpose else {
                    panic!("{:?}", incoming.purpose);
                };
                streams.take(id, incoming).await.unwrap();
                served.recv().await.unwrap()
            };
            let (mut here, mut there) = zip(streams.open(NODE), pass_on).await;
            let here = here.as_mut().unwrap();
            // More than fits into what is on the way.
            let question = vec![7; 4 << 20];
            let ask = async {
                here.write_all(&question).await.unwrap();
                here.shutdown(Shutdown::Write).unwrap();
            };
            let mut heard = Vec::new();
            zip(ask, there.read_to_end(&mut heard)).await.1.unwrap();
            assert!(heard == question);
            there.write_all(b"answer").await.unwrap();
            drop(there);
            let mut answer = Vec::new();
            here.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer");
            assert!(streams.asked.borrow().is_empty());
        })
        .await;
    });
}

#[test]
fn a_ticket_is_good_for_the_node_that_was_asked_alone_and_only_once() {
    run(async |executor| {
        let ca = Ca::new();
        manage(executor, &ca, async |streams, port, session| {
            let own = keyring(&ca.issue(WORKER), &Dates::new(true));
            let other = ca.issue_for(WORKER, OTHER, Life::Present);
            let other = keyring(&other, &Dates::new(true));
            let opening = executor.spawn({
                let streams = streams.clone();
                async move { streams.open(NODE).await }
            });
            let summons = summoned(&session).await;
            let try_with = async |ring: &Keyring, ticket| {
                let summons = Summons {
                    ticket,
                    ..summons.clone()
                };
                let take = async {
                    let incoming = port.next().await;
                    let Purpose::Stream { id } = incoming.purpose else {
                        panic!("{:?}", incoming.purpose);
                    };
                    streams.take(id, incoming).await
                };
                let (called, taken) = zip(call(summons, ring), take).await;
                assert_eq!(called.is_ok(), taken.is_ok());
                let error = called.err().map(|error| error.to_string());
                (error.unwrap_or_default(), taken.is_ok())
            };
            let refused = |said: (String, bool)| {
                assert!(!said.1);
                assert!(
                    said.0.contains("nothing was asked of this node"),
                    "{said:?}"
                );
            };
            refused(try_with(&other, summons.ticket).await);
            refused(try_with(&own, summons.ticket ^ 1).await);
            assert!(try_with(&own, summons.ticket).await.1);
            opening.await.unwrap();
            refused(try_with(&own, summons.ticket).await);
        })
        .await;
    });
}
