//! The port, with real sockets and real TLS on the loopback interface.

pub(crate) mod kit;
mod dates;
mod hostile;
mod join;
mod load;

use futures_lite::future::{or, zip};

use crate::identity::certificate::Peer;
use crate::transport::tls::connection::ConnectionError;
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::dial::{Caller, DialError};
use crate::transport::tls::tests::kit::{Ca, MANAGER, NODE, Port, WORKER, keyring, run};
use crate::wire::frame::FRAME_BYTES_MAX;
use crate::wire::greeting::Purpose;

#[test]
fn frames_cross_both_ways_and_both_sides_know_each_other() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let who = |peer: &Peer| (peer.node, peer.role);
        assert_eq!(agent.peer().map(who), Some((NODE, MANAGER)));
        assert_eq!(manager.peer().map(who), Some((NODE, WORKER)));
        agent.send(b"status".to_vec()).await.unwrap();
        manager.send(Vec::new()).await.unwrap();
        manager.send(b"assignments".to_vec()).await.unwrap();
        assert_eq!(manager.receive().await.unwrap().unwrap(), b"status");
        assert_eq!(agent.receive().await.unwrap().unwrap(), b"");
        assert_eq!(agent.receive().await.unwrap().unwrap(), b"assignments");
        drop(agent);
        assert_eq!(manager.receive().await.unwrap(), None);
    });
}

#[test]
fn the_longest_frames_pass_each_other() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let long = |byte| vec![byte; FRAME_BYTES_MAX];
        let up = zip(agent.send(long(1)), manager.receive());
        let down = zip(manager.send(long(2)), agent.receive());
        let ((up, received), (down, taken)) = zip(up, down).await;
        up.unwrap();
        down.unwrap();
        assert!(received.unwrap().unwrap() == long(1));
        assert!(taken.unwrap().unwrap() == long(2));
        let over = agent.send(vec![0; FRAME_BYTES_MAX + 1]).await;
        assert!(matches!(over, Err(ConnectionError::TooLong { .. })));
    });
}

#[test]
fn a_peer_that_does_not_read_fills_a_bounded_queue_and_loses_nothing() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let mut sent = 0_usize;
        let full = loop {
            match agent.try_send(vec![u8::try_from(sent % 251).unwrap(); 1 << 20]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, ConnectionError::Full(frames) if frames >= 15));
        assert!(sent < 64, "{sent} MiB were taken");
        let receive = async {
            for n in 0..sent {
                let frame = manager.receive().await.unwrap().unwrap();
                assert_eq!(frame.len(), 1 << 20);
                assert_eq!(usize::from(frame[0]), n % 251);
            }
        };
        // The rest goes out while the agent waits for messages.
        let listen = async { panic!("{:?}", agent.receive().await) };
        or(receive, listen).await;
    });
}

#[test]
fn what_is_left_is_written_for_one_who_waits_already() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let agent = std::rc::Rc::new(agent);
        let waiting = agent.clone();
        let waits = executor.spawn(async move { waiting.receive().await });
        futures_lite::future::yield_now().await;
        // More than a socket takes at once.
        agent.try_send(vec![7; FRAME_BYTES_MAX]).unwrap();
        let frame = manager.receive().await.unwrap().unwrap();
        assert_eq!(frame.len(), FRAME_BYTES_MAX);
        manager.send(b"got it".to_vec()).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap(), b"got it");
    });
}

#[test]
fn last_words_arrive_though_the_speaker_has_not_read_everything() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        manager.send(b"unread".to_vec()).await.unwrap();
        agent.try_send(b"goodbye".to_vec()).unwrap();
        let heard = async move {
            assert_eq!(manager.receive().await.unwrap().unwrap(), b"goodbye");
            assert_eq!(manager.receive().await.unwrap(), None);
        };
        zip(agent.finish(), heard).await;
    });
}

#[test]
fn closing_wakes_whoever_waits_on_either_side() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let close = async { manager.close() };
        let (here, (there, ())) = zip(manager.receive(), zip(agent.receive(), close)).await;
        assert_eq!(here.unwrap(), None);
        assert_eq!(there.unwrap(), None);
        let late = manager.send(b"late".to_vec()).await;
        assert!(matches!(late, Err(ConnectionError::Closed)), "{late:?}");
    });
}

#[test]
fn neither_side_takes_a_certificate_of_another_swarm() {
    run(async |executor| {
        let (ca, other) = (Ca::new(), Ca::new());
        let port = Port::open(executor, &ca.issue(MANAGER));
        let refused = port.refused(&other.issue(WORKER), Purpose::Session).await;
        assert!(
            refused.ends_with("its certificate is not from this swarm"),
            "{refused}"
        );
        // One that trusts the manager but whose own certificate is another swarm's.
        let mut mixed = other.issue(WORKER);
        mixed.roots.clone_from(&ca.issue(WORKER).roots);
        let refused = port.refused(&mixed, Purpose::Session).await;
        assert!(
            refused.contains("does not take this node's certificate"),
            "{refused}"
        );
        port.saw("its certificate is not from this swarm").await;
        assert!(port.is_idle());
    });
}

#[test]
fn a_worker_is_not_taken_for_a_manager() {
    run(async |executor| {
        let ca = Ca::new();
        let false_port = Port::open(executor, &ca.issue(WORKER));
        let refused = false_port
            .refused(&ca.issue(WORKER), Purpose::Session)
            .await;
        assert!(refused.contains("is no manager"), "{refused}");
        let port = Port::open(executor, &ca.issue(MANAGER));
        for purpose in [Purpose::Raft, Purpose::Snapshot, Purpose::Request] {
            let refused = port.refused(&ca.issue(WORKER), purpose).await;
            assert!(
                refused.contains("a manager's certificate is needed to"),
                "{refused}"
            );
            port.connect(&ca.issue(MANAGER), purpose).await;
        }
        assert!(port.is_idle());
    });
}

#[test]
fn credentials_are_replaced_while_connections_stand() {
    run(async |executor| {
        let (ca, next) = (Ca::new(), Ca::new());
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let mut wrong = next.issue(MANAGER);
        wrong.key = next.issue(MANAGER).key;
        assert!(port.keyring.replace(&wrong).is_err());
        port.connect(&ca.issue(WORKER), Purpose::Session).await;

        port.keyring.replace(&next.issue(MANAGER)).unwrap();
        port.refused(&ca.issue(WORKER), Purpose::Session).await;
        port.connect(&next.issue(WORKER), Purpose::Session).await;
        agent.send(b"still here".to_vec()).await.unwrap();
        assert_eq!(manager.receive().await.unwrap().unwrap(), b"still here");
    });
}

#[test]
fn a_refusal_reaches_the_caller_with_its_reason() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let keyring = keyring(&ca.issue(WORKER), &Dates::new(true));
        let caller = Caller::member(&keyring);
        let refuse = async {
            let incoming = port.next().await;
            incoming.refuse("this node was removed".into()).await;
        };
        let dial = caller.dial(port.address, Purpose::Session);
        let (refused, ()) = zip(dial, refuse).await;
        assert!(
            matches!(&refused, Err(DialError::Refused { reason, .. })
                if reason == "this node was removed"),
            "{refused:?}"
        );
    });
}
