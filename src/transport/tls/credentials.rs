//! What a node shows to its peers and what it believes of them.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, Error, ServerConfig};

use crate::identity::key::PrivateKey;
use crate::identity::token::Token;
use crate::model::id::ClusterId;
use crate::transport::tls::verify::{Clock, ManagerVerifier, MemberVerifier, Trust};

pub use crate::transport::tls::verify::Dates;

/// A node's certificate with all that leads to its root, the root included, which hosts that join
/// look for; its key; and its swarm, with the roots of that.
pub struct Credentials {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKey,
    pub roots: Vec<CertificateDer<'static>>,
    pub cluster: ClusterId,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("the node's certificate and key cannot be used: {0}")]
    Certificate(#[source] Error),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] Error),
}

/// The credentials that are in use. Clones share them, and they can be replaced at any time: what
/// is connected stays so, and whoever connects from then on sees the new ones.
#[derive(Clone, Debug)]
pub struct Keyring {
    current: Rc<RefCell<Rc<Ring>>>,
    dates: Dates,
}

/// Credentials made ready for use.
#[derive(Debug)]
pub(super) struct Ring {
    pub server: Arc<ServerConfig>,
    pub client: Calling,
    pub members: Arc<MemberVerifier>,
}

/// How a caller shows itself, and how it knows managers.
#[derive(Clone, Debug)]
pub(super) struct Calling {
    pub config: Arc<ClientConfig>,
    pub managers: Arc<ManagerVerifier>,
}

impl Keyring {
    pub fn new(credentials: &Credentials, dates: Dates) -> Result<Self, CredentialsError> {
        let ring = Ring::new(credentials, &dates)?;
        let current = Rc::new(RefCell::new(Rc::new(ring)));
        Ok(Self { current, dates })
    }

    /// Uses other credentials from now on; those that cannot be used change nothing.
    pub fn replace(&self, credentials: &Credentials) -> Result<(), CredentialsError> {
        let ring = Ring::new(credentials, &self.dates)?;
        self.current.replace(Rc::new(ring));
        Ok(())
    }

    pub(super) fn current(&self) -> Rc<Ring> {
        self.current.borrow().clone()
    }
}

impl Ring {
    fn new(credentials: &Credentials, dates: &Dates) -> Result<Self, CredentialsError> {
        let trust = Trust::Swarm {
            roots: credentials.roots.clone(),
            cluster: credentials.cluster,
        };
        let members = Arc::new(MemberVerifier {
            trust: trust.clone(),
            dates: dates.clone(),
        });
        Ok(Self {
            server: Arc::new(server(credentials, members.clone())?),
            client: Calling::member(credentials, trust, dates.clone())?,
            members,
        })
    }
}

impl Calling {
    fn member(
        credentials: &Credentials,
        trust: Trust,
        dates: Dates,
    ) -> Result<Self, CredentialsError> {
        let managers = Arc::new(ManagerVerifier { trust, dates });
        let config = tls13(ClientConfig::builder_with_details(provider(), clock()))?
            .dangerous()
            .with_custom_certificate_verifier(managers.clone())
            .with_client_auth_cert(credentials.chain.clone(), key(credentials));
        let config = config.map_err(CredentialsError::Certificate)?;
        Ok(Self::new(config, managers))
    }

    /// For a host that is no node yet: it shows nothing and knows the swarm by its token.
    pub fn stranger(token: Token, dates: Dates) -> Result<Self, CredentialsError> {
        let trust = Trust::Token(token);
        let managers = Arc::new(ManagerVerifier { trust, dates });
        let config = tls13(ClientConfig::builder_with_details(provider(), clock()))?
            .dangerous()
            .with_custom_certificate_verifier(managers.clone())
            .with_no_client_auth();
        Ok(Self::new(config, managers))
    }

    /// Nothing is resumed, and nobody on the way needs to see the name of a role.
    fn new(mut config: ClientConfig, managers: Arc<ManagerVerifier>) -> Self {
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        let config = Arc::new(config);
        Self { config, managers }
    }
}

fn server(
    credentials: &Credentials,
    members: Arc<MemberVerifier>,
) -> Result<ServerConfig, CredentialsError> {
    let config = tls13(ServerConfig::builder_with_details(provider(), clock()))?
        .with_client_cert_verifier(members)
        .with_single_cert(credentials.chain.clone(), key(credentials));
    let mut config = config.map_err(CredentialsError::Certificate)?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn key(credentials: &Credentials) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(credentials.key.pkcs8().to_vec().into())
}

fn tls13<Side: rustls::ConfigSide>(
    builder: ConfigBuilder<Side, rustls::WantsVersions>,
) -> Result<ConfigBuilder<Side, rustls::WantsVerifier>, CredentialsError> {
    let builder = builder.with_protocol_versions(&[&TLS13]);
    builder.map_err(CredentialsError::Setup)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn clock() -> Arc<Clock> {
    Arc::new(Clock)
}
