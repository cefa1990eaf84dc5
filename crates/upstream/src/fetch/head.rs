//! Heads of the shorter way: the request's as it is sent, and the plain ones among those of responses.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use std::mem::MaybeUninit;

/// Fields of a plain head.
const FIELDS_MAX: usize = 64;

/// A plain head of a response.
pub(super) struct Head {
    pub(super) response: Box<ResponseHeader>,
    /// Its own length.
    pub(super) bytes: usize,
    /// That of the body behind it.
    pub(super) length: u64,
    /// The server keeps the connection.
    pub(super) keep: bool,
}

pub(super) enum Parsed {
    Plain(Head),
    /// It may become one.
    Partial,
    /// For somebody who knows more: interim, without a length or with several, chunked, HTTP/1.0, folded, malformed.
    NotPlain,
}

/// A field's name as pingora writes it: some servers read no other.
fn written(name: &HeaderName) -> &str {
    match *name {
        header::HOST => "Host",
        header::CACHE_CONTROL => "Cache-Control",
        header::CONTENT_TYPE => "Content-Type",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::DATE => "Date",
        _ => name.as_str(),
    }
}

/// The head of a GET. An error: nothing that could be sent.
pub(super) fn request(target: &str, fields: &HeaderMap) -> Result<BytesMut> {
    let splits = |byte: u8| matches!(byte, 0 | b'\n' | b'\r' | b' ');
    if target.bytes().any(splits) {
        let why = "request-line contains forbidden delimiter bytes";
        return Error::e_explain(ErrorType::InvalidHTTPHeader, why);
    }
    let mut head = BytesMut::with_capacity(512);
    head.put_slice(b"GET ");
    head.put_slice(target.as_bytes());
    head.put_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields {
        head.put_slice(written(name).as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    Ok(head)
}

/// Reads the head at the start of `input`, by the same parser and as leniently as pingora does.
pub(super) fn response(input: &[u8]) -> Parsed {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_obsolete_multiline_headers_in_responses(true);
    let bytes = match parser.parse_response_with_uninit_headers(&mut parsed, input, &mut fields) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::NotPlain,
    };
    match plain(&parsed, &input[..bytes]) {
        Some(head) => Parsed::Plain(head),
        None => Parsed::NotPlain,
    }
}

fn plain(parsed: &httparse::Response<'_, '_>, input: &[u8]) -> Option<Head> {
    let status = parsed.code.filter(|code| (200..=599).contains(code))?;
    if parsed.version != Some(1) {
        return None;
    }
    // the values share it
    let shared = Bytes::copy_from_slice(input);
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    let (mut length, mut keep) = (None, true);
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        // of a folded line this is an error
        let value = HeaderValue::from_maybe_shared(of_copy(&shared, input, field.value)).ok()?;
        if name == header::CONTENT_LENGTH {
            if length.replace(digits(field.value)?).is_some() {
                return None;
            }
        } else if name == header::TRANSFER_ENCODING {
            return None;
        } else if name == header::CONNECTION {
            keep &= !closes(field.value);
        }
        map.append(name, value);
    }
    let length = match status {
        // no body, whatever they say of one
        204 | 304 => 0,
        _ => length?,
    };
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).ok()?;
    parts.version = Version::HTTP_11;
    parts.headers = map;
    Some(Head {
        response: Box::new(ResponseHeader::from(parts)),
        bytes: input.len(),
        length,
        keep,
    })
}

/// What `part` of `whole` is in a copy of that.
fn of_copy(copy: &Bytes, whole: &[u8], part: &[u8]) -> Bytes {
    if part.is_empty() {
        return Bytes::new();
    }
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    copy.slice(start..start + part.len())
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether `Connection` says that this answer is the last (RFC 9112 §9.6).
fn closes(value: &[u8]) -> bool {
    let mut options = value.split(|&byte| byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}
