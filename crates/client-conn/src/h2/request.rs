//! A request of HTTP/2 as all others are: looked at for a plain hit, or made an exchange.

use crate::exchange::{Handler, QuickBody};
use crate::head::{Looks, RequestHead, is_token, to_request};
use crate::info::{ConnInfo, Scheme};
use crate::limits::ConnLimits;
use crate::target::{is_host, is_origin_form, same_host};
use bytes::BytesMut;
use http::Version;
use http::request::Parts;
use httparse::Header;
use seawall_http2::{Fault, Head};

/// Requests with more fields are not looked at for a plain hit.
const LOOKED_FIELDS_MAX: usize = 32;

/// What is to be done for a request.
pub(super) enum Step {
    /// It is answered by this status, the lines that were written, and this body.
    Quick(u16, QuickBody),
    /// An exchange; the client may wait for 100 Continue.
    Exchange(Box<Parts>, bool),
    /// It is answered by an error.
    Refused(u16, &'static str),
    /// It is no request (RFC 9113 §8.1.1).
    Malformed(&'static str),
}

/// Judges the head that was read last. `out` is empty, and has a quick answer's head afterwards.
pub(super) fn step<H: Handler>(
    head: &Head,
    ended: bool,
    handler: &H,
    info: &ConnInfo,
    limits: &ConnLimits,
    out: &mut BytesMut,
) -> Step {
    match head.fault() {
        Some(Fault::Malformed(text)) => return Step::Malformed(text),
        Some(Fault::TooLarge) => return Step::Refused(431, "the request head is too long"),
        None => {}
    }
    let crumbs = head.has_crumbs().then(|| crumbs(head));
    let mut few = [httparse::EMPTY_HEADER; LOOKED_FIELDS_MAX];
    let mut many = Vec::new();
    let fields = collect(head, crumbs.as_deref(), &mut few, &mut many);
    let mut request = RequestHead {
        method: head.method(),
        target: head.path(),
        host: head.authority().unwrap_or_default(),
        fields,
        looks: Looks::of(head.method()),
        ..RequestHead::EMPTY
    };
    let is_looked_at = ended && fields.len() <= LOOKED_FIELDS_MAX;
    if let Err(step) = judge(&mut request, info.scheme == Scheme::Https, limits) {
        return step;
    }
    if is_looked_at
        && request.looks.plain
        && let Some(body) = handler.quick(&request, info, out)
    {
        match status(out) {
            Some(status) => return Step::Quick(status, body),
            None => out.clear(),
        }
    }
    match to_request(&request) {
        Some(mut parts) => {
            parts.version = Version::HTTP_2;
            Step::Exchange(Box::new(parts), request.expects_continue && !ended)
        }
        None => Step::Malformed("a field that no message may have"),
    }
}

/// Cookies that came in several fields are one field again: what is not HTTP/2 knows one alone (RFC 9113 §8.2.3).
fn crumbs(head: &Head) -> Vec<u8> {
    let crumbs: Vec<&[u8]> = head
        .fields()
        .filter(|(name, _)| *name == "cookie")
        .map(|(_, value)| value)
        .collect();
    crumbs.join(&b"; "[..])
}

/// The head's fields, in `few` if that is room enough, with all cookies in place of the first.
fn collect<'h, 'f>(
    head: &'h Head,
    crumbs: Option<&'h [u8]>,
    few: &'f mut [Header<'h>; LOOKED_FIELDS_MAX],
    many: &'f mut Vec<Header<'h>>,
) -> &'f [Header<'h>] {
    let mut has_cookie = false;
    let mut len = 0;
    for (name, mut value) in head.fields() {
        if let Some(crumbs) = crumbs
            && name == "cookie"
        {
            if std::mem::replace(&mut has_cookie, true) {
                continue;
            }
            value = crumbs;
        }
        let field = Header { name, value };
        if let Some(place) = few.get_mut(len) {
            *place = field;
        } else {
            if many.is_empty() {
                many.extend_from_slice(few);
            }
            many.push(field);
        }
        len += 1;
    }
    if many.is_empty() { &few[..len] } else { many }
}

/// What the fields say about the message itself, and whether it says where it goes.
fn judge(request: &mut RequestHead<'_>, https: bool, limits: &ConnLimits) -> Result<(), Step> {
    let mut host: Option<&[u8]> = None;
    for field in request.fields {
        match field.name {
            "host" => {
                if host.replace(field.value).is_some() {
                    return Err(Step::Malformed("host is repeated"));
                }
            }
            "expect" => {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Step::Refused(417, "only 100-continue can be expected"));
                }
                request.expects_continue = true;
                request.looks.plain = false;
            }
            name => request.looks.note(name, field.value),
        }
    }
    if request.method == "CONNECT" {
        return Err(Step::Refused(405, "CONNECT is not served"));
    }
    request.host = match (request.host, host) {
        (b"", Some(host)) => host,
        (authority, Some(host)) if !same_host(authority, host, https) => {
            return Err(Step::Malformed("host is not :authority"));
        }
        (authority, _) => authority,
    };
    if !is_host(request.host) {
        return Err(Step::Malformed("no host, or a malformed one"));
    }
    if request.target.len() > limits.target_bytes_max {
        return Err(Step::Refused(414, "the request target is too long"));
    }
    let whole = request.target == "*" && request.method == "OPTIONS";
    if !is_token(request.method.as_bytes()) || !whole && !is_origin_form(request.target) {
        return Err(Step::Malformed("a malformed method or :path"));
    }
    Ok(())
}

/// The status that an answer's head begins with.
fn status(head: &[u8]) -> Option<u16> {
    let status = head.get(b"HTTP/1.1 ".len()..)?.get(..3)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// The fields of an answer's head, behind its status line.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = memchr::memchr(b'\n', head).map_or(&[][..], |end| &head[end + 1..]);
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let (line, behind) = rest.split_at(end + 1);
        rest = behind;
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}
