//! Answers: JSON, nothing, or a stream of bytes that is made as the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::Stream;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::api::failure::Failure;
use crate::api::prometheus;
use crate::api::types::ErrorBody;

/// An answer on its way.
pub type Answer = Response<AnswerBody>;

/// Why a stream ended before its end: the connection is cut, so that the client sees it.
#[derive(Debug, thiserror::Error)]
#[error("the answer's stream broke: {0}")]
pub struct Broken(pub String);

/// The bytes of an answer.
pub enum AnswerBody {
    Whole(Option<Bytes>),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, Broken>>>>),
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream
                .as_mut()
                .poll_next(context)
                .map(|item| item.map(|i| i.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// 200 and an object.
pub fn json(body: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, body)
}

/// A status and an object.
pub fn json_with(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            whole(status, "application/json", bytes)
        }
        Err(error) => failure(&Failure::internal(format!(
            "cannot write the answer: {error}"
        ))),
    }
}

/// A status alone.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::Whole(None));
    *answer.status_mut() = status;
    answer
}

/// 200 and plain text.
pub fn text(text: &'static str) -> Answer {
    whole(StatusCode::OK, "text/plain; charset=utf-8", text.into())
}

/// 200 and metrics.
pub fn metrics(text: String) -> Answer {
    whole(StatusCode::OK, prometheus::CONTENT_TYPE, text.into_bytes())
}

/// Docker's form of an error.
pub fn failure(failure: &Failure) -> Answer {
    let body = ErrorBody {
        message: failure.message.clone(),
    };
    let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
    bytes.push(b'\n');
    whole(failure.status, "application/json", bytes)
}

/// 200 and bytes as they come. Dropped when the client goes.
pub fn stream(
    content_type: &'static str,
    stream: impl Stream<Item = Result<Bytes, Broken>> + 'static,
) -> Answer {
    let mut answer = Response::new(AnswerBody::Stream(Box::pin(stream)));
    set_type(&mut answer, content_type);
    answer
}

/// One object as a line of its own.
pub fn line(object: &impl Serialize) -> Result<Bytes, Broken> {
    let mut bytes = serde_json::to_vec(object).map_err(|error| Broken(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

fn whole(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(AnswerBody::Whole(Some(bytes.into())));
    *answer.status_mut() = status;
    set_type(&mut answer, content_type);
    answer
}

fn set_type(answer: &mut Answer, content_type: &'static str) {
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
}
