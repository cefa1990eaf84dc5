//! Plain hits of HTTP/2: found by the same look as those of HTTP/1.1, and given to h2 in the connection's own loop.

use super::H2Wire;
use crate::exchange::{Handler, QuickBody};
use crate::head::{Looks, RequestHead};
use crate::info::ConnInfo;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// Requests with more fields are not looked at.
const LOOKED_FIELDS_MAX: usize = 32;
/// What a head is serialised into at first.
const HEAD_BYTES: usize = 512;

/// What became of a request.
pub(super) enum Looked {
    Answered,
    /// Its head is sent, and these parts of its body wait for the client's windows.
    Sends(H2Wire, Vec<Bytes>),
    /// It is more than a plain hit.
    Exchange(H2Wire),
}

/// Answers a request, in origin form, if it is for a plain hit.
pub(super) fn answer<H: Handler>(
    mut wire: H2Wire,
    request: &Parts,
    handler: &H,
    info: &ConnInfo,
) -> Looked {
    if !wire.recv.is_end_stream() {
        return Looked::Exchange(wire);
    }
    let Some((head, body)) = look(request, handler, info) else {
        return Looked::Exchange(wire);
    };
    let Some(response) = response(&head) else {
        return Looked::Exchange(wire);
    };
    let mut parts = body.into_parts();
    // an error: the stream was reset, and there is nobody to answer
    let Ok(mut send) = wire.respond.send_response(response, parts.is_empty()) else {
        return Looked::Answered;
    };
    if let [data] = &mut parts[..] {
        send.reserve_capacity(data.len());
        if send.capacity() >= data.len() {
            let _ = send.send_data(std::mem::take(data), true);
            return Looked::Answered;
        }
    }
    if parts.is_empty() {
        return Looked::Answered;
    }
    wire.send = Some(send);
    Looked::Sends(wire, parts)
}

/// The serialised head of the answer, and its body.
fn look<H: Handler>(request: &Parts, handler: &H, info: &ConnInfo) -> Option<(Bytes, QuickBody)> {
    let method = request.method.as_str();
    let mut looks = Looks::of(method);
    if !looks.plain || request.headers.len() > LOOKED_FIELDS_MAX {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; LOOKED_FIELDS_MAX];
    for (field, (name, value)) in fields.iter_mut().zip(&request.headers) {
        *field = httparse::Header {
            name: name.as_str(),
            value: value.as_bytes(),
        };
        looks.note(field.name, field.value);
        looks.plain &= !matches!(*name, header::EXPECT | header::UPGRADE);
    }
    if !looks.plain {
        return None;
    }
    let head = RequestHead {
        method,
        target: request.uri.path_and_query()?.as_str(),
        host: request.headers.get(header::HOST)?.as_bytes(),
        fields: &fields[..request.headers.len()],
        looks,
        ..RequestHead::EMPTY
    };
    let mut out = BytesMut::with_capacity(HEAD_BYTES);
    let body = handler.quick(&head, info, &mut out)?;
    Some((out.freeze(), body))
}

/// The head that was serialised, for h2. `None`: it is none.
fn response(head: &Bytes) -> Option<Response<()>> {
    let mut lines = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    let mut response = Response::new(());
    let status = lines.next()?.get(b"HTTP/1.1 ".len()..)?.get(..3)?;
    *response.status_mut() = StatusCode::from_bytes(status).ok()?;
    let fields = response.headers_mut();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&b| b == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = head.slice_ref(line[colon + 1..].trim_ascii_start());
        fields.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(response)
}
