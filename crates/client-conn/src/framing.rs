//! Response heads as they go to HTTP/1 clients, and how their bodies are framed (RFC 9112 §6).

use bytes::{BufMut, BytesMut};
use http::{HeaderName, header};
use pingora::http::ResponseHeader;
use seawall_http_cache::is_hop_by_hop;

/// How a response's body is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is none.
    None,
    Length(u64),
    Chunked,
    /// After an upgrade.
    Raw,
    /// It ends with the connection (HTTP/1.0 clients).
    Close,
}

/// Chooses the framing of `response`.
pub fn framing(response: &ResponseHeader, head_request: bool, http10: bool) -> Framing {
    let status = response.status.as_u16();
    if status == 101 {
        return Framing::Raw;
    }
    if head_request || status < 200 || status == 204 || status == 304 {
        return Framing::None;
    }
    let chunked = response.headers.contains_key(header::TRANSFER_ENCODING);
    let length = response.headers.get(header::CONTENT_LENGTH);
    match length.and_then(|v| v.to_str().ok()?.parse().ok()) {
        Some(length) if !chunked => Framing::Length(length),
        _ if http10 => Framing::Close,
        _ => Framing::Chunked,
    }
}

/// Tells which fields of `response` end with this connection: those that `Connection` names, and those that always do
/// (RFC 9110 §7.6.1).
pub(crate) fn of_connection(response: &ResponseHeader) -> impl Fn(&HeaderName) -> bool + '_ {
    let nominated: Vec<&[u8]> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    move |name| {
        let named = |n: &&[u8]| n.eq_ignore_ascii_case(name.as_str().as_bytes());
        is_hop_by_hop(name.as_str()) || nominated.iter().any(named)
    }
}

/// The Date that pingora writes into error answers of its own; it says nothing.
const PLACEHOLDER_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Whether `response` says when it was made.
pub(crate) fn has_date(response: &ResponseHeader) -> bool {
    response
        .headers
        .get(header::DATE)
        .is_some_and(|date| date != PLACEHOLDER_DATE)
}

/// What `Connection` says of the connection's future (RFC 9112 §9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Persistence {
    /// Nothing: HTTP/1.1 goes on by itself.
    Implied,
    Close,
    /// HTTP/1.0 goes on only if both say so.
    KeepAlive,
}

/// Writes a response head. `Date` stays as it came and is added where it is missing; `Connection` is ours.
pub(crate) fn write_head(
    out: &mut BytesMut,
    response: &ResponseHeader,
    framing: Framing,
    persistence: Persistence,
    date: &str,
) {
    out.reserve(512);
    let upgraded = framing == Framing::Raw;
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(response.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(response.get_reason_phrase().unwrap_or("").as_bytes());
    out.put_slice(b"\r\n");
    let of_connection = of_connection(response);
    let dated = has_date(response);
    for (name, value) in &response.headers {
        let upgrade = upgraded && *name == header::UPGRADE;
        let unframed =
            matches!(framing, Framing::Chunked | Framing::Close) && *name == header::CONTENT_LENGTH;
        if (of_connection(name) && !upgrade) || unframed || (*name == header::DATE && !dated) {
            continue;
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.put_slice(part);
        }
    }
    if framing == Framing::Chunked {
        out.put_slice(b"transfer-encoding: chunked\r\n");
    }
    if upgraded {
        out.put_slice(b"connection: upgrade\r\n");
    } else {
        match persistence {
            Persistence::Implied => {}
            Persistence::Close => out.put_slice(b"connection: close\r\n"),
            Persistence::KeepAlive => out.put_slice(b"connection: keep-alive\r\n"),
        }
    }
    if !response.status.is_informational() && !dated {
        for part in [b"date: ", date.as_bytes(), b"\r\n"] {
            out.put_slice(part);
        }
    }
    out.put_slice(b"\r\n");
}
