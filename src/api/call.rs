//! One request on its way to its endpoint.

use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_lite::future;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::body;
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::query::Query;
use crate::api::version::ApiVersion;
use crate::host::wait::sleep;
use crate::wire::control::{Request as Question, Response};

/// Most bytes of a JSON body.
pub const JSON_BYTES_MAX: usize = 4 << 20;
/// A client that sends nothing of a body for so long is given up.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A request, and what it is answered from.
#[derive(Debug)]
pub struct Call {
    pub context: Rc<Context>,
    /// What the braces of the route's path stand for, in order.
    pub parameters: Vec<String>,
    pub query: Query,
    pub version: ApiVersion,
    pub request: Request<Incoming>,
}

impl Call {
    /// The part of the path that the first braces stand for.
    pub fn name(&self) -> &str {
        self.parameters.first().map_or("", String::as_str)
    }

    /// Asks the managers.
    pub async fn ask(&self, question: Question) -> Result<Response, Failure> {
        Ok(self.context.cluster.request(question).await?)
    }

    /// Reads the body as a `T`.
    pub async fn json<T: Serialize + DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let bytes = read_all(self.request.body_mut()).await?;
        Ok(body::parse(&bytes)?)
    }

    /// Reads the body as a `T`; no body is one with nothing in it.
    pub async fn json_or_default<T>(&mut self) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let bytes = read_all(self.request.body_mut()).await?;
        match bytes.is_empty() {
            true => Ok(T::default()),
            false => Ok(body::parse(&bytes)?),
        }
    }
}

/// The next bytes of a body; none at its end.
pub async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = async { Some(body.frame().await) };
        let idle = async {
            sleep(BODY_IDLE_TIMEOUT).await;
            None
        };
        let frame = match future::or(frame, idle).await {
            Some(frame) => frame.transpose(),
            None => return Err(Failure::bad("the request's body does not arrive")),
        };
        let frame = frame.map_err(|e| Failure::bad(format!("cannot read the body: {e}")))?;
        match frame.map(hyper::body::Frame::into_data) {
            Some(Ok(bytes)) => return Ok(Some(bytes)),
            // Trailers say nothing here.
            Some(Err(_)) => {}
            None => return Ok(None),
        }
    }
}

/// Takes in a body that nobody reads, if it is no larger than one that is read. A client that
/// still writes when the connection closes would see that, and not the answer.
pub async fn pass_over(body: &mut Incoming) {
    let mut passed = 0;
    while let Ok(Some(bytes)) = next_bytes(body).await {
        passed += bytes.len();
        if passed > JSON_BYTES_MAX {
            return;
        }
    }
}

/// Reads a whole body.
pub async fn read_all(body: &mut Incoming) -> Result<Bytes, Failure> {
    let mut all = BytesMut::new();
    while let Some(bytes) = next_bytes(body).await? {
        if all.len() + bytes.len() > JSON_BYTES_MAX {
            let limit = JSON_BYTES_MAX >> 20;
            return Err(Failure::bad(format!(
                "the request's body is larger than {limit} MiB"
            )));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}
