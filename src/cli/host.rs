//! Where a daemon listens: `unix:///run/skep/skep.sock`, `tcp://127.0.0.1:2375` or
//! `ssh://pi@board`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::task::{Context, Poll};

use async_io::Async;
use async_net::TcpStream;
use async_net::unix::UnixStream;
use futures_lite::{AsyncRead, AsyncWrite};

use crate::cli::failure::reason;
use crate::cli::tls::{Tls, TlsError};
use crate::host::rng::{EntropyError, Rng};
use crate::network::resolve::{ResolveError, Resolver};

/// Where the daemon listens when nothing else is said.
pub const DEFAULT: &str = "unix:///run/skep/skep.sock";

const TCP_PORT: u16 = 2375;

/// A daemon's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP without TLS, on this machine only.
    Tcp {
        /// An address or a name.
        host: String,
        /// The port.
        port: u16,
    },
    /// TCP with TLS, to anywhere.
    Tls {
        /// An address or a name, which the daemon's certificate has to be for.
        host: String,
        /// The port.
        port: u16,
        /// By what both sides know each other.
        tls: Box<Tls>,
    },
    /// The daemon of another machine, reached by running the CLI there.
    Ssh {
        /// The machine, with a user if one was named.
        machine: String,
        /// Its SSH port.
        port: Option<u16>,
    },
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is none of the known kinds.
    #[error(
        "invalid host {0:?}: use unix:///path/to/socket, tcp://127.0.0.1:port or \
         ssh://[user@]machine"
    )]
    Form(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The system refused.
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
    /// Its name has no address.
    #[error(transparent)]
    Name(#[from] ResolveError),
    /// Asking for its name needs randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// It is TCP to elsewhere, which needs TLS.
    #[error(
        "{0} is another machine, and TCP without TLS is for this one only; use --tlsverify with a \
         certificate of \"skep swarm client-cert\", or ssh://"
    )]
    NotLoopback(IpAddr),
    /// There are no usable certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The other side is not believed, or does not believe.
    #[error("{}", handshake(.0))]
    Handshake(io::Error),
}

/// Something that bytes go in and out of.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Socket for T {}

impl Host {
    /// Opens a connection.
    pub async fn connect(&self) -> Result<Box<dyn Socket>, ConnectError> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp { host, port } => {
                let stream = TcpStream::connect(loopback(host, *port).await?).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Tls { host, port, tls } => {
                let opening = tls.prepare(host)?;
                let address = SocketAddr::new(address(host).await?, *port);
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let connected = opening.connect(stream).await;
                Box::new(connected.map_err(ConnectError::Handshake)?)
            }
            Self::Ssh { machine, port } => Box::new(Ssh::start(machine, *port)?),
        })
    }

    /// The same with TLS, if it is reached by TCP.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        match self {
            Self::Tcp { host, port } => Self::Tls {
                host,
                port,
                tls: Box::new(tls),
            },
            other => other,
        }
    }
}

/// What went wrong before both sides were sure of each other.
fn handshake(error: &io::Error) -> String {
    match error.get_ref() {
        Some(source) => format!("TLS: {source}"),
        None => reason(error),
    }
}

async fn address(host: &str) -> Result<IpAddr, ConnectError> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let mut rng = Rng::from_entropy()?;
    let found = Resolver::load().await.addresses(host, &mut rng).await?;
    let none = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    Ok(found.first().copied().unwrap_or(none))
}

/// The address of a host that is this machine.
async fn loopback(host: &str, port: u16) -> Result<SocketAddr, ConnectError> {
    let ip = address(host).await?;
    match ip.is_loopback() {
        true => Ok(SocketAddr::new(ip, port)),
        false => Err(ConnectError::NotLoopback(ip)),
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || Error::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "tcp" => {
                let (host, port) = split_port(rest.trim_end_matches('/')).ok_or_else(form)?;
                Ok(Self::Tcp {
                    host,
                    port: port.unwrap_or(TCP_PORT),
                })
            }
            "ssh" => {
                let rest = rest.trim_end_matches('/');
                let (machine, port) = match rest.rsplit_once(':') {
                    Some((machine, port)) => (machine, Some(port.parse().map_err(|_| form())?)),
                    None => (rest, None),
                };
                // ssh would take a leading dash for one of its own flags.
                match machine.is_empty() || machine.starts_with('-') || machine.contains('/') {
                    true => Err(form()),
                    false => Ok(Self::Ssh {
                        machine: machine.to_owned(),
                        port,
                    }),
                }
            }
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => {
                write!(f, "tcp://{host}:{port}")
            }
            Self::Ssh {
                machine,
                port: Some(port),
            } => write!(f, "ssh://{machine}:{port}"),
            Self::Ssh {
                machine,
                port: None,
            } => write!(f, "ssh://{machine}"),
        }
    }
}

/// A host and its port; the brackets of an IPv6 address are taken off.
fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    (!host.contains('/')).then(|| (host.to_owned(), port))
}

/// An `ssh` whose standard input and output are the other machine's socket.
#[derive(Debug)]
struct Ssh {
    child: Child,
    input: Option<Async<ChildStdin>>,
    output: Async<ChildStdout>,
}

impl Ssh {
    fn start(machine: &str, port: Option<u16>) -> io::Result<Self> {
        let mut command = Command::new("ssh");
        command.args(port.map(|port| format!("-p{port}")));
        command.args(["-T", "-o", "ConnectTimeout=30", "--", machine]);
        command.args(["skep", "system", "dial-stdio"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = Async::new(child.stdin.take().ok_or_else(missing)?)?;
        let output = Async::new(child.stdout.take().ok_or_else(missing)?)?;
        Ok(Self {
            child,
            input: Some(input),
            output,
        })
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // A child that is already gone cannot be ended again, and that is all that can fail.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl AsyncRead for Ssh {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Ssh {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, buffer),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expect: &str) {
        let got = given.parse::<Host>();
        assert_eq!(got.map(|h| h.to_string()).as_deref(), Ok(expect), "{given}");
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        check("unix:///run/x.sock", "unix:///run/x.sock");
        check("tcp://127.0.0.1:9", "tcp://127.0.0.1:9");
        check("tcp://localhost:9", "tcp://localhost:9");
        check("tcp://", "tcp://127.0.0.1:2375");
        check("tcp://[::1]:9/", "tcp://[::1]:9");
        check("ssh://pi@board", "ssh://pi@board");
        check("ssh://board:2222", "ssh://board:2222");
    }

    #[test]
    fn addresses_that_cannot_be_used_are_refused() {
        let refuses = |text: &str| assert!(text.parse::<Host>().is_err(), "{text}");
        [
            "",
            "x",
            "unix://",
            "unix://x",
            "fd://1",
            "tcp://h:x",
            "tcp://[::1",
            "ssh://",
            "ssh://-oX=y",
        ]
        .iter()
        .for_each(|text| refuses(text));
    }

    #[test]
    fn tcp_is_for_this_machine_only() {
        let at = |host: &str| futures_lite::future::block_on(loopback(host, 1));
        assert!(at("127.0.0.1").is_ok() && at("::1").is_ok());
        assert!(matches!(at("10.0.0.1"), Err(ConnectError::NotLoopback(_))));
    }
}
