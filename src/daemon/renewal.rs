//! Keeps this node's certificate in date: asks for the next one in good time, and again until it
//! has come.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;

use crate::daemon::identity::{Identity, IdentityError};
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::identity::certificate::{CertificateError, Dates};
use crate::identity::key::KeyError;
use crate::manager::run::ManagerHandle;
use crate::model::time::Time;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::credentials::{CredentialsError, Keyring};
use crate::transport::tls::dial::{Caller, DialError};
use crate::wire::control::Refusal;
use crate::wire::greeting::Purpose;
use crate::wire::join::{Outcome, Renewal};

/// The longest wait at once: a clock that was set is noticed after it.
const WAIT_MS_MAX: u64 = 3_600_000;
/// The waits after a certificate that did not come.
const AGAIN_MS_MIN: u64 = 10_000;
const AGAIN_MS_MAX: u64 = 1_800_000;
/// The least time between certificates, whatever their dates say to this host's clock.
const DONE_MS: u64 = 60_000;

/// How long a manager may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The managers that this host knows.
pub type Managers = Rc<RefCell<Vec<SocketAddr>>>;

/// Whom a node asks for its next certificate.
#[derive(Debug)]
pub enum Issuer {
    Here(ManagerHandle),
    Elsewhere(Managers),
}

/// What is kept in date.
#[derive(Debug)]
pub struct Keeper {
    pub identity: Identity,
    pub state_dir: PathBuf,
    pub keyring: Keyring,
    pub issuer: Issuer,
    pub rng: Rng,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
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
    /// Renews the certificate again and again, for as long as it is waited for.
    pub async fn keep(mut self) {
        let mut again_ms = AGAIN_MS_MIN;
        loop {
            let due = self.due();
            until(due).await;
            let pause_ms = match self.renew().await {
                Ok(()) => {
                    again_ms = AGAIN_MS_MIN;
                    DONE_MS
                }
                Err(error) => {
                    tracing::warn!("this node's certificate was not renewed: {error}");
                    let pause_ms = again_ms;
                    again_ms = (2 * again_ms).min(AGAIN_MS_MAX);
                    pause_ms
                }
            };
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// When the next certificate is due; at once if the one that there is cannot be read.
    fn due(&mut self) -> Time {
        match self.identity.peer() {
            Ok(Some(peer)) => peer.renewal(&mut self.rng),
            _ => clock::now(),
        }
    }

    async fn renew(&mut self) -> Result<(), RenewalError> {
        let before = self.identity.certified.clone();
        let renewed = self.take_next().await;
        if renewed.is_err() {
            // Until the next one is kept and used, the one before is what becomes due.
            self.identity.certified = before;
        }
        renewed
    }

    async fn take_next(&mut self) -> Result<(), RenewalError> {
        let peer = self.identity.peer()?;
        match &self.issuer {
            Issuer::Here(manager) => {
                if let Some(peer) = peer {
                    self.identity.renew_here(peer.node, manager).await?;
                }
            }
            Issuer::Elsewhere(managers) => {
                let managers = managers.borrow().clone();
                self.renew_at(&managers).await?;
            }
        }
        // Used before it is kept: a disk that takes no writes must not end the node's sessions.
        if let Some(credentials) = self.identity.credentials()? {
            self.keyring.replace(&credentials)?;
        }
        self.identity.store(&self.state_dir)?;
        tracing::info!("this node has a new certificate");
        Ok(())
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
                Ok(outcome) => {
                    self.identity.certify(outcome?, Dates::Unchecked)?;
                    return Ok(());
                }
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

async fn until(due: Time) {
    loop {
        let wait_ms = due.since_ms(clock::now()).min(WAIT_MS_MAX);
        if wait_ms == 0 {
            return;
        }
        sleep(Duration::from_millis(wait_ms)).await;
    }
}
