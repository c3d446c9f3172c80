//! Hosts that join: they have no certificate, and know the swarm by the digest in their token.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use async_executor::LocalExecutor;

use crate::host::wait::blocking;
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::dial::Caller;
use crate::transport::tls::tests::kit::{Ca, MANAGER, Port, SECRET, WORKER, run};
use crate::wire::greeting::Purpose;

fn stranger(ca: &Ca) -> Caller {
    Caller::stranger(ca.token(), Dates::new(false)).unwrap()
}

/// Everything that crossed between a caller and a port.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    fn has(&self, bytes: &[u8]) -> bool {
        let captured = self.0.lock().unwrap();
        captured.windows(bytes.len()).any(|window| window == bytes)
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            self.0.lock().unwrap().extend_from_slice(&buffer[..read]);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // The other end may be gone already.
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Puts itself between one caller and a port; where to call instead.
fn tap(executor: &LocalExecutor<'_>, port: SocketAddr, capture: &Capture) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (up, down) = (capture.clone(), capture.clone());
    let (pairs_out, pairs) = async_channel::bounded(1);
    let upward = blocking(move || {
        let (caller, _) = listener.accept().unwrap();
        let manager = TcpStream::connect(port).unwrap();
        let pair = (manager.try_clone().unwrap(), caller.try_clone().unwrap());
        pairs_out.try_send(pair).unwrap();
        up.copy(caller, manager);
    });
    let downward = blocking(move || {
        let (manager, caller) = pairs.recv_blocking().unwrap();
        down.copy(manager, caller);
    });
    executor.spawn(upward).detach();
    executor.spawn(downward).detach();
    address
}

#[test]
fn a_secret_is_said_to_the_root_of_the_token_and_never_in_clear() {
    run(async |executor| {
        let ca = Ca::new();
        let mut port = Port::open(executor, &ca.issue(MANAGER));
        let capture = Capture::default();
        port.address = tap(executor, port.address, &capture);
        let (host, manager) = port.call(&stranger(&ca), Purpose::Join).await;
        assert!(manager.peer().is_none());
        host.send(SECRET.to_vec()).await.unwrap();
        assert_eq!(manager.receive().await.unwrap().unwrap(), SECRET);
        manager.send(b"the new certificate".to_vec()).await.unwrap();
        host.receive().await.unwrap().unwrap();
        assert!(capture.len() > 1_000);
        assert!(!capture.has(&SECRET));
        assert!(!capture.has(b"the new certificate"));
        assert!(!capture.has(b"swarm-manager"));
    });
}

#[test]
fn whoever_is_in_the_middle_hears_nothing() {
    run(async |executor| {
        let (ca, other) = (Ca::new(), Ca::new());
        let host = stranger(&ca);
        // One with a swarm of its own, and one that shows the right root without its signature.
        let mut pretender = other.issue(MANAGER);
        pretender.chain.push(ca.root());
        for (credentials, reason) in [
            (other.issue(MANAGER), "no root with the token's digest"),
            (pretender, "certificate"),
        ] {
            let port = Port::open(executor, &credentials);
            let dialled = host.dial(port.address, Purpose::Join).await;
            let refused = dialled.unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
            port.saw("refused 127.0.0.1").await;
            assert!(port.is_idle(), "it was greeted");
        }
        // A worker of the right swarm is not one to join at either.
        let port = Port::open(executor, &ca.issue(WORKER));
        let dialled = host.dial(port.address, Purpose::Join).await;
        assert!(dialled.is_err());
        assert!(port.is_idle());
    });
}

#[test]
fn without_a_certificate_one_can_do_nothing_but_join() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let host = stranger(&ca);
        for purpose in [
            Purpose::Renew,
            Purpose::Session,
            Purpose::Raft,
            Purpose::Snapshot,
            Purpose::Request,
            Purpose::Stream { id: 1 },
        ] {
            let dialled = host.dial(port.address, purpose).await;
            let refused = dialled.unwrap_err().to_string();
            assert!(
                refused.contains("a certificate of this swarm is needed"),
                "{refused}"
            );
        }
        assert!(port.is_idle());
    });
}
