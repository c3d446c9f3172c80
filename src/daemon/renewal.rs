//! This node's certificate: when the next one is due, and how it is asked for.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;

use crate::daemon::identity::{Identity, IdentityError};
use crate::daemon::vault::Vault;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::identity::certificate::{CertificateError, Dates};
use crate::identity::key::KeyError;
use crate::identity::roots::digest_all;
use crate::manager::run::ManagerHandle;
use crate::model::spec::node::Role;
use crate::model::time::Time;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::credentials::{CredentialsError, Keyring};
use crate::transport::tls::dial::{Caller, DialError};
use crate::wire::control::Refusal;
use crate::wire::greeting::Purpose;
use crate::wire::join::{Outcome, Renewal};

/// The least time between certificates, whatever their dates say to this host's clock.
const DONE_MS: u64 = 60_000;

/// How long a manager may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What is kept in date.
#[derive(Debug)]
pub struct Keeper {
    identity: Identity,
    vault: Rc<Vault>,
    keyring: Keyring,
    role: Option<Role>,
    due: Time,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error("the manager hung up")]
    HungUp,
    #[error("the manager did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Keeper {
    pub fn new(identity: Identity, vault: Rc<Vault>, keyring: Keyring, rng: &mut Rng) -> Self {
        let mut keeper = Self {
            identity,
            vault,
            keyring,
            role: None,
            due: Time::default(),
        };
        keeper.look(rng);
        keeper
    }

    /// When the next certificate is due.
    pub fn due(&self) -> Time {
        self.due
    }

    /// What this node is by its certificate.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// The digest of the roots that this node trusts.
    pub fn roots(&self) -> [u8; 32] {
        digest_all(self.identity.roots())
    }

    /// The root that issued this node's certificate.
    pub fn issuer(&self) -> Option<[u8; 32]> {
        self.identity.issuer()
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Gets the next certificate: from this host's manager if it has one, or else from the first of
    /// the others that gives one.
    pub async fn renew(
        &mut self,
        here: Option<&ManagerHandle>,
        managers: &[SocketAddr],
        rng: &mut Rng,
    ) -> Result<(), RenewalError> {
        let before = self.identity.certified.clone();
        let renewed = self.take_next(here, managers).await;
        if renewed.is_err() {
            // Until the next one is kept and used, the one before is what becomes due.
            self.identity.certified = before;
            return renewed;
        }
        self.look(rng);
        self.due = self.due.max(clock::now().plus_ms(DONE_MS));
        tracing::info!("this node has a new certificate");
        Ok(())
    }

    async fn take_next(
        &mut self,
        here: Option<&ManagerHandle>,
        managers: &[SocketAddr],
    ) -> Result<(), RenewalError> {
        match (here, self.identity.peer()?) {
            (Some(manager), Some(peer)) => {
                self.identity.renew_here(peer.node, manager).await?;
            }
            _ => self.renew_at(managers).await?,
        }
        // Used before it is kept: a disk that takes no writes must not end the node's sessions.
        if let Some(credentials) = self.identity.credentials()? {
            self.keyring.replace(&credentials)?;
        }
        Ok(self.identity.store(&self.vault)?)
    }

    /// Sees what the certificate says. If it cannot be read, the next one is due at once.
    fn look(&mut self, rng: &mut Rng) {
        let peer = self.identity.peer().ok().flatten();
        self.role = peer.as_ref().map(|peer| peer.role);
        self.due = peer.map_or_else(clock::now, |peer| peer.renewal(rng));
    }

    /// Asks one manager after another.
    async fn renew_at(&mut self, managers: &[SocketAddr]) -> Result<(), RenewalError> {
        let mut failure = RenewalError::Dial(DialError::NoManager);
        for address in managers {
            let late = async {
                sleep(ANSWER_WITHIN).await;
                Err(RenewalError::Late)
            };
            match or(self.ask(*address), late).await {
                Ok(Ok(certified)) => {
                    self.identity.certify(certified, Dates::Unchecked)?;
                    return Ok(());
                }
                Ok(Err(refusal)) => failure = refusal.into(),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn ask(&self, address: SocketAddr) -> Result<Outcome, RenewalError> {
        let renewal = Renewal {
            request: self.identity.key.request()?,
        };
        let caller = Caller::member(&self.keyring);
        let connection = caller.dial(address, Purpose::Renew).await?;
        let end = End::<Renewal, Outcome>::over(connection);
        end.send(&renewal).await?;
        let outcome = end.receive().await?.ok_or(RenewalError::HungUp)?;
        end.finish().await;
        Ok(outcome)
    }
}
