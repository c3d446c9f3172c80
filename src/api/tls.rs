//! The API over TLS, for clients elsewhere: only managers serve it, and only to those who show a
//! certificate that the swarm gave to a client.
//!
//! A manager shows a certificate for whatever name or address the client has reached it at, which
//! it signs itself when it is first wanted. That tells a client no more than what it asked for: a
//! manager of its swarm.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_net::TcpStream;
use futures_lite::future::or;
use futures_rustls::LazyConfigAcceptor;
use futures_rustls::server::TlsStream;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use crate::api::context::{Cluster, ClusterError};
use crate::host::clock;
use crate::host::wait::sleep;
use crate::identity::access::verify_client;
use crate::identity::certificate::Dates;
use crate::identity::key::{KeyError, PrivateKey};
use crate::model::id::ClusterId;
use crate::model::time::Time;
use crate::wire::access::{Access, AccessOrder, Bearer, Reached};
use crate::wire::control::{Request, Response};

/// How long a client may take to show who it is.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a manager's certificate for its clients lives. It is kept in memory only.
const LIFE_MS: u64 = 24 * 3_600_000;
/// Certificates are kept for so many names, and used for a part of their life, so that a root that
/// was changed is soon known.
const NAMES_MAX: usize = 64;
const USED_MS: u64 = 60_000;

/// What a manager shows to its clients.
#[derive(Debug, Default)]
pub struct Credentials {
    ready: RefCell<BTreeMap<Reached, Ready>>,
}

#[derive(Clone, Debug)]
struct Ready {
    config: Arc<ServerConfig>,
    until: Time,
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}", in_words(.0))]
    Io(#[from] io::Error),
    #[error("it said nothing for {} s", HANDSHAKE_WITHIN.as_secs())]
    Late,
    #[error("over TLS only managers answer, and this host is none: {0}")]
    NoManager(#[from] ClusterError),
    #[error("the managers gave another answer")]
    Odd,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

impl Credentials {
    /// Finds out who calls, and goes on if it is a client of the swarm.
    pub async fn greet(
        &self,
        cluster: &dyn Cluster,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let late = async {
            sleep(HANDSHAKE_WITHIN).await;
            Err(TlsError::Late)
        };
        or(self.shake_hands(cluster, stream), late).await
    }

    async fn shake_hands(
        &self,
        cluster: &dyn Cluster,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let address = stream.local_addr()?.ip();
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let named = start.client_hello().server_name().map(str::to_owned);
        let config = self.config(cluster, reached(named, address)).await?;
        Ok(start.into_stream(config).await?)
    }

    async fn config(
        &self,
        cluster: &dyn Cluster,
        reached: Reached,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let now = clock::now();
        let is_fresh = |ready: &&Ready| now < ready.until && ready.until.since_ms(now) <= USED_MS;
        if let Some(ready) = self.ready.borrow().get(&reached).filter(is_fresh) {
            return Ok(ready.config.clone());
        }
        let key = PrivateKey::generate()?;
        let order = AccessOrder {
            request: key.request()?,
            bearer: Bearer::Manager(reached.clone()),
            life_ms: LIFE_MS,
        };
        let Response::Access(access) = cluster.request(Request::Access(order)).await? else {
            return Err(TlsError::Odd);
        };
        let config = Arc::new(configure(access, &key)?);
        let mut ready = self.ready.borrow_mut();
        if ready.len() >= NAMES_MAX {
            ready.clear();
        }
        let until = now.plus_ms(USED_MS);
        let config_too = config.clone();
        ready.insert(reached, Ready { config, until });
        Ok(config_too)
    }
}

/// What the client thinks it has reached. Whoever calls by address says no name.
fn reached(named: Option<String>, address: IpAddr) -> Reached {
    let by_address = || Reached::Address(address.to_canonical());
    named.map_or_else(by_address, Reached::Name)
}

fn configure(access: Access, key: &PrivateKey) -> Result<ServerConfig, Error> {
    let owned = |certificates: Vec<Vec<u8>>| -> Vec<CertificateDer<'static>> {
        certificates.into_iter().map(Into::into).collect()
    };
    let verifier = ClientVerifier {
        roots: owned(access.roots),
        cluster: access.cluster,
    };
    let key = PrivatePkcs8KeyDer::from(key.pkcs8().to_vec());
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(owned(access.chain), key.into())?;
    // Each connection proves anew who is there.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Verifies clients by the roots of the swarm.
#[derive(Debug)]
struct ClientVerifier {
    roots: Vec<CertificateDer<'static>>,
    cluster: ClusterId,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Strangers need not learn the names of the roots.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = [std::slice::from_ref(end_entity), intermediates].concat();
        let now = clock::now();
        let dates = match clock::is_set(now) {
            true => Dates::At(now),
            false => Dates::Unchecked,
        };
        let client = verify_client(&chain, &self.roots, self.cluster, dates);
        let client = client.map_err(|e| CertificateError::Other(OtherError(Arc::new(e))))?;
        tracing::debug!("client {:?} is here", client.name);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// What broke a handshake: the network, or what was shown in it.
fn in_words(error: &io::Error) -> String {
    let source = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match source {
        Some(Error::InvalidCertificate(CertificateError::Other(why))) => why.0.to_string(),
        Some(Error::NoCertificatesPresented) => "it shows no certificate".to_owned(),
        _ => error.to_string(),
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}
