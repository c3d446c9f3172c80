//! Other name servers, asked in the very bytes that a task sent.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_net::{TcpStream, UdpSocket};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::host::wait::sleep;

/// How long a task waits for its answer, shared by the servers.
const PATIENCE: Duration = Duration::from_millis(4_500);

/// The longest datagram that is taken in.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Datagrams that are no answer, before the server is given up.
const STRAYS_MAX: usize = 16;

const RESPONSE: u8 = 0x80;

/// The most servers that are asked, as the C library does.
const SERVERS_MAX: usize = 3;

/// SERVFAIL and REFUSED: another server may know better.
const FAILURES: [u8; 2] = [2, 5];

/// Asks one server after the other until one answers.
pub async fn ask(servers: &[SocketAddr], question: &[u8], is_datagram: bool) -> Option<Vec<u8>> {
    let servers = &servers[..servers.len().min(SERVERS_MAX)];
    let mut failure = None;
    let share = u32::try_from(servers.len().max(1)).unwrap_or(u32::MAX);
    for server in servers {
        let answer = async {
            match is_datagram {
                true => by_datagram(*server, question).await,
                false => by_stream(*server, question).await,
            }
        };
        let late = async {
            sleep(PATIENCE / share).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        match future::or(answer, late).await {
            Ok(answer) if is_failure(&answer) => failure = failure.or(Some(answer)),
            Ok(answer) => return Some(answer),
            Err(error) => tracing::debug!("name server {server}: {error}"),
        }
    }
    failure
}

fn is_failure(answer: &[u8]) -> bool {
    answer
        .get(3)
        .is_some_and(|flags| FAILURES.contains(&(flags & 0xf)))
}

/// A socket of its own for each question, so its port is one more thing to guess; connected, so it
/// hears only the server.
async fn by_datagram(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    for _ in 0..STRAYS_MAX {
        let length = socket.recv(&mut buffer).await?;
        if answers(question, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
    Err(io::Error::other("it sends what is no answer"))
}

async fn by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], question].concat();
    stream.write_all(&framed).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).await?;
    match answers(question, &answer) {
        true => Ok(answer),
        false => Err(io::Error::other("it sends what is no answer")),
    }
}

/// Whether a message is a response with the question's number.
fn answers(question: &[u8], message: &[u8]) -> bool {
    let numbers = (question.first_chunk::<2>(), message.first_chunk::<3>());
    matches!(numbers, (Some([a, b]), Some([c, d, flags]))
        if a == c && b == d && flags & RESPONSE != 0)
}
