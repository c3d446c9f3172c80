//! HTTP as registries need it: limits on every answer, redirects that take no credentials along.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, LOCATION, RETRY_AFTER};
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, BodyReader, Proxy, SendBody, Timeout};

use crate::host::clock::{self, Stopwatch};
use crate::image::registry::endpoint::{Endpoint, host_and_port};
use crate::image::registry::failure::{Refusal, RegistryError, printable};
use crate::image::registry::settings::{Lookup, Settings};
use crate::image::registry::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a registry may take to begin its answer, and to go on with it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a small answer may take as a whole.
const SMALL_TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 5;
const REFUSAL_BYTES_MAX: u64 = 64 << 10;
/// Small, as there are several connections, and each has these twice.
const BUFFER_BYTES: usize = 32 << 10;
const ADDRESSES_MAX: usize = 16;

/// Speaks to a registry, and to the hosts that it sends on to.
pub struct Http {
    settings: Settings,
    endpoint: Endpoint,
    /// By scheme and authority: each host has its own certificates and proxy.
    agents: Mutex<BTreeMap<(bool, String), Agent>>,
}

/// One request.
#[derive(Debug)]
pub struct Ask<'a> {
    pub method: Method,
    pub url: String,
    /// Not shown to any other host.
    pub authorization: Option<String>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Outgoing<'a>>,
}

/// What goes with a request: so many bytes.
pub struct Outgoing<'a> {
    pub bytes: &'a mut dyn Read,
    pub length: u64,
}

/// What came back, its body not yet read.
#[derive(Debug)]
pub struct Answer {
    /// Who answered, after all redirects.
    pub host: String,
    response: Response<Body>,
}

impl<'a> Ask<'a> {
    /// A question with nothing more to it.
    pub fn get(url: String) -> Self {
        Self::new(Method::GET, url)
    }

    pub fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            authorization: None,
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn is_repeatable(&self) -> bool {
        self.body.is_none() && matches!(self.method, Method::GET | Method::HEAD)
    }
}

impl Http {
    pub fn new(settings: &Settings, endpoint: &Endpoint) -> Self {
        Self {
            settings: settings.clone(),
            endpoint: endpoint.clone(),
            agents: Mutex::default(),
        }
    }

    /// The registry that this is for.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether a URL leads to the registry itself.
    pub fn is_own(&self, url: &str) -> bool {
        let base = self.endpoint.base();
        let parsed = |url: &str| url.parse::<Uri>().ok();
        let pair = parsed(url).zip(parsed(&base));
        pair.is_some_and(|(uri, own)| uri.scheme() == own.scheme() && place(&uri) == place(&own))
    }

    /// Asks, and follows where the answer leads. A refusal is an answer too.
    pub fn send(&self, mut ask: Ask<'_>) -> Result<Answer, RegistryError> {
        for _ in 0..=REDIRECTS_MAX {
            let uri = self.checked(&ask.url)?;
            let answer = self.send_once(&uri, &mut ask)?;
            let location = answer.header(LOCATION.as_str()).map(str::to_owned);
            let is_redirect = matches!(answer.status(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = location.filter(|_| is_redirect && ask.is_repeatable()) else {
                return Ok(answer);
            };
            ask.url = join(&uri, &location);
            let next = self.checked(&ask.url)?;
            if next.scheme() != uri.scheme() || place(&next) != place(&uri) {
                ask.authorization = None;
            }
        }
        Err(self.nonsense(format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// As `send`, but a refusal is an error.
    pub fn fetch(&self, ask: Ask<'_>) -> Result<Answer, RegistryError> {
        self.send(ask)?.accepted()
    }

    fn send_once(&self, uri: &Uri, ask: &mut Ask<'_>) -> Result<Answer, RegistryError> {
        let host = uri.authority().map_or("", |a| a.as_str()).to_owned();
        let mut request = Request::builder().method(ask.method.clone()).uri(uri);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &ask.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let agent = self.agent(uri)?;
        let sent = match &mut ask.body {
            Some(body) => {
                let request = request.header(CONTENT_LENGTH, body.length);
                let body = SendBody::from_reader(&mut body.bytes);
                request
                    .body(body)
                    .map_err(ureq::Error::from)
                    .and_then(|r| agent.run(r))
            }
            None => request
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|r| agent.run(r)),
        };
        match sent {
            Ok(response) => Ok(Answer { host, response }),
            Err(error) => Err(unreachable(&host, &error)),
        }
    }

    /// A URL that this registry may lead to: TLS does not end on the way.
    fn checked(&self, url: &str) -> Result<Uri, RegistryError> {
        let parsed: Option<Uri> = url.parse().ok();
        let uri = parsed.filter(|uri| {
            let is_plain = uri.scheme_str() == Some("http");
            let is_tls = uri.scheme_str() == Some("https");
            let authority = uri.authority().map_or("", |a| a.as_str());
            let is_allowed = is_tls || is_plain && !self.endpoint.is_verified;
            is_allowed && !authority.is_empty() && !authority.contains('@')
        });
        uri.ok_or_else(|| {
            // Its query may hold a key to the data.
            let shown = url.split(['?', '#']).next().unwrap_or_default();
            self.nonsense(format!(
                "to {:?}, which is no place to go",
                printable(shown)
            ))
        })
    }

    fn agent(&self, uri: &Uri) -> Result<Agent, RegistryError> {
        let is_tls = uri.scheme_str() == Some("https");
        let authority = uri.authority().map_or("", |a| a.as_str()).to_owned();
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (is_tls, authority);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.make_agent(is_tls, &key.1)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn make_agent(&self, is_tls: bool, authority: &str) -> Result<Agent, RegistryError> {
        let proxy = self.settings.proxies.choose(is_tls, authority).map(proxy);
        let proxy = proxy
            .transpose()
            .map_err(|reason| RegistryError::Unreachable {
                host: authority.to_owned(),
                reason: reason.to_owned(),
            })?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .timeout_per_write(Some(READ_TIMEOUT))
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES);
        if is_tls {
            config = config.tls_config(self.tls(authority));
        }
        let names = Names(self.settings.lookup.clone());
        Ok(Agent::with_parts(
            config.build(),
            DefaultConnector::new(),
            names,
        ))
    }

    fn tls(&self, authority: &str) -> TlsConfig {
        let own = authority == self.endpoint.authority;
        let is_verified = match own {
            true => self.endpoint.is_verified,
            false => !self.settings.is_insecure(authority),
        };
        let mut roots = trust::system_roots();
        roots.extend(trust::own_roots(&self.settings.certificates, authority));
        TlsConfig::builder()
            .disable_verification(!is_verified)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(trust::client(&self.settings.certificates, authority))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build()
    }

    fn nonsense(&self, what: String) -> RegistryError {
        let host = self.endpoint.authority.clone();
        RegistryError::Nonsense { host, what }
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Itself, if it is what was asked for.
    pub fn accepted(self) -> Result<Self, RegistryError> {
        match self.response.status().is_success() {
            true => Ok(self),
            false => Err(RegistryError::Refused(self.refusal())),
        }
    }

    /// What it says, as a refusal.
    pub fn refusal(mut self) -> Refusal {
        let retry_after = self.header(RETRY_AFTER.as_str()).and_then(retry_after);
        let body = self
            .response
            .body_mut()
            .with_config()
            .limit(REFUSAL_BYTES_MAX)
            .reader();
        // A body that does not come explains nothing; the status does.
        let body = read_small(body, REFUSAL_BYTES_MAX).ok().flatten();
        Refusal::read(
            &self.host,
            self.status(),
            &body.unwrap_or_default(),
            retry_after,
        )
    }

    /// The whole body, if it is small.
    pub fn bytes(self, what: &'static str, max: u64) -> Result<Vec<u8>, RegistryError> {
        let host = self.host;
        match read_small(self.response.into_body().into_reader(), max) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(RegistryError::TooLarge { host, what, max }),
            Err(error) => {
                let reason = printable(&error.to_string());
                Err(RegistryError::Unreachable { host, reason })
            }
        }
    }

    /// The body as it comes.
    pub fn into_reader(self) -> BodyReader<'static> {
        self.response.into_body().into_reader()
    }
}

/// Reads to the end; none if there is more than `max`.
fn read_small(mut body: impl Read, max: u64) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; BUFFER_BYTES]);
    let since = Stopwatch::start();
    loop {
        match body.read(&mut piece)? {
            0 => return Ok(Some(bytes)),
            n => bytes.extend_from_slice(&piece[..n]),
        }
        if bytes.len() as u64 > max {
            return Ok(None);
        }
        if since.elapsed() > SMALL_TIMEOUT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the answer does not end",
            ));
        }
    }
}

/// Resolves names by whatever the daemon handed in.
struct Names(Lookup);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let authority = uri.authority().map_or("", |a| a.as_str());
        let (host, port) = host_and_port(authority.rsplit('@').next().unwrap_or_default());
        let standard = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let found = (self.0)(host).map_err(|text| ureq::Error::Io(io::Error::other(text)))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES_MAX) {
            addresses.push(SocketAddr::new(address, port.unwrap_or(standard)));
        }
        match addresses.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(addresses),
        }
    }
}

fn proxy(url: &str) -> Result<Proxy, &'static str> {
    let wrong = "the proxy that the environment names is not an http:// or https:// URL";
    let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme);
    if !matches!(scheme, "http" | "https") {
        return Err(wrong);
    }
    Proxy::new(url).map_err(|_| wrong)
}

fn unreachable(host: &str, error: &ureq::Error) -> RegistryError {
    let certificate = |text: String| {
        let unknown = text.contains("UnknownIssuer");
        let hint = format!(
            "its certificate is signed by nobody whom this host trusts: put the signer's into \
             /etc/skep/certs.d/{host}/ca.crt"
        );
        if unknown { hint } else { text }
    };
    let reason = match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
        }
        ureq::Error::Timeout(_) => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
        ureq::Error::Io(error) => certificate(error.to_string()),
        ureq::Error::Rustls(error) => certificate(error.to_string()),
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::Protocol(error) => format!("it does not speak HTTP: {error}"),
        other => other.to_string(),
    };
    RegistryError::Unreachable {
        host: host.to_owned(),
        reason: printable(&reason),
    }
}

/// Host and port, the scheme's own if there is none.
fn place(uri: &Uri) -> (String, u16) {
    let standard = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (host, uri.port_u16().unwrap_or(standard))
}

/// Where a `Location` leads that came from `from`.
pub fn join(from: &Uri, location: &str) -> String {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |a| a.as_str());
    let location = location.split('#').next().unwrap_or_default();
    let before = location.split_once("://").map(|(before, _)| before);
    if before.is_some_and(|scheme| scheme.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}");
    }
    let path = from.path();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{location}")
}

/// Seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text.trim())
        .ok()?
        .timestamp()
        .as_second();
    let now = i64::try_from(clock::now().0 / 1000).unwrap_or(i64::MAX);
    Some(Duration::from_secs(u64::try_from(at - now).unwrap_or(0)))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", self.endpoint)
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({})", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, location: &str, expect: &str) {
        assert_eq!(join(&from.parse().unwrap(), location), expect);
    }

    #[test]
    fn redirects_lead_where_they_say() {
        check("https://a/v2/x", "https://b/y?z=1#f", "https://b/y?z=1");
        check("https://a:5/v2/x", "/y", "https://a:5/y");
        check("http://a/v2/x?q=1", "y/z", "http://a/v2/y/z");
        check("https://a/x", "//b/y", "https://b/y");
        check("https://a/x", "/y?u=http://z", "https://a/y?u=http://z");
        check("https://a/x", "y?u=http://z", "https://a/y?u=http://z");
    }

    #[test]
    fn patience_is_asked_for_in_seconds_or_with_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        let past = retry_after("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(past, Some(Duration::ZERO));
        let far = retry_after("Fri, 06 Nov 2195 08:49:37 GMT").unwrap();
        assert!(far > Duration::from_secs(1 << 30));
        assert_eq!(retry_after("soon"), None);
    }
}
