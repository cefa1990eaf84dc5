//! What errors of pingora's and heads of servers say: pure functions.

use crate::ask::Phase;
use http::{HeaderMap, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};

/// Which phase an error of pingora's belongs to, and whether time ran out.
pub(crate) fn phase(error: &Error, connected: bool, head_seen: bool) -> (Phase, bool) {
    use ErrorType as E;
    let timeout = matches!(
        error.etype(),
        E::ConnectTimedout | E::TLSHandshakeTimedout | E::ReadTimedout | E::WriteTimedout
    );
    let phase = match error.etype() {
        E::TLSHandshakeFailure | E::TLSHandshakeTimedout | E::InvalidCert | E::HandshakeError => {
            Phase::Tls
        }
        E::ConnectTimedout
        | E::ConnectRefused
        | E::ConnectNoRoute
        | E::ConnectError
        | E::BindError
        | E::SocketError => Phase::Connect,
        _ if !connected => Phase::Connect,
        E::WriteError | E::WriteTimedout => Phase::Request,
        _ if head_seen => Phase::ResponseBody,
        _ => Phase::ResponseHead,
    };
    (phase, timeout)
}

/// What of an error goes to clients: its kind and our own words, no addresses.
pub(crate) fn reason(error: &Error) -> String {
    let context = error
        .context
        .as_ref()
        .map(|c| c.as_str().to_owned())
        .unwrap_or_default();
    let kind = error.etype().as_str();
    let short = context
        .split("Peer:")
        .next()
        .unwrap_or_default()
        .trim()
        .trim_end_matches(',');
    if short.is_empty() || short.len() > 120 || short.contains("addr:") {
        kind.to_owned()
    } else {
        format!("{kind}, {short}")
    }
}

/// Heads that could be read in two ways, or that frame nothing (RFC 9112 §6.3): an error, never a stored object.
pub(crate) fn judge_head(fields: &HeaderMap, status: u16) -> std::result::Result<(), &'static str> {
    if !(100..=599).contains(&status) {
        return Err("a status outside 100 to 599");
    }
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(length) = length {
        let digits = length.as_bytes();
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err("malformed Content-Length");
        }
        if lengths.any(|other| other != length) {
            return Err("conflicting Content-Length fields");
        }
    }
    let codings: Vec<&[u8]> = fields
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    match codings[..] {
        [] => Ok(()),
        _ if length.is_some() => Err("both Content-Length and Transfer-Encoding"),
        [coding] if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("a transfer coding other than chunked"),
    }
}

/// Whether somebody may need the head before there is a body: a stream of events has none until there is an event.
pub(crate) fn may_be_held(response: &ResponseHeader) -> bool {
    let content_type = response.headers.get(header::CONTENT_TYPE);
    let of_events = content_type.is_some_and(|value| {
        let kind = value.as_bytes().split(|&b| b == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    });
    response.status != 101 && !of_events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)], expect: std::result::Result<(), &str>) {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        assert_eq!(judge_head(&map, 200), expect, "{fields:?}");
    }

    #[test]
    fn a_head_waits_for_its_body_unless_somebody_may_need_it_before() {
        for (status, kind, expect) in [
            (200, None, true),
            (200, Some("text/html"), true),
            (404, Some("text/plain"), true),
            (200, Some("text/event-stream"), false),
            (200, Some("Text/Event-Stream ; charset=utf-8"), false),
            (200, Some("text/event-streams"), true),
            (101, None, false),
        ] {
            let mut head = ResponseHeader::build(status, None).unwrap();
            if let Some(kind) = kind {
                head.insert_header(header::CONTENT_TYPE, kind).unwrap();
            }
            assert_eq!(may_be_held(&head), expect, "{status} {kind:?}");
        }
    }

    #[test]
    fn a_head_that_could_be_read_in_two_ways_is_an_error() {
        check(&[("content-length", "5")], Ok(()));
        check(&[("content-length", "5"), ("content-length", "5")], Ok(()));
        check(
            &[("content-length", "5"), ("content-length", "6")],
            Err("conflicting Content-Length fields"),
        );
        check(
            &[("content-length", "5, 6")],
            Err("malformed Content-Length"),
        );
        check(&[("content-length", "-1")], Err("malformed Content-Length"));
        check(&[("content-length", "")], Err("malformed Content-Length"));
        check(&[("transfer-encoding", "chunked")], Ok(()));
        check(
            &[("transfer-encoding", "chunked"), ("content-length", "5")],
            Err("both Content-Length and Transfer-Encoding"),
        );
        check(
            &[("transfer-encoding", "gzip, chunked")],
            Err("a transfer coding other than chunked"),
        );
        assert!(judge_head(&HeaderMap::new(), 999).is_err());
    }
}
