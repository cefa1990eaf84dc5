//! What a request selects of a representation: all, a part, nothing (RFC 9110 §13, §14).

use super::body::{self, Body};
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use seawall_http_cache::{ByteRange, Precondition, Ranges, Timestamp, evaluate, ranges};
use std::time::{SystemTime, UNIX_EPOCH};

/// Something that can be asked for.
pub(super) struct Representation {
    /// In bytes.
    pub(super) len: u64,
    /// A strong entity tag with its quotes.
    pub(super) etag: String,
    pub(super) modified: Option<Timestamp>,
    /// `Content-Type`, `Cache-Control` and what else goes with it.
    pub(super) fields: HeaderMap,
}

/// A head, and which bytes follow it.
pub(super) struct Selection {
    pub(super) head: Response<()>,
    /// `None`: no body at all. May be empty.
    pub(super) send: Option<ByteRange>,
}

impl Selection {
    /// Puts bytes that are at hand behind the head; `whole` is the complete representation.
    pub(super) fn with(self, whole: &bytes::Bytes) -> Response<Body> {
        let body = match self.send {
            Some(part) => body::full(whole.slice(part.start as usize..part.end as usize)),
            None => body::empty(),
        };
        self.head.map(|()| body)
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

impl Representation {
    /// Judges conditions, then the range, of a GET or HEAD. Several ranges at once get the whole (RFC 9110 §14.2).
    pub(super) fn select(&self, method: &Method, request: &HeaderMap) -> Selection {
        let etag = Some(self.etag.as_bytes());
        let modified = self.modified.map(Timestamp::to_http_date);
        let modified = modified.as_deref().map(str::as_bytes);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = Timestamp(now.map_or(0, |since| since.as_secs()));
        match evaluate(method, request, etag, modified, None, now) {
            Precondition::NotModified => return self.without_body(StatusCode::NOT_MODIFIED),
            Precondition::Failed => return self.without_body(StatusCode::PRECONDITION_FAILED),
            Precondition::None | Precondition::Proceed => {}
        }
        let whole = ByteRange {
            start: 0,
            end: self.len,
        };
        if *method == Method::HEAD {
            return Selection {
                send: None,
                ..self.part(StatusCode::OK, whole)
            };
        }
        match ranges(request, etag, modified, None, self.len, now) {
            Ranges::Parts(parts) if parts.len() == 1 => {
                let part = parts[0];
                let mut selection = self.part(StatusCode::PARTIAL_CONTENT, part);
                let text = format!("bytes {}-{}/{}", part.start, part.end - 1, self.len);
                selection
                    .head
                    .headers_mut()
                    .insert(CONTENT_RANGE, value(&text));
                selection
            }
            Ranges::Whole | Ranges::Parts(_) => self.part(StatusCode::OK, whole),
            Ranges::Unsatisfiable => {
                let mut selection = self.without_body(StatusCode::RANGE_NOT_SATISFIABLE);
                let fields = selection.head.headers_mut();
                fields.insert(CONTENT_RANGE, value(&format!("bytes */{}", self.len)));
                selection
            }
        }
    }

    fn without_body(&self, status: StatusCode) -> Selection {
        let mut selection = self.part(status, ByteRange { start: 0, end: 0 });
        let fields = selection.head.headers_mut();
        if status != StatusCode::NOT_MODIFIED {
            fields.remove(CONTENT_TYPE);
            return selection;
        }
        // a length here would be that of the 200 (RFC 9110 §8.6)
        fields.remove(CONTENT_LENGTH);
        selection.send = None;
        selection
    }

    fn part(&self, status: StatusCode, send: ByteRange) -> Selection {
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = self.fields.clone();
        let fields = head.headers_mut();
        fields.insert(ETAG, value(&self.etag));
        if let Some(modified) = self.modified {
            fields.insert(LAST_MODIFIED, value(&modified.to_http_date()));
        }
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(send.len()));
        Selection {
            head,
            send: Some(send),
        }
    }
}

/// An answer of one line.
pub(super) fn text(status: StatusCode, line: &str) -> Response<Body> {
    let mut response = Response::new(body::full(format!("{line}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// 405 with the methods that are served.
pub(super) fn wrong_method(allow: &'static str) -> Response<Body> {
    with_field(
        text(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("only {allow} are served here"),
        ),
        ALLOW,
        allow,
    )
}

pub(super) fn with_field(
    mut response: Response<Body>,
    name: HeaderName,
    text: &str,
) -> Response<Body> {
    response.headers_mut().insert(name, value(text));
    response
}
