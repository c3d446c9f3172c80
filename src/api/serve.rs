//! The HTTP server: connections in, calls to the routes, answers out.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN, SERVER};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use smol_hyper::rt::{FuturesIo, SmolTimer};

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::listen::{Accepted, Listener};
use crate::api::query::Query;
use crate::api::{remote, routes, version};
use crate::host::wait::sleep;

/// Most connections at a time; more wait until one ends.
const CONNECTIONS_MAX: usize = 256;
const HEADER_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// A connection on which no request arrives for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// What goes by before a failed accept (no descriptors left) is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Everything,
    /// What anybody may see.
    Metrics,
    /// What managers ask a node's host for: what concerns containers.
    Managers,
}

/// Serves the API, or its metrics, at `listener` until it is dropped.
pub async fn serve(listener: Listener, context: Rc<Context>, serves: Serves) -> Infallible {
    let (enter, leave) = async_channel::bounded::<()>(CONNECTIONS_MAX);
    loop {
        // The channel's places are the places for connections; both its ends are held here.
        let _ = enter.send(()).await;
        let place = Place(leave.clone());
        match listener.accept().await {
            Ok(accepted) => {
                let served = greet(accepted, context.clone(), serves);
                let connection = async move {
                    served.await;
                    drop(place);
                };
                // Detached: it ends with its client, or with the executor.
                context.executor.spawn(connection).detach();
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(accepted: Accepted, context: Rc<Context>, serves: Serves) {
    match accepted {
        Accepted::Plain(stream) => connection(stream, context, serves).await,
        Accepted::Tls(stream, credentials) => {
            let from = stream.peer_addr();
            match credentials.greet(&*context.cluster, stream).await {
                Ok(stream) => connection(stream, context, serves).await,
                Err(error) => {
                    let from = from.map_or_else(|_| "?".to_owned(), |from| from.to_string());
                    tracing::warn!("a client at {from} was not let in: {error}");
                }
            }
        }
    }
}

/// Frees its place when the connection ends, however it ends.
struct Place(async_channel::Receiver<()>);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

/// Serves one connection to its end.
pub async fn connection<S>(stream: S, context: Rc<Context>, serves: Serves)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let context = context.clone();
        async move { Ok::<_, Infallible>(answer_to(context, request, serves).await) }
    });
    let served = Builder::new()
        .timer(SmolTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(FuturesIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended early: {error}");
    }
}

async fn answer_to(context: Rc<Context>, request: Request<Incoming>, serves: Serves) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut answer = match call(context, request, serves).await {
        Ok(answer) => answer,
        Err(failure) => {
            let (status, message) = (failure.status.as_u16(), &failure.message);
            tracing::debug!("{method} {path}: {status} {message}");
            answer::failure(&failure)
        }
    };
    add_headers(answer.headers_mut());
    answer
}

async fn call(
    context: Rc<Context>,
    request: Request<Incoming>,
    serves: Serves,
) -> Result<Answer, Failure> {
    if request.headers().contains_key(ORIGIN) {
        // A web page that was opened on this host must not steer it.
        let message = "requests from web pages are refused";
        return Err(Failure::new(StatusCode::FORBIDDEN, message));
    }
    let uri = request.uri().clone();
    if serves == Serves::Metrics && uri.path() != "/metrics" {
        return Err(Failure::not_found("page not found: only /metrics is here"));
    }
    let (version, path) = version::split(uri.path())?;
    let (route, parameters) = routes::find(request.method(), path)?;
    if serves == Serves::Managers && !route.is_for_managers() {
        return Err(Failure::not_found(
            "page not found: managers do not ask for it",
        ));
    }
    let mut call = Call {
        context,
        parameters,
        query: Query::parse(uri.query().unwrap_or("")),
        version,
        request,
    };
    if serves == Serves::Everything
        && let Some(answer) = remote::carried(&mut call).await?
    {
        return Ok(answer);
    }
    (route.run)(call).await
}

fn add_headers(headers: &mut HeaderMap) {
    let server = concat!("skep/", env!("CARGO_PKG_VERSION"), " (linux)");
    headers.insert("Api-Version", HeaderValue::from_static("1.47"));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert(SERVER, HeaderValue::from_static(server));
}
