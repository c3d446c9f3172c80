//! Who the peer is: what a chain of certificates must be to be believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, SignatureScheme,
};

use crate::host::clock;
use crate::identity::certificate::{self, Peer, verify};
use crate::identity::token::Token;
use crate::model::id::ClusterId;
use crate::model::spec::node::Role;
use crate::model::time::Time;

/// Whether the dates of certificates count. They never do while this host's clock has not been set;
/// clones share the answer.
#[derive(Clone, Debug)]
pub struct Dates(Arc<AtomicBool>);

impl Dates {
    pub fn new(count: bool) -> Self {
        Self(Arc::new(AtomicBool::new(count)))
    }

    /// Sets whether dates count from now on.
    pub fn set(&self, count: bool) {
        self.0.store(count, Ordering::Relaxed);
    }

    fn at(&self, now: Time) -> certificate::Dates {
        match self.0.load(Ordering::Relaxed) && clock::is_set(now) {
            true => certificate::Dates::At(now),
            false => certificate::Dates::Unchecked,
        }
    }
}

/// How a peer's chain is tied to the swarm.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// By the roots of this node's swarm.
    Swarm {
        roots: Vec<CertificateDer<'static>>,
        cluster: ClusterId,
    },
    /// By the digest in the token that a host joins with: the root has to be in the chain.
    Token(Token),
}

/// Why a peer is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Disbelief {
    #[error(transparent)]
    Certificate(#[from] certificate::CertificateError),
    #[error(
        "it shows no root with the token's digest: the token is of another swarm or from before \
         its root was changed, or somebody is in the middle"
    )]
    WrongRoot,
}

impl Trust {
    /// Who shows this chain.
    pub fn peer(
        &self,
        chain: &[CertificateDer<'_>],
        dates: certificate::Dates,
    ) -> Result<Peer, Disbelief> {
        match self {
            Self::Swarm { roots, cluster } => Ok(verify(chain, roots, Some(*cluster), dates)?),
            Self::Token(token) => {
                let root = chain.iter().find(|shown| token.pins(shown));
                let root = root.ok_or(Disbelief::WrongRoot)?;
                Ok(verify(chain, std::slice::from_ref(root), None, dates)?)
            }
        }
    }
}

/// Verifies managers for a caller.
#[derive(Debug)]
pub(super) struct ManagerVerifier {
    pub trust: Trust,
    pub dates: Dates,
}

impl ManagerVerifier {
    /// Which manager shows this chain.
    pub fn peer(&self, chain: &[CertificateDer<'_>], now: Time) -> Result<Peer, Disbelief> {
        let peer = self.trust.peer(chain, self.dates.at(now))?;
        peer.require(Role::Manager)?;
        Ok(peer)
    }
}

impl ServerCertVerifier for ManagerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let believed = self.peer(&chain(end_entity, intermediates), time(now));
        believed.map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Verifies callers for a manager: they need no certificate, but a chain that they show must lead
/// to a root of the swarm. Its dates do not count here, so that a node whose certificate ran out
/// while it was off can ask for a new one; [`MemberVerifier::peer`] tells about them.
#[derive(Debug)]
pub(super) struct MemberVerifier {
    pub trust: Trust,
    pub dates: Dates,
}

impl MemberVerifier {
    /// Which node shows this chain, at this time.
    pub fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<Peer, Disbelief> {
        self.trust.peer(chain, self.dates.at(clock::now()))
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

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
        let chain = chain(end_entity, intermediates);
        let believed = self.trust.peer(&chain, certificate::Dates::Unchecked);
        believed.map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// The host's clock, for rustls.
#[derive(Debug)]
pub(super) struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = Duration::from_millis(clock::now().0);
        Some(UnixTime::since_unix_epoch(now))
    }
}

fn time(unix: UnixTime) -> Time {
    Time(unix.as_secs().saturating_mul(1000))
}

fn chain<'a>(
    own: &CertificateDer<'a>,
    intermediates: &[CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    [std::slice::from_ref(own), intermediates].concat()
}

/// The same in TLS's words, which the peer is told in as far as it has some.
fn refused(disbelief: Disbelief) -> Error {
    match disbelief {
        Disbelief::Certificate(certificate::CertificateError::Foreign(_)) => {
            CertificateError::UnknownIssuer.into()
        }
        other => CertificateError::Other(OtherError(Arc::new(other))).into(),
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

fn too_old() -> Error {
    PeerIncompatible::ServerDoesNotSupportTls12Or13.into()
}
