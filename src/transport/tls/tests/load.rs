//! Callers that connect and say nothing.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::host::wait::blocking;
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::listener::Limits;
use crate::transport::tls::tests::kit::{Ca, MANAGER, Port, WORKER, run};
use crate::wire::greeting::Purpose;

const CALLERS: usize = 1_000;

/// Both ends of every connection are in this process.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn a_thousand_callers_that_never_greet_do_not_keep_others_out() {
    raise_descriptors();
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
        let address = port.address;
        let silent: Vec<_> = blocking(move || {
            let connect = |_| TcpStream::connect(address).unwrap();
            (0..CALLERS).map(connect).collect()
        })
        .await;
        port.connect(&ca.issue(WORKER), Purpose::Session).await;
        agent.send(b"heartbeat".to_vec()).await.unwrap();
        assert_eq!(manager.receive().await.unwrap().unwrap(), b"heartbeat");
        port.saw("too many callers have not greeted").await;

        // All but the newest were shed, the oldest first, and the log did not grow with them.
        let is_shed = |socket: &TcpStream| {
            socket.set_nonblocking(true).unwrap();
            !matches!({ socket }.read(&mut [0]), Err(error)
                if error.kind() == std::io::ErrorKind::WouldBlock)
        };
        let shed: Vec<_> = silent.iter().map(is_shed).collect();
        let count = shed.iter().filter(|shed| **shed).count();
        let expected = CALLERS - Limits::default().half_open_max;
        assert!((expected..=expected + 1).contains(&count), "{count}");
        assert!(shed[..count].iter().all(|shed| *shed));
        assert!(port.lines().len() <= 40, "{}", port.lines().len());
    });
}

#[test]
fn whoever_does_not_greet_in_time_is_dropped() {
    run(async |executor| {
        let ca = Ca::new();
        let limits = Limits {
            greeting: Duration::from_millis(50),
            ..Limits::default()
        };
        let port = Port::with(executor, &ca.issue(MANAGER), limits, &Dates::new(true));
        let address = port.address;
        let ended = blocking(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.read_to_end(&mut Vec::new())
        });
        ended.await.unwrap();
        port.saw("it did not greet in time").await;
        port.connect(&ca.issue(WORKER), Purpose::Session).await;
    });
}
