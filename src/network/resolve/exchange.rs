//! Carries questions to servers and answers back: a datagram, or a stream if that is too small.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_net::{TcpStream, UdpSocket};
use domain::base::iana::Rcode;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::host::wait::sleep;
use crate::network::resolve::question::{Answer, Question};

/// Longest datagram that is read; a longer one is cut and then is no answer.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Datagrams that are no answer to a question, before the server is given up.
const STRAYS_MAX: usize = 64;

/// How long the neighbours of the link may take, and how long one that was slower than the first.
const NEIGHBOURS_WAIT: Duration = Duration::from_secs(1);
const NEIGHBOURS_WAIT_MORE: Duration = Duration::from_millis(100);

/// Hops that a multicast question must not make: receivers check that it came from their link.
const MULTICAST_TTL: u32 = 255;

/// One server, and how long it may take for each step.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub server: SocketAddr,
    pub timeout: Duration,
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("answers {0}")]
    Failed(Rcode),
    #[error("does not answer: {0}")]
    Silence(#[from] io::Error),
}

impl Exchange {
    /// The addresses that the server knows; none if it says that there are none.
    pub async fn ask(&self, question: &Question) -> Result<Vec<IpAddr>, ExchangeError> {
        let mut answer = self.in_time(self.by_datagram(question)).await?;
        if answer == Answer::Truncated {
            answer = self.in_time(self.by_stream(question)).await?;
        }
        match answer {
            Answer::Addresses(found) => Ok(found),
            Answer::Failed(rcode) => Err(ExchangeError::Failed(rcode)),
            Answer::Truncated => Err(no_answer().into()),
        }
    }

    /// A socket of its own for each question, so its port is one more thing to guess; connected, so
    /// it hears only the server.
    async fn by_datagram(&self, question: &Question) -> io::Result<Answer> {
        let socket = UdpSocket::bind(any_port(self.server)).await?;
        socket.connect(self.server).await?;
        socket.send(question.message()).await?;
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..STRAYS_MAX {
            let length = socket.recv(&mut buffer).await?;
            if let Some(answer) = question.read(&buffer[..length]) {
                return Ok(answer);
            }
        }
        Err(no_answer())
    }

    async fn by_stream(&self, question: &Question) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.server).await?;
        let message = question.message();
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        stream
            .write_all(&[&length.to_be_bytes(), message].concat())
            .await?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).await?;
        question.read(&message).ok_or_else(no_answer)
    }

    async fn in_time<T>(&self, exchange: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let late = async {
            sleep(self.timeout).await;
            let seconds = self.timeout.as_secs_f32();
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {seconds} s"),
            ))
        };
        future::or(exchange, late).await
    }
}

/// Asks all machines of a link by multicast, and takes what the first to answer says. Whoever is
/// not asked that way stays silent, so there is no answer that says no.
pub async fn ask_neighbours(group: SocketAddr, questions: &[Question]) -> io::Result<Vec<IpAddr>> {
    let socket = UdpSocket::bind(any_port(group)).await?;
    socket.set_multicast_ttl_v4(MULTICAST_TTL)?;
    for question in questions {
        socket.send_to(question.message(), group).await?;
    }
    let mut found = Vec::new();
    let mut unanswered: Vec<_> = questions.iter().collect();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let mut deadline = Box::pin(sleep(NEIGHBOURS_WAIT));
    for _ in 0..STRAYS_MAX {
        if unanswered.is_empty() {
            break;
        }
        let heard = async { socket.recv_from(&mut buffer).await.map(Some) };
        let silence = async {
            deadline.as_mut().await;
            Ok(None)
        };
        let Some((length, from)) = future::or(heard, silence).await? else {
            break;
        };
        if from.port() != group.port() {
            continue;
        }
        unanswered.retain(|question| match question.read(&buffer[..length]) {
            Some(Answer::Addresses(addresses)) => {
                found.extend(addresses);
                false
            }
            _ => true,
        });
        if !found.is_empty() {
            deadline = Box::pin(sleep(NEIGHBOURS_WAIT_MORE));
        }
    }
    Ok(found)
}

fn no_answer() -> io::Error {
    io::Error::other("it sends what is no answer")
}

fn any_port(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
