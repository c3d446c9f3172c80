//! TLS to a daemon elsewhere: the files of `--tlscacert`, `--tlscert` and `--tlskey`, by default
//! those of `swarm client-cert` or of docker in one directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_net::TcpStream;
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, pem};
use rustls::{ClientConfig, RootCertStore};

/// Where the files are, and by whom the daemon has to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The roots that the daemon's certificate has to lead to.
    pub ca: PathBuf,
    /// This client's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why TLS does not come about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {}", .path.display(), told(.source))]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{}: no certificate is in it", .0.display())]
    Empty(PathBuf),
    /// The files do not do.
    #[error("the certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No certificate can be for such a name.
    #[error(transparent)]
    Name(#[from] InvalidDnsNameError),
}

impl Tls {
    /// The usual files of a directory.
    pub fn in_dir(dir: &Path) -> Self {
        let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| dir.join(name));
        Self { ca, cert, key }
    }

    /// What a connection to `host` begins with.
    pub fn prepare(&self, host: &str) -> Result<Opening, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.ca)? {
            roots.add(root)?;
        }
        let read = PrivateKeyDer::from_pem_file(&self.key);
        let key = read.map_err(|source| TlsError::File {
            path: self.key.clone(),
            source,
        })?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&self.cert)?, key)?;
        Ok(Opening {
            config: Arc::new(config),
            name: ServerName::try_from(host.to_owned())?,
        })
    }
}

/// What a connection begins with.
#[derive(Debug)]
pub struct Opening {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Opening {
    /// Makes sure of the daemon.
    pub async fn connect(self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.config);
        connector.connect(self.name, stream).await
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let read = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(failed)?;
    match all.is_empty() {
        true => Err(TlsError::Empty(path.to_owned())),
        false => Ok(all),
    }
}

fn told(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => crate::cli::failure::reason(error),
        pem::Error::NoItemsFound => "no key is in it".to_owned(),
        other => format!("it is no PEM: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let dir = std::env::temp_dir().join(format!("skep-cli-tls-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let tls = Tls::in_dir(&dir);
        let check = |expect: &str| {
            let error = tls.prepare("pi").unwrap_err().to_string();
            let named = error.replace(dir.to_str().unwrap(), "DIR");
            assert_eq!(named, expect);
        };
        check("DIR/ca.pem: no such file or directory");
        std::fs::write(&tls.ca, "nothing").unwrap();
        check("DIR/ca.pem: no certificate is in it");
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        std::fs::write(&tls.ca, broken).unwrap();
        let error = tls.prepare("pi").unwrap_err().to_string();
        assert!(error.contains("ca.pem: it is no PEM"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
