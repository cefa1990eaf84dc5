//! The head of an HTTP/1 request, read strictly (RFC 9112 §2 to §6). What could be read in two ways is refused.

use crate::body::Body;
use crate::exchange::no_request;
use crate::limits::{ConnLimits, FIELDS_MAX};
use crate::target::{absolute, is_host, is_origin_form, same_host};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use seawall_http_cache::Fields;

/// A parsed head that borrows the read buffer.
#[derive(Debug)]
pub struct RequestHead<'b> {
    pub method: &'b str,
    /// Origin form; `*` for OPTIONS alone.
    pub target: &'b str,
    /// Authority of an absolute target, else `Host`, as sent; empty only for HTTP/1.0 without one.
    pub host: &'b [u8],
    pub fields: &'b [httparse::Header<'b>],
    pub http10: bool,
    pub keep_alive: bool,
    pub looks: Looks<'b>,
    pub(crate) len: usize,
    pub(crate) body: Body,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: bool,
}

/// What a look at a request shows of what it asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks<'b> {
    /// A GET or HEAD without a body, and without a field that a fresh stored response cannot answer.
    pub plain: bool,
    /// It has `If-None-Match` or `If-Modified-Since`.
    pub conditional: bool,
    /// It has `Range`.
    pub ranged: bool,
    /// `Accept-Encoding`, where it stands in one line.
    pub accept_encoding: Option<&'b [u8]>,
    /// `X-Forwarded-Proto`, the first line of it.
    pub forwarded_proto: Option<&'b [u8]>,
}

impl<'b> Looks<'b> {
    pub(crate) fn of(method: &str) -> Self {
        Self {
            plain: matches!(method, "GET" | "HEAD"),
            ..Self::default()
        }
    }

    /// Looks at a field that says nothing of the message itself.
    #[inline]
    pub(crate) fn note(&mut self, name: &str, value: &'b [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            5 if is("range") => self.ranged = true,
            6 if is("pragma") => self.plain = false,
            // says when a range counts
            8 if is("if-range") => {}
            8 if is("cdn-loop") => self.plain = false,
            13 if is("cache-control") => self.plain = false,
            13 if is("if-none-match") => self.conditional = true,
            15 if is("accept-encoding") => {
                // several lines are one list: the full path joins them
                self.plain &= self.accept_encoding.is_none();
                self.accept_encoding = Some(value);
            }
            17 if is("if-modified-since") => self.conditional = true,
            17 if is("x-forwarded-proto") => {
                self.forwarded_proto = self.forwarded_proto.or(Some(value));
            }
            8.. if name.as_bytes()[..3].eq_ignore_ascii_case(b"if-") => self.plain = false,
            _ => {}
        }
    }
}

impl RequestHead<'_> {
    pub(crate) const EMPTY: RequestHead<'static> = RequestHead {
        method: "",
        target: "",
        host: b"",
        fields: &[],
        http10: false,
        keep_alive: true,
        looks: Looks {
            plain: false,
            conditional: false,
            ranged: false,
            accept_encoding: None,
            forwarded_proto: None,
        },
        len: 0,
        body: Body::Done,
        expects_continue: false,
        upgrade: false,
    };
}

impl Fields for RequestHead<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|f| f.name.eq_ignore_ascii_case(name))
            .map(|f| f.value)
    }

    fn each(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        for field in self
            .fields
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case(name))
        {
            f(field.value);
        }
    }
}

/// What became of a buffer that may hold a head.
#[derive(Debug)]
pub enum Parsed<R> {
    /// More is needed.
    Partial,
    /// Refused: status, and why.
    Refused(u16, &'static str),
    Done(R),
}

/// Whether `bytes` is a token (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(legal)
}

/// Reads one head from the front of `buffer` and hands it to `f`; the borrow ends with `f`. `https`: the connection's
/// scheme, which an absolute target must agree with.
pub fn with_head<R>(
    buffer: &[u8],
    https: bool,
    limits: &ConnLimits,
    f: impl FnOnce(&RequestHead<'_>) -> R,
) -> Parsed<R> {
    let mut storage = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(buffer, &mut storage) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return partial(buffer, limits),
        Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(431, "too many fields"),
        Err(httparse::Error::Version) => return version(buffer),
        Err(_) => return Parsed::Refused(400, "malformed request head"),
    };
    if len > limits.head_bytes_max {
        return Parsed::Refused(431, "the request head is too long");
    }
    // httparse lets a bare LF end a line: who counts lines otherwise would see another request
    if memchr::memchr_iter(b'\n', &buffer[..len]).any(|i| i == 0 || buffer[i - 1] != b'\r') {
        return Parsed::Refused(400, "a line ends without CR");
    }
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if target.len() > limits.target_bytes_max {
        return Parsed::Refused(414, "the request target is too long");
    }
    let with_path = with_path(target);
    let target = with_path.as_deref().unwrap_or(target);
    let http10 = request.version == Some(0);
    let mut head = RequestHead {
        method,
        target,
        fields: request.headers,
        http10,
        keep_alive: !http10,
        looks: Looks::of(method),
        len,
        ..RequestHead::EMPTY
    };
    match judge(&mut head, https) {
        Ok(()) => Parsed::Done(f(&head)),
        Err((status, reason)) => Parsed::Refused(status, reason),
    }
}

/// No end of the head yet: is there room for one?
fn partial<R>(buffer: &[u8], limits: &ConnLimits) -> Parsed<R> {
    match memchr::memchr(b'\n', buffer) {
        // an empty line may stand before the request line
        None | Some(0..=1) if buffer.len() > limits.target_bytes_max + 64 => {
            Parsed::Refused(414, "the request target is too long")
        }
        _ if buffer.len() > limits.head_bytes_max => {
            Parsed::Refused(431, "the request head is too long")
        }
        _ => Parsed::Partial,
    }
}

/// The version was not understood: is it one of HTTP, or is the line no request line at all?
fn version<R>(buffer: &[u8]) -> Parsed<R> {
    let start = buffer
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    let line = buffer[start..]
        .split(|&b| b == b'\r' || b == b'\n')
        .next()
        .unwrap_or_default();
    let parts: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    match parts[..] {
        [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Parsed::Refused(505, "this HTTP version is not spoken here")
        }
        _ => Parsed::Refused(400, "malformed request line"),
    }
}

type Refused = (u16, &'static str);

/// Everything that the fields say about the message itself.
fn judge(head: &mut RequestHead<'_>, https: bool) -> Result<(), Refused> {
    let mut hosts = 0;
    let mut length: Option<u64> = None;
    let mut codings: Vec<&[u8]> = Vec::new();
    let (mut upgrade, mut other_upgrade, mut connection_upgrade) = (false, false, false);
    let mut closes = false;
    for field in head.fields {
        let (name, value) = (field.name, field.value);
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                hosts += 1;
                head.host = value;
            }
            6 if name.eq_ignore_ascii_case("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err((417, "only 100-continue can be expected"));
                }
                head.expects_continue = true;
                head.looks.plain = false;
            }
            7 if name.eq_ignore_ascii_case("upgrade") => {
                // RFC 9110 §7.8: protocols that are not spoken here are ignored, such as the h2c that clients offer in
                // passing; beside one of those nothing is switched, since the next server might choose it
                for protocol in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    let websocket = protocol.eq_ignore_ascii_case(b"websocket");
                    upgrade |= websocket;
                    other_upgrade |= !websocket && !protocol.is_empty();
                }
                head.looks.plain = false;
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        closes = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        head.keep_alive |= head.http10;
                    } else {
                        connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                        head.looks.plain = false;
                    }
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                if length.is_some() {
                    return Err((400, "Content-Length is repeated"));
                }
                length = Some(content_length(value).ok_or((400, "malformed Content-Length"))?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                codings.extend(value.split(|&b| b == b',').map(<[u8]>::trim_ascii));
            }
            _ => head.looks.note(name, value),
        }
    }
    // it wins over "keep-alive", wherever it stands
    head.keep_alive &= !closes;
    match hosts {
        0 if !head.http10 => return Err((400, "Host is missing")),
        0 => {}
        1 if !is_host(head.host) => return Err((400, "malformed Host")),
        1 => {}
        _ => return Err((400, "Host is repeated")),
    }
    judge_target(head, hosts > 0, https)?;
    head.body = match (codings.is_empty(), length) {
        (true, Some(length)) if length > 0 => Body::Length(length),
        (true, _) => Body::Done,
        (false, Some(_)) => return Err((400, "both Content-Length and Transfer-Encoding")),
        (false, None) if head.http10 => return Err((400, "Transfer-Encoding in HTTP/1.0")),
        (false, None) => chunked(&codings)?,
    };
    // without a host there is no service to look at
    head.looks.plain &= head.body == Body::Done && !head.host.is_empty();
    head.expects_continue &= !head.http10 && head.body != Body::Done;
    let switches = upgrade && !other_upgrade && connection_upgrade;
    head.upgrade = switches && !head.http10 && head.body == Body::Done;
    Ok(())
}

/// Digits alone, at most 18 of them: no sign, no list, no overflow.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// RFC 9112 §6.3: a request's last coding must be chunked, once; of the others none is known here.
fn chunked(codings: &[&[u8]]) -> Result<Body, Refused> {
    let is_chunked = |coding: &&&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match (
        codings.last().is_some_and(|c| is_chunked(&c)),
        codings.iter().filter(is_chunked).count(),
    ) {
        (true, 1) if codings.len() == 1 => Ok(Body::chunked()),
        (true, 1) => Err((501, "no transfer coding but chunked is known here")),
        _ => Err((400, "chunked must be the last transfer coding, once")),
    }
}

/// "http://host?query" with the path that it leaves out, which is "/" (RFC 9110 §4.2.3). `None`: the target is whole.
fn with_path(target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, behind) = target.split_once("://")?;
    let (authority, query) = behind.split_once('?')?;
    (!authority.contains('/')).then(|| format!("{scheme}://{authority}/?{query}"))
}

fn judge_target(head: &mut RequestHead<'_>, has_host: bool, https: bool) -> Result<(), Refused> {
    if head.method == "CONNECT" {
        return Err((405, "CONNECT is not served"));
    }
    if head.target == "*" {
        return if head.method == "OPTIONS" {
            Ok(())
        } else {
            Err((400, "malformed request target"))
        };
    }
    if !head.target.starts_with('/') {
        let target = absolute(head.target).ok_or((400, "malformed request target"))?;
        if !is_host(target.authority.as_bytes()) {
            return Err((400, "malformed authority in the request target"));
        }
        if target.https != https {
            return Err((400, "the request target's scheme is not this connection's"));
        }
        if has_host && !same_host(target.authority.as_bytes(), head.host, target.https) {
            return Err((400, "Host does not agree with the request target"));
        }
        head.host = target.authority.as_bytes();
        head.target = target.rest.unwrap_or("/");
    }
    if is_origin_form(head.target) {
        Ok(())
    } else {
        Err((400, "malformed request target"))
    }
}

/// The head as exchanges have it, with exactly one `Host`. `None`: it has something that no message may have.
pub(crate) fn to_request(head: &RequestHead<'_>) -> Option<Parts> {
    let mut fields = HeaderMap::with_capacity(head.fields.len() + 1);
    if !head.host.is_empty() {
        fields.insert(header::HOST, HeaderValue::from_bytes(head.host).ok()?);
    }
    for field in head.fields {
        // Host is there, and Expect is ours to answer
        if field.name.eq_ignore_ascii_case("host") || field.name.eq_ignore_ascii_case("expect") {
            continue;
        }
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        fields.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let mut request = no_request();
    request.method = Method::from_bytes(head.method.as_bytes()).ok()?;
    request.uri = Uri::from(PathAndQuery::try_from(head.target).ok()?);
    request.version = if head.http10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    request.headers = fields;
    Some(request)
}
