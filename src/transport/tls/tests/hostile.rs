//! Callers that do everything wrong, beside one whose session goes on.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::host::rng::Rng;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::tests::kit::{
    Ca, MANAGER, Port, WORKER, keyring, over_tcp, over_tls, run,
};
use crate::wire::greeting::{Answer, Purpose};

/// A session that must not notice.
struct Bystander(Connection, Connection);

impl Bystander {
    async fn goes_on(&self) {
        self.0.send(b"heartbeat".to_vec()).await.unwrap();
        assert_eq!(self.1.receive().await.unwrap().unwrap(), b"heartbeat");
        self.1.send(b"assignments".to_vec()).await.unwrap();
        assert_eq!(self.0.receive().await.unwrap().unwrap(), b"assignments");
    }
}

async fn bystander(port: &Port, ca: &Ca) -> Bystander {
    let (agent, manager) = port.connect(&ca.issue(WORKER), Purpose::Session).await;
    Bystander(agent, manager)
}

fn config(ca: &Ca) -> Arc<ClientConfig> {
    let keyring = keyring(&ca.issue(WORKER), &Dates::new(true));
    keyring.current().client.config.clone()
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_le_bytes()[..], bytes].concat()
}

/// The reason of an answer as it came over the wire.
fn reason(answer: &[u8]) -> String {
    let (length, frame) = answer.split_first_chunk().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, frame.len());
    match Answer::decode(frame).unwrap() {
        Answer::Refused { reason } => reason,
        Answer::Accepted { .. } => panic!("accepted"),
    }
}

/// What a client of TLS 1.2 says first: no extension offers anything newer.
fn hello_of_tls_1_2() -> Vec<u8> {
    let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x2f];
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let schemes = [0, 13, 0, 4, 0, 2, 4, 3];
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(suites);
    hello.extend([1, 0]);
    hello.extend([0, 16]);
    hello.extend(groups);
    hello.extend(schemes);
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat()
}

#[test]
fn tls_1_2_and_what_is_no_tls_is_refused_with_a_line() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let bystander = bystander(&port, &ca).await;
        let answer = over_tcp(port.address, hello_of_tls_1_2()).await;
        // A fatal alert: protocol_version.
        assert_eq!(answer[..1], [21]);
        assert_eq!(answer[5..], [2, 70]);
        port.saw("it speaks no TLS 1.3").await;
        bystander.goes_on().await;

        over_tcp(port.address, b"GET / HTTP/1.1\r\n\r\n".to_vec()).await;
        port.saw("refused 127.0.0.1").await;
        bystander.goes_on().await;

        let mut rng = Rng::from_seed(5);
        for _ in 0..20 {
            let noise = (0..400).flat_map(|_| rng.next_u64().to_le_bytes());
            over_tcp(port.address, noise.collect()).await;
            port.saw("refused 127.0.0.1").await;
            bystander.goes_on().await;
        }
        assert!(port.is_idle());
    });
}

#[test]
fn what_is_no_greeting_is_refused_with_a_line() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let bystander = bystander(&port, &ca).await;
        let config = config(&ca);
        let long = u32::MAX.to_le_bytes().to_vec();
        let unknown = framed(&[1, 0, 1, 1, 200]);
        for (bytes, line) in [
            (
                long,
                "a frame of 4294967295 bytes is over the limit of 4096",
            ),
            (framed(&[9; 4096]), "the greeting has format 2313"),
            (
                framed(&[1, 0, 2, 3, 9]),
                "the caller speaks protocols 2 to 3, this skep protocol 1",
            ),
            (unknown, "the greeting does not decode"),
            (framed(&[]), "0 bytes are no greeting"),
        ] {
            let answer = over_tls(config.clone(), port.address, bytes).await;
            assert!(reason(&answer).starts_with(line), "{}", reason(&answer));
            port.saw(line).await;
            bystander.goes_on().await;
        }
        assert!(port.is_idle());
    });
}

#[test]
fn a_caller_that_hangs_up_before_its_greeting_leaves_a_line() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        drop(std::net::TcpStream::connect(port.address).unwrap());
        port.saw("the connection was cut off").await;
        assert!(port.is_idle());
    });
}

#[test]
fn a_frame_over_the_limit_ends_only_its_session() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let bystander = bystander(&port, &ca).await;
        let greeting = framed(&[1, 0, 1, 1, 2]);
        let bytes = [greeting, u32::MAX.to_le_bytes().to_vec()].concat();
        let caller = executor.spawn(over_tls(config(&ca), port.address, bytes));
        let session = port.next().await.accept().await.unwrap();
        let received = session.receive().await;
        assert!(
            matches!(received, Err(ConnectionError::TooLong { limit, .. }) if limit == 16 << 20),
            "{received:?}"
        );
        drop(session);
        bystander.goes_on().await;
        assert_eq!(caller.await, framed(&[1, 0, 0, 1]));
    });
}
