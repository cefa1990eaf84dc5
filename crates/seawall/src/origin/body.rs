//! Bodies of the built-in origins' answers.

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use std::io;

/// A body whose end may be an error: the connection is then cut, so that nobody takes a part for the whole.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// `first`, then what the stream gives.
pub(super) fn streamed(
    first: Bytes,
    rest: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Body {
    let chunks = stream::iter((!first.is_empty()).then_some(Ok(first))).chain(rest);
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}
