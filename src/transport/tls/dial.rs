//! Calling a manager.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_io::Async;
use futures_lite::future::or;

use crate::host::clock;
use crate::host::wait::sleep;
use crate::identity::token::Token;
use crate::transport::Dial;
use crate::transport::end::End;
use crate::transport::tls::connection::{Connection, ConnectionError};
use crate::transport::tls::credentials::{Calling, CredentialsError, Dates, Keyring};
use crate::wire::greeting::{Answer, Greeting, GreetingError, Protocols, Purpose};
use crate::wire::session::{ToAgent, ToManager};

/// How long it may take until a call is answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take until somebody is there at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Whoever calls managers, and how it knows them.
#[derive(Clone, Debug)]
pub struct Caller(Calling);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("no address of a manager is known")]
    NoManager,
    #[error("cannot connect to {address}: {source}")]
    Connect {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("{address} did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Late { address: SocketAddr },
    #[error("cannot talk to {address}: {source}")]
    Connection {
        address: SocketAddr,
        source: ConnectionError,
    },
    #[error("cannot greet {address}: {source}")]
    Greeting {
        address: SocketAddr,
        source: GreetingError,
    },
    #[error("cannot talk to {address}: {reason}")]
    Unknown { address: SocketAddr, reason: String },
    #[error("{address} refused: {reason}")]
    Refused { address: SocketAddr, reason: String },
}

impl Caller {
    /// A node, which knows managers by the swarm's roots.
    pub fn member(keyring: &Keyring) -> Self {
        Self(keyring.current().client.clone())
    }

    /// A host that is no node yet and knows the swarm's root when it sees it, by the digest in its
    /// token.
    pub fn stranger(token: Token, dates: Dates) -> Result<Self, CredentialsError> {
        Ok(Self(Calling::stranger(token, dates)?))
    }

    /// Calls whoever is at the address. When this returns, it is a manager of the swarm and has
    /// accepted the purpose: nothing but that was said yet.
    pub async fn dial(
        &self,
        address: SocketAddr,
        purpose: Purpose,
    ) -> Result<Connection, DialError> {
        let late = async {
            sleep(ANSWER_WITHIN).await;
            Err(DialError::Late { address })
        };
        or(self.call(address, purpose), late).await
    }

    async fn call(&self, address: SocketAddr, purpose: Purpose) -> Result<Connection, DialError> {
        let failed = |source| DialError::Connection { address, source };
        let ungreeted = |source| DialError::Greeting { address, source };
        let nobody = async {
            sleep(CONNECT_WITHIN).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let socket = or(Async::<TcpStream>::connect(address), nobody).await;
        let socket = socket.map_err(|source| DialError::Connect { address, source })?;
        let config = self.0.config.clone();
        let mut connection = Connection::client(socket, config).map_err(failed)?;
        connection.handshake().await.map_err(failed)?;
        let peer = self.0.managers.peer(&connection.chain(), clock::now());
        connection.is_from(peer.map_err(|disbelief| DialError::Unknown {
            address,
            reason: disbelief.to_string(),
        })?);
        let greeting = Greeting {
            protocols: Protocols::OURS,
            purpose,
        };
        let frame = greeting.encode().map_err(ungreeted)?;
        connection.send(frame).await.map_err(failed)?;
        let answer = connection.receive().await.map_err(failed)?;
        let answer = answer.ok_or_else(|| failed(ConnectionError::Cut))?;
        match Answer::decode(&answer).map_err(ungreeted)? {
            Answer::Accepted { .. } => {
                connection.greeted(purpose);
                Ok(connection)
            }
            Answer::Refused { reason } => Err(DialError::Refused { address, reason }),
        }
    }
}

/// Begins an agent's sessions with one of the managers it knows, each time with the next.
#[derive(Debug)]
pub struct ManagerDialer {
    keyring: Keyring,
    managers: RefCell<VecDeque<SocketAddr>>,
}

impl ManagerDialer {
    pub fn new(keyring: Keyring, managers: Vec<SocketAddr>) -> Self {
        let managers = RefCell::new(managers.into());
        Self { keyring, managers }
    }

    /// Knows these managers from now on.
    pub fn learn(&self, managers: Vec<SocketAddr>) {
        self.managers.replace(managers.into());
    }

    /// Whether it knows any manager.
    pub fn knows_any(&self) -> bool {
        !self.managers.borrow().is_empty()
    }
}

impl Dial for ManagerDialer {
    type Error = DialError;

    async fn dial(&self) -> Result<End<ToManager, ToAgent>, DialError> {
        let address = {
            let mut managers = self.managers.borrow_mut();
            let next = managers.pop_front().ok_or(DialError::NoManager)?;
            managers.push_back(next);
            next
        };
        let caller = Caller::member(&self.keyring);
        let connection = caller.dial(address, Purpose::Session).await?;
        Ok(End::over(connection))
    }
}
