//! Becoming a node of a swarm: finds a manager, makes sure of it, and asks for a certificate.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_lite::future::or;

use crate::api::context::Join;
use crate::daemon::address::{self, AddressError};
use crate::daemon::identity::{Identity, IdentityError};
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::identity::certificate::Dates as Held;
use crate::identity::key::KeyError;
use crate::model::spec::node::NodeDescription;
use crate::network::resolve::{ResolveError, Resolver};
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::credentials::{CredentialsError, Dates};
use crate::transport::tls::dial::{Caller, DialError};
use crate::wire::control::Refusal;
use crate::wire::greeting::Purpose;
use crate::wire::join::{Certified, Joining, Outcome};

/// How long a manager may take to admit this host.
const ADMISSION_WITHIN: Duration = Duration::from_secs(30);

/// What this host has become.
#[derive(Debug)]
pub struct Joined {
    pub certified: Certified,
    /// The address that other nodes reach this one at, and the port of its manager.
    pub address: SocketAddr,
    /// Where managers can be reached: the one that answered first.
    pub managers: Vec<SocketAddr>,
}

/// Why this host did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Setup(#[from] CredentialsError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("cannot tell {address} what this host is: {source}")]
    Send {
        address: SocketAddr,
        source: SendError,
    },
    #[error("cannot hear what {address} answers: {source}")]
    Receive {
        address: SocketAddr,
        source: ReceiveError,
    },
    #[error("{0} hung up before it answered")]
    HungUp(SocketAddr),
    #[error("{address} did not admit this host within {} s", ADMISSION_WITHIN.as_secs())]
    Late { address: SocketAddr },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the manager gave a certificate that does not lead to the token's root")]
    OtherRoot,
    #[error("no address of a manager was given")]
    NoManager,
}

/// Joins the swarm of a token at the first of its managers that can be talked to, and takes the
/// certificate in. What a manager refuses, no other would allow.
pub async fn join(
    order: &Join,
    description: NodeDescription,
    identity: &mut Identity,
    rng: &mut Rng,
) -> Result<Joined, JoinError> {
    let own = match order.advertise.as_str() {
        "" => None,
        given => Some(address::advertised(given, order.listen)?),
    };
    let joining = Joining {
        secret: order.token.secret(),
        request: identity.key.request()?,
        description,
        availability: order.availability,
        address: own.map(|own| own.ip().to_string()).unwrap_or_default(),
        port: own.unwrap_or(order.listen).port(),
    };
    let caller = Caller::stranger(order.token.clone(), Dates::new(true))?;
    let mut failure = JoinError::NoManager;
    for (host, port) in &order.remotes {
        let resolver = Resolver::load().await;
        let addresses = match resolver.addresses(host, rng).await {
            Ok(addresses) => addresses,
            Err(error) => {
                failure = error.into();
                continue;
            }
        };
        for address in addresses {
            let remote = SocketAddr::new(address, *port);
            match ask(&caller, remote, &joining).await {
                Ok((certified, local)) => {
                    let listened_at = || SocketAddr::new(local, order.listen.port());
                    let address = own.unwrap_or_else(listened_at);
                    return take_in(order, identity, certified, address, remote);
                }
                Err(refused @ JoinError::Refused(_)) => return Err(refused),
                Err(error) => {
                    tracing::info!("cannot join at {remote}: {error}");
                    failure = error;
                }
            }
        }
    }
    Err(failure)
}

/// Asks one manager; the certificate, and the address that this host has in its network.
async fn ask(
    caller: &Caller,
    address: SocketAddr,
    joining: &Joining,
) -> Result<(Certified, IpAddr), JoinError> {
    let connection = caller.dial(address, Purpose::Join).await?;
    let local = connection.own_address();
    let end = End::<Joining, Outcome>::over(connection);
    let answered = async {
        let sent = end.send(joining).await;
        sent.map_err(|source| JoinError::Send { address, source })?;
        let received = end.receive().await;
        let received = received.map_err(|source| JoinError::Receive { address, source })?;
        Ok(received.ok_or(JoinError::HungUp(address))??)
    };
    let late = async {
        sleep(ADMISSION_WITHIN).await;
        Err(JoinError::Late { address })
    };
    let certified = or(answered, late).await?;
    end.finish().await;
    let local = local.map_err(|source| DialError::Connect { address, source })?;
    Ok((certified, local.ip().to_canonical()))
}

fn take_in(
    order: &Join,
    identity: &mut Identity,
    certified: Certified,
    address: SocketAddr,
    remote: SocketAddr,
) -> Result<Joined, JoinError> {
    if !certified.roots.iter().any(|root| order.token.pins(root)) {
        return Err(JoinError::OtherRoot);
    }
    identity.certify(certified.clone(), Held::Unchecked)?;
    let others = certified
        .managers
        .iter()
        .filter_map(|text| text.parse().ok());
    let mut managers = vec![remote];
    managers.extend(others.filter(|other| ![remote, address].contains(other)));
    Ok(Joined {
        certified,
        address,
        managers,
    })
}
