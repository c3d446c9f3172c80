//! Where the API is served: a socket of the file system, a port of the loopback interface, or any
//! other port, with TLS.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;

use async_net::unix::UnixListener;
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncRead, AsyncWrite};
use rustix::fs::{Gid, chown};

use crate::api::tls::Credentials;

/// Members of this group may use the socket.
const GROUP: &str = "skep";
const MODE: u32 = 0o660;

/// What `-H` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// On this machine only, without TLS.
    Tcp(SocketAddr),
    /// For clients of the swarm that show a certificate.
    Tls(SocketAddr),
}

/// A text names no place to listen at.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("{0:?} is not unix://PATH or tcp://IP:PORT")]
    Form(String),
    #[error("{0:?} has no absolute path")]
    Relative(String),
}

/// The API cannot be served where it was asked to be.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Socket {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("another daemon listens at {}", .0.display())]
    InUse(PathBuf),
    #[error("cannot listen at {address}: {source}")]
    Port {
        address: SocketAddr,
        source: io::Error,
    },
}

/// A bound place. A socket's file is removed when it is dropped.
#[derive(Debug)]
pub enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
    Tls(TcpListener, Rc<Credentials>),
}

/// A connection that came in.
pub enum Accepted {
    Plain(Pin<Box<dyn Stream>>),
    /// By whom is yet to be found out.
    Tls(TcpStream, Rc<Credentials>),
}

/// A connection that was accepted.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Tls(..) => "Tls",
        })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() && path.file_name().is_some() {
                true => Ok(Self::Unix(path)),
                false => Err(AddressError::Relative(text.into())),
            };
        }
        let address = text
            .strip_prefix("tcp://")
            .and_then(|address| address.parse().ok());
        let address: SocketAddr = address.ok_or_else(|| AddressError::Form(text.into()))?;
        Ok(match address.ip().is_loopback() {
            true => Self::Tcp(address),
            false => Self::Tls(address),
        })
    }
}

impl Listener {
    /// Begins to listen. A socket that a dead daemon left is replaced, a live one's is not.
    pub async fn bind(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Unix(path) => bind_unix(path).await,
            Address::Tcp(address) => bind_tcp(*address).await.map(Self::Tcp),
            Address::Tls(address) => {
                let listener = bind_tcp(*address).await?;
                Ok(Self::Tls(listener, Rc::default()))
            }
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Unix(listener, _) => Accepted::Plain(Box::pin(listener.accept().await?.0)),
            Self::Tcp(listener) => Accepted::Plain(Box::pin(accept_tcp(listener).await?)),
            Self::Tls(listener, credentials) => {
                Accepted::Tls(accept_tcp(listener).await?, credentials.clone())
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone with its directory.
            let _ = fs::remove_file(path);
        }
    }
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| ListenError::Port { address, source })
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Binds under another name and renames: nobody meets the socket with wrong permissions.
async fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let failed = |what| {
        move |source| ListenError::Socket {
            what,
            path: path.to_owned(),
            source,
        }
    };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse(path.to_owned()));
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace the socket")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&fresh).map_err(failed("listen at"))?;
    if let Some(group) = fs::read_to_string("/etc/group")
        .ok()
        .and_then(|text| group(&text))
    {
        let owned = chown(&fresh, None, Some(Gid::from_raw(group)));
        owned.map_err(|e| failed("give the group the socket")(e.into()))?;
    }
    let mode = fs::Permissions::from_mode(MODE);
    fs::set_permissions(&fresh, mode).map_err(failed("set the mode of"))?;
    fs::rename(&fresh, path).map_err(failed("name the socket"))?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

/// The number of the group, by `/etc/group`.
fn group(text: &str) -> Option<u32> {
    let mut entries = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields.first() == Some(&GROUP))?;
    entry.get(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<Address, &str>) {
        let found = text.parse::<Address>().map_err(|error| error.to_string());
        assert_eq!(found, expect.map_err(str::to_owned));
    }

    #[test]
    fn places_to_listen_at_are_sockets_loopback_ports_and_others_with_tls() {
        check(
            "unix:///run/skep/skep.sock",
            Ok(Address::Unix("/run/skep/skep.sock".into())),
        );
        check(
            "tcp://127.0.0.1:2375",
            Ok(Address::Tcp(([127, 0, 0, 1], 2375).into())),
        );
        check(
            "tcp://0.0.0.0:2375",
            Ok(Address::Tls(([0, 0, 0, 0], 2375).into())),
        );
        check(
            "unix://skep.sock",
            Err("\"unix://skep.sock\" has no absolute path"),
        );
        check(
            "/run/skep.sock",
            Err("\"/run/skep.sock\" is not unix://PATH or tcp://IP:PORT"),
        );
    }

    #[test]
    fn a_left_socket_is_replaced_and_a_live_one_is_not() {
        let dir = std::env::temp_dir().join(format!("skep-listen-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let address = Address::Unix(path.clone());
        let first = block_on(Listener::bind(&address)).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            MODE
        );
        assert!(matches!(
            block_on(Listener::bind(&address)),
            Err(ListenError::InUse(_))
        ));
        drop(first);
        assert!(!path.exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_group_is_found_by_its_name() {
        assert_eq!(group("root:x:0:\nskep:x:991:pi\n"), Some(991));
        assert_eq!(group("root:x:0:\nskepx:x:991:\nskep:x:\n"), None);
    }
}
