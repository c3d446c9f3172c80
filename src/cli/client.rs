//! The HTTP client of the API: one connection per exchange, over the daemon's Unix socket or TCP on
//! loopback, with the version agreed on first, as docker's client does.

use std::cell::OnceCell;
use std::io;
use std::rc::Rc;

use async_executor::LocalExecutor;
use bytes::Bytes;
use futures_lite::{AsyncReadExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use smol_hyper::rt::FuturesIo;

use crate::cli::host::{ConnectError, Host, Socket};

/// The newest version of the API that this client speaks.
const VERSION_MAX: (u32, u32) = (1, 47);
/// What a server that does not tell its version is taken to speak.
const VERSION_MIN: (u32, u32) = (1, 24);
const ANSWER_BYTES_MAX: usize = 64 << 20;
const UPLOAD_BYTES: usize = 64 << 10;
const JSON: &str = "application/json";

/// Why the daemon's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error(
        "Cannot connect to the skep daemon at {host}. Is it running? \
         (start it as root with: skep daemon)"
    )]
    NoDaemon {
        /// The socket tried.
        host: Host,
    },
    /// Somebody listens there, but not for us.
    #[error("cannot connect to the skep daemon at {host}: {source}")]
    Connect {
        /// The socket tried.
        host: Host,
        /// What is in the way.
        source: ConnectError,
    },
    /// The daemon refused.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// Its status.
        status: StatusCode,
        /// Its one line.
        message: String,
    },
    /// The connection broke or was no HTTP.
    #[error("error during connect: {path}: {source}")]
    Exchange {
        /// What was asked for.
        path: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer is not what the API promises.
    #[error("the daemon's answer to {path} is not JSON: {source}")]
    Json {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer is too long to hold.
    #[error("the daemon's answer to {0} is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong(String),
    /// The daemon did not hand over the connection.
    #[error("the daemon did not upgrade the connection for {0}")]
    NoUpgrade(String),
    /// The request cannot be put in HTTP's words.
    #[error("cannot ask for {path}: {source}")]
    Request {
        /// What was asked for.
        path: String,
        /// Why not.
        source: hyper::http::Error,
    },
}

impl Error {
    /// Whether the daemon said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Daemon { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the daemon will not do it as things are.
    pub fn is_refused(&self) -> bool {
        let refusals = [
            StatusCode::BAD_REQUEST,
            StatusCode::CONFLICT,
            StatusCode::FORBIDDEN,
        ];
        matches!(self, Self::Daemon { status, .. } if refusals.contains(status))
    }
}

/// What a request carries.
#[derive(Debug)]
pub struct Payload {
    content: &'static str,
    body: UnsyncBoxBody<Bytes, io::Error>,
    /// A header that nobody else may see.
    secret: Option<(&'static str, HeaderValue)>,
}

impl Payload {
    fn new(content: &'static str, body: UnsyncBoxBody<Bytes, io::Error>) -> Self {
        Self {
            content,
            body,
            secret: None,
        }
    }

    /// With credentials for a registry.
    #[must_use]
    pub fn signed(self, registry_auth: Option<String>) -> Self {
        self.with_secret("x-registry-auth", registry_auth)
    }

    /// With a header that is kept from logs.
    #[must_use]
    pub fn with_secret(mut self, name: &'static str, secret: Option<String>) -> Self {
        let value = secret.and_then(|secret| HeaderValue::from_str(&secret).ok());
        self.secret = value.map(|mut value| {
            value.set_sensitive(true);
            (name, value)
        });
        self
    }
}

/// A connection to one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    host: Host,
    executor: Rc<LocalExecutor<'static>>,
    version: OnceCell<(u32, u32)>,
}

/// A connection that the daemon handed over, and what it had already sent on it.
#[derive(Debug)]
pub struct Upgraded {
    /// The connection.
    pub socket: Box<dyn Socket>,
    /// Bytes that came with the answer.
    pub early: Bytes,
}

/// An answer that comes bit by bit.
#[derive(Debug)]
pub struct Download {
    path: String,
    body: Incoming,
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            let exchange = |source| Error::Exchange {
                path: self.path.clone(),
                source,
            };
            if let Ok(data) = frame.map_err(exchange)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Client {
    /// A client that connects when it is first used.
    pub fn new(host: Host, executor: Rc<LocalExecutor<'static>>) -> Self {
        Self {
            host,
            executor,
            version: OnceCell::new(),
        }
    }

    /// Where the daemon is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The version agreed on, as `1.47`.
    pub async fn version(&self) -> Result<String, Error> {
        let (major, minor) = self.negotiated().await?;
        Ok(format!("{major}.{minor}"))
    }

    /// Asks and reads the answer's JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::GET, path, empty()).await
    }

    /// Asks and gives the answer as it was written.
    pub async fn get_text(&self, path: &str) -> Result<String, Error> {
        let bytes = self.bytes(Method::GET, path, empty()).await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Posts JSON and reads the answer's, if it has any.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.json(Method::POST, path, json(body)).await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::DELETE, path, empty()).await
    }

    /// Sends a request and gives the body of a good answer as it comes.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Payload,
    ) -> Result<Download, Error> {
        let response = self.send(method, path, body, false).await?;
        Ok(Download {
            path: path.to_owned(),
            body: response.into_body(),
        })
    }

    /// Posts JSON and takes the connection over; none if the daemon answered without handing over.
    pub async fn upgrade(&self, path: &str, body: &Value) -> Result<Upgraded, Error> {
        let response = self.send(Method::POST, path, json(body), true).await?;
        let refused = || Error::NoUpgrade(path.to_owned());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused());
        }
        let exchange = |source| Error::Exchange {
            path: path.to_owned(),
            source,
        };
        let upgraded = hyper::upgrade::on(response).await.map_err(exchange)?;
        let parts = upgraded
            .downcast::<FuturesIo<Box<dyn Socket>>>()
            .map_err(|_| refused())?;
        Ok(Upgraded {
            socket: parts.io.into_inner(),
            early: parts.read_buf,
        })
    }

    /// Sends a request and reads the answer's JSON, if it has any.
    pub async fn json(&self, method: Method, path: &str, body: Payload) -> Result<Value, Error> {
        let bytes = self.bytes(method, path, body).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            path: path.to_owned(),
            source,
        })
    }

    async fn bytes(&self, method: Method, path: &str, body: Payload) -> Result<Bytes, Error> {
        let mut download = self.stream(method, path, body).await?;
        collect(&mut download).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Payload,
        upgrade: bool,
    ) -> Result<Response<Incoming>, Error> {
        let (major, minor) = self.negotiated().await?;
        let full = format!("/v{major}.{minor}{path}");
        let response = self.exchange(method, &full, body, upgrade).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let mut download = Download {
            path: full,
            body: response.into_body(),
        };
        let bytes = collect(&mut download).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = match answer["message"].as_str() {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("{status} for {}", download.path),
        };
        Err(Error::Daemon { status, message })
    }

    async fn negotiated(&self) -> Result<(u32, u32), Error> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let response = self
            .exchange(Method::HEAD, "/_ping", empty(), false)
            .await?;
        let header = response
            .headers()
            .get("api-version")
            .and_then(|v| v.to_str().ok());
        let told = header.and_then(parse_version).unwrap_or(VERSION_MIN);
        Ok(*self.version.get_or_init(|| told.min(VERSION_MAX)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Payload,
        upgrade: bool,
    ) -> Result<Response<Incoming>, Error> {
        let socket = self.connect().await?;
        let exchange = |source| Error::Exchange {
            path: path.to_owned(),
            source,
        };
        let handshake = http1::handshake(FuturesIo::new(socket));
        let (mut sender, connection) = handshake.await.map_err(exchange)?;
        // The connection's own error reaches the caller through the answer it breaks.
        self.executor
            .spawn(async { connection.with_upgrades().await.ok() })
            .detach();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "skep");
        request = request.header(CONTENT_TYPE, body.content);
        if let Some((name, value)) = body.secret {
            request = request.header(name, value);
        }
        if upgrade {
            request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        let request = request.body(body.body).map_err(|source| Error::Request {
            path: path.to_owned(),
            source,
        })?;
        sender.send_request(request).await.map_err(exchange)
    }

    /// A bare connection to the daemon.
    pub async fn connect(&self) -> Result<Box<dyn Socket>, Error> {
        let host = self.host.clone();
        let connected = self.host.connect().await;
        connected.map_err(|source| match &source {
            ConnectError::Io(io) if is_absent(io) => Error::NoDaemon { host },
            _ => Error::Connect { host, source },
        })
    }
}

/// Whether nobody listens there.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// A path with a query, its values escaped.
pub fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(k, v)| format!("{k}={}", escape(v)))
        .collect();
    match pairs.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", pairs.join("&")),
    }
}

/// Text as a part of a path or a query.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// No body.
pub fn empty() -> Payload {
    let body = UnsyncBoxBody::new(Empty::new().map_err(|never| match never {}));
    Payload::new(JSON, body)
}

/// A body read from a file or a pipe while it is sent.
pub fn upload(source: impl io::Read + Send + 'static) -> Payload {
    let source = blocking::Unblock::with_capacity(UPLOAD_BYTES, source);
    let chunks = stream::try_unfold(source, async |mut source| {
        let mut chunk = vec![0; UPLOAD_BYTES];
        let length = source.read(&mut chunk).await?;
        chunk.truncate(length);
        Ok::<_, io::Error>((length > 0).then(|| (Frame::data(Bytes::from(chunk)), source)))
    });
    Payload::new(
        "application/x-tar",
        UnsyncBoxBody::new(StreamBody::new(chunks)),
    )
}

/// A JSON body.
pub fn json(value: &Value) -> Payload {
    let bytes = if value.is_null() {
        Bytes::new()
    } else {
        Bytes::from(value.to_string())
    };
    let body = UnsyncBoxBody::new(Full::new(bytes).map_err(|never| match never {}));
    Payload::new(JSON, body)
}

async fn collect(download: &mut Download) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = download.next().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLong(download.path.clone()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let path = with_query("/tasks", &[("filters", r#"{"service":{"a/b c":true}}"#)]);
        assert_eq!(
            path,
            "/tasks?filters=%7B%22service%22%3A%7B%22a%2Fb%20c%22%3Atrue%7D%7D"
        );
        assert_eq!(with_query("/info", &[]), "/info");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("1.47"), Some((1, 47)));
        assert!(parse_version("1.9") < parse_version("1.24"));
        assert_eq!(parse_version("x"), None);
    }
}
