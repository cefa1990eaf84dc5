//! What of a stored response a plain request gets: conditions and one range, judged by its serialised fields.

use super::put_number;
use bytes::{BufMut, BytesMut};
use http::{Method, StatusCode};
use seawall_cache_store::{Coding, Head};
use seawall_client_conn::RequestHead;
use seawall_http_cache::{
    Precondition, Ranges, Timestamp, evaluate, goes_with_not_modified, goes_with_part, ranges,
};
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Whole,
    /// The answer to HEAD.
    HeadOnly,
    /// 304 (RFC 9110 §15.4.5).
    NotModified,
    /// 206 of one part (RFC 9110 §15.3.7.1).
    Part(Range<u64>),
}

/// What of `copy`, which is fresh, answers `request`. `None`: the full path judges it.
pub(super) fn of(request: &RequestHead<'_>, copy: &Head, now: Timestamp) -> Option<Shape> {
    let head_only = request.method == "HEAD";
    if request.looks.conditional || (request.looks.ranged && !head_only) {
        // for others neither means the same (§13.2.1, §14.2)
        if copy.status != StatusCode::OK {
            return None;
        }
        let field = |name| copy.field(name);
        let (etag, modified, date) = (field("etag"), field("last-modified"), field("date"));
        let method = if head_only { Method::HEAD } else { Method::GET };
        match evaluate(&method, request, etag, modified, date, now) {
            Precondition::NotModified => return Some(Shape::NotModified),
            Precondition::Failed => return None,
            Precondition::None | Precondition::Proceed => {}
        }
        // what was made here has other bytes under the same weak tag elsewhere
        let whole_only = matches!(copy.coding(), Coding::Recoded(..));
        if request.looks.ranged && !head_only && !whole_only {
            match ranges(request, etag, modified, date, copy.length, now) {
                Ranges::Whole => {}
                Ranges::Parts(parts) => {
                    let [part] = parts[..] else {
                        return None;
                    };
                    return Some(Shape::Part(part.start..part.end));
                }
                Ranges::Unsatisfiable => return None,
            }
        }
    }
    Some(if head_only {
        Shape::HeadOnly
    } else {
        Shape::Whole
    })
}

impl Shape {
    pub(super) fn status(&self, copy: &Head) -> StatusCode {
        match self {
            Self::Whole | Self::HeadOnly => copy.status,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
        }
    }

    /// The bytes of the body that go out.
    pub(super) fn body(&self, copy: &Head) -> Range<u64> {
        match self {
            Self::Whole => 0..copy.length,
            Self::HeadOnly | Self::NotModified => 0..0,
            Self::Part(part) => part.clone(),
        }
    }

    /// Writes the status line, and the fields that go with it.
    pub(super) fn write(&self, copy: &Head, out: &mut BytesMut) {
        match self {
            Self::Whole | Self::HeadOnly => {
                let [alike, own] = copy.serialised();
                out.put_slice(alike);
                out.put_slice(own);
            }
            Self::NotModified => {
                let tagged = copy.field("etag").is_some();
                out.put_slice(b"HTTP/1.1 304 Not Modified\r\n");
                put_lines(copy, out, |name| goes_with_not_modified(name, tagged));
            }
            Self::Part(part) => {
                out.put_slice(b"HTTP/1.1 206 Partial Content\r\n");
                put_lines(copy, out, goes_with_part);
                out.put_slice(b"content-range: bytes ");
                put_number(out, part.start);
                out.put_u8(b'-');
                put_number(out, part.end - 1);
                out.put_u8(b'/');
                put_number(out, copy.length);
                out.put_slice(b"\r\ncontent-length: ");
                put_number(out, part.end - part.start);
                out.put_slice(b"\r\n");
            }
        }
    }
}

fn put_lines(copy: &Head, out: &mut BytesMut, goes: impl Fn(&str) -> bool) {
    for (name, value) in copy.lines().filter(|(name, _)| goes(name)) {
        out.put_slice(name.as_bytes());
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    }
}
