//! Where a daemon listens: `unix:///run/skep/skep.sock`, `tcp://127.0.0.1:2375` or
//! `ssh://pi@board`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::task::{Context, Poll};

use async_io::Async;
use async_net::TcpStream;
use async_net::unix::UnixStream;
use futures_lite::{AsyncRead, AsyncWrite};

/// Where the daemon listens when nothing else is said.
pub const DEFAULT: &str = "unix:///run/skep/skep.sock";

const TCP_PORT: u16 = 2375;

/// A daemon's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP without TLS, on this machine only.
    Tcp(SocketAddr),
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
    /// It is TCP to elsewhere, which needs TLS.
    #[error(
        "invalid host {0:?}: TCP without TLS is for 127.0.0.1 and ::1 only; use ssh:// instead"
    )]
    NotLoopback(String),
}

/// Something that bytes go in and out of.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Socket for T {}

impl Host {
    /// Opens a connection.
    pub async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Ssh { machine, port } => Box::new(Ssh::start(machine, *port)?),
        })
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
                let named = rest
                    .strip_prefix("localhost")
                    .filter(|r| r.is_empty() || r.starts_with(':'));
                let rest = named.map_or_else(|| rest.to_owned(), |port| format!("127.0.0.1{port}"));
                let address = parse_address(rest.trim_end_matches('/')).ok_or_else(form)?;
                match address.ip().is_loopback() {
                    true => Ok(Self::Tcp(address)),
                    false => Err(Error::NotLoopback(text.to_owned())),
                }
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
            Self::Tcp(address) => write!(f, "tcp://{address}"),
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

fn parse_address(text: &str) -> Option<SocketAddr> {
    match text {
        "" => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), TCP_PORT)),
        _ => match text.parse::<IpAddr>() {
            Ok(ip) => Some(SocketAddr::new(ip, TCP_PORT)),
            Err(_) => text.parse().ok(),
        },
    }
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
        check("tcp://localhost:9", "tcp://127.0.0.1:9");
        check("tcp://localhost", "tcp://127.0.0.1:2375");
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
            "tcp://h:1",
            "ssh://",
            "ssh://-oX=y",
        ]
        .iter()
        .for_each(|text| refuses(text));
        let elsewhere = "tcp://10.0.0.1:2375";
        assert_eq!(
            elsewhere.parse::<Host>(),
            Err(Error::NotLoopback(elsewhere.to_owned()))
        );
    }
}
